//! What a palace has, before any of it is read.

use super::model::Model;

/// Which store a palace keeps its rows in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `chroma.sqlite3` and HNSW directories.
    Chroma,
    /// `sqlite_exact.sqlite3`.
    SqliteExact,
}

/// What a palace has.
#[derive(Clone, Debug, PartialEq)]
pub struct Inventory {
    /// Where the rows are.
    pub backend: Backend,
    /// Every collection, in the order they were made.
    pub collections: Vec<CollectionInventory>,
    /// The collection of drawers, if there is one.
    pub drawers: Option<String>,
    /// The collection of closets, if there is one.
    pub closets: Option<String>,
    /// Facts of the knowledge graph.
    pub fact_count: u64,
    /// Entities of the knowledge graph.
    pub entity_count: u64,
    /// Tunnels.
    pub tunnel_count: u64,
    /// Hallways.
    pub hallway_count: u64,
    /// Events of the log.
    pub event_count: u64,
    /// Artifacts of the log.
    pub artifact_count: u64,
    /// Names of the files that are handed on as they are.
    pub files: Vec<String>,
    /// What whoever reads the palace should know: what was assumed, left out or repaired.
    pub notes: Vec<String>,
}

/// What a collection has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionInventory {
    /// Its name.
    pub name: String,
    /// How many rows.
    pub row_count: u64,
    /// Dimension of its vectors; unknown while it never had one.
    pub dimension: Option<u64>,
    /// The model of its vectors.
    pub model: Model,
    /// Where its rows' vectors stand.
    pub vectors: VectorCounts,
}

/// Where the vectors of a collection's rows stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VectorCounts {
    /// In the files of the index, or beside the texts where a store has no index.
    pub in_index: u64,
    /// In the queue.
    pub in_queue: u64,
    /// Nowhere usable.
    pub missing: u64,
}
