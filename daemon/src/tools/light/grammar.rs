//! Reads a command of the query language against its description and returns the call it stands for.
//!
//! A command is a verb, then parts in their order, then options in any order. An option is a keyword in capitals and a
//! value (`LIMIT 5`) or a name, a colon and a value (`limit:5`). Words that are no keywords are text, as they stand in the
//! line; quoted texts and JSON never are keywords.

use serde_json::{Map, Value};

use super::Mistake;
use super::command::{Part, Verb};
use super::lexer::{Placed, Token, split};

/// A line that could be read.
pub struct Line {
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
pub fn read(line: &str, verbs: &'static [Verb]) -> Result<Line, Mistake> {
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
    Ok(Line { verb, arguments, is_prose })
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

pub(super) fn is_word(token: &Token, wanted: &str) -> bool {
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
}
