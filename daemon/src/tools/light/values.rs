//! What values of options may be; the tools check them again, but know no place in the line to show.

use crate::palace::{dates, names};

/// What the value of an option must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// A date or time as searches take it.
    Time,
    /// A date or a UTC time to the second, as the knowledge graph takes it.
    Instant,
    /// One of some words.
    OneOf(&'static [&'static str]),
}

impl Kind {
    /// Tells whether a value is of this kind.
    ///
    /// # Errors
    /// Says what is.
    pub fn check(self, value: &str) -> Result<(), String> {
        let value = value.trim();
        let (fits, rule) = match self {
            Self::Whole => (value.parse::<i64>().is_ok(), "a whole number".to_owned()),
            Self::Number => (value.parse::<f64>().is_ok_and(f64::is_finite), "a number".to_owned()),
            Self::Time => {
                (dates::bound(value, "").is_ok(), "an ISO date or time such as 2026-01-31".to_owned())
            }
            Self::Instant => (
                names::instant(value, "").is_ok_and(|instant| instant.is_some()),
                "a date such as 2026-01-31 or a UTC time such as 2026-01-31T09:00:00Z".to_owned(),
            ),
            Self::OneOf(words) => (
                words.iter().any(|word| word.eq_ignore_ascii_case(value)),
                format!("one of {}", words.join(", ")),
            ),
        };
        if fits { Ok(()) } else { Err(rule) }
    }
}

/// Tells whether a value is a date or a time rather than an event's id.
pub fn begins_with_date(value: &str) -> bool {
    value.get(..10).is_some_and(|date| dates::bound(date, "").is_ok())
}
