//! What the daemon tells of itself.

use serde::{Deserialize, Serialize};

use crate::endpoint::ManagedBy;

use super::JobStatus;

/// How the daemon fares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Overall state.
    pub state: ServiceState,
    /// Which palace is served.
    pub palace: PalaceStatus,
    /// The process.
    pub daemon: DaemonStatus,
    /// Who is connected.
    pub sessions: Vec<SessionStatus>,
    /// What is stored.
    pub counts: Counts,
    /// The single writer.
    pub writer: WriterStatus,
    /// The derived indexes.
    pub index: IndexStatus,
    /// The embedding model.
    pub embedder: EmbedderStatus,
    /// Long jobs, running and recent.
    #[serde(default)]
    pub jobs: Vec<JobStatus>,
    /// What the last check of the whole palace found, if there was one.
    #[serde(default)]
    pub scrub: Option<ScrubStatus>,
    /// What is wrong, or went wrong within the last ten minutes; older things are in the log.
    pub last_error: Option<String>,
    /// The newest backup, and what the last attempt failed of.
    #[serde(default)]
    pub last_backup: Option<BackupStatus>,
    /// The last daemon of this palace that did not end in order.
    #[serde(default)]
    pub last_crash: Option<CrashStatus>,
}

/// The newest backup of a palace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupStatus {
    /// When it was taken, UTC, RFC 3339; absent when there is none.
    pub at: Option<String>,
    /// Position in history it holds.
    pub seq: Option<u64>,
    /// The file.
    pub file: Option<String>,
    /// What the last attempt of this daemon failed of, if it did.
    pub error: Option<String>,
}

/// A daemon that did not end in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashStatus {
    /// When the next daemon found out, UTC, RFC 3339.
    pub noticed_at: String,
    /// Its process id.
    pub pid: u32,
    /// When it had started, UTC, RFC 3339.
    pub started_at: String,
    /// Version of its build.
    pub version: String,
    /// Whether the machine was booted anew in between, which then was the reason.
    pub rebooted: bool,
}

/// Overall state of a palace's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Opening the store or the indexes.
    Starting,
    /// Everything works.
    Ready,
    /// It serves, but something is wrong: see `last_error`.
    Degraded,
    /// It is about to end.
    Draining,
}

/// Which palace is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PalaceStatus {
    /// Canonical path.
    pub path: String,
    /// Identity stored in the palace.
    pub id: String,
    /// Version of the store's format.
    pub format: u32,
    /// Size of the store's file, in bytes.
    pub store_bytes: u64,
    /// Name of the file system it is on, empty where the system does not tell.
    #[serde(default)]
    pub filesystem: String,
}

/// The daemon's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Process id.
    pub pid: u32,
    /// Start, UTC, RFC 3339.
    pub started_at: String,
    /// Seconds since the start.
    pub uptime_secs: u64,
    /// Version of the build.
    pub version: String,
    /// Generation.
    pub generation: String,
    /// Resident memory in bytes; absent where the system does not tell.
    pub rss_bytes: Option<u64>,
    /// Who keeps it running.
    pub managed_by: ManagedBy,
    /// Seconds without a session after which it ends; zero means never.
    pub idle_timeout_secs: u64,
    /// Whether it ends with the host that started it.
    #[serde(default)]
    pub dies_with_host: bool,
}

/// One connected client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Number of the session.
    pub id: u64,
    /// `clientInfo.name` of the host, or the program's name; empty until the host has introduced itself.
    pub host: String,
    /// `clientInfo.version` of the host.
    pub host_version: String,
    /// Process id of the proxy.
    pub proxy_pid: u32,
    /// When it connected, UTC, RFC 3339.
    pub connected_at: String,
    /// MCP version in use; empty for control connections and until known.
    pub protocol_version: String,
    /// Calls served so far.
    pub calls: u64,
}

/// What is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Stored rows, as the peer counts them: a drawer in n chunks counts n.
    pub drawers: u64,
    /// Rows with a vector.
    pub vectors: u64,
    /// Documents in the text index.
    pub text_documents: u64,
    /// Wings.
    pub wings: u64,
    /// Rooms, counted per wing.
    pub rooms: u64,
    /// Facts of the knowledge graph.
    pub triples: u64,
}

/// The single writer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterStatus {
    /// Commands waiting.
    pub queue_len: usize,
    /// Transactions committed since the start.
    pub commits: u64,
    /// Commands committed since the start; more than `commits` when several shared a transaction.
    pub commands: u64,
    /// Last commit, UTC, RFC 3339.
    pub last_commit_at: Option<String>,
}

/// The derived indexes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexStatus {
    /// `exact` or `hnsw`.
    pub kind: String,
    /// Sequence number of the store.
    pub seq: u64,
    /// Sequence number the indexes reflect.
    pub applied_seq: u64,
    /// Sequence number of the newest snapshot on disk.
    pub snapshot_seq: u64,
}

/// The embedding model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedderStatus {
    /// Name of the model.
    pub model: String,
    /// Numbers per vector.
    pub dimension: usize,
    /// What runs it, with version.
    pub runtime: String,
    /// Why nothing faster runs it, if something was looked for in vain.
    #[serde(default)]
    pub runtime_note: Option<String>,
    /// `loading`, `ready`, `unloaded`, or `failed: …`.
    pub state: String,
    /// Models in memory: one, or none while unloaded.
    pub loaded: u32,
}

/// What the daemon's own check of its palace found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubStatus {
    /// When it ended, UTC, RFC 3339.
    pub at: String,
    /// The same in seconds since 1970.
    pub at_seconds: i64,
    /// Where the store stood.
    pub seq: u64,
    /// How much is wrong.
    pub problem_count: u64,
    /// What is wrong, the first of it, naming the record.
    pub problems: Vec<String>,
}
