//! The last thing that went wrong in a call, for as long as it says something about the present.
//!
//! A call that panicked costs that call; whether the next one of its kind will, nobody knows, and another call's success
//! proves nothing. So it counts for a while and is then the log's.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a palace is called degraded after it.
pub const MEMORY: Duration = Duration::from_secs(600);

/// What went wrong last, and when.
#[derive(Default)]
pub struct Trouble {
    /// Guards single reads and writes.
    last: Mutex<Option<(Instant, String)>>,
}

impl Trouble {
    /// Notes what went wrong now.
    pub fn note(&self, message: String, now: Instant) {
        *self.last.lock() = Some((now, message));
    }

    /// Returns what went wrong lately, with its age.
    pub fn lately(&self, now: Instant) -> Option<String> {
        let last = self.last.lock();
        let (at, message) = last.as_ref()?;
        let age = now.saturating_duration_since(*at);
        (age < MEMORY).then(|| format!("{message} ({} s ago)", age.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One panicked call made a palace degraded until its daemon's end.
    #[test]
    fn what_went_wrong_is_told_for_a_while() {
        let (trouble, begun) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.lately(begun), None);
        trouble.note("a call panicked".into(), begun);
        let told = trouble.lately(begun + Duration::from_secs(9)).unwrap();
        assert_eq!(told, "a call panicked (9 s ago)");
        assert_eq!(trouble.lately(begun + MEMORY), None);
        trouble.note("another one".into(), begun + MEMORY);
        assert!(trouble.lately(begun + MEMORY).unwrap().starts_with("another one"));
    }
}
