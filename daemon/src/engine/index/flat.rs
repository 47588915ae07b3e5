//! The exact scan: every code in one contiguous matrix.
//!
//! Always kept, whatever else is built: it serves small stores, filtered searches and the time while
//! a graph is being built.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::code::{BIAS, Code, Probe, biased};
use super::{GraphFault, Near, Slot, VectorIndex};

pub(in crate::engine) struct Flat {
    dimension: usize,
    /// Code values plus `BIAS`: widening unsigned bytes is what makes the scan fast everywhere.
    values: Vec<u8>,
    /// Scale per slot; zero marks a free slot, which no unit vector can have.
    scales: Vec<f32>,
}

impl Flat {
    pub fn new(dimension: usize) -> Flat {
        Flat { dimension, values: Vec::new(), scales: Vec::new() }
    }

    /// Returns the code of a slot, `None` when it is free.
    pub fn code(&self, slot: Slot) -> Option<Code> {
        let scale = *self.scales.get(slot as usize)?;
        let values = || self.row(slot).iter().map(|value| value.wrapping_sub(BIAS).cast_signed()).collect();
        (scale != 0.0).then(|| Code { values: values(), scale })
    }

    fn row(&self, slot: Slot) -> &[u8] {
        let start = slot as usize * self.dimension;
        &self.values[start..start + self.dimension]
    }

    fn distance(&self, query: &Probe, slot: Slot) -> Option<f32> {
        let scale = *self.scales.get(slot as usize)?;
        if scale == 0.0 {
            return None;
        }
        Some(1.0 - query.inner_product(self.row(slot)) * scale)
    }

    /// Returns up to `count` of the given slots, nearest first.
    pub fn nearest_among(&self, query: &Code, count: usize, slots: impl Iterator<Item = Slot>) -> Vec<Near> {
        let query = Probe::of(query);
        let mut nearest = Nearest::keep(count);
        for slot in slots {
            if let Some(distance) = self.distance(&query, slot) {
                nearest.offer(Near { slot, distance });
            }
        }
        nearest.sorted()
    }

    /// Number of slots, free ones included.
    pub fn slots(&self) -> Slot {
        Slot::try_from(self.scales.len()).expect("slots are numbered in 32 bits")
    }

    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.scales.len() * (self.dimension + 4));
        for scale in &self.scales {
            out.extend_from_slice(&scale.to_le_bytes());
        }
        out.extend_from_slice(&self.values);
    }

    /// Reads what `write_to` wrote for this many slots off the front of `body`.
    pub fn read_from(body: &mut &[u8], slots: usize, dimension: usize) -> Option<Flat> {
        let (scales, rest) = body.split_at_checked(slots.checked_mul(4)?)?;
        let (values, rest) = rest.split_at_checked(slots.checked_mul(dimension)?)?;
        *body = rest;
        let (scales, _) = scales.as_chunks::<4>();
        Some(Flat {
            dimension,
            values: values.to_vec(),
            scales: scales.iter().map(|scale| f32::from_le_bytes(*scale)).collect(),
        })
    }
}

impl VectorIndex for Flat {
    fn put(&mut self, slot: Slot, code: &Code) -> Result<(), GraphFault> {
        let index = slot as usize;
        if index >= self.scales.len() {
            self.scales.resize(index + 1, 0.0);
            self.values.resize((index + 1) * self.dimension, 0);
        }
        self.scales[index] = code.scale;
        let row = &mut self.values[index * self.dimension..][..self.dimension];
        row.iter_mut().zip(&code.values).for_each(|(place, value)| *place = biased(*value));
        Ok(())
    }

    fn remove(&mut self, slot: Slot) -> Result<(), GraphFault> {
        if let Some(scale) = self.scales.get_mut(slot as usize) {
            *scale = 0.0;
        }
        Ok(())
    }

    fn nearest(
        &self,
        query: &Code,
        count: usize,
        admit: &(dyn Fn(Slot) -> bool + Sync),
    ) -> Result<Vec<Near>, GraphFault> {
        Ok(self.nearest_among(query, count, (0..self.slots()).filter(|slot| admit(*slot))))
    }
}

/// Keeps the nearest few of a stream.
struct Nearest {
    count: usize,
    /// The farthest kept one is on top.
    heap: BinaryHeap<Farthest>,
}

struct Farthest(Near);

impl Ord for Farthest {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.distance.total_cmp(&other.0.distance).then(self.0.slot.cmp(&other.0.slot))
    }
}

impl PartialOrd for Farthest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Farthest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Farthest {}

impl Nearest {
    fn keep(count: usize) -> Nearest {
        Nearest { count, heap: BinaryHeap::with_capacity(count.min(4096) + 1) }
    }

    fn offer(&mut self, near: Near) {
        if self.heap.len() < self.count {
            self.heap.push(Farthest(near));
        } else if self.heap.peek().is_some_and(|farthest| Farthest(near) < *farthest) {
            self.heap.pop();
            self.heap.push(Farthest(near));
        }
    }

    fn sorted(self) -> Vec<Near> {
        self.heap.into_sorted_vec().into_iter().map(|Farthest(near)| near).collect()
    }
}
