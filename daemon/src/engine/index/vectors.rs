//! The vector index as the rest of the engine sees it, and the plan of a search.
//!
//! Invariant: the flat matrix knows exactly the occupied slots of the catalogue. The graph, when
//! there is one, knows the same slots; when the library refuses anything it is dropped, the exact
//! scan serves, and upkeep builds a new one.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use super::catalogue::Catalogue;
use super::code::Code;
use super::flat::Flat;
use super::graph::Graph;
use super::{Near, Slot, VectorIndex};
use crate::engine::store::select::Selection;
use crate::engine::types::{RowKey, VectorIndexKind};

/// Up to this many candidates per root of the vector count, comparing each beats walking the graph.
const EXACT_PER_ROOT: f64 = 64.0;

/// A vector made ready outside the lock.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Prepared {
    pub hash: u128,
    pub code: Code,
}

pub(in crate::engine) struct Vectors {
    pub catalogue: Catalogue,
    pub flat: Flat,
    pub graph: Option<Graph>,
    /// Slots changed while a graph is being built elsewhere; `None` when none is.
    pub journal: Option<BTreeSet<Slot>>,
    /// The graph is newer than any saved one, whatever the history says.
    pub graph_unsaved: AtomicBool,
    exact_scan_max: usize,
}

impl Vectors {
    pub fn new(dimension: usize, exact_scan_max: usize) -> Vectors {
        Vectors {
            catalogue: Catalogue::default(),
            flat: Flat::new(dimension),
            graph: None,
            journal: None,
            graph_unsaved: AtomicBool::new(false),
            exact_scan_max,
        }
    }

    pub fn put(&mut self, row: RowKey, vector: &Prepared) {
        let attached = self.catalogue.attach(row, vector.hash);
        // A released slot may be the very one given out again, so it goes first.
        if let Some(slot) = attached.released {
            self.forget(slot);
        }
        if attached.is_new {
            self.flat.put(attached.slot, &vector.code).expect("the matrix takes every code");
            if self.graph.as_mut().is_some_and(|graph| graph.put(attached.slot, &vector.code).is_err()) {
                self.graph = None;
            }
            self.note(attached.slot);
        }
    }

    pub fn remove(&mut self, row: RowKey) {
        if let Some(slot) = self.catalogue.detach(row) {
            self.forget(slot);
        }
    }

    fn forget(&mut self, slot: Slot) {
        self.flat.remove(slot).expect("the matrix forgets every slot");
        if self.graph.as_mut().is_some_and(|graph| graph.remove(slot).is_err()) {
            self.graph = None;
        }
        self.note(slot);
    }

    fn note(&mut self, slot: Slot) {
        if let Some(journal) = &mut self.journal {
            journal.insert(slot);
        }
    }

    /// Tells whether the index has exactly this vector for a row.
    pub fn holds(&self, row: RowKey, vector: &Prepared) -> bool {
        let Some(slot) = self.catalogue.slot_of(row) else { return false };
        self.catalogue.hash_of(slot) == Some(vector.hash)
            && self.catalogue.rows_of(slot).contains(&row.0)
            && self.flat.code(slot).as_ref() == Some(&vector.code)
    }

    pub fn kind(&self) -> VectorIndexKind {
        if self.graph.is_some() && self.catalogue.distinct_len() > self.exact_scan_max {
            VectorIndexKind::Graph
        } else {
            VectorIndexKind::Exact
        }
    }

    /// Tells whether upkeep should build a graph: there is none and scans get long, or it is worn.
    pub fn wants_graph(&self) -> bool {
        self.catalogue.distinct_len() > self.exact_scan_max && self.graph.as_ref().is_none_or(Graph::is_worn)
    }

    /// Returns about `count` candidate slots, nearest first by code.
    pub fn candidates(&self, query: &Code, count: usize, within: Option<&Selection>) -> Vec<Near> {
        let Some(within) = within else { return self.unfiltered(query, count) };
        let distinct = self.catalogue.distinct_len();
        let few = within.len() as f64 <= EXACT_PER_ROOT * (distinct as f64).sqrt();
        if few || within.len() * 4 <= self.exact_scan_max as u64 {
            let mut slots: Vec<Slot> = within.iter().filter_map(|row| self.catalogue.slot_of(row)).collect();
            slots.sort_unstable();
            slots.dedup();
            return self.flat.nearest_among(query, count, slots.into_iter());
        }
        let admit = |slot: Slot| self.catalogue.rows_of(slot).iter().any(|row| within.contains(RowKey(*row)));
        if distinct > self.exact_scan_max
            && let Some(graph) = &self.graph
            && let Ok(near) = graph.nearest(query, count, &admit)
        {
            return near;
        }
        self.flat.nearest(query, count, &admit).expect("the matrix answers every question")
    }

    fn unfiltered(&self, query: &Code, count: usize) -> Vec<Near> {
        if self.catalogue.distinct_len() > self.exact_scan_max
            && let Some(graph) = &self.graph
            && let Ok(near) = graph.nearest(query, count, &|_| true)
        {
            return near;
        }
        self.flat.nearest_among(query, count, 0..self.flat.slots())
    }

    pub fn write_to(&self, out: &mut Vec<u8>) -> Result<(), super::GraphFault> {
        out.extend_from_slice(&(self.catalogue.slots_len() as u64).to_le_bytes());
        self.catalogue.write_to(out);
        self.flat.write_to(out);
        match &self.graph {
            None => out.push(0),
            Some(graph) => {
                out.push(1);
                graph.write_to(out)?;
            }
        }
        Ok(())
    }

    /// Reads what `write_to` wrote. The caller has verified the checksum of these bytes.
    pub fn read_from(
        mut body: &[u8],
        dimension: usize,
        exact_scan_max: usize,
        threads: usize,
    ) -> Option<Vectors> {
        let body = &mut body;
        let (head, rest) = body.split_first_chunk::<8>()?;
        *body = rest;
        let slots = usize::try_from(u64::from_le_bytes(*head)).ok()?;
        let catalogue = Catalogue::read_from(body, slots)?;
        let flat = Flat::read_from(body, slots, dimension)?;
        let (has_graph, rest) = body.split_first()?;
        *body = rest;
        let graph = match has_graph {
            0 => None,
            _ => Some(Graph::read_from(body, dimension, threads)?),
        };
        if graph.as_ref().is_some_and(|graph| graph.len() != catalogue.distinct_len()) {
            return None;
        }
        let graph_unsaved = AtomicBool::new(false);
        body.is_empty().then_some(Vectors {
            catalogue,
            flat,
            graph,
            journal: None,
            graph_unsaved,
            exact_scan_max,
        })
    }
}
