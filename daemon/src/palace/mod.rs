//! The domain: what a palace is and how it changes.
//!
//! Commands are decided by pure functions against the state the writer sees, applied in one transaction and answered
//! after its commit. Readers work on snapshots. Nothing here is async, parses JSON, reads a clock or knows a table.

pub mod command;
pub mod decide;
pub mod draft;
pub mod error;
mod fusion;
mod handle;
pub mod ids;
pub mod moment;
pub mod names;
pub mod query;
pub mod read;
pub mod search;
pub mod upkeep;
pub mod writer;

pub use handle::{Palace, PalaceStats, Verification};

pub use crate::engine::{Counts, Filter, IdempotencyKey, MetaValue, Tally, Timestamp};
