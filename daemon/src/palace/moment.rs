//! A point in time as the palace stores it: naive local ISO text, beside the absolute time it was taken at.
//!
//! `filed_at` is naive local time because the peer's is and imported rows must sort among ours. The palace never asks
//! a clock: a moment is handed in with each command.

use crate::engine::Timestamp;

/// When something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Absolute time.
    pub utc: Timestamp,
    /// The same as naive local ISO text with microseconds: `2026-01-31T09:05:07.000123`.
    pub local: String,
}

impl Moment {
    /// Returns the local date, `YYYY-MM-DD`.
    pub fn date(&self) -> &str {
        self.local.get(..10).unwrap_or(&self.local)
    }

    /// Returns the form used in diary ids: `YYYYMMDD_HHMMSSffffff`.
    pub fn stamp(&self) -> String {
        let digits: String = self.local.chars().filter(char::is_ascii_digit).collect();
        match digits.split_at_checked(8) {
            Some((date, time)) => format!("{date}_{time}"),
            None => digits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_the_forms_of_the_peer() {
        let moment = Moment { utc: Timestamp(0), local: "2026-01-31T09:05:07.000123".into() };
        assert_eq!(moment.date(), "2026-01-31");
        assert_eq!(moment.stamp(), "20260131_090507000123");
    }
}
