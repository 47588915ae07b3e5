//! What a tool is: its name, what it is for, what it takes and answers, and what may be done with a lost call.

/// What may be done with a call whose answer was lost with the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolClass {
    /// Changes nothing: sent again.
    Read,
    /// Answers a question and records that it was asked: sent again with its key. A read-only session may ask too; it
    /// records nothing.
    RecordedRead,
    /// Changes the palace under an idempotency key: sent again with the same key, applied once.
    KeyedWrite,
}

/// One tool.
#[derive(Debug)]
pub struct Tool {
    /// Name on the wire.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// What a model must know to choose it.
    pub description: &'static str,
    /// What may be done with a lost call.
    pub class: ToolClass,
    /// Whether it removes or replaces something that was stored.
    pub destructive: bool,
    /// Whether the same call a second time changes nothing more.
    pub idempotent: bool,
    /// What its answer holds, at the top.
    pub answer: &'static [Key],
    /// Parameters, in the order they are listed.
    pub parameters: &'static [Parameter],
}

/// One parameter of a tool.
#[derive(Debug)]
pub struct Parameter {
    /// Name on the wire.
    pub name: &'static str,
    /// What it is for; may be empty where the name says it.
    pub description: &'static str,
    /// What it accepts.
    pub shape: Shape,
    /// Whether a call without it is refused.
    pub required: bool,
}

/// One key of a tool's answer.
#[derive(Debug)]
pub struct Key {
    /// Name on the wire.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it is there whatever was asked; what a failure of the service answers is no structured answer.
    pub always: bool,
}

/// What a key of an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Text, or null.
    TextOrNull,
    /// A whole number.
    Count,
    /// True or false.
    Flag,
    /// A list.
    List,
    /// An object.
    Object,
}

/// What a parameter accepts. Numbers are also taken from strings, and clamped, not refused, as the peer does.
#[derive(Debug)]
pub enum Shape {
    /// A name, an id, a label, a date.
    Text,
    /// A text that is stored or searched for, as long as its tool allows.
    LongText,
    /// The same, with a length a model should keep to.
    TextUpTo(u32),
    /// One of the given words.
    OneOf(&'static [&'static str]),
    /// A whole number, clamped into the range.
    Integer {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: Option<i64>,
    },
    /// A whole number, clamped into the range, which the schema does not name.
    Clamped {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// True or false, where false removes something: a text never is false.
    Guard,
    /// A list of ids.
    TextList,
    /// The same, answered item by item: what is no id is reported in its place, beside what was done for the others.
    EachText,
    /// A list of objects with the given members.
    Objects(&'static [Parameter]),
    /// One object with the given members.
    Object(&'static [Parameter]),
}

/// Shorthand for a parameter that must be given.
pub(super) const fn required(name: &'static str, shape: Shape, description: &'static str) -> Parameter {
    Parameter { name, description, shape, required: true }
}

/// Shorthand for a parameter that may be left out.
pub(super) const fn optional(name: &'static str, shape: Shape, description: &'static str) -> Parameter {
    Parameter { name, description, shape, required: false }
}

/// Shorthand for a key that every answer has.
pub(super) const fn always(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, always: true }
}

/// Shorthand for a key that depends on what was asked and found.
pub(super) const fn sometimes(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, always: false }
}

/// What went wrong when a call was refused or failed.
pub(super) const ERROR: Key = sometimes("error", Kind::Text);

/// Whether the call did what it is for.
pub(super) const SUCCESS: Key = always("success", Kind::Flag);

/// Where a page begins.
pub(super) const OFFSET: Parameter =
    optional("offset", Shape::Integer { min: 0, max: None }, "where the page begins");

/// How much is on a page.
pub(super) const fn limit(max: i64, description: &'static str) -> Parameter {
    optional("limit", Shape::Integer { min: 1, max: Some(max) }, description)
}

impl ToolClass {
    /// Tells whether a session that may change nothing may call the tool.
    pub fn is_for_readers(self) -> bool {
        match self {
            Self::Read | Self::RecordedRead => true,
            Self::KeyedWrite => false,
        }
    }

    /// Tells whether a call may change the palace.
    pub fn may_write(self) -> bool {
        match self {
            Self::Read => false,
            Self::RecordedRead | Self::KeyedWrite => true,
        }
    }
}

impl Parameter {
    /// Tells whether it takes a number.
    pub fn is_number(&self) -> bool {
        matches!(self.shape, Shape::Integer { .. } | Shape::Clamped { .. } | Shape::Number)
    }
}
