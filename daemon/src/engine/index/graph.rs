//! The approximate index: usearch's HNSW graph over codes.
//!
//! What usearch does not check is kept true here: capacity *and* threads are reserved before they
//! are needed, a slot is added once, counts are clamped, no predicate panics, and only bytes that
//! passed a checksum are loaded (a flipped bit in a graph is a crash). The lock around the whole
//! index gives the exclusion it needs: searches and saves share, everything else is alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use super::code::Code;
use super::{GraphFault, Near, Slot, VectorIndex};

const CONNECTIVITY: usize = 16;
const EXPANSION_ADD: usize = 128;
const EXPANSION_SEARCH: usize = 128;

/// Largest answer ever asked of the library, which allocates it in advance.
const COUNT_MAX: usize = 4_096;

/// Smallest capacity reserved.
const CAPACITY_MIN: usize = 1_024;

pub(in crate::engine) struct Graph {
    index: Index,
    threads: usize,
    /// Removed nodes whose place was not taken again.
    tombstones: usize,
    /// Nodes put in the place of others since the graph was built.
    replaced: usize,
}

/// What the parameters of the graph are, for the snapshot's parameter hash.
pub(in crate::engine) fn parameters() -> String {
    format!("hnsw cos i8 m{CONNECTIVITY} efc{EXPANSION_ADD} usearch {}", usearch::version())
}

impl Graph {
    pub fn new(dimension: usize, capacity: usize, threads: usize) -> Result<Graph, GraphFault> {
        let options = IndexOptions {
            dimensions: dimension,
            metric: MetricKind::Cos,
            quantization: ScalarKind::I8,
            connectivity: CONNECTIVITY,
            expansion_add: EXPANSION_ADD,
            expansion_search: EXPANSION_SEARCH,
            multi: false,
        };
        let index = Index::new(&options).map_err(fault)?;
        let graph = Graph { index, threads: threads.max(1), tombstones: 0, replaced: 0 };
        graph.reserve(capacity)?;
        Ok(graph)
    }

    fn reserve(&self, capacity: usize) -> Result<(), GraphFault> {
        let capacity = capacity.max(CAPACITY_MIN);
        self.index.reserve_capacity_and_threads(capacity, self.threads).map_err(fault)
    }

    pub fn len(&self) -> usize {
        self.index.size()
    }

    pub fn tombstones(&self) -> usize {
        self.tombstones
    }

    pub fn contains(&self, slot: Slot) -> bool {
        self.index.contains(u64::from(slot))
    }

    /// Tells whether removals or replacements have worn the graph enough to build it again.
    ///
    /// Many removals make searches slow, many replacements make nodes unreachable; compacting mends
    /// neither.
    pub fn is_worn(&self) -> bool {
        let live = self.len();
        self.tombstones * 10 > (live + self.tombstones) * 3 || self.replaced * 2 > live
    }

    pub fn write_to(&self, out: &mut Vec<u8>) -> Result<(), GraphFault> {
        let len = self.index.serialized_length();
        for number in [self.tombstones, self.replaced, len] {
            out.extend_from_slice(&(number as u64).to_le_bytes());
        }
        let start = out.len();
        out.resize(start + len, 0);
        self.index.save_to_buffer(&mut out[start..]).map_err(fault)
    }

    /// Reads what `write_to` wrote. The caller has verified the checksum of these bytes.
    pub fn read_from(body: &mut &[u8], dimension: usize, threads: usize) -> Option<Graph> {
        let mut numbers = [0usize; 3];
        for number in &mut numbers {
            let (head, rest) = body.split_first_chunk::<8>()?;
            *number = usize::try_from(u64::from_le_bytes(*head)).ok()?;
            *body = rest;
        }
        let [tombstones, replaced, len] = numbers;
        let (bytes, rest) = body.split_at_checked(len)?;
        *body = rest;
        let mut graph = Graph::new(dimension, CAPACITY_MIN, threads).ok()?;
        graph.index.load_from_buffer(bytes).ok()?;
        // The file's own parameters win silently over those asked for.
        let as_asked = graph.index.dimensions() == dimension
            && graph.index.scalar_kind() == ScalarKind::I8
            && graph.index.connectivity() == CONNECTIVITY;
        if !as_asked {
            return None;
        }
        (graph.tombstones, graph.replaced) = (tombstones, replaced);
        // Loading leaves no spare capacity and forgets the threads.
        graph.reserve(graph.index.size() + tombstones + CAPACITY_MIN).ok()?;
        graph.index.change_expansion_add(EXPANSION_ADD);
        graph.index.change_expansion_search(EXPANSION_SEARCH);
        Some(graph)
    }
}

impl VectorIndex for Graph {
    fn put(&mut self, slot: Slot, code: &Code) -> Result<(), GraphFault> {
        self.remove(slot)?;
        let needed = self.index.size() + self.tombstones + 1;
        if needed > self.index.capacity() {
            self.reserve(needed + needed / 2)?;
        }
        self.index.add(u64::from(slot), &code.values).map_err(fault)?;
        if self.tombstones > 0 {
            self.tombstones -= 1;
            self.replaced += 1;
        }
        Ok(())
    }

    fn remove(&mut self, slot: Slot) -> Result<(), GraphFault> {
        if self.contains(slot) {
            self.tombstones += self.index.remove(u64::from(slot)).map_err(fault)?;
        }
        Ok(())
    }

    fn nearest(
        &self,
        query: &Code,
        count: usize,
        admit: &(dyn Fn(Slot) -> bool + Sync),
    ) -> Result<Vec<Near>, GraphFault> {
        let count = count.clamp(1, COUNT_MAX);
        // A panic must not cross into C++; a slot that cannot be judged is left out.
        let predicate = |key: u64| {
            let judge = || Slot::try_from(key).is_ok_and(admit);
            catch_unwind(AssertUnwindSafe(judge)).unwrap_or(false)
        };
        let matches = self.index.filtered_search(&query.values, count, predicate).map_err(fault)?;
        let pairs = matches.keys.iter().zip(&matches.distances);
        Ok(pairs
            .filter_map(|(key, distance)| {
                Some(Near { slot: Slot::try_from(*key).ok()?, distance: *distance })
            })
            .collect())
    }
}

fn fault(error: impl std::fmt::Display) -> GraphFault {
    GraphFault(error.to_string())
}
