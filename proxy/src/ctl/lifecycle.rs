//! `palacectl start`, `stop` and `restart`.
//!
//! A stop is over when the writer lock is free, not when the daemon has said yes. A process is ended by force only
//! under the four proofs of [`super::force`]; a daemon that a service keeps running is restarted by that service.

use std::path::Path;
use std::time::{Duration, Instant};

use palace_protocol::control::{ControlReply, ControlRequest, StopMode};
use palace_protocol::endpoint::EndpointState;
use serde_json::json;

use crate::connect::{ConnectError, read_record};

use super::client::{Client, ClientError, start_patience};
use super::outcome::{Exit, Failure, Outcome};
use super::{force, kept};
use crate::lock::{self, LockState};
use crate::service;
use crate::spawn::Insistence;

/// How long a stop may take: the daemon's own patience with running calls, and closing the store.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a daemon may hold the lock without serving: it starts, it is about to end, or it still tells hosts why it
/// could not start.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(6);
/// How often it is looked whether the daemon has let go.
const RELEASE_LOOK: Duration = Duration::from_millis(5);

/// Starts the daemon unless it runs.
///
/// # Errors
/// Says why it does not start.
pub fn start(palace: &Path) -> Result<Outcome, Failure> {
    let patience = start_patience();
    if let Ok(client) = Client::connect_within(palace, patience.left()) {
        let pid = client.daemon_pid();
        return Ok(Outcome::done(
            format!("already running, pid {pid}"),
            json!({ "pid": pid, "started": false }),
        ));
    }
    if let Some(keeper) = service::keeper(palace) {
        return kept::start(palace, &keeper, patience);
    }
    let begun = Instant::now();
    let client = Client::start_within(palace, Insistence::Insistent, patience)?;
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
    if let Some(keeper) = service::keeper(palace) {
        match kept::stop(palace, &keeper) {
            Ok(()) if matches!(lock::state(palace), LockState::Free) => {
                let text = format!(
                    "stopped by {}, {} ms; `palacectl start` starts it again",
                    keeper.manager(),
                    begun.elapsed().as_millis()
                );
                return Ok(Outcome::done(
                    text,
                    json!({ "stopped": true, "killed": null, "successor": null, "managed_by": keeper.managed_by }),
                ));
            }
            // A daemon that is not the manager's has the palace: it is asked itself.
            Ok(()) => {}
            Err(failure) if !forced => return Err(failure),
            Err(_) => {}
        }
    }
    stop_daemon(palace, forced)
}

/// Ends the daemon itself, whoever keeps it, and waits until the palace is free.
///
/// # Errors
/// When it does not end in time, or must not be ended by force.
pub fn stop_daemon(palace: &Path, forced: bool) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let mode = if forced { StopMode::Now } else { StopMode::Drain };
    let mut before = read_record(palace).map(|record| record.generation);
    let asked = ask_to_stop(palace, mode, &mut before);
    let killed = match asked {
        Ok(ControlReply::Stopping) => None,
        Ok(_) => return Err(ClientError::Unexpected.into()),
        Err(error) => match without_answer(palace, forced, error)? {
            Silent::Stopped => {
                return Ok(Outcome::done("not running", json!({ "stopped": false, "killed": null })));
            }
            Silent::Ending => None,
            Silent::Killed(pid) => Some(pid),
        },
    };
    let successor = wait_for_release(palace, before.as_deref())?;
    let how = killed.map_or_else(
        || "stopped".to_owned(),
        |pid| format!("pid {pid} did not answer and was killed; what it had acknowledged is stored"),
    );
    let next =
        successor.map(|pid| format!("; a host has started the next one, pid {pid}")).unwrap_or_default();
    let text = format!("{how}, {} ms{next}", begun.elapsed().as_millis());
    Ok(Outcome::done(text, json!({ "stopped": true, "killed": killed, "successor": successor })))
}

/// Ends the daemon, if it runs, and starts it again. Connected hosts go on with their sessions.
///
/// # Errors
/// Those of stopping and of starting.
pub fn restart(palace: &Path) -> Result<Outcome, Failure> {
    if let Some(keeper) = service::keeper(palace) {
        return kept::restart(palace, &keeper);
    }
    stop(palace, false)?;
    start(palace)
}

