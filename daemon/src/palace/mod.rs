//! The domain: what a palace is and how it changes.
//!
//! Commands are decided by pure functions against the state the writer sees, applied in one transaction and answered
//! after its commit. Readers work on snapshots. Nothing here is async, reads a clock or knows a table.

mod bookkeeping;
mod boost;
pub mod closets;
pub mod command;
pub mod dates;
pub mod decide;
pub mod diary;
pub mod draft;
pub mod error;
pub mod events;
pub mod facts;
mod fusion;
pub mod hallways;
mod handle;
pub mod ids;
pub mod import;
pub mod integrity;
mod listing;
pub mod moment;
pub mod names;
mod passage;
pub mod portable;
mod prepare;
pub mod query;
pub mod read;
mod records;
pub mod removed;
pub mod rooms;
pub mod search;
pub mod settings;
mod stats;
mod transfer;
pub mod tunnels;
pub mod upkeep;
mod verify;
mod walk;
pub mod writer;

pub use handle::Palace;
pub use stats::PalaceStats;
pub use transfer::ImportReceipt;
pub use verify::Verification;

pub use crate::engine::archive;
pub use crate::engine::{
    Counts, DamagedRow, Filter, IdempotencyKey, MetaValue, PreparedRow, Preparer, Row, Seq, Snapshot,
    StoreInfo, StoredVector, Tally, Timestamp, View,
};
