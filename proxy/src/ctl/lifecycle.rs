//! `palacectl start`, `stop` and `restart`.
//!
//! A stop is over when the writer lock is free, not when the daemon has said yes. A process is ended by force only
//! under the three proofs of [`super::force`]; a daemon that a service keeps running is restarted by that service.

use std::path::Path;
use std::time::{Duration, Instant};

use palace_protocol::control::{ControlReply, ControlRequest, StopMode};
use palace_protocol::endpoint::ManagedBy;
use serde_json::json;

use crate::connect::{ConnectError, read_record};

use super::client::{Client, ClientError};
use super::lock::{self, LockState};
use super::outcome::{Exit, Failure, Outcome};
use super::{force, service};

/// How long a stop may take: the daemon's own patience with running calls, and closing the store.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// Starts the daemon unless it runs.
///
/// # Errors
/// Says why it does not start.
pub fn start(palace: &Path) -> Result<Outcome, Failure> {
    if let Ok(client) = Client::connect(palace) {
        let pid = client.daemon_pid();
        return Ok(Outcome::done(
            format!("already running, pid {pid}"),
            json!({ "pid": pid, "started": false }),
        ));
    }
    let begun = Instant::now();
    let client = Client::start(palace)?;
    let pid = client.daemon_pid();
    let text = format!("started, pid {pid}, in {} ms, for {}", begun.elapsed().as_millis(), palace.display());
    Ok(Outcome::done(text, json!({ "pid": pid, "started": true })))
}

/// Ends the daemon and waits until the palace is free.
///
/// # Errors
/// When it does not end in time, or must not be ended by force.
pub fn stop(palace: &Path, forced: bool) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let mode = if forced { StopMode::Now } else { StopMode::Drain };
    let asked = Client::connect(palace).and_then(|mut client| client.ask(&ControlRequest::Stop { mode }));
    let killed = match asked {
        Ok(ControlReply::Stopping) => None,
        Ok(
            ControlReply::Status(_)
            | ControlReply::Verified(_)
            | ControlReply::Called { .. }
            | ControlReply::Failed { .. },
        ) => return Err(ClientError::Unexpected.into()),
        Err(error) => match without_answer(palace, forced, error)? {
            Silent::Stopped => {
                return Ok(Outcome::done("not running", json!({ "stopped": false, "killed": null })));
            }
            Silent::Ending => None,
            Silent::Killed(pid) => Some(pid),
        },
    };
    wait_for_release(palace)?;
    let how = killed.map_or_else(
        || "stopped".to_owned(),
        |pid| format!("pid {pid} did not answer and was killed; what it had acknowledged is stored"),
    );
    let text = format!("{how}, {} ms", begun.elapsed().as_millis());
    Ok(Outcome::done(text, json!({ "stopped": true, "killed": killed })))
}

/// Ends the daemon, if it runs, and starts it again. Connected hosts go on with their sessions.
///
/// # Errors
/// Those of stopping and of starting.
pub fn restart(palace: &Path) -> Result<Outcome, Failure> {
    match read_record(palace).map(|record| record.managed_by) {
        Some(manager @ (ManagedBy::Systemd | ManagedBy::Launchd)) if service::restart(palace, manager) => {
            // The service manager has started it; this waits until it serves.
            let pid = Client::start(palace)?.daemon_pid();
            Ok(Outcome::done(
                format!("restarted by its service, pid {pid}"),
                json!({ "pid": pid, "started": true }),
            ))
        }
        Some(ManagedBy::Auto | ManagedBy::Systemd | ManagedBy::Launchd) | None => {
            stop(palace, false)?;
            start(palace)
        }
    }
}

/// What is known of a daemon that did not answer.
enum Silent {
    Stopped,
    Ending,
    Killed(u32),
}

fn without_answer(palace: &Path, forced: bool, error: ClientError) -> Result<Silent, Failure> {
    match &error {
        ClientError::Connect(ConnectError::Draining { .. }) => return Ok(Silent::Ending),
        ClientError::Connect(ConnectError::Forbidden(_)) => return Err(error.into()),
        ClientError::Connect(ConnectError::NotThere | ConnectError::Refused(_) | ConnectError::Lost(_))
        | ClientError::Start(_)
        | ClientError::Runtime(_)
        | ClientError::Silent(_)
        | ClientError::Lost(_)
        | ClientError::Failed(_)
        | ClientError::Unexpected => {}
    }
    match lock::state(palace) {
        LockState::Free => Ok(Silent::Stopped),
        LockState::Held if forced => match force::kill(palace) {
            Ok(pid) => Ok(Silent::Killed(pid)),
            Err(reason) => Err(Failure::new(Exit::Locked, reason.to_string())),
        },
        LockState::Held => {
            let holder = lock::holder(palace)
                .map_or_else(|| "a process".to_owned(), |holder| format!("pid {}", holder.pid));
            let message = format!(
                "{holder} holds {} and does not answer ({error}); `palacectl stop --force` ends it",
                palace.display()
            );
            Err(Failure::new(Exit::Locked, message))
        }
        LockState::Unknown(reason) => Err(Failure::failed(format!(
            "whether {} is held is unknown: {reason}; nothing was stopped",
            lock::path(palace).display()
        ))),
    }
}

fn wait_for_release(palace: &Path) -> Result<(), Failure> {
    match lock::wait_until_free(palace, STOP_TIMEOUT) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(
            Exit::Locked,
            format!(
                "the daemon has not let go of {} within {} s; `palacectl logs` tells what it does",
                palace.display(),
                STOP_TIMEOUT.as_secs()
            ),
        )),
        Err(error) => Err(Failure::failed(format!(
            "whether the daemon has ended is unknown: {} cannot be locked: {error}",
            lock::path(palace).display()
        ))),
    }
}
