//! A systemd of the test's own: a user manager in a mount namespace, with its files in the sandbox.
//!
//! It is started only where no systemd runs the machine, so that no services but the test's are ever near it, and in a
//! control group of its own: in the topmost one it would take every process of the machine for its own. It needs the
//! right to mount and to make such groups, so it is started only when [`WANTED_VARIABLE`] asks for it, and must be had then.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Sandbox;
use crate::manager::Running;
use crate::wait::{SOON, wait_for, wait_until};

/// Set to anything, it has tests start a systemd of their own, and fail where they cannot.
pub const WANTED_VARIABLE: &str = "PALACE_TEST_USER_MANAGER";
/// Where distributions keep the program.
const PROGRAMS: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
/// Where the hierarchies are that systemd keeps its groups in: the only one, or those of older layouts.
const HIERARCHIES: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];
/// Enters the groups named behind the program, then makes systemd believe in its namespace, and nowhere else, that it
/// runs the machine.
const BOOT: &str = r#"set -e
program=$1; shift
for group; do echo $$ > "$group/cgroup.procs"; done
mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/system
exec "$program" --user"#;

/// A running user manager. Ends with its services when dropped.
pub struct UserManager {
    runtime: PathBuf,
    process: Running,
    // Dropped last: a group can be removed once its processes have ended.
    _groups: Groups,
}

/// The control groups of one user manager. Removed when dropped.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn new() -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("palace-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut groups = Self(Vec::new());
        for hierarchy in HIERARCHIES.map(Path::new) {
            if hierarchy.join("cgroup.procs").exists() {
                let group = hierarchy.join(&name);
                std::fs::create_dir(&group).map_err(|error| format!("{}: {error}", group.display()))?;
                groups.0.push(group);
            }
        }
        if groups.0.is_empty() { Err("no control groups".into()) } else { Ok(groups) }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            remove(group);
        }
    }
}

/// Removes a group and those below it; the files in them are the kernel's and go with them.
fn remove(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    // A group that is still in use stays behind empty of meaning.
    let _ = std::fs::remove_dir(group);
}

impl UserManager {
    /// Starts one if it is asked for.
    ///
    /// # Errors
    /// When it is not.
    ///
    /// # Panics
    /// When it is asked for and cannot be had: a test that was skipped for that would look passed.
    pub fn start(sandbox: &Sandbox) -> Result<Self, String> {
        if std::env::var_os(WANTED_VARIABLE).is_none() {
            return Err(format!("{WANTED_VARIABLE} does not ask for it"));
        }
        Ok(Self::boot(sandbox).unwrap_or_else(|why| panic!("{WANTED_VARIABLE} asks for a systemd: {why}")))
    }

    fn boot(sandbox: &Sandbox) -> Result<Self, String> {
        if Path::new("/run/systemd/system").exists() {
            return Err("systemd runs this machine".into());
        }
        let program =
            PROGRAMS.iter().find(|path| Path::new(path).exists()).ok_or("systemd is not installed")?;
        let may = Command::new("unshare")
            .args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/run"])
            .stdin(Stdio::null())
            .output();
        match may {
            Ok(output) if output.status.success() => {}
            Ok(output) => return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => return Err(format!("unshare: {error}")),
        }
        let groups = Groups::new()?;
        let runtime = sandbox.home().join("runtime");
        crate::manager::private(&runtime);
        let mut command = sandbox.command(Path::new("unshare"));
        command
            .args(["--mount", "sh", "-c", BOOT, "sh", program])
            .args(&groups.0)
            .env("XDG_RUNTIME_DIR", &runtime)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let manager = Self { runtime, process: Running::start(command), _groups: groups };
        wait_until("systemd's user manager", SOON, || {
            manager.systemctl(sandbox, &["show-environment"]).output().is_ok_and(|out| out.status.success())
        });
        manager.tell(sandbox, &["set-environment", "PALACE_TEST_EMBEDDER=hash"]);
        Ok(manager)
    }

    /// Lets a command find this manager.
    pub fn within(&self, mut command: Command) -> Command {
        command.env("XDG_RUNTIME_DIR", &self.runtime);
        command
    }

    fn systemctl(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        let mut command = self.within(sandbox.command(Path::new("systemctl")));
        command.arg("--user").args(arguments).stdin(Stdio::null());
        command
    }

    /// Asks the manager for something and returns what it says.
    ///
    /// # Panics
    /// When it refuses.
    pub fn tell(&self, sandbox: &Sandbox, arguments: &[&str]) -> String {
        let output = self.systemctl(sandbox, arguments).output().expect("systemctl runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Asks the manager for something that it refuses and returns why.
    ///
    /// # Panics
    /// When it does not refuse.
    pub fn refusal(&self, sandbox: &Sandbox, arguments: &[&str]) -> String {
        let output = self.systemctl(sandbox, arguments).output().expect("systemctl runs");
        assert!(!output.status.success(), "{arguments:?} was done");
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    }

    /// Returns the state of a unit.
    pub fn state(&self, sandbox: &Sandbox, unit: &str) -> String {
        self.tell(sandbox, &["show", "--property", "ActiveState", "--value", unit])
    }
}

impl Drop for UserManager {
    fn drop(&mut self) {
        // In order, so that it ends its services and its groups of processes first; killed if it does not.
        crate::daemon::terminate(self.process.0.id());
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("systemd's end", SOON, || self.process.0.try_wait().ok().flatten())
        }));
        drop(ended);
    }
}
