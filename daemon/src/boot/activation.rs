//! The socket that a service manager listens on for us, so that connecting to it starts the daemon.
//!
//! The socket is the manager's: it was there before this process and stays when it ends, with the connections that wait
//! in it. It is neither made nor removed here.

use std::path::PathBuf;

use palace_protocol::endpoint::StartFailure;
#[cfg(unix)]
use palace_protocol::endpoint::StartFailureCode;

use crate::config::Config;

/// A listening socket that was handed over.
#[cfg(unix)]
#[derive(Debug)]
pub struct ActivatedSocket {
    /// The socket: it does not block and is closed in programs that this one starts.
    pub socket: std::os::fd::OwnedFd,
    /// The path clients connect to.
    pub path: PathBuf,
}

/// Services are not started by their socket on Windows.
#[cfg(windows)]
#[derive(Debug)]
pub struct ActivatedSocket {
    /// The path clients connect to.
    #[expect(dead_code, reason = "there is never one")]
    path: PathBuf,
}

/// Takes the socket that the service manager handed over, if it did. To be called once, before any descriptor is opened.
///
/// # Errors
/// When something else than one listening Unix socket was handed over.
#[cfg(unix)]
pub fn take(config: &Config) -> Result<Option<ActivatedSocket>, StartFailure> {
    #[cfg(target_os = "macos")]
    if config.managed_by == palace_protocol::endpoint::ManagedBy::Launchd {
        return launchd::take().map_err(refused)?.map(adopt).transpose();
    }
    match config.service.listen_fds {
        0 => Ok(None),
        1 => adopt(passed_on()).map(Some),
        count => Err(refused(format!("{count} sockets were handed over, one is wanted"))),
    }
}

/// No manager on Windows hands over sockets.
///
/// # Errors
/// Never.
#[cfg(windows)]
pub fn take(_config: &Config) -> Result<Option<ActivatedSocket>, StartFailure> {
    Ok(None)
}

#[cfg(unix)]
fn refused(what: String) -> StartFailure {
    let message = format!(
        "the service manager's socket cannot be used: {what}; `palacectl service install --socket` writes the units anew"
    );
    StartFailure { code: StartFailureCode::Socket, message }
}

/// Returns the first descriptor that systemd passes on.
#[cfg(unix)]
fn passed_on() -> std::os::fd::OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: by its protocol systemd opened descriptor 3 for this very process, whose id it named, and nothing else in
    // the process knows of it; whether it is a socket at all is asked before it is used as one.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(3) }
}

#[cfg(unix)]
fn adopt(socket: std::os::fd::OwnedFd) -> Result<ActivatedSocket, StartFailure> {
    use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd, ioctl_fionbio};
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, getsockname, sockopt};
    use std::os::unix::ffi::OsStrExt;

    let asked = |error: rustix::io::Errno| refused(error.to_string());
    let listens = sockopt::socket_type(&socket).map_err(asked)? == SocketType::STREAM
        && sockopt::socket_acceptconn(&socket).map_err(asked)?;
    let name = getsockname(&socket).map_err(asked)?;
    if !listens || name.address_family() != AddressFamily::UNIX {
        return Err(refused("it is not a listening Unix stream socket".into()));
    }
    let name = SocketAddrUnix::try_from(name).map_err(asked)?;
    let path = name.path_bytes().map(|bytes| PathBuf::from(std::ffi::OsStr::from_bytes(bytes)));
    let path = path
        .filter(|path| path.is_absolute())
        .ok_or_else(|| refused("it has no absolute path that clients could connect to".into()))?;
    let flags = fcntl_getfd(&socket).map_err(asked)?;
    fcntl_setfd(&socket, flags | FdFlags::CLOEXEC).map_err(asked)?;
    ioctl_fionbio(&socket, true).map_err(asked)?;
    Ok(ActivatedSocket { socket, path })
}

