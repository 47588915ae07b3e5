//! Finds the daemon of a palace and opens a connection to it.
//!
//! Everything found on disk is a hint; only a welcome proves a daemon. Nothing here starts, ends or removes anything,
//! so every failure is safe to repeat. A refusal by the system (another user, a sandbox) is told apart from a daemon
//! that is not there: it must never lead to starting a second one. Where a service manager listens in a daemon's place,
//! connecting is what makes the manager start it.

use std::io;
use std::path::Path;
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use palace_protocol::endpoint::{Address, DAEMON_DIR, EndpointRecord};
use palace_protocol::handshake::{
    Hello, HelloReply, MAGIC, PROTOCOL_MAX, PROTOCOL_MIN, Refusal, RefusalReason, Role, Welcome,
};
use palace_protocol::limits::{CONNECT_TIMEOUT_MS, HELLO_LEN_BYTES_MAX};
use palace_system::{process, record};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};

use crate::os::Doubt;
use crate::{failpoint, os, service};

/// When to try again while a daemon ends that does not say when, in milliseconds.
const DRAIN_RETRY_MS: u64 = 100;

/// An open connection, past its hello.
pub struct Connection {
    /// From the daemon.
    pub reader: BufReader<ReadHalf<Stream>>,
    /// To the daemon.
    pub writer: WriteHalf<Stream>,
    /// What the daemon said of itself.
    pub welcome: Welcome,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No daemon listens for this palace.
    #[error("no daemon serves this palace")]
    NotThere,
    /// A daemon is there but about to end.
    #[error("the daemon is stopping")]
    Draining {
        /// When to try again, in milliseconds.
        retry_ms: u64,
    },
    /// A daemon is there and cannot have us at this moment: it is full, or has only just published another secret.
    #[error("the daemon turns connections away: {0}")]
    NotNow(Refusal),
    /// A daemon is there and will not have us.
    #[error("{0}")]
    Refused(Refusal),
    /// The system forbids this process the connection: it runs in a sandbox.
    #[error("{0}")]
    Forbidden(String),
    /// The palace, or its daemon, is another user's.
    #[error("{0}")]
    Foreign(String),
    /// The connection broke before the welcome.
    #[error("the daemon closed the connection: {0}")]
    Lost(String),
}

/// Reads the endpoint record; `None` when there is none that could name a living daemon.
pub fn read_record(palace: &Path) -> Option<EndpointRecord> {
    let record = record::read(&palace.join(DAEMON_DIR))?;
    // A record of another boot, or one copied along with its palace, names nobody.
    let same_boot = record.boot_id == process::boot_id();
    let same_palace = Path::new(&record.palace) == palace;
    (same_boot && same_palace).then_some(record)
}

/// Where a daemon may be reached, and the secret it wants.
struct Candidate {
    address: Address,
    token: String,
}

/// Returns where to try: what a daemon published, then where the service manager listens. A crashed daemon's record must
/// not hide the manager's socket, which is often the same.
fn candidates(palace: &Path) -> Vec<Candidate> {
    let published =
        read_record(palace).map(|record| Candidate { address: record.address, token: record.token });
    let kept = service::read(palace)
        .and_then(|record| Some(Candidate { address: record.address?, token: record.token }))
        .filter(|kept| published.as_ref().is_none_or(|published| published.address != kept.address));
    published.into_iter().chain(kept).collect()
}

/// Connects to the palace's daemon and says hello. Waits for a daemon that is opening its store. Where a service manager
/// listens on the palace's socket, this starts the daemon.
///
/// # Errors
/// [`ConnectError`] by what the caller may do next.
pub async fn connect(palace: &Path, role: Role) -> Result<Connection, ConnectError> {
    let candidates = candidates(palace);
    if candidates.is_empty() {
        return Err(unreadable(palace).unwrap_or(ConnectError::NotThere));
    }
    let limit = Duration::from_millis(CONNECT_TIMEOUT_MS);
    for candidate in candidates {
        let opening = async {
            failpoint::fallible("proxy.connect")?;
            os::open(palace, &candidate.address).await
        };
        let stream = match tokio::time::timeout(limit, opening).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if os::is_forbidden(&error) => return Err(forbidden(palace, &error)),
            // Refused, missing, busy or slow: nothing was sent, and none of it proves that a daemon is dead.
            Ok(Err(_)) | Err(_) => continue,
        };
        match os::check_server(&stream) {
            Ok(()) => {}
            Err(Doubt::Nobody) => continue,
            Err(Doubt::Foreign(why)) => return Err(ConnectError::Foreign(why)),
        }
        return greet(stream, candidate.token, role).await;
    }
    Err(ConnectError::NotThere)
}

