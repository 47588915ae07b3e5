//! What both programs ask of the operating system in the same way: the files of a palace's private folder, which
//! directory a path names, and what is known of processes and of who is at the other end of a socket.
//!
//! Nothing here decides anything about a daemon, and nothing waits for anybody but a file that is in use on Windows.

pub mod files;
pub mod filesystem;
pub mod identity;
#[cfg(unix)]
pub mod peer;
pub mod process;
pub mod record;
