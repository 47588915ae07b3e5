//! A blocking control connection: one request, one reply, each within a limit of time.
//!
//! Asking never starts a daemon; only [`Client::start`] does. A connection is not used again after an error.

use std::io;
use std::path::Path;
use std::time::Duration;

use palace_protocol::control::{ControlReply, ControlRequest};
use palace_protocol::handshake::Role;
use palace_protocol::limits::{CONTROL_LEN_BYTES_MAX, RECOVERY_TIMEOUT_MS};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use crate::connect::{ConnectError, Connection, connect};
use crate::lock::{self, LockState};
use crate::service;
use crate::spawn::{Insistence, StartError, connect_or_start};

/// How long a daemon may take to say welcome: it may be opening a large store.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to answer anything that is quick by nature.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
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
    /// This process could not prepare to connect.
    #[error("the system refuses this process a connection: {0}")]
    Runtime(io::Error),
    /// The daemon takes too long.
    #[error("the daemon did not answer within {0} s; `palacectl stop --force` ends it")]
    Silent(u64),
    /// The connection broke.
    #[error("the daemon closed the connection: {0}")]
    Lost(String),
    /// The daemon says that it cannot.
    #[error("{0}")]
    Failed(String),
    /// The reply does not belong to the request.
    #[error("the daemon's answer is not understood; is it of another version? `palacectl restart` helps")]
    Unexpected,
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
        // Where a service manager listens, connecting would start the daemon that is only asked for.
        let would_start = service::keeper(palace).is_some_and(|keeper| keeper.listens);
        if would_start && matches!(lock::state(palace), LockState::Free) {
            return Err(ClientError::Connect(ConnectError::NotThere));
        }
        let runtime = runtime()?;
        let connecting = async { tokio::time::timeout(WELCOME_TIMEOUT, connect(palace, role())).await };
        let connection = match runtime.block_on(connecting) {
            Ok(connected) => connected.map_err(ClientError::Connect)?,
            Err(_) => return Err(ClientError::Silent(WELCOME_TIMEOUT.as_secs())),
        };
        Ok(Self { runtime, connection })
    }

    /// Connects, starting the daemon when there is none. Blocks until it has opened its store.
    ///
    /// # Errors
    /// Says why the daemon does not start.
    pub fn start(palace: &Path) -> Result<Self, ClientError> {
        let runtime = runtime()?;
        let deadline = Duration::from_millis(RECOVERY_TIMEOUT_MS);
        let connection = runtime
            .block_on(connect_or_start(palace, role(), deadline, Insistence::Insistent))
            .map_err(ClientError::Start)?;
        Ok(Self { runtime, connection })
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
            Ok(Ok(ControlReply::Failed { message, .. })) => Err(ClientError::Failed(message)),
            Ok(answered) => answered,
            Err(_) => Err(ClientError::Silent(limit.as_secs())),
        }
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
