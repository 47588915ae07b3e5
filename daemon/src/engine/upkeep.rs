//! Work on the derived indexes that no commit should wait for.
//!
//! A graph is built beside the running index: codes are copied out in small batches, what commits
//! change meanwhile is noted and brought in at the end. Exact scans serve until the graph is there.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::error::SnapshotError;
use super::index::code::Code;
use super::index::graph::Graph;
use super::index::{GraphFault, Slot, VectorIndex};
use super::reader::Reader;

/// Codes copied under one hold of the lock.
const BATCH: usize = 256;

impl Reader {
    /// Builds a new vector graph when there are too many vectors for exact scans and no graph, or a
    /// worn one. Tells whether one was put in place.
    ///
    /// Blocks for the whole build, tens of seconds per hundred thousand vectors; searches and
    /// commits go on meanwhile. It gives up soon after `keep_going` says no. One thread at a time.
    pub fn build_graph_if_due(&self, keep_going: &dyn Fn() -> bool) -> Result<bool, SnapshotError> {
        let (slots, capacity) = {
            let mut derived = self.shared.derived.write();
            let vectors = &mut derived.vectors;
            if !vectors.wants_graph() || vectors.journal.is_some() {
                return Ok(false);
            }
            vectors.journal = Some(BTreeSet::new());
            (vectors.flat.slots(), vectors.catalogue.distinct_len())
        };
        let built = self.build_graph(slots, capacity, keep_going);
        if !matches!(built, Ok(true)) {
            self.shared.derived.write().vectors.journal = None;
        }
        built.map_err(|GraphFault(detail)| SnapshotError::Graph { detail })
    }

    fn build_graph(
        &self,
        slots: Slot,
        capacity: usize,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<bool, GraphFault> {
        let options = &self.shared.options;
        let mut graph = Graph::new(options.dimension, capacity + capacity / 4, options.search_threads)?;
        for start in (0..slots).step_by(BATCH) {
            if !keep_going() {
                return Ok(false);
            }
            let end = slots.min(start + BATCH as Slot);
            bring_in(&mut graph, self.codes(start..end))?;
        }
        loop {
            let mut derived = self.shared.derived.write();
            // A rebuilt index has no journal: what was copied does not belong to it.
            let Some(journal) = derived.vectors.journal.as_mut() else { return Ok(false) };
            let changed = std::mem::take(journal);
            if changed.len() <= BATCH {
                let codes = changed.iter().map(|slot| (*slot, derived.vectors.flat.code(*slot))).collect();
                bring_in(&mut graph, codes)?;
                derived.vectors.graph = Some(graph);
                derived.vectors.graph_unsaved.store(true, Ordering::Relaxed);
                derived.vectors.journal = None;
                return Ok(true);
            }
            drop(derived);
            bring_in(&mut graph, self.codes(changed.into_iter()))?;
        }
    }

    fn codes(&self, slots: impl Iterator<Item = Slot>) -> Vec<(Slot, Option<Code>)> {
        let derived = self.shared.derived.read();
        slots.map(|slot| (slot, derived.vectors.flat.code(slot))).collect()
    }
}

fn bring_in(graph: &mut Graph, codes: Vec<(Slot, Option<Code>)>) -> Result<(), GraphFault> {
    for (slot, code) in codes {
        match code {
            Some(code) => graph.put(slot, &code)?,
            None => graph.remove(slot)?,
        }
    }
    Ok(())
}
