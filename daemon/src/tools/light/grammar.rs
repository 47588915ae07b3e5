//! Reads a command of the query language against its description and returns the call it stands for.
//!
//! A command is a verb, then parts in their order, then options in any order. An option is a keyword in capitals and a
//! value (`LIMIT 5`) or a name, a colon and a value (`limit:5`). Words that are no keywords are text, as they stand in the
//! line; quoted texts and JSON never are keywords.

use serde_json::{Map, Value};

use super::Mistake;
use super::lexer::{Placed, Token, json_end, split};

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
    /// A JSON object or list for a parameter.
    Json(&'static str),
    /// Nothing but itself: a parameter becomes true or false.
    Flag(&'static str, bool),
}

/// A line that could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The tool it calls, without prefix.
    pub tool: &'static str,
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
    let mut reader = Reader { line, tokens: &tokens, at: verb.words.len(), verb };
    let mut arguments = Map::new();
    for part in verb.parts {
        reader.part(part, &mut arguments)?;
    }
    let is_prose = !is_in_capitals(&tokens, verb)
        && reader.at > verb.words.len()
        && reader.at == tokens.len()
        && tokens.iter().all(|placed| matches!(placed.token, Token::Word(_) | Token::Colon | Token::Arrow))
        && verb.parts.iter().any(|part| matches!(part, Part::Text(_) | Part::MayText(_)));
    while reader.at < tokens.len() {
        reader.option(&mut arguments)?;
    }
    Ok(Command { tool: verb.tool, arguments, is_prose })
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

struct Reader<'t> {
    line: &'t str,
    tokens: &'t [Placed],
    at: usize,
    verb: &'static Verb,
}

impl Reader<'_> {
    fn here(&self) -> usize {
        self.tokens.get(self.at).map_or(self.line.len(), |placed| placed.span.start)
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
    fn json(&mut self, what: &str) -> Result<Value, Mistake> {
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
    fn broken_json(&self, begin: usize) -> Mistake {
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
    fn text(&mut self) -> Option<String> {
        if let Some(Token::Quoted(text)) = self.token() {
            let text = text.clone();
            self.at += 1;
            return Some(text);
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
            self.at += 1;
        }
        let taken = &self.tokens[first..self.at];
        let (begin, end) = (taken.first()?.span.start, taken.last()?.span.end);
        Some(self.line[begin..end].to_owned())
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
        let begin = self.here();
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
            Gives::Json(parameter) => {
                let value = match &inline {
                    Some((name, _)) => return Err(self.broken_json(begin + name.len() + 1)),
                    None => self.json(&format!("a JSON object or list for {}", option.word))?,
                };
                arguments.insert((*parameter).to_owned(), value);
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

/// Texts go as they are: the tool they are for takes numbers from texts.
fn put(arguments: &mut Map<String, Value>, name: &str, text: String) {
    arguments.insert(name.to_owned(), Value::String(text));
}
