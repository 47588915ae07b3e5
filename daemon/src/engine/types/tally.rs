//! How much stands where.

use std::collections::BTreeMap;

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
