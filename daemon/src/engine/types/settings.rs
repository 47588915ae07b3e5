//! What a store says about itself, and what its caller decides.

use super::rows::{Seq, Timestamp};

/// What a store says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// Identity of this store, made once at creation.
    pub database_uuid: [u8; 16],
    /// Version of the on-disk format.
    pub format: u32,
    /// When the store was created.
    pub created_at: Timestamp,
    /// Model that made the vectors.
    pub embedder_identity: String,
    /// Length of each vector.
    pub dimension: usize,
    /// The store this one was copied or restored from, if it was.
    pub origin: Option<[u8; 16]>,
    /// Position in history of the state asked.
    pub seq: Seq,
}

/// Settings of an engine, all of them decided by the caller.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Pages redb may keep in memory.
    pub cache_bytes: usize,
    /// Distinct vectors up to which every search is an exact scan.
    pub exact_scan_max: usize,
    /// Size of the store file up to which every page checksum is verified at open.
    pub integrity_check_max_bytes: u64,
    /// Model that makes the vectors; a store made by another one is refused.
    pub embedder_identity: String,
    /// Length of each vector.
    pub dimension: usize,
    /// Threads that may search at the same time.
    pub search_threads: usize,
    /// Name of this machine; a store that comes from another one is a copy.
    pub host: String,
    /// Written into a store when it is created, otherwise unused.
    pub now: Timestamp,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            cache_bytes: 64 << 20,
            exact_scan_max: 50_000,
            integrity_check_max_bytes: 512 << 20,
            embedder_identity: String::new(),
            dimension: 384,
            search_threads: 8,
            host: String::new(),
            now: Timestamp(0),
        }
    }
}

/// Which structure answers an unfiltered vector search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorIndexKind {
    /// Every vector is compared.
    Exact,
    /// A graph proposes candidates.
    Graph,
}

/// Numbers about the derived indexes, for status and upkeep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStats {
    /// Rows of the store at `applied_seq`.
    pub rows: u64,
    /// Rows that have a vector in the index.
    pub vectors: u64,
    /// Vectors that differ from every other.
    pub distinct_vectors: u64,
    /// Rows the text index knows.
    pub text_documents: u64,
    /// Structure that answers vector searches now.
    pub vector_index: VectorIndexKind,
    /// Removed nodes the graph still carries.
    pub tombstones: u64,
    /// Size of the store file.
    pub file_bytes: u64,
    /// History the indexes reflect.
    pub applied_seq: Seq,
    /// Rows changed since both indexes were saved.
    pub unsaved: u64,
    /// History both current index snapshots reflect; zero when one is missing.
    pub snapshot_seq: Seq,
}
