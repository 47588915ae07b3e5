//! The few things each system does its own way: connecting, starting a process that outlives us, the end of a host.

#[cfg(any(windows, test))]
mod command_line;
#[cfg(windows)]
mod detach_windows;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;
