//! What was removed or replaced, kept for a while so that it can be brought back.
//!
//! A removal holds everything that one command took away from one drawer: its rows with their vectors, and the index
//! cards that went with them. It is written in the removing transaction, so nothing is ever gone that is not kept.
//! Removals older than the palace's keeping time go with later commits, a few at a time; `purge` makes them go at once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{Collection, Op, ReadError, RecordRange, Row, Timestamp, View};

use super::command::{Command, Decided};
use super::moment::Moment;
use super::portable::PortableRow;
use super::records;

/// Expired removals that go with one commit at most.
const EXPIRE_COUNT_MAX: usize = 64;
/// Characters of the text that a listing shows.
const PREVIEW_CHARS: usize = 80;

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

/// A removal as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Id of the drawer.
    pub drawer_id: String,
    /// When it went, local text.
    pub at: String,
    /// Why it went.
    pub why: Why,
    /// Where it stood.
    pub wing: String,
    /// Where it stood.
    pub room: String,
    /// Number of rows.
    pub rows: usize,
    /// The beginning of its text.
    pub preview: String,
}

/// Brings drawers back as they were before they were last removed or replaced.
#[derive(Clone, Debug)]
pub struct Undelete {
    /// Ids of drawers.
    pub ids: Vec<String>,
    /// When.
    pub at: Moment,
}

/// Forgets removals for good.
#[derive(Clone, Debug)]
pub struct Purge {
    /// Only of these drawers; none means all.
    pub ids: Vec<String>,
    /// Only those that went before this time.
    pub before: Option<Timestamp>,
    /// Most removals to forget with this command, so that no commit becomes too large.
    pub count_max: usize,
}

/// Removals that were forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// How many.
    pub removals: usize,
    /// Their rows.
    pub rows: usize,
    /// Others match too.
    pub more: bool,
}

/// What became of one drawer that was to be brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undeleted {
    /// Its id.
    pub drawer_id: String,
    /// Rows that came back; none when nothing is kept of it that differs from what is there.
    pub rows: usize,
    /// It was there before.
    pub was_there: bool,
}

/// Collects what one command takes away, drawer by drawer.
#[derive(Default)]
pub struct Keeper(Vec<Removal>);

impl Keeper {
    /// Keeps a row that is about to go, and was named by `id`: that of its drawer, or its own.
    ///
    /// # Errors
    /// When its vector cannot be read.
    pub fn row(
        &mut self,
        view: &dyn View,
        row: &Row,
        id: &str,
        why: Why,
        at: &Moment,
    ) -> Result<(), ReadError> {
        let vector = view.stored_vector(&row.id)?;
        let kept = PortableRow::new(row.clone(), vector.as_ref());
        let removal = self.of(row.drawer_id(), why, at);
        removal.rows.push(kept);
        // A chunk that is named by its own id goes by itself, even if it is the last one.
        removal.whole &= id == row.drawer_id();
        Ok(())
    }

    /// Keeps an index card that goes with a drawer.
    pub fn closet(&mut self, drawer_id: &str, key: &[u8], value: &[u8], why: Why, at: &Moment) {
        let value = serde_json::from_slice(value).unwrap_or(Value::Null);
        let key = String::from_utf8_lossy(key).into_owned();
        self.of(drawer_id, why, at).closets.push(KeptRecord { key, value });
    }

    fn of(&mut self, drawer_id: &str, why: Why, at: &Moment) -> &mut Removal {
        // Rows of one drawer come one after the other.
        let position = match self.0.last() {
            Some(last) if last.drawer_id == drawer_id => self.0.len() - 1,
            _ => match self.0.iter().position(|removal| removal.drawer_id == drawer_id) {
                Some(position) => position,
                None => {
                    self.0.push(Removal {
                        drawer_id: drawer_id.to_owned(),
                        at_ms: at.utc.0,
                        at: at.local.clone(),
                        why,
                        whole: true,
                        rows: Vec::new(),
                        closets: Vec::new(),
                    });
                    self.0.len() - 1
                }
            },
        };
        &mut self.0[position]
    }

    /// Adds the operations that keep everything collected.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn keep(self, view: &dyn View, ops: &mut Vec<Op>) -> Result<(), ReadError> {
        for mut removal in self.0 {
            removal.whole &= super::decide::rows_of(view, &removal.drawer_id)?.len() <= removal.rows.len();
            // Two removals of one drawer in one millisecond are two.
            if let Some(newest) = newest(view, &removal.drawer_id)? {
                removal.at_ms = removal.at_ms.max(newest.at_ms + 1);
            }
            let (by_id, by_time) = keys(&removal.drawer_id, removal.at_ms);
            ops.push(records::put(Collection::RemovedByTime, by_time, &Value::Null));
            ops.push(records::put(Collection::Removed, by_id, &removal));
        }
        Ok(())
    }
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

impl Command for Undelete {
    /// One entry for each drawer asked for, in order.
    type Outcome = Vec<Undeleted>;

    fn decide(&self, view: &dyn View) -> Decided<Vec<Undeleted>> {
        let (mut ops, mut results) = (Vec::new(), Vec::new());
        for (position, id) in self.ids.iter().enumerate() {
            if !self.ids[..position].contains(id) {
                results.push(undelete(view, id, &self.at, &mut ops)?);
            }
        }
        Ok((ops, results))
    }
}

