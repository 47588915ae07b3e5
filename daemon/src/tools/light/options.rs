//! Options of a command: where one begins, what it gives, and keywords that are options of other commands alone.

use serde_json::{Map, Value};

use super::Mistake;
use super::command::Gives;
use super::grammar::Reader;
use super::lexer::Token;
use super::values::begins_with_date;

impl Reader<'_> {
    /// Tells whether a word in capitals, with something behind it, is an option of other commands alone.
    pub fn is_foreign_keyword(&self, word: &str) -> bool {
        let in_capitals =
            word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        let options = || self.verbs.iter().flat_map(|verb| verb.options);
        in_capitals
            && self.at + 1 < self.tokens.len()
            && (super::verbs::NO_OPTIONS.contains(&word) || options().any(|option| option.is_named(word)))
    }

    /// Returns the options of the command, for people.
    pub fn known(&self) -> String {
        let words: Vec<&str> = self.verb.options.iter().map(|option| option.word).collect();
        if words.is_empty() { "nothing more".to_owned() } else { format!("one of {}", words.join(", ")) }
    }

    /// Tells whether an option begins at a token. Keywords among words must be in capitals; names before a colon need not.
    pub fn is_option_at(&self, at: usize) -> bool {
        let Some(Token::Word(word)) = self.tokens.get(at).map(|placed| &placed.token) else { return false };
        let in_capitals = !word.bytes().any(|byte| byte.is_ascii_lowercase());
        let named = self.tokens.get(at + 1).is_some_and(|next| next.token == Token::Colon);
        let is_inline = prefix(word).is_some();
        (in_capitals || named || is_inline)
            && self.verb.options.iter().any(|option| option.is_named(option_name(word)))
    }

    /// Takes an option.
    ///
    /// # Errors
    /// Says what was expected where.
    pub fn option(&mut self, arguments: &mut Map<String, Value>) -> Result<(), Mistake> {
        let begin = self.here();
        let Some(Token::Word(word)) = self.token() else { return self.expected(&self.known()) };
        let inline = prefix(word).map(|(_, value)| value.to_owned());
        let name = option_name(word).to_owned();
        let Some(option) = self.verb.options.iter().find(|option| option.is_named(&name)) else {
            return self.expected(&self.known());
        };
        // Two words only where the second one follows: AS OF, but as_of.
        let words = option.word.split(' ').count();
        self.at += if option.word.split(' ').next().is_some_and(|first| first.eq_ignore_ascii_case(&name)) {
            words
        } else {
            1
        };
        self.at = self.at.min(self.tokens.len());
        if self.token() == Some(&Token::Colon) {
            self.at += 1;
        }
        let at = if inline.is_some() { begin + name.len() + 1 } else { self.here() };
        let value = |reader: &mut Self| match &inline {
            Some(value) => Ok(value.clone()),
            None => {
                reader.value().map_or_else(|| reader.expected(&format!("a value for {}", option.word)), Ok)
            }
        };
        let mut given: Vec<(&str, Value)> = Vec::new();
        match &option.gives {
            Gives::One(parameter) => given.push((parameter, value(self)?.into())),
            Gives::Typed(parameter, kind) => {
                let value = value(self)?;
                let fits =
                    kind.check(&value).map_err(|rule| format!("{} takes {rule}, not {value:?}", option.word));
                fits.map_err(|message| Mistake { at, message })?;
                given.push((parameter, value.into()));
            }
            Gives::Since(id, time) => {
                let value = value(self)?;
                given.push((if begins_with_date(&value) { time } else { id }, value.into()));
            }
            Gives::Set(parameter, value) => given.push((parameter, (*value).into())),
            Gives::Json(_) if inline.is_some() => return Err(self.broken_json(at)),
            Gives::Json(parameter) => {
                given.push((parameter, self.json(&format!("a JSON object or list for {}", option.word))?));
            }
            Gives::Shelf(wing, room) => {
                let shelf = value(self)?;
                match shelf.split_once('/') {
                    Some((found_wing, found_room)) => {
                        given.push((wing, found_wing.into()));
                        given.push((room, found_room.into()));
                    }
                    None => given.push((wing, shelf.into())),
                }
            }
            Gives::Flag(parameter, set) => {
                let set = match inline.as_deref().map(str::to_ascii_lowercase).as_deref() {
                    None => *set,
                    Some("true") => *set,
                    Some("false") => !*set,
                    Some(_) => {
                        let message = format!("{} takes true or false", option.word);
                        return Err(Mistake { at, message });
                    }
                };
                given.push((parameter, set.into()));
            }
        }
        for (parameter, value) in given {
            if arguments.insert(parameter.to_owned(), value).is_some() {
                return Err(Mistake { at: begin, message: format!("{parameter} is given twice") });
            }
        }
        Ok(())
    }
}

/// Returns the part of a word that names an option: what stands before its colon, or all of it.
pub fn option_name(word: &str) -> &str {
    prefix(word).map_or(word, |(name, _)| name)
}

/// Splits `name:value`; web addresses and times are none.
fn prefix(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once(':')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    (is_name && !name.is_empty() && !value.is_empty() && !value.starts_with("//")).then_some((name, value))
}
