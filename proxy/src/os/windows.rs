//! Windows: named pipes, and a daemon created outside the host's job without any inherited handle.

use std::io;
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::tokio::prelude::*;
use interprocess::local_socket::{GenericNamespaced, ToNsName};
use palace_protocol::endpoint::Address;
use windows_sys::Win32::Foundation::ERROR_ACCESS_DENIED;
use windows_sys::Win32::System::Threading::{
    CREATE_BREAKAWAY_FROM_JOB, CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW,
};

/// Windows tells no identity of a boot; a stale record names a pipe that does not exist.
pub fn boot_id() -> String {
    String::new()
}

/// Connects to a daemon's pipe.
///
/// # Errors
/// The system's answer.
pub async fn open(_palace: &Path, address: &Address) -> io::Result<Stream> {
    let Address::Pipe(name) = address else {
        return Err(io::Error::other("the endpoint record names a Unix socket"));
    };
    Stream::connect(name.as_str().to_ns_name::<GenericNamespaced>()?).await
}

/// The pipe's random name stands in a folder of this user alone, and its descriptor admits its owner alone.
///
/// # Errors
/// Never.
pub fn check_server(_stream: &Stream) -> Result<(), String> {
    Ok(())
}

/// Starts the daemon outside the host's job where the job lets it, inside it otherwise. Its stdout is a pipe for the
/// readiness line.
///
/// # Errors
/// The system's answer.
pub fn start_detached(command: &mut Command) -> io::Result<Child> {
    let flags = CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP;
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    match command.creation_flags(flags | CREATE_BREAKAWAY_FROM_JOB).spawn() {
        Err(error) if error.raw_os_error() == i32::try_from(ERROR_ACCESS_DENIED).ok() => {
            command.creation_flags(flags).spawn()
        }
        started => started,
    }
}

/// A parent's end shows as the end of stdin on Windows; there is no parent to watch.
pub fn parent_id() -> u32 {
    0
}
