//! Unix: domain sockets, a new session for the daemon, the end of a host that stopped reading.

use std::io::{self, BufRead};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::tokio::prelude::*;
use interprocess::local_socket::{GenericFilePath, ToFsName};
use palace_protocol::endpoint::{Address, DAEMON_DIR, Readiness};
use palace_protocol::limits::SOCKET_PATH_BYTES_MAX;
use palace_system::peer;

use crate::launch::Launch;

use super::{Doubt, RUN_AS_OWNER, Unusable};

/// Connects to a daemon's socket.
///
/// # Errors
/// The system's answer.
pub async fn open(palace: &Path, address: &Address) -> io::Result<Stream> {
    use std::os::fd::AsRawFd;
    let Address::Unix(path) = address else {
        return Err(io::Error::other("the endpoint record names a Windows pipe"));
    };
    if path.len() <= SOCKET_PATH_BYTES_MAX {
        return Stream::connect(path.as_str().to_fs_name::<GenericFilePath>()?).await;
    }
    // Too long for a socket address; through an open descriptor the folder has a short name on Linux.
    let name = Path::new(path).file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
    let folder = std::fs::File::open(palace.join(DAEMON_DIR))?;
    let short = format!("/proc/self/fd/{}/{name}", folder.as_raw_fd());
    Stream::connect(short.to_fs_name::<GenericFilePath>()?).await
}

/// Tells whether an error of a connection means that this process may make none: a filter of system calls, a policy or
/// file permissions say one, a namespace without such sockets the other.
pub fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// Returns an address of the palace's folder where nobody listens, ever.
pub fn address_of_nobody(palace: &Path) -> Option<Address> {
    let path = palace.join(DAEMON_DIR).join("s.nobody");
    Some(Address::Unix(path.to_str()?.to_owned()))
}

/// Makes a folder that its owner alone may enter.
///
/// # Errors
/// The system's answer, also when the folder is there already.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