impl Command for Purge {
    type Outcome = Purged;

    fn decide(&self, view: &dyn View) -> Decided<Purged> {
        let mut found = Vec::new();
        let mut take = |removal: Removal| {
            if self.before.is_none_or(|before| removal.at_ms < before.0) {
                found.push((removal.drawer_id, removal.at_ms, removal.rows.len()));
            }
            found.len() <= self.count_max
        };
        if self.ids.is_empty() {
            records::each(view, Collection::Removed, &RecordRange::default(), &mut take)?;
        }
        let once: BTreeSet<&String> = self.ids.iter().collect();
        for id in once {
            records::each(view, Collection::Removed, &RecordRange::under(records::key(&[id])), &mut take)?;
        }
        let more = found.len() > self.count_max;
        found.truncate(self.count_max);
        let mut ops = Vec::new();
        found.iter().for_each(|(id, at_ms, _)| forget(id, *at_ms, &mut ops));
        let rows = found.iter().map(|(_, _, rows)| rows).sum();
        Ok((ops, Purged { removals: found.len(), rows, more }))
    }
}

fn forget(drawer_id: &str, at_ms: i64, ops: &mut Vec<Op>) {
    let (by_id, by_time) = keys(drawer_id, at_ms);
    ops.push(records::delete(Collection::Removed, by_id));
    ops.push(records::delete(Collection::RemovedByTime, by_time));
}

/// Brings one drawer back, or a single chunk by its own id. What stands in its place is exchanged with the newest text
/// that differs from it.
fn undelete(view: &dyn View, id: &str, at: &Moment, ops: &mut Vec<Op>) -> Result<Undeleted, ReadError> {
    let was_there = !super::decide::rows_of(view, id)?.is_empty();
    let nothing = Undeleted { drawer_id: id.to_owned(), rows: 0, was_there };
    let (drawer_id, chunk) = match (is_kept(view, id)?, id.rsplit_once("_chunk_")) {
        (false, Some((parent, _))) => (parent, Some(id)),
        (true, _) | (false, None) => (id, None),
    };
    let present = super::decide::rows_of(view, drawer_id)?;
    let is_wanted = |removal: &Removal| {
        let has_chunk = chunk.is_none_or(|chunk| removal.rows.iter().any(|row| row.id == chunk));
        has_chunk && !stands(&present, removal)
    };
    let Some(removal) = find(view, drawer_id, is_wanted)? else { return Ok(nothing) };
    forget(drawer_id, removal.at_ms, ops);
    let mut keeper = Keeper::default();
    for row in &present {
        if removal.whole || removal.rows.iter().any(|kept| kept.id == row.id) {
            let name = if removal.whole { drawer_id } else { &row.id };
            keeper.row(view, row, name, Why::Replaced, at)?;
            ops.push(Op::DeleteRow { id: row.id.clone() });
        }
    }
    let rows = removal.rows.len();
    for kept in removal.rows {
        let damaged = |detail: String| ReadError::Damaged { table: "removed", key: id.to_owned(), detail };
        let (row, vector) = kept.into_row().map_err(|error| damaged(error.to_string()))?;
        let vector = vector.ok_or_else(|| damaged("a row without its vector".to_owned()))?;
        ops.push(Op::PutStored(row, vector));
    }
    for closet in removal.closets {
        ops.push(records::put(Collection::Closets, closet.key, &closet.value));
    }
    keeper.keep(view, ops)?;
    Ok(Undeleted { drawer_id: id.to_owned(), rows, was_there })
}

/// Tells whether the texts of a removal stand where they stood.
fn stands(present: &[Row], removal: &Removal) -> bool {
    let same_number = !removal.whole || present.len() == removal.rows.len();
    let has =
        |kept: &PortableRow| present.iter().any(|row| row.id == kept.id && row.document == kept.document);
    same_number && removal.rows.iter().all(has)
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

/// Returns the newest removals, newest first, and how many there are.
///
/// # Errors
/// When a record cannot be read.
pub fn list(view: &dyn View, limit: usize) -> Result<(Vec<Listed>, u64), ReadError> {
    let mut newest: Vec<Vec<u8>> = Vec::new();
    let range = RecordRange { backwards: true, ..RecordRange::default() };
    view.records(Collection::RemovedByTime, &range, &mut |key, _| {
        if newest.len() < limit {
            newest.push(key.to_vec());
        }
        newest.len() < limit
    })?;
    let mut listed = Vec::new();
    for key in newest {
        let Some((time, drawer_id)) = key.split_first_chunk::<8>() else { continue };
        let by_id = [drawer_id, &[0], &time[..]].concat();
        if let Some(removal) = records::get::<Removal>(view, Collection::Removed, &by_id)? {
            listed.push(describe(removal));
        }
    }
    Ok((listed, view.record_count(Collection::RemovedByTime)?))
}

fn describe(removal: Removal) -> Listed {
    let first = removal.rows.first();
    let text = |pick: fn(&PortableRow) -> &String| first.map(pick).cloned().unwrap_or_default();
    Listed {
        wing: text(|row| &row.wing),
        room: text(|row| &row.room),
        preview: text(|row| &row.document).chars().take(PREVIEW_CHARS).collect(),
        drawer_id: removal.drawer_id,
        at: removal.at,
        why: removal.why,
        rows: removal.rows.len(),
    }
}

#[cfg(test)]
mod tests;
