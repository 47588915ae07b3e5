//! The rendezvous record: where the daemon of a palace listens, as written to `<palace>/.daemon/endpoint.json`.
//!
//! The record is a hint. Whether a daemon is alive is decided by connecting to it, and who may write is decided by a
//! lock; nothing here is ever a reason to end a process or to remove a file.

use serde::{Deserialize, Serialize};

/// Version of the record's own format.
pub const RECORD_FORMAT: u32 = 1;

/// Name of the private folder in a palace directory that holds sockets, locks, record and logs.
pub const DAEMON_DIR: &str = ".daemon";
/// Name of the store in a palace directory.
pub const STORE_FILE: &str = "palace.redb";
/// Name of the file in the palace directory that people write settings into.
pub const SETTINGS_FILE: &str = "palaced.json";
/// Name of the folder of derived indexes in a palace directory.
pub const DERIVED_DIR: &str = ".derived";
/// Name of the record inside [`DAEMON_DIR`].
pub const RECORD_FILE: &str = "endpoint.json";
/// Name of the starters' lock inside [`DAEMON_DIR`]; never unlinked.
pub const START_LOCK_FILE: &str = "start.lock";
/// Name of the writer's lock inside [`DAEMON_DIR`]; never unlinked, held for the daemon's life.
pub const WRITER_LOCK_FILE: &str = "writer.lock";
/// Name of the holder's description inside [`DAEMON_DIR`]: for messages only, beside the lock because a locked file
/// cannot be read on Windows.
pub const WRITER_INFO_FILE: &str = "writer.json";
/// Name of the last start failure inside [`DAEMON_DIR`].
pub const START_ERROR_FILE: &str = "startup-error.json";
/// Name of the memory of the last daemon that did not end in order, inside [`DAEMON_DIR`]: a [`Crash`].
pub const CRASH_FILE: &str = "last-crash.json";
/// Name of the memory of failed starts inside [`DAEMON_DIR`]; written by starters, removed by a daemon that serves.
pub const STARTS_FILE: &str = "starts.json";
/// Folder of the daemon's own logs inside [`DAEMON_DIR`].
pub const LOG_DIR: &str = "log";
/// The daemon's log inside [`LOG_DIR`]; older ones are `daemon.log.1` and so on.
pub const LOG_FILE: &str = "daemon.log";
/// What the daemon wrote to stderr, inside [`LOG_DIR`]; truncated at each start.
pub const STDERR_FILE: &str = "daemon.stderr";

/// Where and by whom a palace is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// [`RECORD_FORMAT`].
    pub v: u32,
    /// Generation: eight hex digits, fresh at every daemon start.
    pub generation: String,
    /// Where it listens.
    pub address: Address,
    /// Secret that a hello must carry: 64 hex digits.
    pub token: String,
    /// Process id of the daemon; a hint for people.
    pub pid: u32,
    /// When the daemon started, as UTC seconds since 1970.
    pub started_at: i64,
    /// Identity of the boot the daemon runs in, empty where the system tells none.
    pub boot_id: String,
    /// When the daemon's process began, in ticks since the boot, where the system tells: a process id may be another's
    /// by now.
    #[serde(default)]
    pub start_ticks: Option<u64>,
    /// Canonical path of the palace.
    pub palace: String,
    /// Hello versions the daemon understands.
    pub protocol_min: u32,
    /// See `protocol_min`.
    pub protocol_max: u32,
    /// Version of the daemon's build.
    pub build: String,
    /// Who keeps the daemon running.
    pub managed_by: ManagedBy,
    /// Whether the daemon ends with the host that started it: it could not leave the host's job (Windows).
    #[serde(default)]
    pub dies_with_host: bool,
    /// How far the daemon has come.
    pub state: EndpointState,
}

/// A daemon that ended without saying so: it crashed, was killed, or its machine went down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// When the next daemon found out, as UTC seconds since 1970.
    pub noticed_at: i64,
    /// Process id of the one that ended.
    pub pid: u32,
    /// When it had started, as UTC seconds since 1970.
    pub started_at: i64,
    /// Version of its build.
    pub build: String,
    /// Whether the machine was booted anew in between.
    pub rebooted: bool,
    /// How many daemons in a row ended like this, this one included.
    #[serde(default = "one")]
    pub in_a_row: u32,
}

