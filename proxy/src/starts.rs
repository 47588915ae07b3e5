//! The memory of failed starts, shared by all starters of a palace: a daemon that cannot start is not started by every
//! call of every host again.
//!
//! A starter notes an attempt under the starters' lock before it spawns; a daemon that has served for a
//! minute, or that ends in order, forgets them all. After `FREE_COUNT` attempts in a row without that, starters wait, longer each time. Whoever may not try gets the
//! last reason at once. A clock that was set back never closes the way: only a near past counts.

use std::path::Path;

use palace_protocol::endpoint::STARTS_FILE;
use palace_system::files::{self, Kept, Readers};
use serde::{Deserialize, Serialize};

/// Failed attempts in a row before starters begin to wait.
const FREE_COUNT: u32 = 3;
/// First wait, in seconds; doubles with each further failure.
const WAIT_SECS_MIN: i64 = 2;
/// Longest wait, in seconds.
const WAIT_SECS_MAX: i64 = 60;

/// Attempts since a daemon last served for a while or ended in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    /// How many there were.
    pub attempts: u32,
    /// When the last one was, in UTC seconds.
    pub last_at: i64,
    /// Why the last one failed, as far as its starter heard.
    pub reason: String,
}

/// Starts are put off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "palaced failed to start, or ended soon after, {attempts} times in a row, the next try is in {retry_secs} s: {reason}; `palacectl start` tries at once, `palacectl doctor` explains"
)]
pub struct Tripped {
    /// Failed attempts in a row.
    pub attempts: u32,
    /// Seconds until a starter tries again.
    pub retry_secs: i64,
    /// Why the last attempt failed.
    pub reason: String,
}

impl Starts {
    /// Reads the memory of a palace's private folder. What cannot be read is no reason not to start.
    pub fn read(folder: &Path) -> Self {
        files::read(&folder.join(STARTS_FILE))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Tells whether a start may be attempted now, in UTC seconds.
    ///
    /// # Errors
    /// [`Tripped`] with the last reason and how long to wait.
    pub fn check(&self, now: i64) -> Result<(), Tripped> {
        let Some(excess) = self.attempts.checked_sub(FREE_COUNT) else { return Ok(()) };
        let wait = WAIT_SECS_MIN.saturating_mul(1 << excess.min(16)).min(WAIT_SECS_MAX);
        let passed = now.saturating_sub(self.last_at);
        if !(0..wait).contains(&passed) {
            return Ok(());
        }
        let reason = if self.reason.is_empty() { "it ended without a word" } else { &self.reason };
        Err(Tripped { attempts: self.attempts, retry_secs: wait - passed, reason: reason.to_owned() })
    }

    /// Counts an attempt that begins now.
    pub fn begin(&mut self, now: i64) {
        self.attempts = self.attempts.saturating_add(1);
        self.last_at = now;
    }

    /// Writes the memory. It is advice: a disk that refuses it must not prevent a start, and is reported by the start.
    pub fn write(&self, folder: &Path) {
        let Ok(bytes) = serde_json::to_vec(self) else { return };
        let _ = files::replace(&folder.join(STARTS_FILE), &bytes, Kept::Loosely, Readers::Owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(attempts: u32, last_at: i64) -> Starts {
        Starts { attempts, last_at, reason: "the disk is on fire".into() }
    }

    #[test]
    fn the_first_failures_cost_nothing_and_later_ones_ever_more() {
        assert_eq!(failed(2, 100).check(100), Ok(()));
        let waits: Vec<i64> =
            (3..10).map(|attempts| failed(attempts, 100).check(100).unwrap_err().retry_secs).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(failed(u32::MAX, 100).check(100).unwrap_err().retry_secs, 60);
    }

    #[test]
    fn waiting_long_enough_opens_the_way() {
        let starts = failed(4, 100);
        assert_eq!(starts.check(103).unwrap_err().retry_secs, 1);
        assert_eq!(starts.check(104), Ok(()));
    }

    #[test]
    fn a_clock_that_went_back_does_not_close_the_way() {
        assert_eq!(failed(9, 1_000_000).check(5), Ok(()));
    }

    #[test]
    fn the_memory_survives_its_file_and_garbage_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Starts::read(folder.path()), Starts::default());
        let mut starts = failed(3, 7);
        starts.begin(9);
        starts.write(folder.path());
        assert_eq!(Starts::read(folder.path()), failed(4, 9));
        std::fs::write(folder.path().join(STARTS_FILE), "{").unwrap();
        assert_eq!(Starts::read(folder.path()), Starts::default());
    }

    #[test]
    fn the_reason_is_told() {
        let told = failed(3, 100).check(100).unwrap_err().to_string();
        assert!(told.contains("the disk is on fire") && told.contains("palacectl start"), "{told}");
    }
}
