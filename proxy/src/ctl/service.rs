//! `palacectl service`: lets systemd or launchd keep the palace served, for this user only.
//!
//! Files are written in any case. The record that keeps clients from starting the daemon by themselves is written only
//! when the manager has taken the service over: otherwise the palace would be served by nobody. Uninstalling removes the
//! record first, then the service.

use std::io;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use palace_protocol::endpoint::DAEMON_DIR;
use palace_protocol::limits::SOCKET_PATH_BYTES_MAX;
use palace_system::files::{self, Kept, Readers};
use serde_json::json;

use super::lifecycle;
use super::manager::{self, ManagerError};
use super::outcome::{Exit, Failure, Outcome};
use super::unit::{self, Activation, Manager, Service};
use crate::os::{self, Unusable};
use crate::spawn::private_folder;
use crate::{launch, service};

/// What to do about the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum ServiceAction {
    /// Keeps this palace served from login on, restarted when it fails
    Install {
        /// Start the daemon when the first client connects, not at login
        #[arg(long)]
        socket: bool,
        /// Show the files instead of installing them
        #[arg(long)]
        print: bool,
    },
    /// Ends the service and removes its files
    Uninstall,
    /// Shows whether the service is installed and runs
    Status {
        /// Show the installed files too
        #[arg(long)]
        print: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// When there is no service manager here, or a file cannot be written or removed.
pub fn run(palace: &Path, action: ServiceAction) -> Result<Outcome, Failure> {
    if let ServiceAction::Install { print: false, .. } = action {
        // A service of another user's palace would be restarted for ever, and refused every time.
        os::check_owned_folder(palace).map_err(|unusable| match unusable {
            Unusable::Owner(message) => Failure::new(Exit::Locked, message),
            Unusable::Kind(message) => Failure::failed(message),
        })?;
    }
    let manager = manager::here()?;
    match action {
        ServiceAction::Install { socket, print } => {
            let activation = if socket { Activation::Socket } else { Activation::Login };
            let service = rendered(manager, activation, &daemon()?, palace)?;
            if print { Ok(printed(&service)) } else { install(palace, manager, activation, &service) }
        }
        ServiceAction::Uninstall => uninstall(palace, manager),
        ServiceAction::Status { print } => status(palace, manager, print),
    }
}

fn daemon() -> Result<PathBuf, Failure> {
    let program = launch::program().map_err(|error| Failure::failed(error.to_string()))?;
    std::path::absolute(&program).map_err(|error| in_way(&program, &error))
}

fn rendered(
    manager: Manager,
    activation: Activation,
    daemon: &Path,
    palace: &Path,
) -> Result<Service, Failure> {
    let socket_len = service::socket(palace).as_os_str().len();
    if activation == Activation::Socket && socket_len > SOCKET_PATH_BYTES_MAX {
        return Err(Failure::failed(format!(
            "{} is too long for a socket in it: {socket_len} bytes, {SOCKET_PATH_BYTES_MAX} at most; install without --socket",
            palace.display()
        )));
    }
    unit::service(manager, activation, daemon, palace).ok_or_else(|| {
        Failure::failed(format!(
            "{} cannot be written into a service file; use a path of text without line breaks",
            palace.display()
        ))
    })
}

fn printed(service: &Service) -> Outcome {
    let text: Vec<String> =
        service.files.iter().map(|unit| format!("# ~/{}\n{}", unit.file, unit.text.trim_end())).collect();
    let files: Vec<_> =
        service.files.iter().map(|unit| json!({ "file": unit.file, "text": unit.text })).collect();
    let first = &service.files[0];
    Outcome::done(text.join("\n\n"), json!({ "file": first.file, "text": first.text, "files": files }))
}

fn install(
    palace: &Path,
    manager: Manager,
    activation: Activation,
    service: &Service,
) -> Result<Outcome, Failure> {
    // Its units start nothing where it is missing, as it is below an unmounted palace.
    private_folder(&palace.join(DAEMON_DIR)).map_err(|error| Failure::failed(error.to_string()))?;
    let mut lines = Vec::new();
    let mut files = Vec::new();
    for unit in &service.files {
        let file = location(&unit.file)?;
        write(&file, &unit.text).map_err(|error| in_way(&file, &error))?;
        lines.push(format!("installed {}", file.display()));
        files.push(file);
    }
    let reachable = manager.is_reachable();
    if manager == Manager::Systemd && reachable {
        lines.extend(files.iter().filter_map(|file| manager::verified(file)));
    }
    let taken_over = reachable && {
        take_over(palace, manager, activation, service, &files[0])
            .map_err(|error| Failure::failed(format!("{}\n{error}", lines.join("\n"))))?;
        true
    };
    lines.push(match (taken_over, activation) {
        (true, Activation::Login) => format!("{} is running; it starts again at login", service.name),
        (true, Activation::Socket) => format!(
            "{} listens on {}; the first client starts the daemon",
            manager.name(),
            service::socket(palace).display()
        ),
        (false, Activation::Login | Activation::Socket) => format!(
            "{} cannot be reached from here: run this again in your login session; until then clients start the daemon by themselves",
            manager.name()
        ),
    });
    let json = json!({
        "installed": true, "running": taken_over, "socket": activation == Activation::Socket,
        "name": service.name, "file": files[0], "files": files,
    });
    Ok(Outcome::done(lines.join("\n"), json))
}

/// Hands the palace to the manager: from here on nobody else starts its daemon.
fn take_over(
    palace: &Path,
    manager: Manager,
    activation: Activation,
    service: &Service,
    file: &Path,
) -> Result<(), Failure> {
    // What was in use before, and a daemon that a client started: the service would find the palace taken.
    for step in manager.disable(service) {
        // Usually nothing was in use.
        let _ = manager::run(&step);
    }
    remove_stale_socket_unit(service, activation)?;
    service::forget_dead_daemon(palace);
    // Written before the running daemon ends, or a client would start the next one.
    let listens = activation == Activation::Socket;
    service::write(palace, manager.managed_by(), &service.name, listens)
        .map_err(|error| in_way(palace, &error))?;
    let enabled = lifecycle::stop_daemon(palace, false).and_then(|_| {
        let steps = manager.enable(service, activation, file);
        steps
            .iter()
            .try_for_each(|step| manager::run(step))
            .map_err(|error| Failure::failed(error.to_string()))
    });
    enabled.map_err(|error| {
        // A palace that nobody serves would be worse than one without a service.
        let left = service::remove(palace).err().map(|error| format!("; {error}")).unwrap_or_default();
        Failure::failed(format!("{error}; clients go on starting the daemon by themselves{left}"))
    })
}

/// Removes the socket's unit that an earlier installation left.
fn remove_stale_socket_unit(service: &Service, activation: Activation) -> Result<(), Failure> {
    match (&service.socket_name, activation) {
        (Some(name), Activation::Login) => remove(&location(&format!(".config/systemd/user/{name}"))?),
        (Some(_) | None, Activation::Login | Activation::Socket) => Ok(()),
    }
}

fn uninstall(palace: &Path, manager: Manager) -> Result<Outcome, Failure> {
    let service = rendered(manager, Activation::Login, Path::new("palaced"), palace)?;
    let files = installed_files(manager, palace)?;
    let recorded = service::read(palace).is_some();
    service::remove(palace).map_err(|error| in_way(palace, &error))?;
    if files.is_empty() && !recorded {
        let file = location(&service.files[0].file)?;
        return Ok(Outcome::done("not installed", json!({ "installed": false, "file": file })));
    }
    let mut lines: Vec<String> = Vec::new();
    let failed: Vec<ManagerError> =
        manager.disable(&service).iter().filter_map(|step| manager::run(step).err()).collect();
    if !files.is_empty() && failed.len() == manager.disable(&service).len() {
        let told: Vec<String> = failed.iter().map(|error| format!("`{}`", error.command)).collect();
        lines.push(format!(
            "{} was not told; should the service still run: {}",
            manager.name(),
            told.join(", ")
        ));
    }
    for file in files.iter().rev() {
        remove(file)?;
        lines.insert(0, format!("removed {}", file.display()));
    }
    if manager == Manager::Systemd {
        // Without a user session there is nothing to reload.
        let _ = manager::run(&["systemctl", "--user", "daemon-reload"].map(str::to_owned));
    }
    service::forget_dead_daemon(palace);
    lines.push("clients start the daemon by themselves again".to_owned());
    Ok(Outcome::done(lines.join("\n"), json!({ "installed": false, "files": files })))
}

fn status(palace: &Path, manager: Manager, print: bool) -> Result<Outcome, Failure> {
    let service = rendered(manager, Activation::Login, Path::new("palaced"), palace)?;
    let files = installed_files(manager, palace)?;
    let record = service::read(palace);
    if files.is_empty() && record.is_none() {
        let text = "not installed; clients start the daemon when they need it".to_owned();
        let json = json!({
            "installed": false, "running": false, "listening": false, "socket": false, "in_charge": false,
            "name": service.name, "files": files,
        });
        return Ok(Outcome { code: Exit::Failed.code(), text, json });
    }
    let running = manager.is_active(&service.name);
    let socket = record.as_ref().is_some_and(|record| record.address.is_some());
    let listening = socket && service.socket_name.as_ref().is_none_or(|name| manager.is_active(name));
    let state = match (running, listening, &record) {
        (true, _, _) => "running",
        (false, true, _) => "waiting for a client",
        (false, false, Some(_)) => "stopped; `palacectl start` starts it",
        (false, false, None) => {
            "installed, not in use; run `palacectl service install` again in your login session"
        }
    };
    let mut lines = vec![format!("{state}  {}", service.name)];
    for file in &files {
        lines.push(file.display().to_string());
        if print {
            let text = std::fs::read_to_string(file).map_err(|error| in_way(file, &error))?;
            lines.push(text.trim_end().to_owned());
        }
    }
    let json = json!({
        "installed": !files.is_empty(), "running": running, "listening": listening, "socket": socket,
        "in_charge": record.is_some(), "name": service.name, "files": files,
    });
    Ok(Outcome::done(lines.join("\n"), json))
}

/// Returns which of a palace's service files are there.
fn installed_files(manager: Manager, palace: &Path) -> Result<Vec<PathBuf>, Failure> {
    let every = unit::service(manager, Activation::Socket, Path::new("palaced"), palace);
    let paths = every.iter().flat_map(|service| &service.files).map(|unit| location(&unit.file));
    paths.filter(|path| path.as_ref().map_or(true, |path| path.exists())).collect()
}

/// Writes the file whole, so that a manager that reads at this moment never sees half of it.
fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    files::replace(file, text.as_bytes(), Kept::Durably, Readers::Others)
}

fn remove(file: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(in_way(file, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn location(below_home: &str) -> Result<PathBuf, Failure> {
    let home =
        directories::BaseDirs::new().ok_or_else(|| Failure::failed("no home folder is known; set HOME"))?;
    Ok(home.home_dir().join(below_home))
}

fn in_way(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{} cannot be used: {error}; check its permissions", path.display()))
}
