//! The nouns the engine exchanges with its callers.
//!
//! These are plain data: no redb, no usearch, no bytes. How they lie on disk is `store`'s affair, so
//! a change here never changes a file by accident.

use std::collections::BTreeMap;
use std::fmt;

/// Position in the store's history: how many commits that changed a row have been made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// Internal name of a row. It stays with a row id as long as that id exists and is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(pub u64);

/// Milliseconds since the Unix epoch. The engine never asks for the time, it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// The caller's name for one write, so that a repeated request is answered and not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(pub [u8; 16]);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value of a row's free metadata, kept with the type it came with.
#[derive(Clone, Debug, PartialEq)]
pub enum MetaValue {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction; stored bit by bit.
    Float(f64),
    /// True or false.
    Bool(bool),
}

/// One stored drawer, or one chunk of a drawer that was too long for one embedding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Unique name, chosen by the caller.
    pub id: String,
    /// The text itself, verbatim.
    pub document: String,
    /// Wing the drawer stands in.
    pub wing: String,
    /// Room of that wing.
    pub room: String,
    /// Where the text came from; empty when it was typed in.
    pub source_file: String,
    /// When it was filed: naive local ISO text, verbatim.
    pub filed_at: String,
    /// Position among the chunks of one drawer.
    pub chunk_index: u32,
    /// The drawer this row is a chunk of, if it is one.
    pub parent_id: Option<String>,
    /// Every other metadata key, sorted by name, verbatim.
    pub extra: Vec<(String, MetaValue)>,
}

impl Row {
    /// Returns a text of the free metadata; empty when there is none.
    pub fn text(&self, name: &str) -> &str {
        match self.extra.iter().find(|(key, _)| key == name) {
            Some((_, MetaValue::Text(value))) => value,
            Some((_, MetaValue::Integer(_) | MetaValue::Float(_) | MetaValue::Bool(_))) | None => "",
        }
    }

    /// Returns the id of the drawer this row belongs to: its parent's when it is a chunk.
    pub fn drawer_id(&self) -> &str {
        self.parent_id.as_deref().unwrap_or(&self.id)
    }
}

/// An embedding: finite and of unit length within a thousandth, or the write is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(pub Vec<f32>);

impl From<Vec<f32>> for Vector {
    fn from(values: Vec<f32>) -> Self {
        Vector(values)
    }
}

/// An embedding exactly as a store keeps it: half precision, little endian. It goes from one store to another, or out
/// of a store and back, without a bit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVector(Vec<u8>);

impl StoredVector {
    /// Takes bytes that a store gave out, or that [`StoredVector::encode`] made. They are checked when they are written.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        StoredVector(bytes)
    }

    /// Returns the form in which a store would keep a vector: scaled to unit length, then halved in precision. `None`
    /// for a vector that no store takes, because it is not finite or has no direction.
    pub fn encode(vector: &[f32]) -> Option<Self> {
        let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt() as f32;
        let unit: Vec<f32> = vector.iter().map(|value| value / length).collect();
        let sound = length.is_normal() && unit.iter().all(|value| value.is_finite());
        sound.then(|| StoredVector(super::store::records::encode_vector(&unit)))
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the vector at full width.
    pub fn decode(&self) -> Vec<f32> {
        super::store::records::decode_vector(&self.0)
    }
}

/// One change of the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Inserts a row, or replaces the row of the same id, together with its vector.
    PutRow(Row, Vector),
    /// The same with a vector that a store has kept before.
    PutStored(Row, StoredVector),
    /// Inserts a row that is not there yet and was made ready elsewhere; several in a row are inserted together.
    PutNew(std::sync::Arc<super::PreparedRow>),
    /// Replaces everything but the text and the vector of an existing row.
    PutMeta(Row),
    /// Removes a row; nothing happens when there is none.
    DeleteRow {
        /// Id of the row to remove.
        id: String,
    },
    /// Inserts or replaces a record beside the rows.
    PutRecord {
        /// Where it belongs.
        collection: Collection,
        /// Its key; records are kept in the byte order of their keys.
        key: Vec<u8>,
        /// Its value, opaque here.
        value: Vec<u8>,
    },
    /// Removes a record; nothing happens when there is none.
    DeleteRecord {
        /// Where it belongs.
        collection: Collection,
        /// Its key.
        key: Vec<u8>,
    },
}

/// What a palace keeps beside its rows. The engine orders, checks and commits these records together with the rows;
/// what their bytes mean is the caller's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Collection {
    /// Nodes of the knowledge graph.
    Entities,
    /// Edges of the knowledge graph with their validity.
    Facts,
    /// Facts by the entity they begin or end at.
    FactsByEntity,
    /// Facts by the time they begin to hold.
    FactsByTime,
    /// Facts without an end.
    OpenFacts,
    /// How many facts have each predicate.
    Predicates,
    /// Links between rooms.
    Tunnels,
    /// Links between entities of one wing.
    Hallways,
    /// The event stream in its order.
    Events,
    /// Events by their id.
    EventIds,
    /// Texts that events refer to.
    Artifacts,
    /// Index cards of sources.
    Closets,
    /// Settings and state of the palace.
    Settings,
    /// What was removed or replaced and can still be brought back.
    Removed,
    /// The same by the time it was removed.
    RemovedByTime,
}

