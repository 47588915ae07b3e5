//! What both programs ask of the operating system in the same way: the files of a palace's private folder, and what is
//! known of processes.
//!
//! Nothing here decides anything about a daemon, and nothing waits for anybody but a file that is in use on Windows.

pub mod files;
pub mod process;
pub mod record;
