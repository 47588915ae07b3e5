//! What a transaction is told to do, and to what.

use super::rows::{Row, StoredVector, Vector};
use crate::engine::PreparedRow;

/// One change of the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Inserts a row, or replaces the row of the same id, together with its vector.
    PutRow(Row, Vector),
    /// The same with a vector that a store has kept before.
    PutStored(Row, StoredVector),
    /// Inserts a row that is not there yet and was made ready elsewhere; several in a row are inserted together.
    PutNew(std::sync::Arc<PreparedRow>),
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
