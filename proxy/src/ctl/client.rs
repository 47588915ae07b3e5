//! A blocking control connection: one request, one reply, each within a limit of time.
//!
//! Asking never starts a daemon; only [`Client::start`], [`Client::of_palace`] and [`ask_serving`] do. A connection is not used again after an
//! error; questions that change nothing are asked again on another one.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use palace_protocol::control::{ControlReply, ControlRequest};
use palace_protocol::endpoint::STORE_FILE;
use palace_protocol::handshake::{RefusalReason, Role};
use palace_protocol::jsonrpc::DAEMON_UNAVAILABLE;
use palace_protocol::limits::CONTROL_LEN_BYTES_MAX;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use crate::connect::{ConnectError, Connection, connect};
use crate::failpoint;
use crate::known::KnownPalace;
use crate::lock::{self, LockState};
use crate::service;
use crate::spawn::{Insistence, Patience, StartError, connect_or_start};

use super::unimported;

/// How long a daemon may take to say welcome: it may be opening a large store.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after being turned away: other commands of ours are short.
const TURNED_AWAY_PAUSE: Duration = Duration::from_millis(100);
/// How long it may take to answer anything that is quick by nature.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before the next daemon is looked for.
const NEXT_DAEMON_PAUSE: Duration = Duration::from_millis(50);
/// How many daemons may be lost over one question.
const LOSS_COUNT_MAX: u32 = 2;
/// How long one tool may run.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a check of a whole palace may run.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(1_800);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no connection.
    #[error("{0}; `palacectl doctor` tells more")]
    Connect(ConnectError),
    /// There is no connection and no daemon could be started.
    #[error("{0}")]
    Start(StartError),
    /// There is nothing to ask about.
    #[error(
        "there is no palace in {}; is it another directory (--palace), or a volume that is not mounted? `palacectl start` \
         begins one", .0.display()
    )]
    NoPalace(PathBuf),
    /// This process could not prepare to connect.
    #[error("the system refuses this process a connection: {0}")]
    Runtime(io::Error),
    /// The daemon takes too long.
    #[error("the daemon did not answer within {0} s; `palacectl stop --force` ends it")]
    Silent(u64),
    /// The connection broke.
    #[error("the daemon closed the connection: {0}")]
    Lost(String),
    /// The daemon is about to end and has done nothing.
    #[error("{0}")]
    Stopping(String),
    /// The daemon says that it cannot.
    #[error("{0}")]
    Failed(String),
    /// The reply does not belong to the request.
    #[error("the daemon's answer is not understood; is it of another version? `palacectl restart` helps")]
    Unexpected,
}

impl ClientError {
    /// Tells whether a daemon answered only to say why it cannot open its store: it is about to end.
    pub fn is_failed_start(&self) -> bool {
        let Self::Connect(ConnectError::Refused(refusal)) = self else { return false };
        matches!(refusal.reason, RefusalReason::Store | RefusalReason::StoreLocked)
    }
}

/// A control connection.
pub struct Client {
    runtime: Runtime,
    connection: Connection,
}

impl Client {
    /// Connects to a running daemon. Blocks until it has opened its store, ten seconds at most.
    ///
    /// # Errors
    /// When there is none, or it will not have us.
    pub fn connect(palace: &Path) -> Result<Self, ClientError> {
        Self::connect_within(palace, WELCOME_TIMEOUT)
    }

    /// Connects as [`Client::connect`] does, within a limit that may be shorter.
    ///
    /// # Errors
    /// As those of [`Client::connect`].
    pub fn connect_within(palace: &Path, limit: Duration) -> Result<Self, ClientError> {
        // Where a service manager listens, connecting would start the daemon that is only asked for.
        let would_start = service::keeper(palace).is_some_and(|keeper| keeper.listens);
        if would_start && matches!(lock::state(palace), LockState::Free) {
            return Err(ClientError::Connect(ConnectError::NotThere));
        }
        let runtime = runtime()?;
        let connection = runtime.block_on(welcomed(palace, limit.min(WELCOME_TIMEOUT)))?;
        Ok(Self { runtime, connection })
    }

