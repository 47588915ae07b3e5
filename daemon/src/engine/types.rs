//! The nouns the engine exchanges with its callers.
//!
//! These are plain data: no redb, no usearch, no bytes. How they lie on disk is `store`'s affair, so
//! a change here never changes a file by accident.

mod change;
mod question;
mod rows;
mod settings;
mod tally;

pub use change::{Collection, Op, RecordRange};
pub use question::{DamagedRow, Filter, Landmark, Omit, Page, TextHit, VectorHit, sortable_time};
pub use rows::{IdempotencyKey, MetaValue, Row, RowKey, Seq, StoredVector, Timestamp, Vector};
pub use settings::{EngineOptions, EngineStats, StoreInfo, VectorIndexKind};
pub use tally::{Counts, Facet, Tally};
