//! What a palace stands on, for `palacectl doctor`: its directory, disk, file system, clock, and the daemon's
//! program. Looked at without a daemon.

use std::path::Path;

use palace_protocol::endpoint::{DAEMON_DIR, EndpointRecord};
use palace_protocol::filesystem::Shared;
#[cfg(unix)]
use palace_system::files::{self, Links};
use palace_system::record;

use crate::launch;
use crate::starts::Starts;

use super::doctor::{Finding, bad, good, note};
use super::render::{size, span, unix_seconds};

/// Free disk space below which a store may soon be unable to grow.
const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;
/// Times further ahead than this were written under another clock, in seconds.
const CLOCK_SLACK_SECS: i64 = 60;

#[cfg(unix)]
/// Looks at the palace directory.
pub fn directory(palace: &Path) -> Finding {
    use std::os::unix::fs::MetadataExt;
    let what = "directory";
    let at = palace.display();
    let found = match std::fs::metadata(palace) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return good(what, format!("{at} is not there yet; the first start makes it"));
        }
        Err(error) => {
            return bad(what, format!("{at} cannot be looked at: {error}"), "check path and permissions");
        }
    };
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        let found = format!("{at} belongs to user {}, this is user {user}", found.uid());
        return bad(what, found, crate::os::RUN_AS_OWNER);
    }
    if found.mode() & 0o700 != 0o700 {
        return bad(what, format!("{at} is not writable for you"), format!("chmod u+rwx {at}"));
    }
    if let Some(finding) = unwritable(what, palace, access(palace)) {
        return finding;
    }
    if found.mode() & 0o077 != 0 {
        let found = format!("{at} can be read by other users of this computer");
        return note(what, found, format!("chmod 700 {at}"));
    }
    good(what, format!("{at}, yours alone"))
}

#[cfg(unix)]
/// Looks whether the store may be written, if it is there. What stands in its place is named by its kind, see
/// [`super::private`].
pub fn store(palace: &Path) -> Option<Finding> {
    let store = palace.join(palace_protocol::endpoint::STORE_FILE);
    if files::odd(&store, Links::Followed).is_some() {
        return None;
    }
    unwritable("store", &store, access(&store))
}

#[cfg(not(unix))]
/// The store's rights are those of its directory.
pub fn store(_palace: &Path) -> Option<Finding> {
    None
}

/// Asks the system: a mode says nothing of a mount that is read-only, to root not even of itself.
#[cfg(unix)]
fn access(path: &Path) -> std::io::Result<()> {
    use rustix::fs::Access;
    Ok(rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK)?)
}

#[cfg(unix)]
fn unwritable(what: &'static str, path: &Path, access: std::io::Result<()>) -> Option<Finding> {
    let error = access.err().filter(|error| error.kind() != std::io::ErrorKind::NotFound)?;
    let next = palace_protocol::advice::about(error.kind()).unwrap_or("check path and permissions");
    Some(bad(what, format!("{} may not be written: {error}", path.display()), next))
}

#[cfg(not(unix))]
/// Looks at the palace directory.
pub fn directory(palace: &Path) -> Finding {
    good("directory", palace.display().to_string())
}

#[cfg(unix)]
/// Looks at the free space below it.
pub fn disk(palace: &Path) -> Finding {
    let there = palace.ancestors().find(|above| above.exists()).unwrap_or(palace);
    match rustix::fs::statvfs(there) {
        Ok(space) => enough(space.f_bavail.saturating_mul(space.f_frsize)),
        Err(error) => note("disk", format!("free space is unknown: {error}"), "check it with df"),
    }
}

