//! Which backups belong together.
//!
//! A partial backup names the store and the position in history that it continues. Pure: on what headers say.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::palace::{Seq, Timestamp};

use super::{CHAIN_LEN_MAX, Position, store_name};

/// Longest chain that is followed; longer ones are no chains of ours.
const FOLLOWED_LEN_MAX: usize = 1_000;

/// A backup as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Identity of the store it was taken from.
    pub store: [u8; 16],
    /// Its position in history.
    pub seq: Seq,
    /// Position of the backup it continues; none for a full one.
    pub since: Option<Seq>,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Rows of the store then.
    pub rows: u64,
    /// The file does not end as a backup does.
    pub cut_off: bool,
}

impl Entry {
    /// Returns what the entries of one store are ordered by: history, then time. A clock may have been set back between
    /// two of them; positions only grow.
    pub fn order(&self) -> (Seq, i64, &PathBuf) {
        (self.seq, self.taken_at.0, &self.path)
    }

    fn continues(&self, other: &Entry) -> bool {
        self.since == Some(other.seq) && self.store == other.store && self.path != other.path
    }
}

/// Sorts entries, the newest last: those of one store by history, stores by when they were last backed up. Those of the
/// store `own` come last whatever the clock said then.
pub fn sort<'e, E: Borrow<Entry> + 'e>(entries: &mut [E], own: Option<[u8; 16]>) {
    let mut last_at: BTreeMap<[u8; 16], i64> = BTreeMap::new();
    for entry in entries.iter().map(Borrow::borrow) {
        let at = last_at.entry(entry.store).or_insert(i64::MIN);
        *at = (*at).max(entry.taken_at.0);
    }
    let of_store =
        |entry: &Entry| (own == Some(entry.store), last_at.get(&entry.store).copied(), entry.store);
    entries.sort_by(|left, right| {
        let (left, right) = (left.borrow(), right.borrow());
        of_store(left).cmp(&of_store(right)).then_with(|| left.order().cmp(&right.order()))
    });
}

/// Returns the chain that ends with an entry, the full one first; `None` when a link is missing or cut off.
pub fn chain_of<'e>(entries: &'e [Entry], last: &'e Entry) -> Option<Vec<&'e Entry>> {
    let mut chain = Vec::new();
    follow(entries, last, &mut chain).then(|| {
        chain.reverse();
        chain
    })
}

/// Extends a chain that is built from its end to its begin; tells whether that succeeded.
fn follow<'e>(entries: &'e [Entry], next: &'e Entry, chain: &mut Vec<&'e Entry>) -> bool {
    let repeated = chain.iter().any(|known| known.path == next.path);
    if next.cut_off || repeated || chain.len() >= FOLLOWED_LEN_MAX {
        return false;
    }
    chain.push(next);
    if next.since.is_none() {
        return true;
    }
    // A store that was put back by hand can reach a position twice: the youngest of those that are older is the one.
    let mut before: Vec<&Entry> = entries.iter().filter(|entry| next.continues(entry)).collect();
    before.sort_by_key(|entry| (entry.taken_at > next.taken_at, std::cmp::Reverse(entry.taken_at)));
    if before.into_iter().any(|entry| follow(entries, entry, chain)) {
        return true;
    }
    chain.pop();
    false
}

/// Returns the backup that a partial one may continue: the one the palace remembers, if it is there with all it needs and
/// the chain is not too long.
pub fn continued<'e>(entries: &'e [Entry], last: Option<&Position>, store: &[u8; 16]) -> Option<&'e Entry> {
    let last = last.filter(|last| last.store == store_name(store))?;
    let entry = entries.iter().find(|entry| {
        entry.path.file_name().is_some_and(|name| *name == *last.file)
            && (entry.store, entry.seq.0, entry.taken_at.0) == (*store, last.seq, last.at)
    })?;
    let chain = chain_of(entries, entry)?;
    (chain.len() < CHAIN_LEN_MAX).then_some(entry)
}
