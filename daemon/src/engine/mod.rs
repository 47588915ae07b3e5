//! Durable state and what is derived from it.
//!
//! `Engine` writes, `Reader` and its `Snapshot`s read. The redb file is the truth; the vector index
//! and the text index are derived from it, carry the position in history they reflect, and may be
//! deleted at any time. Nothing above this module sees a table, a redb type or a usearch type, and
//! nothing in it is asynchronous, asks for the time or reads the environment.
//!
//! A write is durable before a search finds it, and a search finds it before its writer is told.

pub mod archive;
mod derived;
pub mod embed;
mod error;
mod handle;
mod index;
mod prepared;
mod reader;
pub mod salvage;
mod shared;
mod snapshot;
mod store;
mod text;
mod types;
mod upkeep;
mod verify;
mod view;
mod writer;

pub use error::{CommitError, CompactError, OpenError, ReadError, SnapshotError};
pub use prepared::{PreparedRow, Preparer, VectorRefused};
pub use reader::{HITS_MAX, Reader};
pub use store::listing::Listing;
pub use store::select::Selection;
pub use types::{
    Collection, Counts, DamagedRow, EngineOptions, EngineStats, Facet, Filter, IdempotencyKey, Landmark,
    MetaValue, Omit, Op, Page, RecordRange, Row, RowKey, Seq, StoreInfo, StoredVector, Tally, TextHit,
    Timestamp, Vector, VectorHit, VectorIndexKind, sortable_time,
};
pub use verify::{CHECKED, NOT_CHECKED, Problem, VerifyReport, verify};
pub use view::{AllRows, Snapshot, View, VisitRecord};
pub use writer::{Engine, WriteTxn};

#[cfg(test)]
pub(crate) mod tests;
