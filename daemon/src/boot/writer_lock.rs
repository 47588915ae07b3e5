//! The writer lock: who holds it is the palace's only writer, until the process ends.
//!
//! Invariant: the lock's file is never unlinked; a lock on a file that its path does not name any more is none.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use palace_protocol::endpoint::{EndpointState, StartFailure, StartFailureCode, WRITER_LOCK_FILE};
use palace_protocol::holder::Holder;
use palace_system::{files, process, record};

use crate::clock;

/// How long a predecessor may take to let go of the lock.
const PREDECESSOR_GRACE: Duration = Duration::from_secs(5);
/// How long a holder must have been seen serving to count as a rival: a daemon that is being killed has the lock a little
/// longer than it lives, and its record stays.
const RIVAL_CERTAIN: Duration = Duration::from_millis(200);
/// How often it is looked whether the holder of the lock has begun to serve.
const PREDECESSOR_LOOK: Duration = Duration::from_millis(20);

/// Takes the writer lock, waiting for a predecessor that is about to end.
///
/// # Errors
/// Says who holds it, or why it cannot be locked.
pub fn take(palace: &Path, folder: &Path) -> Result<File, StartFailure> {
    let path = folder.join(WRITER_LOCK_FILE);
    let other = |error: io::Error| {
        let next = files::advice(&error, "the palace must be on a file system with locks");
        let message = format!("the lock {} cannot be taken: {error}; {next}", path.display());
        StartFailure { code: StartFailureCode::Other, message }
    };
    let file = files::open_lock(&path).map_err(other)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::Error(error)) => return Err(other(error)),
        Err(fs::TryLockError::WouldBlock) => {
            wait_for_predecessor(&file, folder).map_err(other)?.ok_or_else(|| locked(palace, folder))?;
        }
    }
    if is_same_file(&file, &path) {
        Ok(file)
    } else {
        let message = format!("the lock {} was replaced while it was taken; try again", path.display());
        Err(StartFailure { code: StartFailureCode::Other, message })
    }
}

/// Waits for the lock of a process that is about to end. `None` when it stays: it is just starting, or it hangs.
fn wait_for_predecessor(file: &File, folder: &Path) -> io::Result<Option<()>> {
    let (send, receive) = mpsc::channel();
    let waiting = file.try_clone()?;
    // The waiter may outlive the grace period; the process then ends with it.
    std::thread::spawn(move || {
        let _ = send.send(waiting.lock());
    });
    let begun = Instant::now();
    let mut serves_since = None;
    while begun.elapsed() < PREDECESSOR_GRACE {
        match receive.recv_timeout(PREDECESSOR_LOOK) {
            Ok(taken) => return taken.map(Some),
            // Not a predecessor but a rival that was faster: whoever started us should connect to it.
            Err(_) if holder_serves(folder) => {
                if serves_since.get_or_insert_with(Instant::now).elapsed() >= RIVAL_CERTAIN {
                    return Ok(None);
                }
            }
            Err(_) => serves_since = None,
        }
    }
    Ok(None)
}

/// Tells whether the holder of the lock publishes itself as serving: then there is no end to wait for. The record of a
/// daemon that was killed says so too, while somebody holds the lock for a moment to ask whether it is held.
fn holder_serves(folder: &Path) -> bool {
    record::read(folder).is_some_and(|record| {
        record.boot_id == process::boot_id()
            && record.state != EndpointState::Draining
            && process::may_live(record.pid)
    })
}

fn locked(palace: &Path, folder: &Path) -> StartFailure {
    let at = palace.display();
    let holder = process::lock_holder(folder);
    let message = match &holder {
        Holder::Daemon { started_at, .. } => {
            let since = clock::rfc3339(*started_at);
            format!(
                "the palace {at} is served by {holder} (since {since}); connect to it with palace-mcp or palacectl"
            )
        }
        Holder::Task { .. } => format!("{holder} has the palace {at}; try again when it has ended"),
        Holder::Other { .. } | Holder::Unknown => {
            format!("the palace {at} is held by {holder}; wait for it to end, or see `palacectl doctor`")
        }
    };
    StartFailure { code: StartFailureCode::Locked, message }
}

/// Tells whether an open file is still the one that a path names.
#[cfg(unix)]
pub fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => held.nlink() > 0 && held.dev() == named.dev() && held.ino() == named.ino(),
        _ => false,
    }
}

/// An open file cannot be replaced on Windows; its being there is enough.
#[cfg(windows)]
pub fn is_same_file(_file: &File, path: &Path) -> bool {
    path.exists()
}
