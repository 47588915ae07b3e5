//! Tells a service manager how far the daemon is: systemd's notification protocol, datagrams to `$NOTIFY_SOCKET`.
//!
//! Without a manager every call does nothing. Nothing here waits: a manager that does not read loses messages, and never
//! holds up the daemon.

use std::ffi::OsStr;
use std::io;
use std::time::Duration;

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    #[cfg(unix)]
    socket: Option<std::os::unix::net::UnixDatagram>,
}

impl Notifier {
    /// Opens the way to the manager's socket; a name that begins with `@` is abstract.
    ///
    /// # Errors
    /// When nobody is there.
    #[cfg(unix)]
    pub fn open(address: &OsStr) -> io::Result<Self> {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::net::UnixDatagram;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        match address.as_bytes().strip_prefix(b"@") {
            #[cfg(target_os = "linux")]
            Some(name) => {
                use std::os::linux::net::SocketAddrExt;
                socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?;
            }
            #[cfg(not(target_os = "linux"))]
            Some(_) => return Err(io::ErrorKind::Unsupported.into()),
            None => socket.connect(address)?,
        }
        Ok(Self { socket: Some(socket) })
    }

    /// There is no such protocol on Windows.
    ///
    /// # Errors
    /// Always.
    #[cfg(windows)]
    pub fn open(_address: &OsStr) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Says that clients can connect.
    pub fn ready(&self) {
        self.send(&format!("READY=1\nMAINPID={}\nSTATUS=opening the palace", std::process::id()));
    }

    /// Says what the daemon is doing, for people.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", one_line(text)));
    }

    /// Says that the daemon is about to end, and why.
    pub fn stopping(&self, why: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={}", one_line(why)));
    }

    /// Gives signs of life for ever, twice as often as the manager wants them. Run on the loop that serves connections,
    /// it falls silent when that loop is stuck.
    pub async fn keep_alive(&self, limit: Duration) {
        let mut beat = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            self.send("WATCHDOG=1");
        }
    }

    #[cfg(unix)]
    fn send(&self, message: &str) {
        if let Some(socket) = &self.socket {
            // A manager that is gone or busy must not disturb those who are served.
            let _ = socket.send(message.as_bytes());
        }
    }

    #[cfg(windows)]
    fn send(&self, _message: &str) {}
}

/// A line break would begin another assignment.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    fn received(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let len = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    #[test]
    fn each_message_is_one_datagram_of_assignments() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::open(path.as_os_str()).unwrap();
        notifier.ready();
        let ready = format!("READY=1\nMAINPID={}\nSTATUS=opening the palace", std::process::id());
        assert_eq!(received(&manager), ready);
        notifier.stopping("page 7\nWATCHDOG=trigger");
        assert_eq!(received(&manager), "STOPPING=1\nSTATUS=page 7 WATCHDOG=trigger");
        drop(manager);
        notifier.status("nobody listens, nobody cares");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_is_understood() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("palace-test-{}", uuid::Uuid::new_v4());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        Notifier::open(OsStr::new(&format!("@{name}"))).unwrap().status("here");
        assert_eq!(received(&manager), "STATUS=here");
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        Notifier::default().ready();
        assert!(Notifier::open(OsStr::new("/nowhere/notify")).is_err());
    }
}
