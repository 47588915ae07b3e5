//! Waiting for a condition with a deadline.

use std::time::{Duration, Instant};

/// How long a test waits for something that should happen soon; generous, because machines are shared.
pub const SOON: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `condition` gives a value.
///
/// # Panics
/// When it does not within `deadline`; the message names what was waited for.
pub fn wait_for<T>(what: &str, deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < deadline, "waited {deadline:?} in vain for {what}");
        std::thread::park_timeout(LOOK_INTERVAL);
    }
}

/// Waits until `condition` is true.
///
/// # Panics
/// When it is not within `deadline`.
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, deadline, || condition().then_some(()));
}
