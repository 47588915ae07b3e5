//! A service manager as far as a daemon and `palacectl` can tell: a socket that is listened on before the daemon runs, a
//! place for its notifications, and a `systemctl` that writes down what it is asked.
//!
//! The `systemctl` of the machine is never called: it would reach the services of whoever runs the tests.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use palace_protocol::endpoint::DAEMON_DIR;
use palace_protocol::service::SERVICE_SOCKET;

use crate::Sandbox;
use crate::wait::{SOON, wait_for};

/// A child that is killed when dropped.
pub struct Running(pub Child);

impl Running {
    /// Starts a program.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?} starts: {error}")))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait_exit(&mut self) -> ExitStatus {
        wait_for("a program's end", SOON, || self.0.try_wait().expect("a child can be waited for"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A socket that outlives the daemons it is handed to.
pub struct Listening {
    listener: UnixListener,
    path: PathBuf,
}

impl Listening {
    /// Listens where a palace's service does.
    ///
    /// # Panics
    /// When the socket cannot be made.
    pub fn on(palace: &Path) -> Self {
        let path = private_folder(palace).join(SERVICE_SOCKET);
        let listener = UnixListener::bind(&path).expect("the folder takes sockets");
        Self { listener, path }
    }

    /// Starts a daemon that gets the socket as systemd passes it on.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_daemon(&self, sandbox: &Sandbox) -> Running {
        // The variable names the very process that becomes the daemon, which is the shell's.
        let script =
            r#"LISTEN_FDS=1 LISTEN_PID=$$; export LISTEN_FDS LISTEN_PID; exec "$0" "$@" 3<&0 </dev/null"#;
        let mut command = sandbox.command(Path::new("/bin/sh"));
        let socket = OwnedFd::from(self.listener.try_clone().expect("a socket can be copied"));
        command
            .args(["-c", script])
            .arg(&sandbox.programs().palaced)
            .arg("--palace")
            .arg(sandbox.palace())
            .args(["--managed-by", "systemd"])
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Running::start(command)
    }

    /// Returns how many connections wait to be accepted or are open.
    pub fn connection_count(&self) -> usize {
        let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let name = self.path.display().to_string();
        // The listener itself is one of them.
        sockets.lines().filter(|line| line.ends_with(&name)).count().saturating_sub(1)
    }
}

/// Makes the private folder of a palace as a socket's unit does.
fn private_folder(palace: &Path) -> PathBuf {
    let folder = palace.join(DAEMON_DIR);
    private(&folder);
    folder
}

/// Makes a folder that only its owner may enter.
///
/// # Panics
/// When it cannot be made.
pub fn private(folder: &Path) {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).expect("a home can hold a folder");
}

/// Where a daemon tells how far it is.
pub struct Notifications {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Notifications {
    /// Makes the place.
    ///
    /// # Panics
    /// When the socket cannot be made.
    pub fn listen(sandbox: &Sandbox) -> Self {
        let path = sandbox.home().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a home can hold a socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket can wait");
        Self { socket, path }
    }

    /// Returns the path for `NOTIFY_SOCKET`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether nothing comes for a while, after what had come already.
    pub fn falls_silent(&self, pause: Duration) -> bool {
        let mut buffer = [0; 4_096];
        self.socket.set_nonblocking(true).expect("a socket need not wait");
        while self.socket.recv(&mut buffer).is_ok() {}
        self.socket.set_nonblocking(false).expect("a socket can wait");
        self.socket.set_read_timeout(Some(pause)).expect("a socket can wait");
        self.socket.recv(&mut buffer).is_err()
    }

    /// Waits for a message that has this line, and returns it whole.
    ///
    /// # Panics
    /// When none comes in time.
    pub fn wait_line(&self, line: &str) -> String {
        let begun = Instant::now();
        let mut buffer = [0; 4_096];
        while begun.elapsed() < SOON {
            if let Ok(len) = self.socket.recv(&mut buffer) {
                let message = String::from_utf8_lossy(&buffer[..len]).into_owned();
                if message.lines().any(|found| found == line) {
                    return message;
                }
            }
        }
        panic!("waited {SOON:?} in vain for {line}");
    }
}

/// A `systemctl` of the test's own.
pub struct Systemctl {
    folder: PathBuf,
}

impl Systemctl {
    /// Makes one that succeeds at whatever it is asked, or fails as it does without a user session.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn that(sandbox: &Sandbox, succeeds: bool) -> Self {
        let folder = sandbox.home().join(if succeeds { "bin" } else { "bin-out-of-reach" });
        std::fs::create_dir_all(&folder).expect("a home can hold a folder");
        let end = if succeeds { "exit 0" } else { "echo 'Failed to connect to bus' >&2; exit 1" };
        let program = folder.join("systemctl");
        let text = format!("#!/bin/sh\necho \"$@\" >> '{}/asked'\n{end}\n", folder.display());
        let mut file = std::fs::File::create(&program).expect("a folder can hold a file");
        file.write_all(text.as_bytes()).expect("a file can be written");
        file.set_permissions(std::fs::Permissions::from_mode(0o755)).expect("a file can be a program");
        Self { folder }
    }

    /// Returns a command of `palacectl` that finds this `systemctl` first.
    pub fn palacectl(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        self.palacectl_of(sandbox, &sandbox.palace(), arguments)
    }

    /// Returns the same for a palace of another name.
    pub fn palacectl_of(&self, sandbox: &Sandbox, palace: &Path, arguments: &[&str]) -> Command {
        let mut path = OsString::from(&self.folder);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = sandbox.command(&sandbox.programs().palacectl);
        command.env("PATH", path).arg("--palace").arg(palace).args(arguments);
        command
    }

    /// Returns what it was asked, in order.
    pub fn asked(&self) -> Vec<String> {
        let asked = std::fs::read_to_string(self.folder.join("asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }
}