/// Checks that a path is a directory of this user, and no link to one.
///
/// # Errors
/// Says what it is instead.
pub fn check_owned_folder(path: &Path) -> Result<(), Unusable> {
    use std::os::unix::fs::MetadataExt;
    let at = path.display();
    let found = std::fs::symlink_metadata(path)
        .map_err(|error| Unusable::Kind(format!("{at} cannot be read: {error}")))?;
    if !found.is_dir() {
        return Err(Unusable::Kind(format!("{at} is not a directory; move it away")));
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() == user {
        return Ok(());
    }
    Err(Unusable::Owner(format!(
        "{at} belongs to user {}, this process is user {user}; {RUN_AS_OWNER}",
        found.uid()
    )))
}

/// Checks that a palace is this user's, and so is its private folder, if they are there.
///
/// # Errors
/// Says whose they are, and what to do: a folder that another user left in a palace of ours is given back.
pub fn check_palace(palace: &Path) -> Result<(), Unusable> {
    use std::os::unix::fs::MetadataExt;
    // What is no folder is named by whoever makes or needs it.
    if let Err(error @ Unusable::Owner(_)) = check_owned_folder(palace) {
        return Err(error);
    }
    let folder = palace.join(DAEMON_DIR);
    let user = rustix::process::geteuid().as_raw();
    match std::fs::symlink_metadata(&folder) {
        Ok(found) if found.uid() != user => Err(Unusable::Owner(format!(
            "{} belongs to user {}, and the palace to this user, {user}; {}",
            folder.display(),
            found.uid(),
            give_back(palace)
        ))),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Returns what to do about another user's files in a palace of ours.
pub fn give_back(palace: &Path) -> String {
    let user = rustix::process::geteuid().as_raw();
    format!("chown -R {user} {}; the palace was used as another user, perhaps as root", palace.display())
}

/// Checks that the process behind the socket is this user's.
///
/// # Errors
/// Says whose it is, or that there is none: a connection that found no room in the backlog (EAGAIN) looks made.
pub fn check_server(stream: &Stream) -> Result<(), Doubt> {
    let user = rustix::process::geteuid().as_raw();
    let Stream::UdSocket(socket) = stream;
    match peer::user(socket) {
        Ok(found) if found == user => Ok(()),
        Ok(found) => {
            Err(Doubt::Foreign(format!("the palace's daemon runs as user {found}, this process as {user}")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(Doubt::Nobody),
        Err(error) => Err(Doubt::Foreign(format!("the user of the palace's daemon is unknown: {error}"))),
    }
}

/// A daemon that was started and has not said yet how it fares.
pub struct Spawned(Child);

impl Spawned {
    /// Reads the daemon's one line. `None` means that it ended without one. Blocks.
    pub fn readiness(mut self) -> Option<Readiness> {
        let stdout = self.0.stdout.take()?;
        let mut line = String::new();
        let read = io::BufReader::new(stdout).read_line(&mut line);
        let ready = read.ok().and_then(|_| serde_json::from_str(&line).ok());
        // A daemon whose starter lives on must not stay as a zombie when it ends: one thread waits for it.
        let waited = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || self.0.wait());
        drop(waited);
        ready
    }
}

/// Starts the daemon so that it outlives this process, its session and its terminal. Its stdout is a pipe for the
/// readiness line; nothing else of ours is open in it.
///
/// # Errors
/// The system's answer.
pub fn start_detached(launch: Launch) -> io::Result<Spawned> {
    let mut command = Command::new(launch.program);
    command
        .args(launch.arguments)
        .args(["--readiness", "stdout"])
        .env_clear()
        .envs(launch.environment)
        .current_dir(launch.palace)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(launch.stderr));
    // SAFETY: between fork and exec only async-signal-safe system calls are made: setsid, and fcntl on descriptors.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid().map_err(io::Error::from)?;
            close_inherited_on_exec();
            Ok(())
        });
    }
    command.spawn().map(Spawned)
}

/// Marks every descriptor that a host left open in us to be closed in the daemon: a pipe of the host that the daemon
/// kept would hide our end from the host. Between fork and exec; allocates nothing.
fn close_inherited_on_exec() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the call only flags descriptors; where the system does not know it (before 5.11) nothing happens.
        let flagged =
            unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        if flagged == 0 {
            return;
        }
    }
    close_each_on_exec();
}

/// Descriptors looked at where the system cannot be asked for all of them; limits beyond it are rare.
const DESCRIPTOR_COUNT_MAX: u64 = 65_536;

fn close_each_on_exec() {
    use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.unwrap_or(DESCRIPTOR_COUNT_MAX).min(DESCRIPTOR_COUNT_MAX);
    for number in 3..i32::try_from(limit).unwrap_or(i32::MAX) {
        // SAFETY: the descriptor is only asked for its flags and flagged; a number that is not open gives an error.
        let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        if let Ok(flags) = fcntl_getfd(descriptor) {
            let _ = fcntl_setfd(descriptor, flags | FdFlags::CLOEXEC);
        }
    }
}

/// Tells whether what is written to stdout may be read: only the end of a pipe's or socket's last reader is seen.
pub fn stdout_has_reader() -> bool {
    let stdout = std::io::stdout();
    !is_abandoned(&stdout, Duration::ZERO)
}

/// Waits so long for something to be read from stdin, its end included.
pub fn stdin_has_input(patience: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdin = std::io::stdin();
    let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
    let timeout = Timespec::try_from(patience).ok();
    // A signal counts as nothing yet.
    poll(&mut watched, timeout.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Tells whether whoever wrote to stdin is gone, although not everything it wrote was read; waits so long to see it.
pub fn stdin_hung_up(patience: Duration) -> bool {
    let stdin = std::io::stdin();
    is_abandoned(&stdin, patience)
}

fn is_abandoned(stream: &impl std::os::fd::AsFd, patience: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut watched = [PollFd::new(stream, PollFlags::empty())];
    let timeout = Timespec::try_from(patience).ok();
    // A signal, or a system that cannot tell: the next look may.
    let looked = poll(&mut watched, timeout.as_ref());
    looked.is_ok() && watched[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}
