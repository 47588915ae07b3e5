//! A temporary home with a palace in it, and the programs under test started inside it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::client::Client;
use crate::daemon;

/// The programs under test.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The daemon.
    pub palaced: PathBuf,
    /// The proxy.
    pub palace_mcp: PathBuf,
    /// The command for people.
    pub palacectl: PathBuf,
}

/// A test's own home and palace. Ends the palace's daemons when dropped.
pub struct Sandbox {
    home: tempfile::TempDir,
    programs: Programs,
}

impl Sandbox {
    /// Makes a home with no palace yet.
    ///
    /// # Panics
    /// When the system makes no temporary directory.
    pub fn new(programs: Programs) -> Self {
        Self { home: tempfile::tempdir().expect("a temporary directory"), programs }
    }

    /// Returns the home folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Returns the palace directory; it exists once a program has made it.
    pub fn palace(&self) -> PathBuf {
        self.home.path().join("palace")
    }

    /// Returns the programs under test.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Returns a command with an empty environment but for what hosts pass on, and the test embedder.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PALACE_DAEMON", &self.programs.palaced)
            .env("PALACE_TEST_EMBEDDER", "hash")
            // Tests kill daemons more often than users' daemons crash; those of the memory of starts set their own.
            .env("PALACE_SETTLED_SECS", "0")
            .current_dir(self.home());
        command
    }

    /// Returns a command whose process, and the daemons it starts, meet these failpoints.
    pub fn breaking(&self, program: &Path, failpoints: &str) -> Command {
        let mut command = self.command(program);
        let folder = self.failpoints();
        std::fs::create_dir_all(&folder).expect("a home can hold a folder");
        command.env("PALACE_FAILPOINTS", failpoints).env("PALACE_FAILPOINT_DIR", folder);
        command
    }

    /// Returns the folder of failpoints that were reached.
    pub fn failpoints(&self) -> PathBuf {
        self.home().join("failpoints")
    }

    /// Tells whether a failpoint has acted.
    pub fn reached(&self, point: &str) -> bool {
        self.failpoints().join(format!("{point}.reached")).exists()
    }

    /// Lets a process go on that waits at a failpoint.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn release(&self, point: &str) {
        std::fs::write(self.failpoints().join(format!("{point}.go")), "").expect("the folder is there");
    }

    /// Starts a proxy that meets these failpoints, as do the daemons it starts.
    pub fn breaking_host(&self, name: &str, failpoints: &str) -> Client {
        let mut command = self.breaking(&self.programs.palace_mcp, failpoints);
        command.arg("--palace").arg(self.palace());
        Client::start(name, command)
    }

    /// Returns a command that starts the daemon in the foreground.
    pub fn palaced(&self) -> Command {
        let mut command = self.command(&self.programs.palaced);
        command.arg("--palace").arg(self.palace());
        command
    }

    /// Returns a command of `palacectl`.
    pub fn palacectl(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.programs.palacectl);
        command.arg("--palace").arg(self.palace()).args(arguments);
        command
    }

    /// Starts a proxy on the palace.
    pub fn host(&self, name: &str) -> Client {
        self.host_at(name, &self.palace())
    }

    /// Starts a proxy on a palace named by another path.
    pub fn host_at(&self, name: &str, palace: &Path) -> Client {
        let mut command = self.command(&self.programs.palace_mcp);
        command.arg("--palace").arg(palace);
        Client::start(name, command)
    }

    /// Returns the process ids of this palace's daemons.
    pub fn daemons(&self) -> Vec<u32> {
        daemon::of(&self.palace())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for pid in self.daemons() {
            daemon::kill(pid);
        }
    }
}
