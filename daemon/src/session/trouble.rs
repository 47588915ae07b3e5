//! The last thing that went wrong in a call, for as long as it says something about the present.
//!
//! A call that panicked costs that call; whether the next one of its kind will, nobody knows, and another call's success
//! proves nothing. So it counts for a while and is then the log's. What stands until it is mended, such as a palace that
//! could not be moved in, counts until then.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a palace is called degraded after it.
pub const MEMORY: Duration = Duration::from_secs(600);

/// What went wrong last, and when.
#[derive(Default)]
pub struct Trouble {
    /// Guards single reads and writes.
    last: Mutex<Option<(Instant, String)>>,
    /// Guards single reads and writes.
    standing: Mutex<Option<String>>,
}

impl Trouble {
    /// Notes what went wrong now.
    pub fn note(&self, message: String, now: Instant) {
        *self.last.lock() = Some((now, message));
    }

    /// Says what stands until something is done about it; none when it was mended.
    pub fn stand(&self, message: Option<String>) {
        *self.standing.lock() = message;
    }

    /// Returns what went wrong lately, with its age, or else what stands.
    pub fn present(&self, now: Instant) -> Option<String> {
        let lately = self.last.lock().as_ref().and_then(|(at, message)| {
            let age = now.saturating_duration_since(*at);
            (age < MEMORY).then(|| format!("{message} ({} s ago)", age.as_secs()))
        });
        lately.or_else(|| self.standing.lock().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One panicked call made a palace degraded until its daemon's end.
    #[test]
    fn what_went_wrong_is_told_for_a_while() {
        let (trouble, begun) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.present(begun), None);
        trouble.note("a call panicked".into(), begun);
        let told = trouble.present(begun + Duration::from_secs(9)).unwrap();
        assert_eq!(told, "a call panicked (9 s ago)");
        assert_eq!(trouble.present(begun + MEMORY), None);
        trouble.note("another one".into(), begun + MEMORY);
        assert!(trouble.present(begun + MEMORY).unwrap().starts_with("another one"));
    }

    #[test]
    fn what_stands_is_told_until_it_is_mended() {
        let (trouble, begun) = (Trouble::default(), Instant::now());
        trouble.stand(Some("not moved in".into()));
        assert_eq!(trouble.present(begun + 2 * MEMORY).as_deref(), Some("not moved in"));
        trouble.note("a call panicked".into(), begun);
        assert!(trouble.present(begun).unwrap().starts_with("a call"));
        trouble.stand(None);
        assert_eq!(trouble.present(begun + MEMORY), None);
    }
}
