//! Whose process is at the other end of a socket.
//!
//! Asked of the system directly: process numbers have no meaning between containers, where the system gives 0 for one that
//! has none here, and a library that takes this for a closed connection keeps containers from each other.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Returns the user of the process at the other end of a connected Unix socket, as it was when it connected or listened.
///
/// # Errors
/// [`io::ErrorKind::NotConnected`] where nobody is at the other end, and what else the system answers.
pub fn user(socket: impl AsFd) -> io::Result<u32> {
    rustix::net::getpeername(&socket)?;
    let descriptor = socket.as_fd().as_raw_fd();
    ask(descriptor)
}

#[cfg(target_os = "linux")]
fn ask(descriptor: i32) -> io::Result<u32> {
    let mut found = libc::ucred { pid: 0, uid: libc::uid_t::MAX, gid: libc::gid_t::MAX };
    let mut len = libc::socklen_t::try_from(size_of::<libc::ucred>()).expect("it has twelve bytes");
    // SAFETY: the system writes at most `len` bytes into a value of that length, which any bytes are valid for.
    let answer = unsafe {
        libc::getsockopt(
            descriptor,
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            std::ptr::from_mut(&mut found).cast(),
            &raw mut len,
        )
    };
    if answer == 0 { Ok(found.uid) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn ask(descriptor: i32) -> io::Result<u32> {
    let (mut user, mut group) = (libc::uid_t::MAX, libc::gid_t::MAX);
    // SAFETY: the system writes two numbers into the places it is given.
    let answer = unsafe { libc::getpeereid(descriptor, &raw mut user, &raw mut group) };
    if answer == 0 { Ok(user) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn both_ends_of_a_connection_know_each_other_and_nobody_is_no_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        let (server, _) = listener.accept().unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!((user(&client).unwrap(), user(&server).unwrap()), (own, own));
        assert_eq!(user(&listener).unwrap_err().kind(), io::ErrorKind::NotConnected);
    }
}