    /// Connects, starting the daemon when there is none. Blocks until it has opened its store. Only who asks for the
    /// daemon itself may insist on a start where starts have failed.
    ///
    /// # Errors
    /// Says why the daemon does not start.
    pub fn start(palace: &Path, insistence: Insistence) -> Result<Self, ClientError> {
        Self::start_within(palace, insistence, start_patience())
    }

    /// Connects as [`Client::start`] does, as one of several steps that have a time together.
    ///
    /// # Errors
    /// Says why the daemon does not start.
    pub fn start_within(
        palace: &Path,
        insistence: Insistence,
        patience: Patience,
    ) -> Result<Self, ClientError> {
        let runtime = runtime()?;
        // A command remembers nothing of the palace.
        let known = KnownPalace::default();
        let starting = connect_or_start(palace, &known, role(), patience, insistence);
        let connection = runtime.block_on(starting).map_err(ClientError::Start)?;
        Ok(Self { runtime, connection })
    }

    /// Connects as [`Client::start`] does where there is a palace: who asks for what is in it would not have one begun.
    ///
    /// # Errors
    /// When there is none, and why the daemon does not start.
    pub fn of_palace(palace: &Path) -> Result<Self, ClientError> {
        // Where somebody holds the lock a palace is being begun; what may not be looked at the start tells.
        let has_nothing = !holds_something(palace) && matches!(lock::state(palace), LockState::Free);
        if has_nothing && service::keeper(palace).is_none() {
            return Err(ClientError::NoPalace(palace.to_path_buf()));
        }
        Self::start(palace, Insistence::Patient)
    }

    /// Returns the generation the daemon said of itself.
    pub fn generation(&self) -> &str {
        &self.connection.welcome.generation
    }

    /// Returns the process id the daemon said of itself.
    pub fn daemon_pid(&self) -> u32 {
        self.connection.welcome.pid
    }

    /// Sends a request and waits for its reply; a [`ControlReply::Failed`] is an error here.
    ///
    /// # Errors
    /// When the daemon is silent, gone or unable.
    pub fn ask(&mut self, request: &ControlRequest) -> Result<ControlReply, ClientError> {
        let limit = limit(request);
        let mut line = serde_json::to_vec(request).map_err(|error| ClientError::Lost(error.to_string()))?;
        line.push(b'\n');
        let Self { runtime, connection } = self;
        let asking = async { tokio::time::timeout(limit, exchange(connection, &line)).await };
        match runtime.block_on(asking) {
            Ok(Ok(ControlReply::Failed { code: DAEMON_UNAVAILABLE, message })) => {
                Err(ClientError::Stopping(message))
            }
            Ok(Ok(ControlReply::Failed { message, .. })) => Err(ClientError::Failed(message)),
            Ok(answered) => answered,
            Err(_) => Err(ClientError::Silent(limit.as_secs())),
        }
    }
}

