//! Ends a daemon that does not answer, and never anything else.
//!
//! Three things must be proved: the writer lock is held, the record was written in this boot, and the recorded process
//! runs a program named palaced. The process is taken hold of (pidfd) before its program is looked at, so that a
//! reused number can never be hit. Systems without such a hold get a refusal and a command to type.

use std::path::Path;

/// Why no process was ended.
#[derive(Debug, thiserror::Error)]
pub enum ForceError {
    /// There is no record of this boot.
    #[error(
        "the palace is held, but no daemon of this boot is on record for it, so nothing was killed; find the process with `fuser {lock}` and end it yourself"
    )]
    NoRecord {
        /// The lock that is held.
        lock: String,
    },
    /// The recorded process is something else, or nothing.
    #[error(
        "the palace is held, but pid {pid} on record is {found}, so nothing was killed; find the process with `fuser {lock}` and end it yourself"
    )]
    NotADaemon {
        /// The recorded process.
        pid: u32,
        /// What it is.
        found: String,
        /// The lock that is held.
        lock: String,
    },
    /// The system refuses.
    #[error("pid {pid} could not be killed: {reason}")]
    Refused {
        /// The process.
        pid: u32,
        /// The system's answer.
        reason: String,
    },
}

/// Kills the palace's daemon and returns its process id. The caller has seen the writer lock held.
///
/// # Errors
/// Says which proof is missing; nothing was killed then.
pub fn kill(palace: &Path) -> Result<u32, ForceError> {
    let lock = crate::lock::path(palace).display().to_string();
    // Records of other boots and of copied palaces are none.
    let record =
        crate::connect::read_record(palace).ok_or_else(|| ForceError::NoRecord { lock: lock.clone() })?;
    if record.boot_id.is_empty() {
        return Err(ForceError::NoRecord { lock });
    }
    kill_daemon(record.pid, lock)?;
    Ok(record.pid)
}

#[cfg(target_os = "linux")]
fn kill_daemon(pid: u32, lock: String) -> Result<(), ForceError> {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Err(ForceError::NotADaemon { pid, found: "no process".into(), lock });
    };
    let Ok(hold) = pidfd_open(process, PidfdFlags::empty()) else {
        return Err(ForceError::NotADaemon { pid, found: "no process".into(), lock });
    };
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let name =
        program.as_ref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
    match name {
        Some(name) if name.starts_with("palaced") => pidfd_send_signal(&hold, Signal::KILL)
            .map_err(|error| ForceError::Refused { pid, reason: error.to_string() }),
        Some(name) => Err(ForceError::NotADaemon { pid, found: format!("the program {name}"), lock }),
        None => Err(ForceError::NotADaemon { pid, found: "a process of another user, or gone".into(), lock }),
    }
}

#[cfg(not(target_os = "linux"))]
fn kill_daemon(pid: u32, _lock: String) -> Result<(), ForceError> {
    let reason = "this system offers no safe hold on a process; if it is palaced, end it yourself".to_owned();
    Err(ForceError::Refused { pid, reason })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn without_a_record_nothing_is_killed() {
        let palace = tempfile::tempdir().unwrap();
        assert!(matches!(kill(palace.path()), Err(ForceError::NoRecord { .. })));
    }

    #[test]
    fn another_program_is_not_killed() {
        // This test's own process is no palaced; that it goes on is the proof.
        let refused = kill_daemon(std::process::id(), "/p/lock".into()).unwrap_err();
        assert!(matches!(refused, ForceError::NotADaemon { .. }), "{refused}");
    }
}
