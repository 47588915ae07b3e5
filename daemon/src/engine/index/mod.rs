//! The derived vector index: which stored vectors are near a query.
//!
//! It holds 8-bit codes only and proposes candidates; exact distances come from the vectors in the
//! store. One entry per *distinct* vector, because many equal vectors make a graph lose others.
//! Nothing here is durable by itself: all of it can be made again from the store.

pub(super) mod catalogue;
pub(super) mod code;
pub(super) mod flat;
pub(super) mod graph;
pub(super) mod vectors;

#[cfg(test)]
mod tests;

use code::Code;

/// Number of a distinct vector. Reused after the last row with that vector is gone.
pub(super) type Slot = u32;

/// A slot and how far its code is from the query's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Near {
    pub slot: Slot,
    pub distance: f32,
}

/// A structure that answers nearest-neighbour questions over codes.
pub(super) trait VectorIndex {
    /// Sets the code of a slot.
    fn put(&mut self, slot: Slot, code: &Code) -> Result<(), GraphFault>;

    /// Removes the code of a slot.
    fn remove(&mut self, slot: Slot) -> Result<(), GraphFault>;

    /// Returns up to `count` slots near the query among those `admit` lets through, nearest first.
    fn nearest(
        &self,
        query: &Code,
        count: usize,
        admit: &(dyn Fn(Slot) -> bool + Sync),
    ) -> Result<Vec<Near>, GraphFault>;
}

/// The vector library refused; the structure is to be dropped and built again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct GraphFault(pub String);
