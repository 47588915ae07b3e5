//! `palacectl service`: lets systemd or launchd keep the palace served, for this user only.
//!
//! The file is written in any case; when the manager cannot be reached (containers, a shell without a user session)
//! the text says what to run later. Uninstalling stops the service and removes nothing but that file.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Subcommand;
use palace_protocol::endpoint::ManagedBy;
use serde_json::json;

use super::lifecycle;
use super::outcome::{Exit, Failure, Outcome};
use super::unit::{Manager, Unit, unit};
use crate::launch;

/// What to do about the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ServiceAction {
    /// Keeps this palace served from login on, restarted when it fails
    Install {
        /// Show the file instead of installing it
        #[arg(long)]
        print: bool,
    },
    /// Ends the service and removes its file
    Uninstall,
    /// Shows whether the service is installed and runs
    Status {
        /// Show the installed file too
        #[arg(long)]
        print: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// When there is no service manager here, or the file cannot be written or removed.
pub fn run(palace: &Path, action: ServiceAction) -> Result<Outcome, Failure> {
    let manager = manager()?;
    match action {
        ServiceAction::Install { print } => {
            let daemon = launch::program().map_err(|error| Failure::failed(error.to_string())).and_then(
                |program| std::path::absolute(&program).map_err(|error| in_way(&program, &error)),
            )?;
            let unit = rendered(manager, &daemon, palace)?;
            if print {
                return Ok(Outcome::done(
                    unit.text.trim_end(),
                    json!({ "file": unit.file, "text": unit.text }),
                ));
            }
            install(palace, manager, &unit)
        }
        ServiceAction::Uninstall => uninstall(manager, &rendered(manager, Path::new("palaced"), palace)?),
        ServiceAction::Status { print } => {
            status(manager, &rendered(manager, Path::new("palaced"), palace)?, print)
        }
    }
}

/// Lets the service's manager restart it; returns whether it did.
pub fn restart(palace: &Path, managed_by: ManagedBy) -> bool {
    let manager = match managed_by {
        ManagedBy::Systemd => Manager::Systemd,
        ManagedBy::Launchd => Manager::Launchd,
        ManagedBy::Auto => return false,
    };
    let Ok(unit) = rendered(manager, Path::new("palaced"), palace) else { return false };
    match manager {
        Manager::Systemd => succeeds(&["systemctl", "--user", "restart", &unit.name]),
        Manager::Launchd => succeeds(&["launchctl", "kickstart", "-k", &target(&unit)]),
    }
}

fn manager() -> Result<Manager, Failure> {
    if cfg!(target_os = "linux") {
        Ok(Manager::Systemd)
    } else if cfg!(target_os = "macos") {
        Ok(Manager::Launchd)
    } else {
        let message =
            "services are supported with systemd and launchd; here clients start the daemon by themselves";
        Err(Failure::failed(message))
    }
}

fn rendered(manager: Manager, daemon: &Path, palace: &Path) -> Result<Unit, Failure> {
    unit(manager, daemon, palace).ok_or_else(|| {
        Failure::failed(format!(
            "{} cannot be written into a service file; use a path without line breaks",
            palace.display()
        ))
    })
}

fn install(palace: &Path, manager: Manager, unit: &Unit) -> Result<Outcome, Failure> {
    let file = location(unit)?;
    write(&file, &unit.text).map_err(|error| in_way(&file, &error))?;
    let mut lines = vec![format!("installed {}", file.display())];
    let reached = reachable(manager);
    if reached {
        // A daemon that a client started would hold the palace, and the service would find it taken.
        lifecycle::stop(palace, false)?;
    }
    let steps = match manager {
        Manager::Systemd => vec![
            words(&["systemctl", "--user", "daemon-reload"]),
            words(&["systemctl", "--user", "enable", "--now", &unit.name]),
        ],
        Manager::Launchd => vec![words(&["launchctl", "bootstrap", &domain(), &file.display().to_string()])],
    };
    let mut running = reached;
    for step in steps {
        if !(running && succeeds(&step)) {
            running = false;
            lines.push(format!("run this when your user session is there: {}", step.join(" ")));
        }
    }
    if running {
        lines.push(format!("{} is running; it starts again at login", unit.name));
    }
    Ok(Outcome::done(
        lines.join("\n"),
        json!({ "installed": true, "running": running, "name": unit.name, "file": file }),
    ))
}

fn uninstall(manager: Manager, unit: &Unit) -> Result<Outcome, Failure> {
    let file = location(unit)?;
    if !file.exists() {
        return Ok(Outcome::done("not installed", json!({ "installed": false, "file": file })));
    }
    let mut lines = Vec::new();
    let end = match manager {
        Manager::Systemd => words(&["systemctl", "--user", "disable", "--now", &unit.name]),
        Manager::Launchd => words(&["launchctl", "bootout", &target(unit)]),
    };
    if !succeeds(&end) {
        lines.push(format!("the service could not be ended; should it still run: {}", end.join(" ")));
    }
    std::fs::remove_file(&file).map_err(|error| in_way(&file, &error))?;
    if manager == Manager::Systemd {
        // Without a user session there is nothing to reload.
        let _ = succeeds(&["systemctl", "--user", "daemon-reload"]);
    }
    lines.insert(0, format!("removed {}", file.display()));
    Ok(Outcome::done(lines.join("\n"), json!({ "installed": false, "file": file })))
}

fn status(manager: Manager, unit: &Unit, print: bool) -> Result<Outcome, Failure> {
    let file = location(unit)?;
    let Ok(text) = std::fs::read_to_string(&file) else {
        let text = "not installed; clients start the daemon when they need it".to_owned();
        let json = json!({ "installed": false, "running": false, "file": file });
        return Ok(Outcome { code: Exit::Failed.code(), text, json });
    };
    let running = match manager {
        Manager::Systemd => succeeds(&["systemctl", "--user", "is-active", "--quiet", &unit.name]),
        Manager::Launchd => succeeds(&["launchctl", "print", &target(unit)]),
    };
    let state = if running { "running" } else { "installed, not running" };
    let mut shown = format!("{state}  {}\n{}", unit.name, file.display());
    if print {
        shown.push('\n');
        shown.push_str(text.trim_end());
    }
    let json = json!({ "installed": true, "running": running, "name": unit.name, "file": file });
    Ok(Outcome::done(shown, json))
}

/// Writes the file whole, so that a manager that reads at this moment never sees half of it.
fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let beside = PathBuf::from(format!("{}.tmp", file.display()));
    std::fs::write(&beside, text)?;
    std::fs::rename(beside, file)
}

fn location(unit: &Unit) -> Result<PathBuf, Failure> {
    let home =
        directories::BaseDirs::new().ok_or_else(|| Failure::failed("no home folder is known; set HOME"))?;
    Ok(home.home_dir().join(&unit.file))
}

fn in_way(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{} cannot be used: {error}", path.display()))
}

fn reachable(manager: Manager) -> bool {
    match manager {
        Manager::Systemd => succeeds(&["systemctl", "--user", "show-environment"]),
        Manager::Launchd => succeeds(&["launchctl", "print", &domain()]),
    }
}

#[cfg(unix)]
fn domain() -> String {
    format!("gui/{}", rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn domain() -> String {
    String::new()
}

fn target(unit: &Unit) -> String {
    format!("{}/{}", domain(), unit.name)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Runs a command with nothing to read and nothing to show; a missing program has not succeeded.
fn succeeds(command: &[impl AsRef<std::ffi::OsStr>]) -> bool {
    let Some((program, arguments)) = command.split_first() else { return false };
    let ran = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    ran.is_ok_and(|status| status.success())
}
