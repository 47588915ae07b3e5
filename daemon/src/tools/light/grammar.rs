//! Reads a command of the query language against its description and returns the call it stands for.
//!
//! A command is a verb, then parts in their order, then options in any order. An option is a keyword in capitals and a
//! value (`LIMIT 5`) or a name, a colon and a value (`limit:5`). Words that are no keywords are text, as they stand in the
//! line; quoted texts and JSON never are keywords.

use serde_json::{Map, Value};

use super::Mistake;
use super::lexer::{Placed, Token, json_end, split};
use super::options::option_name;
use super::values::Kind;

/// A command.
pub struct Verb {
    /// Its words.
    pub words: &'static [&'static str],
    /// The tool it calls, without prefix.
    pub tool: &'static str,
    /// What follows the words.
    pub parts: &'static [Part],
    /// What may follow the parts.
    pub options: &'static [Opt],
}

/// Something a command needs at its place.
pub enum Part {
    /// One word or quoted text for a parameter.
    Value(&'static str),
    /// The same, which may be missing: an option's keyword is none.
    MayValue(&'static str),
    /// Words or a quoted text for a parameter.
    Text(&'static str),
    /// The same, which may be missing.
    MayText(&'static str),
    /// `wing/room` for two parameters, after `IN` or not.
    Place(&'static str, &'static str),
    /// `a AND b` for two parameters.
    Pair(&'static str, &'static str),
    /// `->` or `=>`.
    Arrow,
    /// `:`, `->` or `=>`.
    Separator,
    /// Members of a JSON object.
    Members,
}

/// Something that may follow.
pub struct Opt {
    /// Its keyword; two words for `AS OF`.
    pub word: &'static str,
    /// What it gives.
    pub gives: Gives,
}

/// What an option gives.
pub enum Gives {
    /// One value for a parameter.
    One(&'static str),
    /// One value for a parameter that must be of a kind.
    Typed(&'static str, Kind),
    /// An event's id for the first parameter, or a time for the second.
    Since(&'static str, &'static str),
    /// Nothing but itself: a parameter gets a value.
    Set(&'static str, &'static str),
    /// `wing` or `wing/room` for two parameters.
    Shelf(&'static str, &'static str),
    /// A JSON object or list for a parameter.
    Json(&'static str),
    /// Nothing but itself: a parameter becomes true or false.
    Flag(&'static str, bool),
}

/// A line that could be read.
pub struct Command {
    /// What it begins with.
    pub verb: &'static Verb,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// Whether it may as well be a sentence: a verb in small letters, then words and nothing else.
    pub is_prose: bool,
}

/// Returns what a line stands for.
///
/// # Errors
/// Says what was expected where.
pub fn read(line: &str, verbs: &'static [Verb]) -> Result<Command, Mistake> {
    let tokens = split(line)?;
    let verb = find(&tokens, verbs)?;
    let mut reader = Reader { line, tokens: &tokens, at: verb.words.len(), verb, verbs };
    let mut arguments = Map::new();
    for part in verb.parts {
        reader.part(part, &mut arguments)?;
    }
    let is_prose = !is_in_capitals(&tokens, verb)
        && reader.at > verb.words.len()
        && reader.at == tokens.len()
        && tokens.iter().all(|placed| matches!(placed.token, Token::Word(_) | Token::Colon | Token::Arrow))
        && verb.parts.iter().any(|part| {
            matches!(part, Part::Text(_) | Part::MayText(_) | Part::Value(_) | Part::MayValue(_))
        });
    while reader.at < tokens.len() {
        reader.option(&mut arguments)?;
    }
    Ok(Command { verb, arguments, is_prose })
}

/// Returns the words in capitals that make a line a command of the given verbs; the more, the surer.
pub fn verb_of(line: &str, verbs: &'static [Verb]) -> Option<&'static Verb> {
    let tokens = split(line).ok()?;
    begun(&tokens, verbs).filter(|verb| is_in_capitals(&tokens, verb))
}

fn is_in_capitals(tokens: &[Placed], verb: &Verb) -> bool {
    verb.words.iter().zip(tokens).all(|(word, placed)| placed.token == Token::Word((*word).to_owned()))
}

fn begun(tokens: &[Placed], verbs: &'static [Verb]) -> Option<&'static Verb> {
    let begins = |verb: &&Verb| {
        verb.words.len() <= tokens.len()
            && verb.words.iter().zip(tokens).all(|(word, placed)| is_word(&placed.token, word))
    };
    verbs.iter().filter(begins).max_by_key(|verb| verb.words.len())
}

/// Finds the verb with the most words that begins the line.
fn find(tokens: &[Placed], verbs: &'static [Verb]) -> Result<&'static Verb, Mistake> {
    begun(tokens, verbs).ok_or_else(|| {
        let first = |placed: &Placed| match &placed.token {
            Token::Word(word) => {
                verbs.iter().filter(|verb| verb.words[0].eq_ignore_ascii_case(word)).collect()
            }
            Token::Quoted(_) | Token::Arrow | Token::Colon | Token::Json(_) => Vec::new(),
        };
        let near: Vec<&Verb> = tokens.first().map(first).unwrap_or_default();
        let shown = if near.is_empty() { verbs.iter().collect() } else { near };
        let mut names: Vec<String> = shown.iter().map(|verb| verb.words.join(" ")).collect();
        names.dedup();
        Mistake { at: 0, message: format!("expected one of {}", names.join(", ")) }
    })
}

fn is_word(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(wanted))
}

/// A line that is being read.
pub struct Reader<'t> {
    pub(super) line: &'t str,
    pub(super) tokens: &'t [Placed],
    /// The next token.
    pub(super) at: usize,
    pub(super) verb: &'static Verb,
    /// All there are: their keywords are no text.
    pub(super) verbs: &'static [Verb],
}

impl Reader<'_> {
    pub(super) fn here(&self) -> usize {
        self.tokens.get(self.at).map_or(self.line.len(), |placed| placed.span.start)
    }

    pub(super) fn expected<T>(&self, what: &str) -> Result<T, Mistake> {
        Err(Mistake {
            at: self.here(),
            message: format!("expected {what} after {}", self.verb.words.join(" ")),
        })
    }

    pub(super) fn token(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|placed| &placed.token)
    }

    fn part(&mut self, part: &Part, arguments: &mut Map<String, Value>) -> Result<(), Mistake> {
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
        let divides = self.verb.parts.iter().any(|part| matches!(part, Part::Arrow | Part::Separator));
        let first = self.at;
        while let Some(token) = self.token() {
            let belongs = match token {
                Token::Word(_) => !self.begins_option(),
                Token::Json(_) => true,
                Token::Arrow | Token::Colon => !divides && self.at > first,
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
