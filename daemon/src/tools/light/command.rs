//! What a command of the query language consists of.

use serde_json::{Map, Value};

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
    /// Parameters that are true where the line does not say otherwise.
    pub presets: &'static [&'static str],
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
    /// `a -> b -> c` for three parameters, or three words or quoted texts, of which the last may be several words.
    Claim([&'static str; 3]),
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

impl Verb {
    /// Adds what is true where nothing else is said.
    pub fn preset(&self, fields: &mut Map<String, Value>) {
        for parameter in self.presets {
            fields.entry(*parameter).or_insert(Value::Bool(true));
        }
    }

    /// Returns how a line gives a parameter: `STREAM`, or the parameter's name where no option does.
    pub fn option_for(&self, parameter: &str) -> String {
        let option = self.options.iter().find(|option| option.is_named(parameter));
        option.map_or_else(|| parameter.to_owned(), |option| option.word.to_owned())
    }
}

impl Opt {
    /// Tells whether a keyword, or a name before a colon, is this option's: its word or its parameter's name.
    pub fn is_named(&self, name: &str) -> bool {
        let keyword = self.word.split(' ').next().unwrap_or_default();
        let parameter = match self.gives {
            Gives::One(parameter)
            | Gives::Typed(parameter, _)
            | Gives::Json(parameter)
            | Gives::Since(parameter, _) => parameter,
            Gives::Flag(..) | Gives::Set(..) | Gives::Shelf(..) => keyword,
        };
        name.eq_ignore_ascii_case(keyword) || name.eq_ignore_ascii_case(parameter)
    }
}
