//! Which rows share which distinct vector.
//!
//! Invariant: a slot is either free, or it has a hash and at least one row, and each of its rows
//! points back to it.

use foldhash::HashMap;

use super::Slot;
use crate::engine::types::RowKey;

#[derive(Default)]
pub(in crate::engine) struct Catalogue {
    slot_of_hash: HashMap<u128, Slot>,
    slot_of_row: HashMap<u64, Slot>,
    slots: Vec<Option<Entry>>,
    free: Vec<Slot>,
}

struct Entry {
    hash: u128,
    rows: Rows,
}

/// Nearly every vector belongs to one row: that case allocates nothing.
enum Rows {
    One(u64),
    Many(Vec<u64>),
}

impl Rows {
    fn as_slice(&self) -> &[u64] {
        match self {
            Rows::One(row) => std::slice::from_ref(row),
            Rows::Many(rows) => rows,
        }
    }
}

/// What giving a row a vector changed.
pub(super) struct Attached {
    pub slot: Slot,
    /// The slot is new and needs its code.
    pub is_new: bool,
    /// A slot the row was the last one of.
    pub released: Option<Slot>,
}

impl Catalogue {
    pub fn rows_len(&self) -> usize {
        self.slot_of_row.len()
    }

    pub fn distinct_len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn slots_len(&self) -> usize {
        self.slots.len()
    }

    pub fn slot_of(&self, row: RowKey) -> Option<Slot> {
        self.slot_of_row.get(&row.0).copied()
    }

    pub fn rows_of(&self, slot: Slot) -> &[u64] {
        match self.slots.get(slot as usize) {
            Some(Some(entry)) => entry.rows.as_slice(),
            Some(None) | None => &[],
        }
    }

    /// Returns the hash of the vector of an occupied slot.
    pub fn hash_of(&self, slot: Slot) -> Option<u128> {
        self.slots.get(slot as usize)?.as_ref().map(|entry| entry.hash)
    }

    /// Gives a row the vector of this hash, taking it from the one it had.
    pub(super) fn attach(&mut self, row: RowKey, hash: u128) -> Attached {
        if let (Some(had), Some(has)) = (self.slot_of(row), self.slot_of_hash.get(&hash).copied())
            && had == has
        {
            return Attached { slot: has, is_new: false, released: None };
        }
        let released = self.detach(row);
        if let Some(slot) = self.slot_of_hash.get(&hash).copied() {
            let entry = self.slots[slot as usize].as_mut().expect("a hash leads to an occupied slot");
            match &mut entry.rows {
                Rows::One(first) => entry.rows = Rows::Many(vec![*first, row.0]),
                Rows::Many(rows) => rows.push(row.0),
            }
            self.slot_of_row.insert(row.0, slot);
            return Attached { slot, is_new: false, released };
        }
        let entry = Some(Entry { hash, rows: Rows::One(row.0) });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = entry;
                slot
            }
            None => {
                self.slots.push(entry);
                Slot::try_from(self.slots.len() - 1).expect("fewer than four billion distinct vectors")
            }
        };
        self.slot_of_hash.insert(hash, slot);
        self.slot_of_row.insert(row.0, slot);
        Attached { slot, is_new: true, released }
    }

    /// Takes a row's vector away; tells the slot if it was the last row of it.
    pub fn detach(&mut self, row: RowKey) -> Option<Slot> {
        let slot = self.slot_of_row.remove(&row.0)?;
        let place = &mut self.slots[slot as usize];
        let entry = place.as_mut().expect("a row leads to an occupied slot");
        if let Rows::Many(rows) = &mut entry.rows {
            rows.retain(|other| *other != row.0);
            if !rows.is_empty() {
                return None;
            }
        }
        self.slot_of_hash.remove(&entry.hash);
        *place = None;
        self.free.push(slot);
        Some(slot)
    }

    pub fn write_to(&self, out: &mut Vec<u8>) {
        for slot in &self.slots {
            match slot {
                None => out.extend_from_slice(&0u32.to_le_bytes()),
                Some(entry) => {
                    let rows = entry.rows.as_slice();
                    let len = u32::try_from(rows.len()).expect("fewer than four billion rows");
                    out.extend_from_slice(&len.to_le_bytes());
                    out.extend_from_slice(&entry.hash.to_le_bytes());
                    for row in rows {
                        out.extend_from_slice(&row.to_le_bytes());
                    }
                }
            }
        }
    }

    /// Reads what `write_to` wrote for this many slots off the front of `body`.
    pub fn read_from(body: &mut &[u8], slots: usize) -> Option<Catalogue> {
        let mut catalogue = Catalogue::default();
        for index in 0..slots {
            let slot = Slot::try_from(index).ok()?;
            let len = u32::from_le_bytes(*take(body)?);
            if len == 0 {
                catalogue.slots.push(None);
                catalogue.free.push(slot);
                continue;
            }
            let hash = u128::from_le_bytes(*take(body)?);
            let mut rows = Vec::new();
            for _ in 0..len {
                let row = u64::from_le_bytes(*take(body)?);
                if catalogue.slot_of_row.insert(row, slot).is_some() {
                    return None;
                }
                rows.push(row);
            }
            if catalogue.slot_of_hash.insert(hash, slot).is_some() {
                return None;
            }
            let rows = if let [row] = rows[..] { Rows::One(row) } else { Rows::Many(rows) };
            catalogue.slots.push(Some(Entry { hash, rows }));
        }
        Some(catalogue)
    }
}

fn take<'a, const N: usize>(body: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = body.split_first_chunk::<N>()?;
    *body = rest;
    Some(head)
}