#[cfg(windows)]
/// Looks at the free space below it.
pub fn disk(palace: &Path) -> Finding {
    use std::os::windows::ffi::OsStrExt;
    let wide: Vec<u16> = palace.as_os_str().encode_wide().chain(std::iter::once(0)).collect();
    let mut free_bytes = 0;
    // SAFETY: the path ends with a NUL, the number is ours, and null asks for nothing else.
    let told = unsafe {
        windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW(
            wide.as_ptr(),
            &raw mut free_bytes,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    if told == 0 {
        let error = std::io::Error::last_os_error();
        return note("disk", format!("free space is unknown: {error}"), "look at the drive's properties");
    }
    enough(free_bytes)
}

fn enough(free_bytes: u64) -> Finding {
    if free_bytes < FREE_BYTES_MIN {
        bad("disk", format!("{} free", size(free_bytes)), "make room; writes fail when the disk is full")
    } else {
        good("disk", format!("{} free", size(free_bytes)))
    }
}

/// Notices a clock that was set since the palace was last used: back when something is from the future, either way when a
/// daemon that runs has another age by the system's own count.
pub fn clock(palace: &Path) -> Option<Finding> {
    let folder = palace.join(DAEMON_DIR);
    let record = record::read(&folder);
    let next = "check date and time; drawers are filed under the time of this clock";
    if let Some(set_by) = record.as_ref().and_then(set_while_running) {
        let way = if set_by > 0 { "forward" } else { "back" };
        let found = format!("it was set {way} by {} while the daemon ran", span(set_by.unsigned_abs()));
        return Some(note("clock", found, next));
    }
    let latest = record.map_or(0, |record| record.started_at).max(Starts::read(&folder).last_at);
    let ahead = latest - unix_seconds();
    (ahead > CLOCK_SLACK_SECS).then(|| {
        note("clock", format!("the palace was used {ahead} s from now: the clock was set back"), next)
    })
}

/// Returns by how many seconds the clock was set while the recorded daemon ran, if it still does.
#[cfg(target_os = "linux")]
fn set_while_running(record: &EndpointRecord) -> Option<i64> {
    let ticks =
        record.start_ticks.filter(|ticks| palace_system::process::start_ticks(record.pid) == Some(*ticks))?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime_secs: f64 = uptime.split(' ').next()?.parse().ok()?;
    // SAFETY: the call only returns a number.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let age_secs = uptime_secs - ticks as f64 / ticks_per_second as f64;
    set_by(unix_seconds() - record.started_at, age_secs)
}

#[cfg(not(target_os = "linux"))]
fn set_while_running(_record: &EndpointRecord) -> Option<i64> {
    None
}

/// Compares the age by the clock with the age that the system counted.
#[cfg(any(target_os = "linux", test))]
fn set_by(clock_age_secs: i64, age_secs: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "an age in seconds is far from the limits")]
    let difference = clock_age_secs - age_secs.round() as i64;
    (difference.abs() > CLOCK_SLACK_SECS).then_some(difference)
}

/// Tells whether the palace is on a file system that other computers may write.
pub fn network_filesystem(palace: &Path) -> Option<Shared> {
    palace.ancestors().find(|above| above.exists()).and_then(palace_system::filesystem::shared)
}

/// Notices a daemon that ends with the host that started it.
pub fn host_bound(palace: &Path) -> Option<Finding> {
    record::read(&palace.join(DAEMON_DIR)).filter(|record| record.dies_with_host).map(|_| {
        let next = "nothing is lost by it; `palacectl restart` from a terminal starts one that stays";
        note("host", "the daemon ends with the program that started it", next)
    })
}

/// Looks for the daemon's program.
pub fn program() -> Finding {
    let what = "program";
    match launch::program() {
        Ok(program) if program.is_file() => good(what, program.display().to_string()),
        Ok(program) => {
            let next = format!("set {} to the palaced program, or unset it", launch::DAEMON_VARIABLE);
            bad(what, format!("{} is no file", program.display()), next)
        }
        Err(error) => bad(what, error.to_string(), "install palaced beside palace-mcp"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::doctor::Verdict;

    #[test]
    fn a_full_disk_is_told_before_it_hurts() {
        assert_eq!(enough(FREE_BYTES_MIN).verdict, Verdict::Good);
        assert_eq!(enough(FREE_BYTES_MIN - 1).verdict, Verdict::Bad);
    }

    #[cfg(unix)]
    #[test]
    fn a_mount_that_is_read_only_is_told_whatever_the_mode() {
        let refused = |errno: rustix::io::Errno| unwritable("store", Path::new("/p"), Err(errno.into()));
        let finding = refused(rustix::io::Errno::ROFS).unwrap();
        assert!(finding.next.unwrap().contains("mounted read-only") && finding.found.contains("/p"));
        assert_eq!(refused(rustix::io::Errno::NOENT), None);
        let palace = tempfile::tempdir().unwrap();
        assert_eq!(store(palace.path()), None);
        assert_ne!(directory(palace.path()).verdict, Verdict::Bad);
    }

    #[test]
    fn a_clock_that_was_set_back_is_noticed() {
        let palace = tempfile::tempdir().unwrap();
        let folder = palace.path().join(DAEMON_DIR);
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(clock(palace.path()), None);
        Starts { attempts: 1, last_at: unix_seconds() + 7_200, reason: String::new() }.write(&folder);
        assert!(clock(palace.path()).unwrap().found.contains("set back"));
    }

    #[test]
    fn a_clock_that_was_set_while_a_daemon_ran_is_noticed_either_way() {
        assert_eq!(set_by(100, 99.6), None);
        assert_eq!(set_by(7_300, 100.2), Some(7_200));
        assert_eq!(set_by(-3_500, 100.2), Some(-3_600));
    }

    #[test]
    fn a_temporary_directory_is_on_no_network() {
        assert_eq!(network_filesystem(&std::env::temp_dir()), None);
    }
}
