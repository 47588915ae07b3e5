//! What the system tells about processes: whether one is the one that was written down, and who holds a palace's lock.

use std::path::Path;

use palace_protocol::endpoint::{WRITER_INFO_FILE, WRITER_LOCK_FILE};
use palace_protocol::holder::{Holder, WriterInfo, holder};

use crate::files;

/// Returns what the holder of a palace's lock wrote about itself, now or before it was killed.
pub fn writer(folder: &Path) -> Option<WriterInfo> {
    serde_json::from_slice(&files::read(&folder.join(WRITER_INFO_FILE)).ok()?).ok()
}

/// Returns who holds the writer lock of a palace's private folder. Ask only while it is held.
pub fn lock_holder(folder: &Path) -> Holder {
    holder(writer(folder), locker(&folder.join(WRITER_LOCK_FILE)), is_writer, program)
}

/// Tells whether the process that wrote a description is the one that has its number now.
fn is_writer(info: &WriterInfo) -> bool {
    if info.boot_id != boot_id() {
        return false;
    }
    match info.start_ticks {
        Some(ticks) => start_ticks(info.pid) == Some(ticks),
        None => may_live(info.pid),
    }
}

/// Returns when this process began, in ticks since the boot, where the system tells.
pub fn own_start_ticks() -> Option<u64> {
    start_ticks(std::process::id())
}

/// Tells whether a process of that id may exist.
#[cfg(unix)]
pub fn may_live(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// Processes are not looked for by their id.
#[cfg(windows)]
pub fn may_live(_pid: u32) -> bool {
    true
}

/// Returns the identity of this boot, empty where the system tells none: a stale record of Windows names a pipe that does
/// not exist.
pub fn boot_id() -> String {
    linux::text("/proc/sys/kernel/random/boot_id")
}

/// Returns the identity of this machine where the system keeps one, otherwise nothing. A host's name is none: it changes
/// with the network.
pub fn machine_id() -> String {
    linux::text("/etc/machine-id")
}

/// Returns when a process began, in ticks since the boot.
pub fn start_ticks(pid: u32) -> Option<u64> {
    palace_protocol::holder::start_ticks(&linux::text(&format!("/proc/{pid}/stat")))
}

fn program(pid: u32) -> Option<String> {
    Some(linux::text(&format!("/proc/{pid}/comm"))).filter(|name| !name.is_empty())
}

/// Returns the process that the system names as the holder of a lock.
#[cfg(target_os = "linux")]
fn locker(lock: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(lock).ok()?;
    let device = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    palace_protocol::holder::locker(&linux::text("/proc/locks"), device, file.ino())
}

/// Elsewhere the system is not asked.
#[cfg(not(target_os = "linux"))]
fn locker(_lock: &Path) -> Option<u32> {
    None
}

mod linux {
    /// Returns the text of one of the system's files, without white space around it; empty where there is none. The paths
    /// mean nothing on other systems and are not looked for there.
    pub fn text(path: &str) -> String {
        if cfg!(target_os = "linux") {
            std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
        } else {
            String::new()
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_and_an_old_description_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(lock_holder(folder), Holder::Unknown);
        let own = std::process::id();
        let info = WriterInfo {
            pid: own,
            started_at: 9,
            start_ticks: start_ticks(own),
            boot_id: boot_id(),
            managed_by: palace_protocol::endpoint::ManagedBy::Auto,
            build: "0.1.0".into(),
            palace: "/p".into(),
            task: None,
        };
        let write = |info: &WriterInfo| {
            std::fs::write(folder.join(WRITER_INFO_FILE), serde_json::to_vec(info).unwrap()).unwrap();
        };
        write(&info);
        assert_eq!(lock_holder(folder), Holder::Daemon { pid: own, started_at: 9 });
        // The number was given to another process since.
        write(&WriterInfo { start_ticks: info.start_ticks.map(|ticks| ticks + 1), ..info });
        assert_eq!(lock_holder(folder), Holder::Unknown);
        let held = std::fs::File::create(folder.join(WRITER_LOCK_FILE)).unwrap();
        held.lock().unwrap();
        let found = lock_holder(folder);
        // Some file systems have other numbers for their files than the lock table.
        assert!(matches!(found, Holder::Other { pid, .. } if pid == own) || found == Holder::Unknown);
    }
}
