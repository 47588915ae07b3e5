//! What a palace can be told to do, and what becomes of it.
//!
//! Each command has a type of its own, which names the type of its outcome: whoever submits one is answered in its own
//! terms, and no other outcome can reach him. Commands are plain data; those of drawers are decided in
//! [`super::decide`], those of records beside them where these are described.

use crate::engine::{Op, ReadError, RowKey, View};

use super::draft::Piece;
use super::moment::Moment;

/// A change of the palace. Texts are validated and embedded before a command exists.
pub trait Command: Send + 'static {
    /// What becomes of it. A refusal for what the state holds is an outcome too.
    type Outcome;

    /// Decides it against the state that the writer sees: a pure function, which may be asked again.
    ///
    /// # Errors
    /// Only when the state cannot be read.
    fn decide(&self, view: &dyn View) -> Decided<Self::Outcome>;
}

/// What is to be done, in order, and what became of the command once it is done.
pub type Decided<O> = Result<(Vec<Op>, O), ReadError>;

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

/// Drawers to be removed.
#[derive(Clone, Debug)]
pub struct Delete {
    /// Ids of drawers or of single chunks.
    pub ids: Vec<String>,
    /// When they are removed.
    pub at: Moment,
}

/// A source all rows of which are to be removed.
#[derive(Clone, Debug)]
pub struct DeleteSource {
    /// The source, exactly as it was stored.
    pub source_file: String,
    /// When they are removed.
    pub at: Moment,
}

/// What a checkpoint filed.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpointed {
    /// Filed, in order.
    pub added: Vec<Added>,
    /// Too close to something else, in order: room and matches.
    pub duplicates: Vec<(String, Vec<Match>)>,
    /// The diary entry, if one was asked for.
    pub diary: Option<EntryWritten>,
}

/// One drawer that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Wing it stands in now.
    pub wing: String,
    /// Room it stands in now.
    pub room: String,
    /// Ids of its chunks when it has several rows.
    pub chunk_ids: Vec<String>,
    /// Index cards of its source that went with the old text.
    pub closets: usize,
}

/// A source that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceDeleted {
    /// Rows that went.
    pub rows: usize,
    /// Index cards that went.
    pub closets: usize,
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