/// Finds out whether this process could connect to a daemon, where there is none: a daemon that it started would be out
/// of its reach, and would live in its sandbox, whoever else came to be served by it.
///
/// # Errors
/// [`ConnectError::Forbidden`] or [`ConnectError::Foreign`] when the system does not let it connect.
pub async fn check_allowed(palace: &Path) -> Result<(), ConnectError> {
    let Some(address) = os::address_of_nobody(palace) else { return Ok(()) };
    let limit = Duration::from_millis(CONNECT_TIMEOUT_MS);
    match tokio::time::timeout(limit, os::open(palace, &address)).await {
        Ok(Err(error)) if os::is_forbidden(&error) => Err(forbidden(palace, &error)),
        // Nobody listens there, and nothing forbids to ask.
        Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
    }
}

/// Tells whether the record exists but may not be read.
fn unreadable(palace: &Path) -> Option<ConnectError> {
    match record::look(&palace.join(DAEMON_DIR)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(forbidden(palace, &error)),
        Ok(_) | Err(_) => None,
    }
}

/// Says who is in the way where the system forbids to reach the daemon: the owners of the palace and of its private folder
/// tell.
fn forbidden(palace: &Path, error: &io::Error) -> ConnectError {
    let at = palace.display();
    match os::check_palace(palace) {
        Err(os::Unusable::Owner(message)) => ConnectError::Foreign(message),
        Ok(()) | Err(os::Unusable::Kind(_)) => ConnectError::Forbidden(format!(
            "this process may not connect to the palace's daemon ({error}): it runs in a sandbox; allow Unix sockets and \
             access to {at}/{DAEMON_DIR} there, or run outside of it"
        )),
    }
}

/// Sorts refusals by what the caller may do next.
fn refused(refusal: Refusal) -> ConnectError {
    match (refusal.reason, refusal.retry_ms) {
        (RefusalReason::Draining, retry_ms) => {
            ConnectError::Draining { retry_ms: retry_ms.unwrap_or(DRAIN_RETRY_MS) }
        }
        (_, Some(_)) => ConnectError::NotNow(refusal),
        (_, None) => ConnectError::Refused(refusal),
    }
}

async fn greet(stream: Stream, token: String, role: Role) -> Result<Connection, ConnectError> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    let hello = Hello {
        magic: MAGIC.to_owned(),
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        token,
        build: failpoint::build(),
        pid: std::process::id(),
        role,
    };
    let mut line = serde_json::to_vec(&hello).expect("a hello has only string keys");
    line.push(b'\n');
    let lost = |error: io::Error| ConnectError::Lost(error.to_string());
    failpoint::fallible("proxy.connected").map_err(lost)?;
    writer.write_all(&line).await.map_err(lost)?;
    writer.flush().await.map_err(lost)?;
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut reader).take(HELLO_LEN_BYTES_MAX as u64);
        if limited.read_until(b'\n', &mut line).await.map_err(lost)? == 0 {
            return Err(ConnectError::Lost("no answer to the hello".into()));
        }
        match serde_json::from_slice(&line) {
            Ok(HelloReply::Starting { .. }) => {}
            Ok(HelloReply::Welcome(welcome)) => {
                failpoint::fallible("proxy.greeted").map_err(lost)?;
                return Ok(Connection { reader, writer, welcome });
            }
            Ok(HelloReply::Refusal(refusal)) => return Err(refused(refusal)),
            Err(_) => return Err(ConnectError::Lost("the answer to the hello is not understood".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full daemon was taken for one that ends, and its reason got lost.
    #[test]
    fn a_refusal_keeps_its_reason() {
        let refusal = |reason, retry_ms| Refusal { reason, message: "too many sessions".into(), retry_ms };
        let full = refused(refusal(RefusalReason::Full, Some(1_000)));
        assert!(matches!(full, ConnectError::NotNow(_)) && full.to_string().contains("too many"), "{full}");
        let draining = refused(refusal(RefusalReason::Draining, Some(7)));
        assert!(matches!(draining, ConnectError::Draining { retry_ms: 7 }), "{draining}");
        let useless = refused(refusal(RefusalReason::Protocol, None));
        assert!(matches!(useless, ConnectError::Refused(_)), "{useless}");
    }
}
