//! What the system tells about processes: whether one is the one that was written down, and who holds a palace's lock.

use std::path::Path;

use palace_protocol::endpoint::{DAEMON_DIR, WRITER_INFO_FILE};
use palace_protocol::holder::{Holder, WriterInfo, holder};

use crate::os;

/// Returns who holds the palace's writer lock. Ask only while it is held.
pub fn lock_holder(palace: &Path) -> Holder {
    let bytes = std::fs::read(palace.join(DAEMON_DIR).join(WRITER_INFO_FILE)).ok();
    let info = bytes.and_then(|bytes| serde_json::from_slice::<WriterInfo>(&bytes).ok());
    holder(info, locker(palace), is_writer, program)
}

/// Tells whether the process that wrote a description is the one that has its number now.
fn is_writer(info: &WriterInfo) -> bool {
    if info.boot_id != os::boot_id() {
        return false;
    }
    match info.start_ticks {
        Some(ticks) => start_ticks(info.pid) == Some(ticks),
        None => os::may_live(info.pid),
    }
}

/// Returns when a process began, in ticks since the boot.
#[cfg(target_os = "linux")]
pub fn start_ticks(pid: u32) -> Option<u64> {
    palace_protocol::holder::start_ticks(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Returns the process that the system names as the holder of the lock.
#[cfg(target_os = "linux")]
fn locker(palace: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(crate::lock::path(palace)).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let device = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    palace_protocol::holder::locker(&locks, device, file.ino())
}

#[cfg(target_os = "linux")]
fn program(pid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).map(|name| name.trim().to_owned()).ok()
}

/// Elsewhere the system is not asked.
#[cfg(not(target_os = "linux"))]
pub fn start_ticks(_pid: u32) -> Option<u64> {
    None
}

#[cfg(not(target_os = "linux"))]
fn locker(_palace: &Path) -> Option<u32> {
    None
}

#[cfg(not(target_os = "linux"))]
fn program(_pid: u32) -> Option<String> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_and_an_old_description_is_not_believed() {
        let palace = tempfile::tempdir().unwrap();
        std::fs::create_dir(palace.path().join(DAEMON_DIR)).unwrap();
        assert_eq!(lock_holder(palace.path()), Holder::Unknown);
        let own = std::process::id();
        let info = WriterInfo {
            pid: own,
            started_at: 9,
            start_ticks: start_ticks(own),
            boot_id: os::boot_id(),
            managed_by: palace_protocol::endpoint::ManagedBy::Auto,
            build: "0.1.0".into(),
            palace: "/p".into(),
        };
        let write = |info: &WriterInfo| {
            let path = palace.path().join(DAEMON_DIR).join(WRITER_INFO_FILE);
            std::fs::write(path, serde_json::to_vec(info).unwrap()).unwrap();
        };
        write(&info);
        assert_eq!(lock_holder(palace.path()), Holder::Daemon { pid: own, started_at: 9 });
        // The number was given to another process since.
        write(&WriterInfo { start_ticks: info.start_ticks.map(|ticks| ticks + 1), ..info });
        assert_eq!(lock_holder(palace.path()), Holder::Unknown);
        let held = std::fs::File::create(crate::lock::path(palace.path())).unwrap();
        held.lock().unwrap();
        let found = lock_holder(palace.path());
        // Some file systems have other numbers for their files than the lock table.
        assert!(matches!(found, Holder::Other { pid, .. } if pid == own) || found == Holder::Unknown);
    }
}
