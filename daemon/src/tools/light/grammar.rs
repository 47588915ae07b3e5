//! Reads a command of the query language against its description and returns the call it stands for.
//!
//! A command is a verb, then parts in their order, then options in any order. An option is a keyword in capitals and a
//! value (`LIMIT 5`) or a name, a colon and a value (`limit:5`). Words that are no keywords are text; quoted texts never
//! are keywords.

use serde_json::{Map, Value};

use super::Mistake;
use super::lexer::{Placed, Token, split};

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
    /// `wing` or `wing/room` for two parameters.
    Shelf(&'static str, &'static str),
    /// Nothing but itself: a parameter becomes true or false.
    Flag(&'static str, bool),
}

/// Returns the tool and the arguments a line stands for.
///
/// # Errors
/// Says what was expected where.
pub fn read(line: &str, verbs: &'static [Verb]) -> Result<(&'static str, Map<String, Value>), Mistake> {
    let tokens = split(line)?;
    let verb = find(&tokens, verbs)?;
    let mut reader = Reader { tokens: &tokens, at: verb.words.len(), end: line.len(), verb };
    let mut arguments = Map::new();
    for part in verb.parts {
        reader.part(part, &mut arguments)?;
    }
    while reader.at < tokens.len() {
        reader.option(&mut arguments)?;
    }
    Ok((verb.tool, arguments))
}

/// Finds the verb with the most words that begins the line.
fn find(tokens: &[Placed], verbs: &'static [Verb]) -> Result<&'static Verb, Mistake> {
    let begins = |verb: &&Verb| {
        verb.words.len() <= tokens.len()
            && verb.words.iter().zip(tokens).all(|(word, placed)| is_word(&placed.token, word))
    };
    verbs.iter().filter(begins).max_by_key(|verb| verb.words.len()).ok_or_else(|| {
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

struct Reader<'t> {
    tokens: &'t [Placed],
    at: usize,
    /// Length of the line.
    end: usize,
    verb: &'static Verb,
}

impl Reader<'_> {
    fn here(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |placed| placed.span.start)
    }

    fn expected<T>(&self, what: &str) -> Result<T, Mistake> {
        Err(Mistake {
            at: self.here(),
            message: format!("expected {what} after {}", self.verb.words.join(" ")),
        })
    }

    fn token(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|placed| &placed.token)
    }

    fn part(&mut self, part: &Part, arguments: &mut Map<String, Value>) -> Result<(), Mistake> {
        match part {
            Part::Text(name) => match self.text() {
                Some(text) => put(arguments, name, text),
                None => return self.expected(&format!("{name} (in quotes when it holds keywords)")),
            },
            Part::MayText(name) => {
                if let Some(text) = self.text() {
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
                let object = match self.token() {
                    Some(Token::Json(text)) => serde_json::from_str::<Map<String, Value>>(text).ok(),
                    Some(Token::Word(_) | Token::Quoted(_) | Token::Arrow | Token::Colon) | None => None,
                };
                match object {
                    Some(object) => arguments.extend(object),
                    None => return self.expected("a JSON object"),
                }
                self.at += 1;
            }
        }
        Ok(())
    }

    /// Takes a quoted text, or words up to the next keyword; `None` when there is neither.
    fn text(&mut self) -> Option<String> {
        if let Some(Token::Quoted(text)) = self.token() {
            let text = text.clone();
            self.at += 1;
            return Some(text);
        }
        let mut words: Vec<String> = Vec::new();
        while let Some(Token::Word(word)) = self.token() {
            if self.begins_option() {
                break;
            }
            words.push(word.clone());
            self.at += 1;
        }
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// Takes one value, whatever it looks like.
    fn value(&mut self) -> Option<String> {
        let value = match self.token()? {
            Token::Word(text) | Token::Quoted(text) | Token::Json(text) => text.clone(),
            Token::Arrow | Token::Colon => return None,
        };
        self.at += 1;
        Some(value)
    }

    /// Tells whether an option begins here. Keywords among words must be in capitals; names before a colon need not.
    fn begins_option(&self) -> bool {
        let Some(Token::Word(word)) = self.token() else { return false };
        let in_capitals = !word.bytes().any(|byte| byte.is_ascii_lowercase());
        let named = self.tokens.get(self.at + 1).is_some_and(|next| next.token == Token::Colon);
        self.verb.options.iter().any(|option| {
            let keyword = option.word.split(' ').next().unwrap_or_default();
            let is_keyword = word.eq_ignore_ascii_case(keyword) && (in_capitals || named);
            is_keyword || prefix(word).is_some_and(|(name, _)| name.eq_ignore_ascii_case(option.word))
        })
    }

    fn option(&mut self, arguments: &mut Map<String, Value>) -> Result<(), Mistake> {
        let known = || self.verb.options.iter().map(|option| option.word).collect::<Vec<_>>().join(", ");
        let unknown = |reader: &Self| {
            let known = known();
            let what = if known.is_empty() { "nothing more".to_owned() } else { format!("one of {known}") };
            reader.expected(&what)
        };
        let Some(Token::Word(word)) = self.token() else { return unknown(self) };
        let inline = prefix(word).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let name = inline.as_ref().map_or(word.as_str(), |(name, _)| name).to_owned();
        let options = self.verb.options.iter();
        let Some(option) = options.into_iter().find(|option| {
            option.word.split(' ').next().is_some_and(|first| name.eq_ignore_ascii_case(first))
        }) else {
            return unknown(self);
        };
        self.at += option.word.split(' ').count();
        if self.token() == Some(&Token::Colon) {
            self.at += 1;
        }
        let value = |reader: &mut Self| match &inline {
            Some((_, value)) => Ok(value.clone()),
            None => {
                reader.value().map_or_else(|| reader.expected(&format!("a value for {}", option.word)), Ok)
            }
        };
        match &option.gives {
            Gives::One(parameter) => {
                let value = value(self)?;
                put(arguments, parameter, value);
            }
            Gives::Shelf(wing, room) => {
                let shelf = value(self)?;
                match shelf.split_once('/') {
                    Some((found_wing, found_room)) => {
                        put(arguments, wing, found_wing.to_owned());
                        put(arguments, room, found_room.to_owned());
                    }
                    None => put(arguments, wing, shelf),
                }
            }
            Gives::Flag(parameter, set) => {
                let set = match &inline {
                    Some((_, value)) => value.eq_ignore_ascii_case("true") == *set,
                    None => *set,
                };
                arguments.insert((*parameter).to_owned(), Value::Bool(set));
            }
        }
        Ok(())
    }
}

/// Splits `name:value`; web addresses and times are none.
fn prefix(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once(':')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    (is_name && !name.is_empty() && !value.is_empty() && !value.starts_with("//")).then_some((name, value))
}

/// Texts go as they are: the tool they are for takes numbers and lists from texts.
fn put(arguments: &mut Map<String, Value>, name: &str, text: String) {
    let is_list = text.starts_with('[') || text.starts_with('{');
    let parsed = if is_list { serde_json::from_str(&text).ok() } else { None };
    arguments.insert(name.to_owned(), parsed.unwrap_or(Value::String(text)));
}