/// Answers whoever waits in the socket although this process will not serve. A client that were left there would make
/// the manager start the daemon again and again.
#[cfg(unix)]
pub fn turn_away(activated: ActivatedSocket, failure: &StartFailure) {
    use palace_protocol::handshake::{HelloReply, Refusal, RefusalReason};
    use std::io::Write;

    let (reason, retry_ms) = match failure.code {
        // Whoever serves the palace publishes itself: the client finds it at its next look.
        StartFailureCode::Locked => (RefusalReason::Draining, Some(250)),
        StartFailureCode::Owner
        | StartFailureCode::Palace
        | StartFailureCode::NewerFormat
        | StartFailureCode::Damaged
        | StartFailureCode::EmbedderMismatch
        | StartFailureCode::Socket
        | StartFailureCode::Other => (RefusalReason::Store, None),
    };
    let refusal = HelloReply::Refusal(Refusal { reason, message: failure.message.clone(), retry_ms });
    let mut line = serde_json::to_vec(&refusal).expect("a refusal has only string keys");
    line.push(b'\n');
    let listener = std::os::unix::net::UnixListener::from(activated.socket);
    while let Ok((mut client, _)) = listener.accept() {
        // A client that has gone needs no answer.
        let _ = client.set_nonblocking(true).and_then(|()| client.write_all(&line));
    }
}

/// There is never a socket to turn anybody away from.
#[cfg(windows)]
pub fn turn_away(_activated: ActivatedSocket, _failure: &StartFailure) {}

#[cfg(target_os = "macos")]
mod launchd {
    //! launchd hands sockets over by their name in the agent's file.

    use std::ffi::{c_char, c_int, c_void};
    use std::os::fd::{FromRawFd, OwnedFd};

    /// What launchd answers to a process that it did not start, or that has no such socket.
    const NO_SUCH_PROCESS: c_int = 3;
    const NO_SUCH_ENTRY: c_int = 2;

    // SAFETY: the declarations are those of <launch.h> and <stdlib.h>.
    unsafe extern "C" {
        fn launch_activate_socket(name: *const c_char, fds: *mut *mut c_int, count: *mut usize) -> c_int;
        fn free(memory: *mut c_void);
    }

    /// Takes the agent's socket; `None` when its file names none.
    pub fn take() -> Result<Option<OwnedFd>, String> {
        let mut fds: *mut c_int = std::ptr::null_mut();
        let mut count = 0;
        // SAFETY: the name ends with a zero byte, and both results have room.
        let code = unsafe { launch_activate_socket(c"Listeners".as_ptr(), &raw mut fds, &raw mut count) };
        match code {
            0 => {}
            NO_SUCH_PROCESS | NO_SUCH_ENTRY => return Ok(None),
            code => return Err(std::io::Error::from_raw_os_error(code).to_string()),
        }
        // SAFETY: on success `fds` points to `count` open descriptors that are ours alone.
        let mut sockets: Vec<OwnedFd> =
            (0..count).map(|at| unsafe { OwnedFd::from_raw_fd(*fds.add(at)) }).collect();
        // SAFETY: launchd allocated the list for the caller to free; the descriptors were copied out of it.
        unsafe { free(fds.cast()) };
        match sockets.len() {
            0 | 1 => Ok(sockets.pop()),
            count => Err(format!("{count} sockets were handed over, one is wanted")),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_listening_socket_is_adopted_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sd");
        let listener = UnixListener::bind(&path).unwrap();
        let adopted = adopt(listener.into()).unwrap();
        assert_eq!(adopted.path, path);
        drop(adopted);
        assert!(path.exists(), "the socket's name is the manager's");
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("file")).unwrap();
        let (connected, _other) = UnixStream::pair().unwrap();
        let datagrams = std::os::unix::net::UnixDatagram::unbound().unwrap();
        for descriptor in [file.into(), connected.into(), datagrams.into()] {
            let refused = adopt(descriptor).unwrap_err();
            assert_eq!(refused.code, StartFailureCode::Socket);
            assert!(refused.message.contains("palacectl service install"), "{refused}");
        }
    }

    #[test]
    fn who_waits_for_a_daemon_that_will_not_serve_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sd");
        let adopted = adopt(UnixListener::bind(&path).unwrap().into()).unwrap();
        let mut waiting = UnixStream::connect(&path).unwrap();
        let failure = StartFailure { code: StartFailureCode::Damaged, message: "page 7 is torn".into() };
        turn_away(adopted, &failure);
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("page 7 is torn") && answer.ends_with('\n'), "{answer}");
    }
}
