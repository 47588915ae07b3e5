//! Windows: named pipes, and a daemon created outside the host's job without any inherited handle.

use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::OwnedHandle;
use std::path::{Path, PathBuf};
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::tokio::prelude::*;
use interprocess::os::windows::named_pipe::local_socket::tokio::Stream as PipeStream;
use palace_protocol::endpoint::{Address, DAEMON_DIR, Readiness, StartFailure, StartFailureCode};

use windows_sys::Win32::Storage::FileSystem::{FILE_FLAG_OVERLAPPED, SECURITY_IDENTIFICATION};

use crate::launch::{Launch, recorded_failure};

use super::detach_windows::{self, Process};
use super::owner_windows;
use super::{Doubt, Unusable};

/// How often it is looked whether a started daemon listens.
const READY_LOOK: Duration = Duration::from_millis(5);
/// Every instance of a pipe is taken until its server makes the next one (`ERROR_PIPE_BUSY`).
const PIPE_BUSY: i32 = 231;
/// Pause until then.
const PIPE_LOOK: Duration = Duration::from_millis(5);
/// Exit code of a daemon that found the palace served.
const EXIT_LOCKED: u32 = 3;

/// Connects to a daemon's pipe. Whoever serves it may find out who this user is, and may not act as this user: the pipe
/// could be a stranger's.
///
/// # Errors
/// The system's answer.
pub async fn open(_palace: &Path, address: &Address) -> io::Result<Stream> {
    let Address::Pipe(name) = address else {
        return Err(io::Error::other("the endpoint record names a Unix socket"));
    };
    let mut options = std::fs::File::options();
    options
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .security_qos_flags(SECURITY_IDENTIFICATION);
    let path = format!(r"\\.\pipe\{name}");
    // The caller limits the time.
    let pipe = loop {
        match options.open(&path) {
            Err(error) if error.raw_os_error() == Some(PIPE_BUSY) => tokio::time::sleep(PIPE_LOOK).await,
            opened => break opened?,
        }
    };
    let stream =
        PipeStream::try_from(OwnedHandle::from(pipe)).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(stream.into())
}

/// Tells whether an error of a connection means that this process may make none.
pub fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Pipes are no files of the palace, so there is none to ask for.
pub fn address_of_nobody(_palace: &Path) -> Option<Address> {
    None
}

/// Makes a folder; on Windows it has the rights of the one above it.
///
/// # Errors
/// The system's answer, also when the folder is there already.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)
}

/// Checks that the process behind the pipe is this user's. The pipe's random name stands in a folder of this user alone
/// and its descriptor admits its owner alone, but a record that was copied or restored may name another's.
///
/// # Errors
/// Says that it is not.
pub fn check_server(stream: &Stream) -> Result<(), Doubt> {
    let unknown =
        |error: io::Error| Doubt::Foreign(format!("the user of the palace's daemon is unknown: {error}"));
    let nameless = || Doubt::Foreign("the process of the daemon's pipe is unknown".into());
    let pid = stream.peer_creds().map_err(unknown)?.pid().ok_or_else(nameless)?;
    match owner_windows::is_own(pid) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Doubt::Foreign(format!("the palace's daemon, pid {pid}, runs as another user"))),
        Err(error) => Err(unknown(error)),
    }
}

/// A daemon that was started and has not said yet how it fares. No handle is inherited on Windows, so there is no pipe
/// to hear from: its record, its exit code and the failure it wrote down tell.
pub struct Spawned {
    process: Process,
    folder: PathBuf,
    /// The generation of the record before the start.
    before: Option<String>,
}

impl Spawned {
    /// Waits for a record of another generation or for the process's end. `None` means that it ended without a word.
    /// Blocks.
    pub fn readiness(self) -> Option<Readiness> {
        loop {
            // Asked first: what the process wrote before its end is then there to be read.
            let ended = self.process.exit_code();
            if let Some(generation) =
                generation(&self.folder).filter(|generation| Some(generation) != self.before.as_ref())
            {
                return Some(Readiness::Ready { generation });
            }
            match ended {
                None => std::thread::park_timeout(READY_LOOK),
                Some(EXIT_LOCKED) => {
                    let message = "the palace is served by another process".to_owned();
                    return Some(Readiness::Err(StartFailure { code: StartFailureCode::Locked, message }));
                }
                Some(_) => return recorded_failure(&self.folder).map(Readiness::Err),
            }
        }
    }
}

fn generation(folder: &Path) -> Option<String> {
    palace_system::record::read(folder).map(|record| record.generation)
}

/// Starts the daemon outside the host's job where that can be left, holding nothing of the host's.
///
/// # Errors
/// The system's answer.
pub fn start_detached(launch: Launch) -> io::Result<Spawned> {
    let folder = launch.palace.join(DAEMON_DIR);
    let before = generation(&folder);
    let words: Option<Vec<String>> = std::iter::once(launch.program.into_os_string())
        .chain(launch.arguments)
        .map(|word| word.into_string().ok())
        .collect();
    let words = words.ok_or(io::ErrorKind::InvalidInput)?;
    let process = detach_windows::create(&words, launch.environment, &launch.palace)?;
    Ok(Spawned { process, folder, before })
}

/// Checks that a path is a directory. Below a user's profile it is that user's.
///
/// # Errors
/// Says what it is instead.
pub fn check_owned_folder(path: &Path) -> Result<(), Unusable> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Unusable::Kind(format!("{} is not a directory; move it away", path.display()))),
        Err(error) => Err(Unusable::Kind(format!("{} cannot be read: {error}", path.display()))),
    }
}

/// A palace has the rights of its folder.
///
/// # Errors
/// None on this system.
pub fn check_palace(_palace: &Path) -> Result<(), Unusable> {
    Ok(())
}

/// A reader that is gone shows with the next write.
pub fn stdout_has_reader() -> bool {
    true
}

/// A read waits by itself.
pub fn stdin_has_input(_patience: Duration) -> bool {
    true
}

/// A writer that is gone shows only when everything it wrote was read.
pub fn stdin_hung_up(patience: Duration) -> bool {
    std::thread::park_timeout(patience);
    false
}
