//! What a palace can be told to do, and what became of it. Plain data: decided by [`super::decide`].

use crate::engine::RowKey;

use super::draft::Piece;
use super::events::{EventCommand, EventOutcome};
use super::facts::{FactCommand, FactOutcome};
use super::import::{ImportBatch, ImportOutcome};
use super::moment::Moment;
use super::removed::{RemovedCommand, RemovedOutcome};
use super::settings::{SettingsCommand, SettingsOutcome};
use super::tunnels::{TunnelCommand, TunnelOutcome};

/// A change of the palace. Texts are validated and embedded before a command exists.
#[derive(Clone, Debug)]
pub enum Command {
    /// Files one drawer.
    Add(NewDrawer),
    /// Files several drawers and a diary entry, all or nothing.
    Checkpoint(Checkpoint),
    /// Changes text or place of a drawer.
    Update(Change),
    /// Removes drawers.
    Delete {
        /// Ids of drawers or of single chunks.
        ids: Vec<String>,
        /// When they are removed.
        at: Moment,
    },
    /// Removes all rows of one source.
    DeleteSource {
        /// The source, exactly as it was stored.
        source_file: String,
        /// When they are removed.
        at: Moment,
    },
    /// Appends a diary entry.
    WriteDiary(NewEntry),
    /// Changes the knowledge graph.
    Fact(FactCommand),
    /// Changes tunnels.
    Tunnel(TunnelCommand),
    /// Removes a hallway.
    DeleteHallway {
        /// Its id.
        id: String,
    },
    /// Changes the event stream.
    Event(Box<EventCommand>),
    /// Changes settings.
    Settings(SettingsCommand),
    /// Changes what is kept of removed drawers.
    Removed(RemovedCommand),
    /// Imports rows and records.
    Import(Box<ImportBatch>),
}

/// A drawer to be filed.
#[derive(Clone, Debug)]
pub struct NewDrawer {
    /// Id by [`super::ids::drawer`].
    pub id: String,
    /// Wing.
    pub wing: String,
    /// Room.
    pub room: String,
    /// Source file; empty when there is none.
    pub source_file: String,
    /// Who files it.
    pub added_by: String,
    /// The text in slices, with vectors.
    pub pieces: Vec<Piece>,
    /// When it is filed.
    pub at: Moment,
}

/// A diary entry to be appended.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// Id by [`super::ids::diary`].
    pub id: String,
    /// Wing.
    pub wing: String,
    /// Agent, in lower case.
    pub agent: String,
    /// Topic.
    pub topic: String,
    /// The text in slices, with vectors.
    pub pieces: Vec<Piece>,
    /// When it is written.
    pub at: Moment,
}

/// Several drawers and at most one diary entry.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Items in the caller's order.
    pub items: Vec<CheckpointItem>,
    /// Diary entry, checked and embedded.
    pub diary: Option<NewEntry>,
    /// Cosine similarity from which two items of this checkpoint count as the same text.
    pub dedup_threshold: f32,
}

/// One item of a checkpoint.
#[derive(Clone, Debug)]
pub enum CheckpointItem {
    /// To be filed; `vector` stands for the whole text and serves to compare items with each other and with what was
    /// filed since the palace was asked for neighbours.
    New {
        /// The drawer.
        drawer: NewDrawer,
        /// Embedding of the whole text.
        vector: Vec<f32>,
        /// Rows up to this key were looked at.
        known: RowKey,
    },
    /// Too close to something stored already.
    Duplicate {
        /// Room it was meant for.
        room: String,
        /// What it is too close to.
        matches: Vec<Match>,
    },
}

/// A stored row that is close to a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Id of the row.
    pub id: String,
    /// Its wing.
    pub wing: String,
    /// Its room.
    pub room: String,
    /// Cosine similarity.
    pub similarity: f32,
    /// Its text.
    pub content: String,
}

/// A change of one drawer.
#[derive(Clone, Debug)]
pub struct Change {
    /// Id of the drawer, or of a single chunk.
    pub id: String,
    /// New text in slices, with vectors.
    pub pieces: Option<Vec<Piece>>,
    /// New wing.
    pub wing: Option<String>,
    /// New room.
    pub room: Option<String>,
    /// When it is changed.
    pub at: Moment,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// One drawer was filed, or was there already.
    Added(Added),
    /// A checkpoint was made.
    Checkpointed {
        /// Filed, in order.
        added: Vec<Added>,
        /// Too close to something else, in order: room and matches.
        duplicates: Vec<(String, Vec<Match>)>,
        /// The diary entry, if one was asked for.
        diary: Option<EntryWritten>,
    },
    /// A drawer was changed.
    Updated {
        /// Its id.
        id: String,
        /// Wing it stands in now.
        wing: String,
        /// Room it stands in now.
        room: String,
        /// Ids of its chunks when it has several rows.
        chunk_ids: Vec<String>,
        /// Index cards of its source that went with the old text.
        closets: usize,
    },
    /// There is no such drawer.
    NotFound {
        /// The id that was asked for.
        id: String,
    },
    /// Drawers were removed, in order.
    Deleted(Vec<Removed>),
    /// A source was removed.
    SourceDeleted {
        /// Rows that went.
        rows: usize,
        /// Index cards that went.
        closets: usize,
    },
    /// A diary entry was appended.
    DiaryWritten(EntryWritten),
    /// The knowledge graph was changed.
    Fact(FactOutcome),
    /// Tunnels were changed.
    Tunnel(TunnelOutcome),
    /// A hallway was removed; tells whether there was one.
    HallwayDeleted(bool),
    /// The event stream was changed.
    Event(EventOutcome),
    /// Settings were changed.
    Settings(SettingsOutcome),
    /// What is kept of removed drawers was changed.
    Removed(RemovedOutcome),
    /// A batch was imported.
    Imported(ImportOutcome),
}

/// One drawer that was to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The id that was asked for.
    pub id: String,
    /// Its rows; none when there was no such drawer.
    pub rows: Vec<String>,
    /// Index cards of its source that went with it.
    pub closets: usize,
}

/// One drawer that was filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// Its id.
    pub id: String,
    /// Wing.
    pub wing: String,
    /// Room.
    pub room: String,
    /// Whether the same text stood there before.
    pub existed: bool,
    /// Number of rows.
    pub chunks: usize,
    /// Ids of its rows when there are several.
    pub chunk_ids: Vec<String>,
}

/// One diary entry that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryWritten {
    /// Its id.
    pub id: String,
    /// Agent, in lower case.
    pub agent: String,
    /// Topic.
    pub topic: String,
    /// Local ISO time.
    pub timestamp: String,
    /// Number of rows.
    pub chunks: usize,
    /// Ids of its rows when there are several.
    pub chunk_ids: Vec<String>,
}
