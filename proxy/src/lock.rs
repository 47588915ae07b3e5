//! The writer lock as seen from outside: held or free, and by whom.
//!
//! Taking the lock here is a question, or lasts for the removal of a file that a dead daemon left. It is let go of at once, and its file is neither made nor removed.
//! A daemon that starts in that very moment waits for it, or gives up and is started again by whoever wanted it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use palace_protocol::endpoint::{DAEMON_DIR, WRITER_INFO_FILE, WRITER_LOCK_FILE};
use serde_json::Value;

/// Whether a daemon lives.
#[derive(Debug)]
pub enum LockState {
    /// Nobody serves the palace.
    Free,
    /// A process serves it.
    Held,
    /// The system does not tell.
    Unknown(io::Error),
}

/// Who holds the lock, as the holder wrote it down; for messages only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Process id.
    pub pid: u64,
    /// UTC seconds since 1970.
    pub started_at: i64,
    /// Version of the build.
    pub build: String,
}

/// Asks whether the writer lock is held.
pub fn state(palace: &Path) -> LockState {
    let file = match open(palace) {
        Ok(file) => file,
        // A lock that was never made was never taken.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return LockState::Free,
        Err(error) => return LockState::Unknown(error),
    };
    // Shared: those who ask are in nobody's way but a daemon's, which waits for them.
    match file.try_lock_shared() {
        Ok(()) => {
            let_go(&file);
            LockState::Free
        }
        Err(TryLockError::WouldBlock) => LockState::Held,
        Err(TryLockError::Error(error)) => LockState::Unknown(error),
    }
}

/// Does something while no daemon lives and none can begin; returns whether it was done.
pub fn while_free(palace: &Path, act: impl FnOnce()) -> bool {
    let Ok(file) = open(palace) else { return false };
    let taken = file.try_lock().is_ok();
    if taken {
        act();
        let_go(&file);
    }
    taken
}

/// Lets go of the lock at once, although a child that is just being started may have the file open a little longer.
/// The result is not looked at: the file is about to be closed, which lets go in any case, and Wine reports a conflict for
/// the second of the two unlocks that the standard library does on Windows.
fn let_go(file: &File) {
    let _ = file.unlock();
}

/// Returns who wrote down to hold the lock, now or before.
pub fn holder(palace: &Path) -> Option<Holder> {
    let bytes = std::fs::read(palace.join(DAEMON_DIR).join(WRITER_INFO_FILE)).ok()?;
    let info: Value = serde_json::from_slice(&bytes).ok()?;
    Some(Holder {
        pid: info.get("pid")?.as_u64()?,
        started_at: info.get("started_at").and_then(Value::as_i64).unwrap_or_default(),
        build: info.get("build").and_then(Value::as_str).unwrap_or_default().to_owned(),
    })
}

/// Returns the path of the lock's file.
pub fn path(palace: &Path) -> PathBuf {
    palace.join(DAEMON_DIR).join(WRITER_LOCK_FILE)
}

/// Opened for writing because some network file systems lock no other files.
fn open(palace: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path(palace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_and_never_made() {
        let palace = tempfile::tempdir().unwrap();
        assert!(matches!(state(palace.path()), LockState::Free));
        assert!(!path(palace.path()).exists());
        std::fs::create_dir(palace.path().join(DAEMON_DIR)).unwrap();
        let held = File::create(path(palace.path())).unwrap();
        held.lock().unwrap();
        assert!(matches!(state(palace.path()), LockState::Held));
        drop(held);
        assert!(matches!(state(palace.path()), LockState::Free));
    }

    #[test]
    fn the_holder_is_read_from_beside_the_lock() {
        let palace = tempfile::tempdir().unwrap();
        assert_eq!(holder(palace.path()), None);
        std::fs::create_dir(palace.path().join(DAEMON_DIR)).unwrap();
        let info = r#"{"pid":7,"started_at":9,"managed_by":"auto","build":"0.1.0","palace":"/p"}"#;
        std::fs::write(palace.path().join(DAEMON_DIR).join(WRITER_INFO_FILE), info).unwrap();
        let expect = Holder { pid: 7, started_at: 9, build: "0.1.0".into() };
        assert_eq!(holder(palace.path()), Some(expect));
    }
}
