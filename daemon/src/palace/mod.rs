//! The domain: what a palace is and how it changes.
//!
//! Commands are decided by pure functions against the state the writer sees, applied in one transaction and answered
//! after its commit. Readers work on snapshots. Nothing here is async, reads a clock or knows a table.

mod closets;
pub mod command;
pub mod decide;
pub mod draft;
pub mod error;
pub mod events;
pub mod facts;
mod fusion;
pub mod hallways;
mod handle;
pub mod ids;
pub mod import;
pub mod moment;
pub mod names;
pub mod portable;
pub mod query;
pub mod read;
mod records;
pub mod removed;
pub mod rooms;
pub mod search;
pub mod settings;
mod transfer;
pub mod tunnels;
pub mod upkeep;
mod walk;
pub mod writer;

pub use handle::{Palace, PalaceStats, Verification};
pub use transfer::ImportReceipt;

pub use crate::engine::archive;
pub use crate::engine::{
    Counts, Filter, IdempotencyKey, MetaValue, PreparedRow, Row, Seq, Snapshot, StoredVector, Tally,
    Timestamp, View,
};