/// Asks the daemon to end. One that is between taking the lock and listening, or between closing its socket and letting
/// go of the lock, or that only tells why it could not start, is waited for; by force it is not. `generation` becomes that of the daemon that was asked.
fn ask_to_stop(
    palace: &Path,
    mode: StopMode,
    generation: &mut Option<String>,
) -> Result<ControlReply, ClientError> {
    let begun = Instant::now();
    loop {
        let asked = Client::connect(palace).and_then(|mut client| {
            *generation = Some(client.generation().to_owned());
            client.ask(&ControlRequest::Stop { mode })
        });
        let may_settle = match &asked {
            Err(
                ClientError::Connect(ConnectError::NotThere | ConnectError::Lost(_)) | ClientError::Lost(_),
            ) => true,
            Err(error) => error.is_failed_start(),
            Ok(_) => false,
        };
        let in_time = mode == StopMode::Drain && begun.elapsed() < SETTLE_TIMEOUT;
        if !(may_settle && in_time && matches!(lock::state(palace), LockState::Held)) {
            return asked;
        }
        std::thread::park_timeout(RELEASE_LOOK);
    }
}

/// Waits for the end of a daemon that could not start and stays for a moment to tell why. Tells whether the palace is free.
pub fn outwait_failed(palace: &Path) -> bool {
    let begun = Instant::now();
    while matches!(lock::state(palace), LockState::Held) {
        // The next one may have begun already.
        let serves = read_record(palace).is_some_and(|record| record.state != EndpointState::Draining);
        if serves || begun.elapsed() >= SETTLE_TIMEOUT {
            return false;
        }
        std::thread::park_timeout(RELEASE_LOOK);
    }
    matches!(lock::state(palace), LockState::Free)
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
        ClientError::Connect(ConnectError::Forbidden(_) | ConnectError::Foreign(_)) => {
            return Err(error.into());
        }
        ClientError::Connect(
            ConnectError::NotThere
            | ConnectError::NotNow(_)
            | ConnectError::Refused(_)
            | ConnectError::Lost(_),
        )
        | ClientError::Start(_)
        | ClientError::Runtime(_)
        | ClientError::Silent(_)
        | ClientError::Lost(_)
        | ClientError::Stopping(_)
        | ClientError::Failed(_)
        | ClientError::NoPalace(_)
        | ClientError::Unexpected => {}
    }
    match lock::state(palace) {
        LockState::Free => Ok(Silent::Stopped),
        LockState::Held if forced => match force::kill(palace) {
            Ok(pid) => Ok(Silent::Killed(pid)),
            Err(reason) => Err(Failure::new(Exit::Locked, reason.to_string())),
        },
        LockState::Held => {
            let holder = lock::holder(palace);
            let message = format!(
                "{holder} holds {} and does not answer ({error}); `palacectl stop --force` ends it",
                palace.display()
            );
            Err(Failure::new(Exit::Locked, message))
        }
        LockState::Unknown(reason) => {
            Err(Failure::failed(format!("{}; nothing was stopped", lock::unknown(palace, &reason))))
        }
    }
}

/// Waits until the daemon of generation `before` has let go of the palace. Returns the process id of the next daemon
/// when a host with work to do has started one already: the lock is then never seen free.
fn wait_for_release(palace: &Path, before: Option<&str>) -> Result<Option<u32>, Failure> {
    let begun = Instant::now();
    while begun.elapsed() < STOP_TIMEOUT {
        if let Some(record) = read_record(palace)
            && before.is_some_and(|before| before != record.generation)
        {
            return Ok(Some(record.pid));
        }
        match lock::state(palace) {
            LockState::Free => return Ok(None),
            LockState::Held => std::thread::park_timeout(RELEASE_LOOK),
            LockState::Unknown(error) => {
                return Err(Failure::failed(format!(
                    "whether the daemon has ended is unknown: {} cannot be locked: {error}",
                    lock::path(palace).display()
                )));
            }
        }
    }
    Err(Failure::new(
        Exit::Locked,
        format!(
            "the daemon has not let go of {} within {} s; `palacectl logs` tells what it does",
            palace.display(),
            STOP_TIMEOUT.as_secs()
        ),
    ))
}
