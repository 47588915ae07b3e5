//! What `palacectl`, hooks and other programs of ours ask the daemon: one JSON line each way, in order.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::endpoint::ManagedBy;

/// A request on a control connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlRequest {
    /// Asks for [`Status`].
    Status,
    /// Asks the daemon to end after running calls.
    Stop {
        /// How much running work may delay the end.
        mode: StopMode,
    },
    /// Asks the daemon to make way for a newer one: it drains when that harms nobody, or says when to ask again.
    Upgrade {
        /// Version of the asking build.
        build: String,
    },
    /// Asks for a read-only check of store and indexes.
    Verify,
    /// Begins a long job; answered with [`ControlReply::Job`].
    Begin {
        /// What to do.
        job: JobRequest,
    },
    /// Asks for a job as soon as it differs from the version seen, at the latest after a second.
    Watch {
        /// Number of the job.
        id: u64,
        /// Version that was seen; 0 for none.
        version: u64,
    },
    /// Tells a job to stop.
    Cancel {
        /// Number of the job.
        id: u64,
    },
    /// Asks for the newest removals that can be taken back.
    Removed {
        /// Most to return.
        limit: usize,
    },
    /// Brings removed or replaced drawers back.
    Undelete {
        /// Ids of drawers.
        ids: Vec<String>,
    },
    /// Forgets removals for good.
    Purge {
        /// Only of these drawers; none means all.
        ids: Vec<String>,
        /// Only those older than this.
        older_than_days: Option<u64>,
    },
    /// Runs one MCP tool outside any MCP session.
    Call {
        /// Name of the tool, as in the catalogue.
        tool: String,
        /// Its arguments.
        arguments: Value,
        /// Key that makes a write repeatable: 32 hex digits.
        idempotency_key: Option<String>,
    },
}

/// Long work. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobRequest {
    /// Imports a palace of MemPalace, or an export of ours.
    Import {
        /// Directory or file.
        source: String,
        /// Home directory whose settings belong to the source.
        home: Option<String>,
        /// Only tells what would be imported.
        dry_run: bool,
        /// Goes on where an interrupted import stopped instead of beginning anew.
        resume: bool,
    },
    /// Writes everything, or a selection, as plain files.
    Export {
        /// File (JSON lines) or directory (Markdown).
        target: String,
        /// How.
        format: ExportFormat,
        /// What.
        selection: ExportSelection,
        /// With vectors.
        vectors: bool,
        /// Replaces a target that exists.
        overwrite: bool,
    },
    /// Writes a backup.
    Backup {
        /// Directory of the backups; the palace's own when absent.
        folder: Option<String>,
        /// A full one even if the last could be continued.
        full: bool,
    },
    /// Checks everything without changing it.
    Verify,
    /// Gives the room of removed things back, and saves the indexes anew.
    Compact,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// One JSON object on each line.
    Jsonl,
    /// A directory of Markdown files, one for each room.
    Markdown,
}

/// What is exported. Absent fields do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSelection {
    /// Only this wing.
    pub wing: Option<String>,
    /// Only this room.
    pub room: Option<String>,
    /// Only what was filed then or later.
    pub since: Option<String>,
    /// Only what was filed before.
    pub before: Option<String>,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It runs.
    Running,
    /// It did what it was to do.
    Done,
    /// It did not.
    Failed,
    /// It was told to stop and did.
    Cancelled,
}

/// A job as the daemon sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Its number.
    pub id: u64,
    /// What it does, in a word.
    pub kind: String,
    /// How it stands.
    pub state: JobState,
    /// What it does right now.
    pub phase: String,
    /// How much of the phase is done.
    pub done: u64,
    /// How much there is, where that is known.
    pub total: Option<u64>,
    /// When it began, UTC, RFC 3339.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Why it failed, or what it did.
    pub message: Option<String>,
    /// What it found.
    pub report: Option<Value>,
    /// Grows with every change.
    pub version: u64,
}

/// A removed or replaced drawer that can be brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedDrawer {
    /// Its id.
    pub drawer_id: String,
    /// When it went, local time.
    pub at: String,
    /// `deleted` or `replaced`.
    pub why: String,
    /// Wing it stood in.
    pub wing: String,
    /// Room it stood in.
    pub room: String,
    /// Number of rows.
    pub rows: usize,
    /// The beginning of its text.
    pub preview: String,
}

/// What became of one drawer that was to be brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndeletedDrawer {
    /// Its id.
    pub drawer_id: String,
    /// Rows that came back.
    pub rows: usize,
    /// It was there before.
    pub was_there: bool,
}

/// How a daemon is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopMode {
    /// Running calls finish, within ten seconds.
    Drain,
    /// Running calls get a restart error; the store is closed in order all the same.
    Now,
}

/// An answer on a control connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlReply {
    /// Answers [`ControlRequest::Status`].
    Status(Box<Status>),
    /// Answers [`ControlRequest::Stop`] and [`ControlRequest::Upgrade`]: the daemon has begun to end.
    Stopping,
    /// Answers [`ControlRequest::Upgrade`]: not now.
    Later {
        /// When to ask again, in seconds.
        retry_secs: u64,
        /// Why not now.
        reason: String,
    },
    /// Answers [`ControlRequest::Verify`].
    Verified(VerifyReport),
    /// Answers [`ControlRequest::Begin`], [`ControlRequest::Watch`] and [`ControlRequest::Cancel`].
    Job(Box<JobStatus>),
    /// Answers [`ControlRequest::Removed`].
    Removed {
        /// Newest first.
        drawers: Vec<RemovedDrawer>,
        /// How many there are.
        total: u64,
    },
    /// Answers [`ControlRequest::Undelete`], in order.
    Undeleted(Vec<UndeletedDrawer>),
    /// Answers [`ControlRequest::Purge`].
    Purged {
        /// Removals that were forgotten.
        removals: usize,
        /// Their rows.
        rows: usize,
    },
    /// Answers [`ControlRequest::Call`]: the JSON a tool puts into its text block.
    Called {
        /// The tool's result.
        result: Value,
        /// Whether MCP would mark it as an error.
        is_error: bool,
    },
    /// The request could not be carried out.
    Failed {
        /// JSON-RPC style code.
        code: i64,
        /// What failed and what to do.
        message: String,
    },
}

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
    /// What is wrong, or went wrong within the last ten minutes; older things are in the log.
    pub last_error: Option<String>,
    /// The last daemon of this palace that did not end in order.
    #[serde(default)]
    pub last_crash: Option<CrashStatus>,
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

/// What a check of store and indexes found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Whether everything that was checked is right.
    pub ok: bool,
    /// What was checked, one line each, with counts.
    pub checked: Vec<String>,
    /// What was not checked, one line each, with the reason.
    pub not_checked: Vec<String>,
    /// What is wrong, one line each, naming the record.
    pub problems: Vec<String>,
}
