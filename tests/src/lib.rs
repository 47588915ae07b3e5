//! Harness for tests with real processes: a sandbox per test, an MCP host, and eyes on the palace's daemons.
//!
//! Everything a test starts lives in its own temporary home and palace and ends with it; only processes of that palace
//! are ever ended. Nothing naps: waiting is for a condition, with a deadline.

pub mod askers;
pub mod client;
#[cfg(target_os = "linux")]
pub mod clock;
pub mod daemon;
pub mod external;
#[cfg(unix)]
pub mod limits;
#[cfg(unix)]
pub mod manager;
pub mod sandbox;
#[cfg(target_os = "linux")]
pub mod seccomp;
#[cfg(unix)]
pub mod stand_in;
#[cfg(unix)]
pub mod user_manager;
pub mod wait;

pub use askers::Askers;
pub use client::Client;
pub use sandbox::Sandbox;

/// Returns how many rounds a test makes: the second number in the long mode, which `PALACE_TEST_LONG` asks for.
pub fn rounds((usual, long): (usize, usize)) -> usize {
    if std::env::var_os("PALACE_TEST_LONG").is_some() { long } else { usual }
}
