//! Talking to systemd and launchd through their own programs.
//!
//! A manager may be out of reach: in a container, or in a shell without a user session. Every command can therefore be
//! shown instead of run, and what a manager answers is passed on.

use std::path::Path;
use std::process::{Command, Stdio};

use palace_protocol::endpoint::ManagedBy;

use super::outcome::Failure;
use super::unit::{Activation, Manager, Service};

/// A command for a manager: program and arguments.
pub type Words = Vec<String>;

/// A manager that did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("`{command}` failed: {answer}")]
pub struct ManagerError {
    /// The command, as a person would type it.
    pub command: String,
    /// What it said.
    pub answer: String,
}

/// Returns the service manager of this system.
///
/// # Errors
/// When there is none that is known here.
pub fn here() -> Result<Manager, Failure> {
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

impl Manager {
    /// Returns how records name it.
    pub fn managed_by(self) -> ManagedBy {
        match self {
            Self::Systemd => ManagedBy::Systemd,
            Self::Launchd => ManagedBy::Launchd,
        }
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Launchd => "launchd",
        }
    }

    /// Tells whether it can be talked to from here.
    pub fn is_reachable(self) -> bool {
        run(&match self {
            Self::Systemd => words(&["systemctl", "--user", "show-environment"]),
            Self::Launchd => words(&["launchctl", "print", &domain()]),
        })
        .is_ok()
    }

    /// Tells whether a unit is active, or an agent loaded.
    pub fn is_active(self, name: &str) -> bool {
        run(&match self {
            Self::Systemd => words(&["systemctl", "--user", "is-active", "--quiet", name]),
            Self::Launchd => words(&["launchctl", "print", &target(name)]),
        })
        .is_ok()
    }

    /// Returns the commands that take an installed service into use, now and at each login. The other way of activation
    /// may have been in use before.
    pub fn enable(self, service: &Service, activation: Activation, file: &Path) -> Vec<Words> {
        match (self, activation, &service.socket_name) {
            (Self::Systemd, Activation::Socket, Some(socket)) => vec![
                words(&["systemctl", "--user", "daemon-reload"]),
                words(&["systemctl", "--user", "enable", "--now", socket]),
            ],
            (Self::Systemd, Activation::Login | Activation::Socket, _) => vec![
                words(&["systemctl", "--user", "daemon-reload"]),
                words(&["systemctl", "--user", "enable", "--now", &service.name]),
            ],
            (Self::Launchd, Activation::Login | Activation::Socket, _) => {
                vec![words(&["launchctl", "bootstrap", &domain(), &file.display().to_string()])]
            }
        }
    }

    /// Returns the commands that end a service for good.
    pub fn disable(self, service: &Service) -> Vec<Words> {
        match self {
            Self::Systemd => units(service)
                .iter()
                .map(|name| words(&["systemctl", "--user", "disable", "--now", name]))
                .collect(),
            Self::Launchd => vec![words(&["launchctl", "bootout", &target(&service.name)])],
        }
    }

    /// Returns the command that starts a service, with its socket if it has one.
    pub fn start(self, service: &Service, listens: bool) -> Words {
        match self {
            Self::Systemd if listens => on(&["start"], &units(service)),
            Self::Systemd => words(&["systemctl", "--user", "start", &service.name]),
            Self::Launchd => words(&["launchctl", "kickstart", &target(&service.name)]),
        }
    }

    /// Returns the command that ends a service until it is started or the next login comes.
    pub fn stop(self, service: &Service, listens: bool) -> Words {
        match self {
            Self::Systemd if listens => on(&["stop"], &units(service)),
            Self::Systemd => words(&["systemctl", "--user", "stop", &service.name]),
            Self::Launchd => words(&["launchctl", "kill", "SIGTERM", &target(&service.name)]),
        }
    }

    /// Returns the command that ends the daemon and starts it again. A socket stays open meanwhile.
    pub fn restart(self, service: &Service) -> Words {
        match self {
            Self::Systemd => words(&["systemctl", "--user", "restart", &service.name]),
            Self::Launchd => words(&["launchctl", "kickstart", "-k", &target(&service.name)]),
        }
    }

    /// Ends a service with its socket and starts both again: a socket whose name was removed is still listened on, and
    /// nobody finds it.
    ///
    /// # Errors
    /// With what the manager said, and the command that a person can run.
    pub fn reopen(self, service: &Service) -> Result<(), ManagerError> {
        match self {
            Self::Systemd => run(&on(&["restart"], &units(service))).or_else(|refused| {
                // Two restarts at once: a service that is back before its socket keeps the socket from listening.
                let ended = run(&self.stop(service, true));
                self.forget_failures(service);
                ended.and_then(|()| run(&self.start(service, true))).map_err(|_| refused)
            }),
            Self::Launchd => run(&self.restart(service)),
        }
    }

    /// Forgets earlier failures: a person wants it tried again.
    pub fn forget_failures(self, service: &Service) {
        match self {
            // Without failures there is nothing to forget, and systemd says so.
            Self::Systemd => drop(run(&on(&["reset-failed"], &units(service)))),
            Self::Launchd => {}
        }
    }
}

/// Returns what systemd's own check says of a unit file; `None` when nothing is wrong or there is no such check here.
pub fn verified(file: &Path) -> Option<String> {
    let checked =
        command("systemd-analyze").args(["--user", "verify"]).arg(file).stdin(Stdio::null()).output().ok()?;
    (!checked.status.success()).then(|| String::from_utf8_lossy(&checked.stderr).trim().to_owned())
}

/// Runs a command with nothing to read.
///
/// # Errors
/// With what it said, or that it is missing.
pub fn run(words: &[String]) -> Result<(), ManagerError> {
    let shown = words.join(" ");
    let failed = |answer: String| ManagerError { command: shown.clone(), answer };
    let (program, arguments) = words.split_first().ok_or_else(|| failed("no command".into()))?;
    let output = command(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(failed(if said.is_empty() { output.status.to_string() } else { said }))
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.envs(session_folder());
    command
}

/// Returns the variable without which systemctl finds no session, when hosts or sudo have dropped it.
#[cfg(target_os = "linux")]
fn session_folder() -> Option<(&'static str, String)> {
    const NAME: &str = "XDG_RUNTIME_DIR";
    let folder = format!("/run/user/{}", rustix::process::getuid().as_raw());
    (std::env::var_os(NAME).is_none() && Path::new(&folder).is_dir()).then_some((NAME, folder))
}

/// No such variable is needed elsewhere.
#[cfg(not(target_os = "linux"))]
fn session_folder() -> Option<(&'static str, String)> {
    None
}

fn units(service: &Service) -> Vec<&str> {
    service.socket_name.iter().map(String::as_str).chain([service.name.as_str()]).collect()
}

fn on(verb: &[&str], names: &[&str]) -> Words {
    words(&[&["systemctl", "--user"], verb, names].concat())
}

fn words(words: &[&str]) -> Words {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(unix)]
fn domain() -> String {
    format!("gui/{}", rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn domain() -> String {
    String::new()
}

fn target(name: &str) -> String {
    format!("{}/{name}", domain())
}
