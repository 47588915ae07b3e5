//! Long jobs that the daemon does on request, and how far they are.

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
