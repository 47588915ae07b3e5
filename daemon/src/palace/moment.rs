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

    /// Returns the absolute time to the second: `2026-01-31T09:05:07Z`.
    pub fn utc_seconds(&self) -> String {
        utc(self.utc, "%Y-%m-%dT%H:%M:%SZ")
    }

    /// Returns the absolute time as event ids carry it: `20260131T090507`.
    pub fn utc_stamp(&self) -> String {
        utc(self.utc, "%Y%m%dT%H%M%S")
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

/// Returns a time as the peer writes it into tunnels: `2026-01-31T09:05:07.000123+00:00`.
pub fn utc_text(at: Timestamp) -> String {
    utc(at, "%Y-%m-%dT%H:%M:%S.%6f+00:00")
}

fn utc(at: Timestamp, format: &str) -> String {
    // Out of range is a clock beyond the year 9999; the epoch is as good an answer as any.
    jiff::Timestamp::from_millisecond(at.0).unwrap_or_default().strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_the_forms_of_the_peer() {
        let moment = Moment { utc: Timestamp(0), local: "2026-01-31T09:05:07.000123".into() };
        assert_eq!(moment.date(), "2026-01-31");
        assert_eq!(moment.stamp(), "20260131_090507000123");
        assert_eq!(moment.utc_seconds(), "1970-01-01T00:00:00Z");
        assert_eq!(moment.utc_stamp(), "19700101T000000");
        assert_eq!(utc_text(Timestamp(1_500)), "1970-01-01T00:00:01.500000+00:00");
    }
}
