//! What the system tells about processes, for the lock's holder and the record: this one's identity, and who else has
//! the palace.

use std::path::Path;

use palace_protocol::endpoint::WRITER_INFO_FILE;
use palace_protocol::holder::{Holder, WriterInfo, holder};

/// Returns what the holder of a palace's lock wrote about itself, now or before it was killed.
pub fn writer(folder: &Path) -> Option<WriterInfo> {
    serde_json::from_slice(&std::fs::read(folder.join(WRITER_INFO_FILE)).ok()?).ok()
}

/// Returns who holds the lock of a palace's private folder. Ask only while it is held.
pub fn lock_holder(folder: &Path) -> Holder {
    holder(writer(folder), locker(folder), is_writer, program)
}

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

#[cfg(windows)]
pub fn may_live(_pid: u32) -> bool {
    true
}

/// Returns the identity of this boot.
#[cfg(target_os = "linux")]
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Returns the identity of this machine where the system keeps one, otherwise nothing. A host's name is none: it changes
/// with the network.
#[cfg(target_os = "linux")]
pub fn machine_id() -> String {
    std::fs::read_to_string("/etc/machine-id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn start_ticks(pid: u32) -> Option<u64> {
    palace_protocol::holder::start_ticks(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

#[cfg(target_os = "linux")]
fn locker(folder: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(folder.join(palace_protocol::endpoint::WRITER_LOCK_FILE)).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let device = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    palace_protocol::holder::locker(&locks, device, file.ino())
}

#[cfg(target_os = "linux")]
fn program(pid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).map(|name| name.trim().to_owned()).ok()
}

/// Elsewhere the system tells none; the paths of another system must not be looked for either.
#[cfg(not(target_os = "linux"))]
pub fn boot_id() -> String {
    String::new()
}

#[cfg(not(target_os = "linux"))]
pub fn machine_id() -> String {
    String::new()
}

#[cfg(not(target_os = "linux"))]
fn start_ticks(_pid: u32) -> Option<u64> {
    None
}

#[cfg(not(target_os = "linux"))]
fn locker(_folder: &Path) -> Option<u32> {
    None
}

#[cfg(not(target_os = "linux"))]
fn program(_pid: u32) -> Option<String> {
    None
}