/// Which records of a collection to visit, and in which direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordRange {
    /// Only keys that begin with this.
    pub prefix: Vec<u8>,
    /// Only keys after this one, in the direction of the visit.
    pub after: Option<Vec<u8>>,
    /// From the last key to the first.
    pub backwards: bool,
}

impl RecordRange {
    /// Returns the range of all keys that begin with `prefix`, in their order.
    pub fn under(prefix: impl Into<Vec<u8>>) -> Self {
        Self { prefix: prefix.into(), after: None, backwards: false }
    }
}

/// Rows that share room, wing, hall and date: what the graph of rooms is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    /// Room.
    pub room: String,
    /// Wing.
    pub wing: String,
    /// Metadata `hall`; empty when there is none.
    pub hall: String,
    /// Metadata `date`; empty when there is none.
    pub date: String,
    /// Number of rows.
    pub rows: u64,
}

/// Rows per room of each wing, kept by the writer so that a status never scans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Wing to room to tally.
    pub wings: BTreeMap<String, BTreeMap<String, Tally>>,
}

impl Counts {
    /// Returns the number of rows in the whole store.
    pub fn rows(&self) -> u64 {
        self.wings.values().flat_map(BTreeMap::values).map(|tally| tally.rows).sum()
    }

    /// Returns the number of drawers in the whole store, chunks folded.
    pub fn drawers(&self) -> u64 {
        self.wings.values().flat_map(BTreeMap::values).map(|tally| tally.drawers).sum()
    }
}

/// How much stands in one room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Stored rows: whole drawers and chunks alike.
    pub rows: u64,
    /// Drawers: the chunks of one drawer count once.
    pub drawers: u64,
}

/// Drawers that counts and listings leave out: those in rooms of these names, and those whose ids begin so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Omit {
    /// Names of rooms, in any wing.
    pub rooms: &'static [&'static str],
    /// Begins of drawer ids.
    pub id_prefixes: &'static [&'static str],
}

/// Which rows a question is about. Absent fields do not restrict.
///
/// `since` and `before` compare against `filed_at` as normalised text, half open: a date alone means
/// its midnight, and a row is in when `since <= filed_at < before`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Only this wing.
    pub wing: Option<String>,
    /// Only rooms of this name, in any wing unless one is given.
    pub room: Option<String>,
    /// Only rows of exactly this source.
    pub source_file: Option<String>,
    /// Only rows filed at this moment or later.
    pub since: Option<String>,
    /// Only rows filed before this moment.
    pub before: Option<String>,
}

impl Filter {
    /// Tells whether the filter lets everything through.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Tells whether only wing and room restrict, if anything does.
    pub fn is_by_place(&self) -> bool {
        self.source_file.is_none() && self.since.is_none() && self.before.is_none()
    }

    /// Tells whether a row passes.
    pub fn admits(&self, row: &Row) -> bool {
        let equal = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        let filed_at = sortable_time(&row.filed_at);
        equal(&self.wing, &row.wing)
            && equal(&self.room, &row.room)
            && equal(&self.source_file, &row.source_file)
            && self.since.as_deref().is_none_or(|since| sortable_time(since) <= filed_at)
            && self.before.as_deref().is_none_or(|before| filed_at < sortable_time(before))
    }
}

/// Returns naive ISO text in the one form in which order of text is order of time.
///
/// A date alone gets its midnight, a space between date and time becomes `T`, missing seconds become
/// `:00`, a trailing `Z` goes. Text that is no ISO time is kept as it is and sorts where it falls.
pub fn sortable_time(text: &str) -> String {
    let text = text.trim().trim_end_matches(['Z', 'z']);
    let mut out = String::with_capacity(text.len() + 9);
    match (text.get(..10), text.get(10..11), text.get(11..)) {
        (Some(date), Some(" " | "t" | "T"), Some(time)) => {
            out.push_str(date);
            out.push('T');
            out.push_str(time);
        }
        _ => out.push_str(text),
    }
    match out.len() {
        10 => out.push_str("T00:00:00"),
        16 => out.push_str(":00"),
        _ => {}
    }
    out
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The first chunk of each drawer, in the order of drawer ids.
    pub rows: Vec<Row>,
    /// Rows of this page that cannot be read; the others are given all the same.
    pub unreadable: Vec<DamagedRow>,
    /// Drawers on all pages together. Hidden rows are counted unless a source or a time was asked for.
    pub total: u64,
    /// Ids that were passed on the way and can be begun at the next time.
    pub landmarks: Vec<Landmark>,
}

/// An id whose place in a listing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landmark {
    /// The drawer's id; empty for the begin of the listing.
    pub drawer: String,
    /// Drawers with smaller ids.
    pub position: usize,
}

/// A row that cannot be read, beside others that can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRow {
    /// Its id where known, otherwise its key in the store.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A row near a query vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VectorHit {
    /// The row.
    pub row_key: RowKey,
    /// Cosine distance `1 - cos`, exact up to the half precision of stored vectors.
    pub distance: f32,
}

/// A row that shares words with a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextHit {
    /// The row.
    pub row_key: RowKey,
    /// BM25 score over the whole store, whatever the filter.
    pub score: f32,
}

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
