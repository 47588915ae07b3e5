//! What was removed or replaced, kept for a while so that it can be brought back.
//!
//! A removal holds everything that one command took away from one drawer: its rows with their vectors, and the index
//! cards that went with them. It is written in the removing transaction, so nothing is ever gone that is not kept.
//! Removals older than the palace's keeping time go with later commits, a few at a time; `purge` makes them go at once.

mod change;
mod keeper;
mod listing;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{Collection, Op, ReadError, RecordRange, Timestamp, View};

use super::portable::PortableRow;
use super::records;

pub use change::{Purge, Purged, Undelete, Undeleted};
pub use keeper::Keeper;
pub use listing::{Listed, list};

/// Expired removals that go with one commit at most.
const EXPIRE_COUNT_MAX: usize = 64;

/// Why something was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It was deleted.
    Deleted,
    /// Another text took its place.
    Replaced,
}

/// One drawer as it was before a command took it away.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Removal {
    /// Id of the drawer.
    pub drawer_id: String,
    /// When it went, in milliseconds since 1970.
    pub at_ms: i64,
    /// The same as local text.
    pub at: String,
    /// Why it went.
    pub why: Why,
    /// Whether these were all rows of the drawer; single chunks go and come by themselves.
    #[serde(default = "yes")]
    pub whole: bool,
    /// Its rows.
    pub rows: Vec<PortableRow>,
    /// Index cards that went with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closets: Vec<KeptRecord>,
}

fn yes() -> bool {
    true
}

/// A record beside the rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptRecord {
    /// Its key; index cards have text for keys.
    pub key: String,
    /// Its value.
    pub value: Value,
}

fn keys(drawer_id: &str, at_ms: i64) -> (Vec<u8>, Vec<u8>) {
    let time = sortable(at_ms);
    let mut by_id = records::key(&[drawer_id]);
    by_id.extend_from_slice(&time);
    (by_id, [&time[..], drawer_id.as_bytes()].concat())
}

/// Bytes that sort as the time does.
fn sortable(at_ms: i64) -> [u8; 8] {
    (at_ms.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Returns the last removal of a drawer.
fn newest(view: &dyn View, drawer_id: &str) -> Result<Option<Removal>, ReadError> {
    find(view, drawer_id, |_| true)
}

/// Returns the newest removal of a drawer that is wanted.
fn find(
    view: &dyn View,
    drawer_id: &str,
    wanted: impl Fn(&Removal) -> bool,
) -> Result<Option<Removal>, ReadError> {
    let range = RecordRange { backwards: true, ..RecordRange::under(records::key(&[drawer_id])) };
    let mut found = None;
    records::each(view, Collection::Removed, &range, |removal: Removal| {
        if wanted(&removal) {
            found = Some(removal);
        }
        found.is_none()
    })?;
    Ok(found)
}

/// Tells whether something of a drawer was removed or replaced and is still kept.
///
/// # Errors
/// When the state cannot be read.
pub fn is_kept(view: &dyn View, drawer_id: &str) -> Result<bool, ReadError> {
    let mut found = false;
    view.records(Collection::Removed, &RecordRange::under(records::key(&[drawer_id])), &mut |_, _| {
        found = true;
        false
    })?;
    Ok(found)
}

fn forget(drawer_id: &str, at_ms: i64, ops: &mut Vec<Op>) {
    let (by_id, by_time) = keys(drawer_id, at_ms);
    ops.push(records::delete(Collection::Removed, by_id));
    ops.push(records::delete(Collection::RemovedByTime, by_time));
}

/// Returns the operations that forget removals older than `before`, oldest first, a few of them.
///
/// # Errors
/// When the state cannot be read.
pub fn expire(view: &dyn View, before: Timestamp) -> Result<Vec<Op>, ReadError> {
    let limit = sortable(before.0);
    let mut ops = Vec::new();
    let mut count = 0;
    view.records(Collection::RemovedByTime, &RecordRange::default(), &mut |key, _| {
        let Some((time, drawer_id)) = key.split_first_chunk::<8>().filter(|(time, _)| **time < limit) else {
            return false;
        };
        let at_ms = (u64::from_be_bytes(*time) ^ (1 << 63)).cast_signed();
        forget(&String::from_utf8_lossy(drawer_id), at_ms, &mut ops);
        count += 1;
        count < EXPIRE_COUNT_MAX
    })?;
    Ok(ops)
}

#[cfg(test)]
mod tests;
