//! The few things each system does its own way: connecting, starting a process that outlives us, the end of a host.

/// Why a folder is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Another user owns it.
    #[error("{0}")]
    Owner(String),
    /// It is no directory, or a link to one, or cannot be looked at.
    #[error("{0}")]
    Kind(String),
}

/// What to do about a palace of another user.
pub const RUN_AS_OWNER: &str = "run as the palace's owner, or name your own palace with --palace";

/// Why the process behind a connection is not spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It is another user's, or the system does not tell whose.
    Foreign(String),
    /// There is none: the system has no room for one more waiting connection, or the process went away.
    Nobody,
}

#[cfg(any(windows, test))]
mod command_line;
#[cfg(windows)]
mod detach_windows;
#[cfg(windows)]
mod owner_windows;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;