/// What a record of before there was a count tells of.
fn one() -> u32 {
    1
}

/// A local socket address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// A Unix domain socket by absolute path.
    Unix(String),
    /// A Windows named pipe by name without the `\\.\pipe\` prefix.
    Pipe(String),
}

/// Who keeps a daemon running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManagedBy {
    /// Started by a proxy or by `palacectl start`; ends when idle.
    Auto,
    /// A systemd user service.
    Systemd,
    /// A launchd agent.
    Launchd,
}

/// How far a daemon has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// It listens; the store is being opened.
    Starting,
    /// It serves.
    Ready,
    /// It is about to end and lets running calls finish.
    Draining,
}

/// What the daemon prints on its stdout pipe as its first and only line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// The endpoint record is published and a listener stands behind it.
    Ready {
        /// The published generation.
        generation: String,
    },
    /// It will not serve this palace.
    Err(StartFailure),
}

/// Why a daemon did not start, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StartFailure {
    /// What to branch on.
    pub code: StartFailureCode,
    /// What failed, on what, and what to do next.
    pub message: String,
}

/// What kind of start failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartFailureCode {
    /// Another process holds the writer lock: the palace is served already.
    Locked,
    /// The palace is another user's.
    Owner,
    /// The palace directory is missing, is no directory, or may not be written.
    Palace,
    /// The store was written by a newer version.
    NewerFormat,
    /// The store cannot be read.
    Damaged,
    /// The store's vectors come from another embedding model.
    EmbedderMismatch,
    /// The local socket could not be made.
    Socket,
    /// Anything else, also what only a newer build knows.
    #[serde(other)]
    Other,
}

impl EndpointRecord {
    /// Returns the record as the bytes of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a record has only string keys");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a record; `None` for anything that is not one (truncated, other format), which means "no daemon known".
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        (record.v == RECORD_FORMAT).then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> EndpointRecord {
        EndpointRecord {
            v: RECORD_FORMAT,
            generation: "0a1b2c3d".into(),
            address: Address::Unix("/p/.daemon/s.0a1b2c3d".into()),
            token: "ab".repeat(32),
            pid: 7,
            started_at: 1_790_000_000,
            boot_id: "b".into(),
            start_ticks: Some(12_345),
            palace: "/p".into(),
            protocol_min: 1,
            protocol_max: 1,
            build: "0.1.0".into(),
            managed_by: ManagedBy::Auto,
            dies_with_host: false,
            state: EndpointState::Ready,
        }
    }

    #[test]
    fn a_record_survives_its_file() {
        assert_eq!(EndpointRecord::from_bytes(&record().to_bytes()), Some(record()));
    }

    #[test]
    fn any_flipped_bit_is_read_or_refused() {
        let sound = record().to_bytes();
        for bit in 0..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Some(read) = EndpointRecord::from_bytes(&bytes) else { continue };
            assert_eq!(read.v, RECORD_FORMAT, "flipped bit {bit}");
        }
    }

    #[test]
    fn a_record_of_an_older_build_is_read() {
        let text = String::from_utf8(record().to_bytes()).unwrap();
        let older: String = text.lines().filter(|line| !line.contains("start_ticks")).collect();
        let expect = EndpointRecord { start_ticks: None, ..record() };
        assert_eq!(EndpointRecord::from_bytes(older.as_bytes()), Some(expect));
    }

    #[test]
    fn a_failure_that_only_a_newer_build_knows_keeps_its_message() {
        let failure: StartFailure =
            serde_json::from_str(r#"{"code":"moon_phase","message":"try later"}"#).unwrap();
        let expect = StartFailure { code: StartFailureCode::Other, message: "try later".into() };
        assert_eq!(failure, expect);
    }

    #[test]
    fn a_partial_or_foreign_record_is_no_record() {
        let bytes = record().to_bytes();
        for len in 0..bytes.len() - 2 {
            assert_eq!(EndpointRecord::from_bytes(&bytes[..len]), None);
        }
        let other = EndpointRecord { v: 2, ..record() };
        assert_eq!(EndpointRecord::from_bytes(&other.to_bytes()), None);
    }
}
