//! The daemons of a palace, seen from outside.

use std::path::Path;
use std::time::Duration;

use palace_protocol::endpoint::{DAEMON_DIR, EndpointRecord, EndpointState, RECORD_FILE};

use crate::wait::{SOON, wait_for, wait_until};

/// Returns the process ids of all daemons that were started on exactly this palace.
pub fn of(palace: &Path) -> Vec<u32> {
    let canonical = std::fs::canonicalize(palace).unwrap_or_else(|_| palace.to_path_buf());
    let wanted = [palace.as_os_str(), canonical.as_os_str()].map(|path| path.as_encoded_bytes().to_vec());
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let arguments: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
            let is_daemon =
                arguments.first().is_some_and(|program| program.windows(7).any(|part| part == b"palaced"));
            is_daemon && arguments.iter().any(|argument| wanted.iter().any(|path| path == argument))
        })
        .filter(|pid| !is_zombie(*pid))
        .collect()
}

fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

/// Ends a process at once, as a crash would.
pub fn kill(pid: u32) {
    signal(pid, rustix::process::Signal::KILL);
}

/// Asks a process to end.
pub fn terminate(pid: u32) {
    signal(pid, rustix::process::Signal::TERM);
}

/// Sends a signal to a process of the test.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself meanwhile.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Reads the endpoint record.
pub fn record(palace: &Path) -> Option<EndpointRecord> {
    EndpointRecord::from_bytes(&std::fs::read(palace.join(DAEMON_DIR).join(RECORD_FILE)).ok()?)
}

/// Waits until a daemon serves the palace and returns its record.
///
/// # Panics
/// When none does in time.
pub fn ready(palace: &Path) -> EndpointRecord {
    wait_for("a ready daemon", SOON, || record(palace).filter(|record| record.state == EndpointState::Ready))
}

/// Ends the palace's daemon in order and waits until it is gone.
///
/// # Panics
/// When it does not end in time.
pub fn stop(palace: &Path) {
    for pid in of(palace) {
        terminate(pid);
    }
    wait_until("the daemon's end", Duration::from_secs(20), || of(palace).is_empty());
}
