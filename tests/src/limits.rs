//! Processes whose files cannot grow, as on a full disk.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has a command's process meet a limit of file sizes, in bytes, as a full disk would be met.
pub fn files(command: &mut Command, bytes: u64) {
    // SAFETY: only the async-signal-safe system call setrlimit is made between fork and exec.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setrlimit(
                rustix::process::Resource::Fsize,
                rustix::process::Rlimit { current: Some(bytes), maximum: Some(bytes) },
            )?;
            Ok(())
        });
    }
}
