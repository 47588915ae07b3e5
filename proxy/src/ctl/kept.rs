//! `palacectl start`, `stop` and `restart` where a service manager keeps the palace served: the manager is asked, or the
//! person is told what to run. Ending a daemon behind its manager's back would only make the manager start the next.

use std::path::Path;
use std::time::{Duration, Instant};

use palace_protocol::endpoint::ManagedBy;
use serde_json::json;

use super::client::Client;
use super::manager::{self, ManagerError};
use super::outcome::{Failure, Outcome};
use super::unit::{self, Activation, Manager, Service};
use crate::service::{self, Keeper};
use crate::spawn::{Insistence, Patience};

/// How long a daemon that its manager has just started is waited for, however long the manager took.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Lets the manager start the daemon and waits until it serves.
///
/// # Errors
/// When no daemon can be reached afterwards, with the command to run.
pub fn start(palace: &Path, keeper: &Keeper, patience: Patience) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let (manager, service) = of(palace, keeper)?;
    let asked = ask(palace, keeper, manager, &service, &manager.start(&service, keeper.listens));
    // Connecting starts it as well, where the manager listens and only its program is out of reach. A manager that took its
    // time has just started the daemon: there is always some left to connect.
    let client = Client::start_within(palace, Insistence::Insistent, patience.at_least(CONNECT_TIMEOUT));
    let client = client.map_err(|error| match asked {
        Ok(()) => error.into(),
        Err(asked) => out_of_reach(manager, asked),
    })?;
    let pid = client.daemon_pid();
    let text = format!(
        "started by {}, pid {pid}, in {} ms, for {}",
        manager.name(),
        begun.elapsed().as_millis(),
        palace.display()
    );
    Ok(Outcome::done(text, json!({ "pid": pid, "started": true, "managed_by": keeper.managed_by })))
}

/// Lets the manager end the daemon and close its socket.
///
/// # Errors
/// When the manager cannot be asked, with the command to run.
pub fn stop(palace: &Path, keeper: &Keeper) -> Result<(), Failure> {
    let (manager, service) = of(palace, keeper)?;
    manager::run(&manager.stop(&service, keeper.listens)).map_err(|error| out_of_reach(manager, error))
}

/// Lets the manager end the daemon and start it again, and waits until it serves.
///
/// # Errors
/// When the manager cannot be asked, with the command to run.
pub fn restart(palace: &Path, keeper: &Keeper) -> Result<Outcome, Failure> {
    let (manager, service) = of(palace, keeper)?;
    let asked = ask(palace, keeper, manager, &service, &manager.restart(&service));
    asked.map_err(|error| out_of_reach(manager, error))?;
    let pid = Client::start(palace, Insistence::Insistent)?.daemon_pid();
    let json = json!({ "pid": pid, "started": true, "managed_by": keeper.managed_by });
    Ok(Outcome::done(format!("restarted by {}, pid {pid}", manager.name()), json))
}

/// Has the manager run `words`, or bring back a socket that has lost its name, which these would not.
fn ask(
    palace: &Path,
    keeper: &Keeper,
    manager: Manager,
    service: &Service,
    words: &[String],
) -> Result<(), ManagerError> {
    manager.forget_failures(service);
    if is_lost(palace, keeper) { manager.reopen(service) } else { manager::run(words) }
}

/// Tells whether the manager's socket has no name any more.
fn is_lost(palace: &Path, keeper: &Keeper) -> bool {
    keeper.listens && !service::socket(palace).exists()
}

fn of(palace: &Path, keeper: &Keeper) -> Result<(Manager, Service), Failure> {
    let manager = match keeper.managed_by {
        ManagedBy::Systemd => Manager::Systemd,
        ManagedBy::Launchd => Manager::Launchd,
        ManagedBy::Auto => return Err(Failure::failed("no service keeps this palace served")),
    };
    // Only the names matter here; they depend on the palace alone.
    let service = unit::service(manager, Activation::Login, Path::new("palaced"), palace)
        .ok_or_else(|| Failure::failed(format!("{} has no service", palace.display())))?;
    Ok((manager, service))
}

fn out_of_reach(manager: Manager, error: ManagerError) -> Failure {
    Failure::failed(format!(
        "{} keeps this palace served and could not be asked: {error}; run that in your login session, or `palacectl service uninstall`",
        manager.name()
    ))
}