/// Tells whether a store is in a directory, whatever its state, or a palace of MemPalace that a start moves in. What may not
/// be looked at holds something.
fn holds_something(palace: &Path) -> bool {
    let is_there = |name: &str| match std::fs::symlink_metadata(palace.join(name)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    is_there(STORE_FILE) || unimported::FILES.iter().any(|name| is_there(name))
}

/// Returns how long a command waits for a daemon, beginning now.
pub fn start_patience() -> Patience {
    Patience::new(failpoint::recovery_timeout())
}

/// Asks the palace's daemon something that changes nothing, starting it when there is none. A daemon that ends before it
/// has answered is followed by the next one.
///
/// # Errors
/// When no daemon starts, or none answers.
pub fn ask_serving(palace: &Path, request: &ControlRequest) -> Result<ControlReply, ClientError> {
    until_answered(failpoint::recovery_timeout(), || {
        Client::of_palace(palace).and_then(|mut client| client.ask(request))
    })
}

/// Asks again after a daemon has ended, for a time. A question that was lost twice is not asked a third time: it may be
/// what ended them.
fn until_answered<T>(
    limit: Duration,
    mut ask: impl FnMut() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let begun = Instant::now();
    let mut loss_count = 0;
    loop {
        let asked = ask();
        match &asked {
            Err(ClientError::Stopping(_)) => {}
            Err(ClientError::Lost(_)) if loss_count + 1 < LOSS_COUNT_MAX => loss_count += 1,
            Ok(_)
            | Err(
                ClientError::Lost(_)
                | ClientError::Connect(_)
                | ClientError::Start(_)
                | ClientError::Runtime(_)
                | ClientError::Silent(_)
                | ClientError::Failed(_)
                | ClientError::NoPalace(_)
                | ClientError::Unexpected,
            ) => return asked,
        }
        if begun.elapsed() >= limit {
            return asked;
        }
        std::thread::park_timeout(NEXT_DAEMON_PAUSE);
    }
}

/// Connects within a limit; one that is turned away for the moment asks again until then.
async fn welcomed(palace: &Path, limit: Duration) -> Result<Connection, ClientError> {
    let mut refusal = None;
    let trying = async {
        loop {
            match connect(palace, role()).await {
                Err(ConnectError::NotNow(turned_away)) => refusal = Some(turned_away),
                ended => return ended,
            }
            tokio::time::sleep(TURNED_AWAY_PAUSE).await;
        }
    };
    let ended = tokio::time::timeout(limit, trying).await;
    match (ended, refusal) {
        (Ok(connected), _) => connected.map_err(ClientError::Connect),
        (Err(_), Some(refusal)) => Err(ClientError::Connect(ConnectError::NotNow(refusal))),
        (Err(_), None) => Err(ClientError::Silent(limit.as_secs())),
    }
}

fn runtime() -> Result<Runtime, ClientError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ClientError::Runtime)
}

fn role() -> Role {
    Role::Control { program: "palacectl".to_owned() }
}

fn limit(request: &ControlRequest) -> Duration {
    match request {
        ControlRequest::Status
        | ControlRequest::Stop { .. }
        | ControlRequest::Upgrade { .. }
        | ControlRequest::Begin { .. }
        | ControlRequest::Watch { .. }
        | ControlRequest::Cancel { .. } => ANSWER_TIMEOUT,
        ControlRequest::Removed { .. } | ControlRequest::Undelete { .. } | ControlRequest::Purge { .. } => {
            CALL_TIMEOUT
        }
        ControlRequest::Verify => VERIFY_TIMEOUT,
        ControlRequest::Call { .. } => CALL_TIMEOUT,
    }
}

async fn exchange(connection: &mut Connection, line: &[u8]) -> Result<ControlReply, ClientError> {
    let lost = |error: io::Error| ClientError::Lost(error.to_string());
    connection.writer.write_all(line).await.map_err(lost)?;
    connection.writer.flush().await.map_err(lost)?;
    let mut reply = Vec::new();
    let mut limited = (&mut connection.reader).take(CONTROL_LEN_BYTES_MAX as u64);
    if limited.read_until(b'\n', &mut reply).await.map_err(lost)? == 0 {
        return Err(ClientError::Lost("it ended before it answered".into()));
    }
    serde_json::from_slice(&reply).map_err(|_| ClientError::Unexpected)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A search during a restart failed with the connection of the old daemon.
    #[test]
    fn a_question_outlives_its_daemon_but_not_two() {
        let asked = |answers: &[fn() -> Result<u32, ClientError>]| {
            let mut answers = answers.iter();
            until_answered(Duration::from_secs(30), || answers.next().unwrap()())
        };
        let lost = || Err(ClientError::Lost(String::new()));
        let stopping = || Err(ClientError::Stopping(String::new()));
        assert_eq!(asked(&[lost, stopping, stopping, || Ok(7)]).unwrap(), 7);
        assert!(matches!(asked(&[lost, lost]), Err(ClientError::Lost(_))));
        let failed = || Err(ClientError::Failed(String::new()));
        assert!(matches!(asked(&[failed]), Err(ClientError::Failed(_))));
        let limit = Duration::ZERO;
        assert!(matches!(until_answered(limit, stopping), Err(ClientError::Stopping(_))));
    }
}
