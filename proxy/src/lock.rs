//! The writer lock as seen from outside: held or free, and by whom.
//!
//! Taking the lock here is a question, or lasts for the removal of a file that a dead daemon left. It is let go of at
//! once, and its file is neither made nor removed. A daemon that starts in that very moment waits for it, or gives up and is started again by whoever wanted it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use palace_protocol::endpoint::{DAEMON_DIR, WRITER_LOCK_FILE};
use palace_protocol::holder::Holder;
use palace_system::{files, process};

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

/// Says why it is not known whether the lock is held, and what to do.
pub fn unknown(palace: &Path, reason: &io::Error) -> String {
    let next = files::advice(reason, "keep the palace on a local file system with locks");
    format!(
        "whether {} is held cannot be told, and no daemon can take it: {reason}; {next}",
        path(palace).display()
    )
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

/// Returns the path of the lock's file.
pub fn path(palace: &Path) -> PathBuf {
    palace.join(DAEMON_DIR).join(WRITER_LOCK_FILE)
}

fn open(palace: &Path) -> io::Result<File> {
    files::open_lock_there(&path(palace))
}

/// Returns who holds the palace's writer lock. Ask only while it is held.
pub fn holder(palace: &Path) -> Holder {
    process::lock_holder(&palace.join(DAEMON_DIR))
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
}
