//! The socket of this generation, and the loop that accepts connections on it.
//!
//! The socket is bound under a temporary name, listened on, and only then renamed to the name that the record will
//! publish: a name that can be found always has a listener behind it. A socket that a service manager handed over is
//! taken as it is; its name is the manager's.

use std::io;
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;

use interprocess::local_socket::tokio::Listener;
use interprocess::local_socket::traits::tokio::Listener as _;
use palace_protocol::endpoint::Address;

#[cfg(unix)]
use crate::failpoint;

use super::connection;
#[cfg(unix)]
use super::fallback;
use super::service::Service;
use super::strangers::Strangers;

/// Takes the service manager's socket, or binds this generation's own.
///
/// # Errors
/// When the folder refuses sockets or the name cannot be made.
#[cfg(unix)]
pub fn bind(service: &Service) -> io::Result<(Listener, Address)> {
    if let Some(activated) = service.take_activated() {
        let listener = interprocess::os::unix::uds_local_socket::tokio::Listener::try_from(activated.socket)?;
        return Ok((listener.into(), Address::Unix(activated.path.display().to_string())));
    }
    let place = service.place();
    let name = place.socket_name();
    let refused = match failpoint::fallible("daemon.bind").and_then(|()| bind_in(place.folder(), &name)) {
        Ok(bound) => return Ok(bound),
        Err(error) => error,
    };
    // Some file systems hold no sockets (mounts of other systems, of containers), and some systems no long addresses.
    for folder in fallback::folders() {
        match bind_in(&folder, &name) {
            Ok(bound) => {
                let (from, to) = (place.folder().display(), folder.display());
                service.journal().info(&format!("the socket is in {to}: {from} refuses it ({refused})"));
                return Ok(bound);
            }
            Err(error) => {
                service.journal().warn(&format!("{} refuses the socket: {error}", folder.display()))
            }
        }
    }
    Err(refused)
}

/// Binds a socket in a folder under a temporary name and gives it its name.
#[cfg(unix)]
fn bind_in(folder_path: &Path, name: &str) -> io::Result<(Listener, Address)> {
    use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
    use palace_protocol::limits::SOCKET_PATH_BYTES_MAX;
    use std::os::fd::AsRawFd;

    let path = folder_path.join(name);
    let temporary = folder_path.join(format!("{name}.tmp"));
    // A long path does not fit a socket address; on Linux the folder has a short name through an open descriptor.
    let folder = std::fs::File::open(folder_path)?;
    let bound = if temporary.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        temporary.clone()
    } else {
        format!("/proc/self/fd/{}/{name}.tmp", folder.as_raw_fd()).into()
    };
    let listener = ListenerOptions::new()
        .name(bound.to_fs_name::<GenericFilePath>()?)
        .reclaim_name(false)
        .create_tokio()?;
    failpoint::reach("daemon.listening");
    std::fs::rename(&temporary, &path)?;
    failpoint::reach("daemon.named");
    Ok((listener, Address::Unix(path.display().to_string())))
}

/// Makes a pipe under a random name that only its owner may open.
///
/// # Errors
/// When the system refuses the pipe.
#[cfg(windows)]
pub fn bind(service: &Service) -> io::Result<(Listener, Address)> {
    use interprocess::local_socket::{GenericNamespaced, ListenerOptions, ToNsName};
    use interprocess::os::windows::local_socket::ListenerOptionsExt;
    use interprocess::os::windows::security_descriptor::SecurityDescriptor;

    // Names of pipes can be listed by everybody: nothing of the token is in this one.
    let random = uuid::Uuid::new_v4().simple();
    let name = format!("palace-{}-{random}", service.place().generation());
    // Full access for the owner, nothing for anybody else.
    let owner_only = widestring::u16cstr!("D:P(A;;GA;;;OW)");
    let listener = ListenerOptions::new()
        .name(name.clone().to_ns_name::<GenericNamespaced>()?)
        .security_descriptor(SecurityDescriptor::deserialize(owner_only)?)
        .create_tokio()?;
    Ok((listener, Address::Pipe(name)))
}

/// Accepts connections until the daemon closes them. A failed accept is logged and costs one connection.
pub async fn accept(service: Arc<Service>, listener: Listener) {
    let strangers = Arc::new(Strangers::default());
    loop {
        let accepted = tokio::select! {
            () = service.closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                service.note_refusal(&format!("a connection could not be accepted: {error}"));
                // Out of descriptors: let running connections end before the next try.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                continue;
            }
        };
        let stranger = tokio::select! {
            () = service.closing.cancelled() => return,
            stranger = strangers.enter() => stranger,
        };
        tokio::spawn(connection::handle(Arc::clone(&service), stream, stranger));
    }
}
