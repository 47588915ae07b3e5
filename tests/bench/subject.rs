//! What is measured: a server command with its own home and palace.

use std::path::{Path, PathBuf};
use std::process::Command;

use palace_tests::{Client, daemon};

/// One of the programs beside each other.
pub struct Subject {
    /// Column of the table.
    pub name: &'static str,
    program: PathBuf,
    daemon: Option<PathBuf>,
    home: Option<PathBuf>,
    /// A palace that is copied rather than filled.
    filled: Option<PathBuf>,
}

/// A fresh palace for one measurement; ends its daemon when dropped.
pub struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    /// Makes an empty palace.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary directory") }
    }

    /// Returns the palace directory.
    pub fn palace(&self) -> PathBuf {
        self.folder.path().join("palace")
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for pid in daemon::of(&self.palace()) {
            daemon::kill(pid);
        }
    }
}

impl Subject {
    /// Ours, from a folder of built programs.
    pub fn ours(release: &Path) -> Self {
        Self {
            name: "mempalaced",
            program: release.join("palace-mcp"),
            daemon: Some(release.join("palaced")),
            home: directories_home(),
            filled: None,
        }
    }

    /// Ours as tests run it: the programs beside this one, which embed without a model.
    pub fn hashing() -> Self {
        let here = std::env::current_exe().expect("a program knows where it is");
        let beside = |name: &str| here.with_file_name(name);
        Self {
            name: "mempalaced, no model",
            program: beside("palace-mcp-test"),
            daemon: Some(beside("palaced-test")),
            home: None,
            filled: None,
        }
    }

    /// The peer, with a palace of its own to measure tools in.
    pub fn peer(program: &Path, home: Option<&Path>, filled: Option<&Path>) -> Self {
        Self {
            name: "mempalace 3.11.0",
            program: program.into(),
            daemon: None,
            home: home.map(Path::to_path_buf),
            filled: filled.map(Path::to_path_buf),
        }
    }

    /// Puts a copy of the palace that was filled beforehand in the place of an empty one; tells whether there is one.
    pub fn lay_out(&self, ground: &Ground) -> bool {
        let Some(filled) = &self.filled else { return false };
        let copied = Command::new("cp").arg("-R").arg(filled).arg(ground.palace()).status();
        assert!(copied.is_ok_and(|status| status.success()), "{} is copied", filled.display());
        true
    }

    /// Tells whether a daemon of ours stands behind the server.
    pub fn has_daemon(&self) -> bool {
        self.daemon.is_some()
    }

    /// Starts a server on the palace.
    pub fn start(&self, name: &str, ground: &Ground) -> Client {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // Recovery is measured by killing daemons, which is no series of crashes.
        command.env("PALACE_SETTLED_SECS", "0");
        command.env("HOME", self.home.clone().unwrap_or_else(|| ground.folder.path().into()));
        if let Some(daemon) = &self.daemon {
            command.env("PALACE_DAEMON", daemon);
        }
        if self.home.is_none() {
            command.env("PALACE_TEST_EMBEDDER", "hash");
        }
        command.arg("--palace").arg(ground.palace());
        Client::start(name, command)
    }
}

/// Ours runs with the user's home, where an installed ONNX Runtime is found.
fn directories_home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}
