//! Parts of a command, in their order: what each takes from the line.

use serde_json::{Map, Value};

use super::Mistake;
use super::command::Part;
use super::grammar::{Reader, is_word};
use super::lexer::{Token, json_end};
use super::options::option_name;

impl Reader<'_> {
    /// Takes one part.
    ///
    /// # Errors
    /// Says what was expected where.
    pub fn part(&mut self, part: &Part, arguments: &mut Map<String, Value>) -> Result<(), Mistake> {
        match part {
            Part::Value(name) => match self.value() {
                Some(value) => put(arguments, name, value),
                None => return self.expected(name),
            },
            Part::MayValue(name) => {
                let is_keyword = |token: &Token| match token {
                    Token::Word(word) => {
                        self.verb.options.iter().any(|option| option.is_named(option_name(word)))
                    }
                    Token::Quoted(_) | Token::Arrow | Token::Colon | Token::Json(_) => false,
                };
                if !self.token().is_some_and(is_keyword)
                    && let Some(value) = self.value()
                {
                    put(arguments, name, value);
                }
            }
            Part::Text(name) => match self.text()? {
                Some(text) => put(arguments, name, text),
                None => return self.expected(&format!("{name} (in quotes when it holds keywords)")),
            },
            Part::MayText(name) => {
                if let Some(text) = self.text()? {
                    put(arguments, name, text);
                }
            }
            Part::Place(wing, room) => {
                if self.token().is_some_and(|token| is_word(token, "IN")) {
                    self.at += 1;
                }
                let place = self.value().and_then(|place| {
                    let (wing, room) = place.split_once('/')?;
                    Some((wing.to_owned(), room.to_owned()))
                });
                match place {
                    Some((found_wing, found_room)) => {
                        put(arguments, wing, found_wing);
                        put(arguments, room, found_room);
                    }
                    None => {
                        self.at = self.at.saturating_sub(1).max(self.verb.words.len());
                        return self.expected("wing/room");
                    }
                }
            }
            Part::Pair(first, second) => {
                let Some(left) = self.value() else { return self.expected("a name") };
                if !self.token().is_some_and(|token| is_word(token, "AND")) {
                    return self.expected("AND");
                }
                self.at += 1;
                let Some(right) = self.value() else { return self.expected("a second name") };
                put(arguments, first, left);
                put(arguments, second, right);
            }
            Part::Claim(names) => self.claim(*names, arguments)?,
            Part::Arrow if self.token() == Some(&Token::Arrow) => self.at += 1,
            Part::Separator if matches!(self.token(), Some(Token::Arrow | Token::Colon)) => self.at += 1,
            Part::Arrow => return self.expected("->"),
            Part::Separator => return self.expected("a colon"),
            Part::Members => {
                let begin = self.here();
                match self.json("a JSON object")? {
                    Value::Object(object) => arguments.extend(object),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                        return Err(Mistake { at: begin, message: "expected a JSON object here".to_owned() });
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes what somebody claims: with an arrow before the first option, texts between two of them; else two single
    /// values and a text.
    fn claim(&mut self, names: [&str; 3], arguments: &mut Map<String, Value>) -> Result<(), Mistake> {
        let ahead = (self.at..self.tokens.len()).take_while(|at| !self.is_option_at(*at));
        let has_arrow = ahead.map(|at| &self.tokens[at].token).any(|token| *token == Token::Arrow);
        for (number, name) in names.into_iter().enumerate() {
            if has_arrow && number > 0 {
                self.part(&Part::Arrow, arguments)?;
            }
            let taken = if has_arrow || number + 1 == names.len() {
                self.text()?
            } else if self.is_option_at(self.at) {
                None
            } else {
                self.value()
            };
            match taken {
                Some(text) => put(arguments, name, text),
                None => return self.expected(&format!("{name} of {}", names.join(" -> "))),
            }
        }
        Ok(())
    }

    /// Takes a JSON object or list. What begins like one and is none is shown where it goes wrong.
    pub(super) fn json(&mut self, what: &str) -> Result<Value, Mistake> {
        let begin = self.here();
        match self.token() {
            Some(Token::Json(text)) => {
                let value = serde_json::from_str(text)
                    .map_err(|error| Mistake { at: begin, message: format!("this is no JSON: {error}") })?;
                self.at += 1;
                Ok(value)
            }
            Some(Token::Word(word)) if word.starts_with(['{', '[']) => Err(self.broken_json(begin)),
            Some(Token::Word(_) | Token::Quoted(_) | Token::Arrow | Token::Colon) | None => {
                self.expected(what)
            }
        }
    }

    /// Returns why no JSON value that stands for itself begins at this byte, and where it goes wrong.
    pub(super) fn broken_json(&self, begin: usize) -> Mistake {
        if !self.line[begin..].starts_with(['{', '[']) {
            return Mistake { at: begin, message: "expected a JSON object or list".to_owned() };
        }
        match json_end(&self.line[begin..]) {
            Ok(len) => {
                Mistake { at: begin + len, message: "expected a blank after the JSON value".to_owned() }
            }
            Err(mistake) => Mistake { at: begin + mistake.at, message: mistake.message },
        }
    }

    /// Takes a quoted text, or words up to the next keyword, as they stand in the line; `None` when there is neither.
    /// Arrows and colons are text where the command has no use for them.
    ///
    /// # Errors
    /// A keyword of other commands among the words: it would be text that was meant to be an option.
    fn text(&mut self) -> Result<Option<String>, Mistake> {
        if let Some(Token::Quoted(text)) = self.token() {
            let text = text.clone();
            self.at += 1;
            return Ok(Some(text));
        }
        let divides = |divider: fn(&Part) -> bool| self.verb.parts.iter().any(divider);
        let arrows_divide = divides(|part| matches!(part, Part::Claim(_) | Part::Arrow | Part::Separator));
        let colons_divide = divides(|part| matches!(part, Part::Separator));
        let first = self.at;
        while let Some(token) = self.token() {
            let belongs = match token {
                Token::Word(_) => !self.is_option_at(self.at),
                Token::Json(_) => true,
                Token::Arrow => !arrows_divide && self.at > first,
                Token::Colon => !colons_divide && self.at > first,
                Token::Quoted(_) => false,
            };
            if !belongs {
                break;
            }
            if self.at > first
                && let Token::Word(word) = token
                && self.is_foreign_keyword(word)
            {
                return self.expected(&format!(
                    "{}, or the text in quotes when {word} belongs to it,",
                    self.known()
                ));
            }
            self.at += 1;
        }
        let taken = &self.tokens[first..self.at];
        Ok(taken
            .first()
            .zip(taken.last())
            .map(|(first, last)| self.line[first.span.start..last.span.end].to_owned()))
    }

    /// Takes one value, whatever it looks like.
    pub(super) fn value(&mut self) -> Option<String> {
        let value = match self.token()? {
            Token::Word(text) | Token::Quoted(text) | Token::Json(text) => text.clone(),
            Token::Arrow | Token::Colon => return None,
        };
        self.at += 1;
        Some(value)
    }
}

/// Texts go as they are: the tool they are for takes numbers from texts.
fn put(arguments: &mut Map<String, Value>, name: &str, text: String) {
    arguments.insert(name.to_owned(), Value::String(text));
}
