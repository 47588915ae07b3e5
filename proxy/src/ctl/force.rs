//! Ends a daemon that does not answer, and never anything else.
//!
//! Four things must be proved: the writer lock is held, the record was written in this boot, the recorded process began
//! when the record says, and it runs a program named palaced for this palace. The process is taken hold of (pidfd) before
//! it is looked at, so that a reused number can never be hit. Systems without such a hold get a refusal and a command to
//! type.

use std::path::Path;

use palace_protocol::endpoint::EndpointRecord;
#[cfg(target_os = "linux")]
use palace_system::process;

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
    kill_daemon(&record, palace, lock)?;
    Ok(record.pid)
}

#[cfg(target_os = "linux")]
fn kill_daemon(record: &EndpointRecord, palace: &Path, lock: String) -> Result<(), ForceError> {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
    let pid = record.pid;
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Err(ForceError::NotADaemon { pid, found: "no process".into(), lock });
    };
    let Ok(hold) = pidfd_open(process, PidfdFlags::empty()) else {
        return Err(ForceError::NotADaemon { pid, found: "no process".into(), lock });
    };
    match what_else(record, palace) {
        None => pidfd_send_signal(&hold, Signal::KILL)
            .map_err(|error| ForceError::Refused { pid, reason: error.to_string() }),
        Some(found) => Err(ForceError::NotADaemon { pid, found, lock }),
    }
}

/// Returns what the recorded process is if it is not the daemon of this palace that the record was written by.
#[cfg(target_os = "linux")]
fn what_else(record: &EndpointRecord, palace: &Path) -> Option<String> {
    let pid = record.pid;
    let Ok(program) = std::fs::read_link(format!("/proc/{pid}/exe")) else {
        return Some("a process of another user, or gone".into());
    };
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !name.starts_with("palaced") {
        return Some(format!("the program {name}"));
    }
    // A record of an older build does not say when its process began.
    if record.start_ticks.is_some_and(|ticks| process::start_ticks(pid) != Some(ticks)) {
        return Some("a daemon that began at another time".into());
    }
    (!serves(pid, palace)).then(|| "the daemon of another palace".into())
}

/// Tells whether a process was started for this palace, by its arguments.
#[cfg(target_os = "linux")]
fn serves(pid: u32, palace: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut arguments = arguments.split(|byte| *byte == 0);
    let named = loop {
        match arguments.next() {
            None => return false,
            Some(b"--palace") => break arguments.next().unwrap_or_default(),
            Some(argument) => {
                if let Some(value) = argument.strip_prefix(b"--palace=") {
                    break value;
                }
            }
        }
    };
    // A path that is not absolute counts from where the daemon was started.
    let named = Path::new(&format!("/proc/{pid}/cwd")).join(std::ffi::OsStr::from_bytes(named));
    std::fs::canonicalize(named).is_ok_and(|named| named == palace)
}

#[cfg(not(target_os = "linux"))]
fn kill_daemon(record: &EndpointRecord, _palace: &Path, _lock: String) -> Result<(), ForceError> {
    let reason = "this system offers no safe hold on a process; if it is palaced, end it yourself".to_owned();
    Err(ForceError::Refused { pid: record.pid, reason })
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
        let own = std::process::id();
        let record = format!(
            r#"{{"v":1,"generation":"0badcafe","address":{{"unix":"/p/s"}},"token":"","pid":{own},"started_at":1,
                "boot_id":"b","palace":"/p","protocol_min":1,"protocol_max":1,"build":"","managed_by":"auto",
                "state":"ready"}}"#
        );
        let record = EndpointRecord::from_bytes(record.as_bytes()).unwrap();
        let refused = kill_daemon(&record, Path::new("/p"), "/p/lock".into()).unwrap_err();
        assert!(matches!(refused, ForceError::NotADaemon { .. }), "{refused}");
    }
}
