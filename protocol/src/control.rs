//! What `palacectl`, hooks and other programs of ours ask the daemon: one JSON line each way, in order.

mod jobs;
mod status;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use jobs::{ExportFormat, ExportSelection, JobRequest, JobState, JobStatus};
pub use status::{
    BackupStatus, Counts, CrashStatus, DaemonStatus, EmbedderStatus, IndexStatus, PalaceStatus, ScrubStatus,
    ServiceState, SessionStatus, Status, WriterStatus,
};

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
