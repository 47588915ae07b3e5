//! The commands of the query language, by the tool that takes them.

mod coordinate;
mod exec;
mod query;

use super::command::Gives::{One, Typed};
use super::command::{Gives, Opt, Part, Verb};
use super::values::Kind::Whole;

pub use coordinate::COORDINATE;
pub use exec::EXEC;
pub use query::QUERY;

/// Words that people who know other languages take for options. None of them is one here.
pub const NO_OPTIONS: [&str; 8] = ["ORDER", "SORT", "WHERE", "TOP", "MAX", "FILTER", "TAG", "SKIP"];

const fn opt(word: &'static str, gives: Gives) -> Opt {
    Opt { word, gives }
}

const fn verb(
    words: &'static [&'static str],
    tool: &'static str,
    parts: &'static [Part],
    options: &'static [Opt],
) -> Verb {
    Verb { words, tool, parts, options, presets: &[] }
}

const IN: Opt = opt("IN", Gives::Shelf("wing", "room"));
const WING: Opt = opt("IN", One("wing"));
const LIMIT: Opt = opt("LIMIT", Typed("limit", Whole));
const OFFSET: Opt = opt("OFFSET", Typed("offset", Whole));
