//! Named places where a test may stop, delay or break this process; nothing at all in a release build.
//!
//! What can be asked for is described in `tests/failpoint`.

#[cfg(all(feature = "failpoints", debug_assertions))]
pub use palace_failpoint::{fallible, reach};

/// Passes a point: without the feature there is nothing here.
#[cfg(not(all(feature = "failpoints", debug_assertions)))]
#[inline]
pub fn reach(_point: &str) {}

/// Passes a point where the caller can fail: without the feature it cannot.
///
/// # Errors
/// None.
#[cfg(not(all(feature = "failpoints", debug_assertions)))]
#[inline]
pub fn fallible(_point: &str) -> std::io::Result<()> {
    Ok(())
}

/// Returns how long requests wait for a daemon; a test may make it shorter.
pub fn recovery_timeout() -> std::time::Duration {
    let own = std::time::Duration::from_millis(palace_protocol::limits::RECOVERY_TIMEOUT_MS);
    #[cfg(all(feature = "failpoints", debug_assertions))]
    let own = palace_failpoint::recovery_timeout(own);
    own
}

/// Returns the version of this build; a test may have it say another.
pub fn build() -> String {
    let own = env!("CARGO_PKG_VERSION");
    #[cfg(all(feature = "failpoints", debug_assertions))]
    let own = &palace_failpoint::build(own);
    own.to_owned()
}
