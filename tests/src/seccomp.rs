//! A process in a sandbox that forbids connecting, as Codex' sandbox on Linux does.

use std::os::unix::process::CommandExt;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Makes every `connect` of the command fail with EPERM.
///
/// # Panics
/// When the filter cannot be made.
pub fn forbid_connect(command: &mut Command) {
    let refuse = SeccompAction::Errno(rustix::io::Errno::PERM.raw_os_error().cast_unsigned());
    let rules = std::iter::once((libc::SYS_connect, Vec::new())).collect();
    let architecture = std::env::consts::ARCH.try_into().expect("seccomp knows this processor");
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture).expect("one rule is a filter");
    let program: BpfProgram = filter.try_into().expect("one rule compiles");
    // SAFETY: between fork and exec only the system calls prctl and seccomp are made, with memory made before.
    unsafe {
        command.pre_exec(move || apply_filter(&program).map_err(|_| std::io::ErrorKind::Other.into()));
    }
}
