//! What a command does to drawers: a pure function from the state the writer sees to operations and an outcome.
//!
//! The caller may have looked at an older state; everything that matters is looked at again here. A decision has no
//! effect of its own: it is applied whole, in one transaction, or not at all.

use std::collections::BTreeSet;

use crate::engine::{MetaValue, Op, ReadError, Row, RowKey, View};

use super::command::{
    Added, Change, Changed, Checkpoint, CheckpointItem, Checkpointed, Command, Decided, Delete, DeleteSource,
    EntryWritten, Match, NewDrawer, NewEntry, Removed, SourceDeleted,
};
use super::draft::{self, Piece, Placement};
use super::removed::{Keeper, Why};
use super::{bookkeeping, closets};

/// Returns the rows behind an id: one row of that id, or the chunks of the drawer of that id.
///
/// # Errors
/// When the state cannot be read.
pub fn rows_of(view: &dyn View, id: &str) -> Result<Vec<Row>, ReadError> {
    match view.row(id)? {
        Some(row) => Ok(vec![row]),
        None => view.chunks_of(id),
    }
}

impl Command for NewDrawer {
    type Outcome = Added;

    fn decide(&self, view: &dyn View) -> Decided<Added> {
        let mut ops = Vec::new();
        let added = add(view, self, &mut ops)?;
        Ok((ops, added))
    }
}

fn add(view: &dyn View, drawer: &NewDrawer, ops: &mut Vec<Op>) -> Result<Added, ReadError> {
    let existing = rows_of(view, &drawer.id)?;
    if !existing.is_empty() {
        return Ok(Added {
            id: drawer.id.clone(),
            wing: drawer.wing.clone(),
            room: drawer.room.clone(),
            existed: true,
            chunks: existing.len(),
            chunk_ids: Vec::new(),
        });
    }
    let placement = draft::drawer_placement(
        &drawer.wing,
        &drawer.room,
        &drawer.source_file,
        &drawer.added_by,
        &drawer.at,
    );
    let chunk_ids = put(&drawer.id, &placement, &drawer.pieces, drawer.pieces.len() > 1, ops);
    Ok(Added {
        id: drawer.id.clone(),
        wing: drawer.wing.clone(),
        room: drawer.room.clone(),
        existed: false,
        chunks: drawer.pieces.len(),
        chunk_ids,
    })
}

/// Adds the operations that store a text and returns its chunk ids when it is a group.
fn put(id: &str, placement: &Placement, pieces: &[Piece], grouped: bool, ops: &mut Vec<Op>) -> Vec<String> {
    let rows = draft::rows(id, placement, pieces, grouped);
    let ids = rows.iter().filter(|_| grouped).map(|(row, _)| row.id.clone()).collect();
    ops.extend(rows.into_iter().map(|(row, vector)| Op::PutRow(row, vector)));
    ids
}

impl Command for NewEntry {
    type Outcome = EntryWritten;

    fn decide(&self, _: &dyn View) -> Decided<EntryWritten> {
        let mut ops = Vec::new();
        let written = write_diary(self, &mut ops);
        Ok((ops, written))
    }
}

fn write_diary(entry: &NewEntry, ops: &mut Vec<Op>) -> EntryWritten {
    let grouped = entry.pieces.len() > 1;
    let group = grouped.then_some(entry.id.as_str());
    let placement = draft::diary_placement(&entry.wing, &entry.agent, &entry.topic, group, &entry.at);
    let chunk_ids = put(&entry.id, &placement, &entry.pieces, grouped, ops);
    EntryWritten {
        id: entry.id.clone(),
        agent: entry.agent.clone(),
        topic: entry.topic.clone(),
        timestamp: entry.at.local.clone(),
        chunks: entry.pieces.len(),
        chunk_ids,
    }
}

impl Command for Checkpoint {
    type Outcome = Checkpointed;

    fn decide(&self, view: &dyn View) -> Decided<Checkpointed> {
        let mut ops = Vec::new();
        let mut added: Vec<Added> = Vec::new();
        let mut duplicates = Vec::new();
        let mut filed: Vec<(&NewDrawer, &[f32])> = Vec::new();
        for item in &self.items {
            match item {
                CheckpointItem::Duplicate { room, matches } => {
                    duplicates.push((room.clone(), matches.clone()))
                }
                CheckpointItem::New { drawer, vector, known } => {
                    let threshold = self.dedup_threshold;
                    let mut twins = twins(&filed, vector, threshold);
                    twins.extend(filed_since(view, *known, vector, threshold)?);
                    if twins.is_empty() {
                        added.push(add(view, drawer, &mut ops)?);
                        filed.push((drawer, vector));
                    } else {
                        duplicates.push((drawer.room.clone(), twins));
                    }
                }
            }
        }
        let diary = self.diary.as_ref().map(|entry| write_diary(entry, &mut ops));
        Ok((ops, Checkpointed { added, duplicates, diary }))
    }
}

/// Returns what was filed since the caller looked and is too close to `vector`, the closest first.
fn filed_since(
    view: &dyn View,
    known: RowKey,
    vector: &[f32],
    threshold: f32,
) -> Result<Vec<Match>, ReadError> {
    let mut near = view.newer_rows_near(known, vector, threshold)?;
    near.retain(|(row, _)| !bookkeeping::is_bookkeeping(row));
    near.sort_by(|left, right| right.1.total_cmp(&left.1));
    Ok(near
        .into_iter()
        .map(|(row, similarity)| Match {
            id: row.id,
            wing: row.wing,
            room: row.room,
            similarity,
            content: row.document,
        })
        .collect())
}

/// Returns the earlier items of the same checkpoint that are too close to `vector`.
fn twins(filed: &[(&NewDrawer, &[f32])], vector: &[f32], threshold: f32) -> Vec<Match> {
    filed
        .iter()
        .filter_map(|(drawer, other)| {
            let similarity: f32 = vector.iter().zip(*other).map(|(left, right)| left * right).sum();
            (similarity >= threshold).then(|| Match {
                id: drawer.id.clone(),
                wing: drawer.wing.clone(),
                room: drawer.room.clone(),
                similarity,
                content: drawer.pieces.iter().map(|piece| piece.text.as_str()).collect(),
            })
        })
        .collect()
}

impl Command for Change {
    type Outcome = Option<Changed>;

    fn decide(&self, view: &dyn View) -> Decided<Option<Changed>> {
        let rows = rows_of(view, &self.id)?;
        let Some(first) = rows.first() else {
            return Ok((Vec::new(), None));
        };
        let wing = self.wing.clone().unwrap_or_else(|| first.wing.clone());
        let room = self.room.clone().unwrap_or_else(|| first.room.clone());
        let moved = |row: &Row| {
            let mut row = row.clone();
            row.wing.clone_from(&wing);
            row.room.clone_from(&room);
            set_text(&mut row.extra, "last_modified", &self.at.local);
            row
        };
        let mut ops = Vec::new();
        let mut keeper = Keeper::default();
        // A card quotes the text it stands for, so it goes with it.
        let closets = match self.pieces {
            Some(_) => {
                for row in &rows {
                    keeper.row(view, row, &self.id, Why::Replaced, &self.at)?;
                }
                closets::purge(view, &first.source_file, &mut ops, &mut |key, value| {
                    keeper.closet(first.drawer_id(), key, value, Why::Replaced, &self.at);
                })?
            }
            None => 0,
        };
        keeper.keep(view, &mut ops)?;
        let chunk_ids = match &self.pieces {
            Some(pieces) => rewrite(&self.id, &moved(first), &rows, pieces, &mut ops),
            None => {
                ops.extend(rows.iter().map(|row| Op::PutMeta(moved(row))));
                let chunks = rows.iter().filter(|row| row.id != self.id);
                chunks.map(|row| row.id.clone()).collect()
            }
        };
        Ok((ops, Some(Changed { wing, room, chunk_ids, closets })))
    }
}

/// Adds the operations that put a new text in the place of `rows`, the first of which is `first` as it is to be, and
/// returns the ids of its chunks when it is a group.
fn rewrite(id: &str, first: &Row, rows: &[Row], pieces: &[Piece], ops: &mut Vec<Op>) -> Vec<String> {
    let was_group = first.id != id;
    let grouped = was_group || pieces.len() > 1;
    let mut kept: Vec<String> = Vec::new();
    for (mut row, vector) in draft::rows(id, &bare(first), pieces, grouped) {
        row.extra.clone_from(&first.extra);
        if !grouped {
            // A single chunk that is changed by its own id stays the chunk it was.
            row.parent_id.clone_from(&first.parent_id);
            row.chunk_index = first.chunk_index;
        }
        kept.push(row.id.clone());
        ops.push(Op::PutRow(row, vector));
    }
    let stale = rows.iter().filter(|row| !kept.contains(&row.id));
    ops.extend(stale.map(|row| Op::DeleteRow { id: row.id.clone() }));
    if grouped { kept } else { Vec::new() }
}

fn bare(row: &Row) -> Placement {
    Placement {
        wing: row.wing.clone(),
        room: row.room.clone(),
        source_file: row.source_file.clone(),
        extra: Vec::new(),
        filed_at: row.filed_at.clone(),
    }
}

fn set_text(extra: &mut Vec<(String, MetaValue)>, key: &str, value: &str) {
    let value = MetaValue::Text(value.to_owned());
    match extra.binary_search_by(|(name, _)| name.as_str().cmp(key)) {
        Ok(at) => extra[at].1 = value,
        Err(at) => extra.insert(at, (key.to_owned(), value)),
    }
}

impl Command for Delete {
    type Outcome = Vec<Removed>;

    fn decide(&self, view: &dyn View) -> Decided<Vec<Removed>> {
        let mut ops: Vec<Op> = Vec::new();
        let mut keeper = Keeper::default();
        let mut gone: BTreeSet<String> = BTreeSet::new();
        let mut purged: BTreeSet<String> = BTreeSet::new();
        let mut results = Vec::new();
        for id in &self.ids {
            // Asked for twice, it is gone twice.
            if let Some(earlier) = results.iter().find(|earlier: &&Removed| earlier.id == *id) {
                results.push(earlier.clone());
                continue;
            }
            let mut removed = Removed { id: id.clone(), rows: Vec::new(), closets: 0 };
            for row in rows_of(view, id)? {
                if !gone.insert(row.id.clone()) {
                    continue;
                }
                keeper.row(view, &row, id, Why::Deleted, &self.at)?;
                if purged.insert(row.source_file.clone()) {
                    removed.closets +=
                        closets::purge(view, &row.source_file, &mut ops, &mut |key, value| {
                            keeper.closet(row.drawer_id(), key, value, Why::Deleted, &self.at);
                        })?;
                }
                ops.push(Op::DeleteRow { id: row.id.clone() });
                removed.rows.push(row.id);
            }
            results.push(removed);
        }
        keeper.keep(view, &mut ops)?;
        Ok((ops, results))
    }
}

impl Command for DeleteSource {
    type Outcome = SourceDeleted;

    fn decide(&self, view: &dyn View) -> Decided<SourceDeleted> {
        let ids = view.ids_by_source(&self.source_file)?;
        let rows = ids.len();
        let mut ops: Vec<Op> = Vec::new();
        let mut keeper = Keeper::default();
        let mut first = None;
        for id in ids {
            if let Some(row) = view.row(&id)? {
                keeper.row(view, &row, row.drawer_id(), Why::Deleted, &self.at)?;
                first.get_or_insert_with(|| row.drawer_id().to_owned());
            }
            ops.push(Op::DeleteRow { id });
        }
        let closets = closets::purge(view, &self.source_file, &mut ops, &mut |key, value| {
            if let Some(drawer_id) = &first {
                keeper.closet(drawer_id, key, value, Why::Deleted, &self.at);
            }
        })?;
        keeper.keep(view, &mut ops)?;
        Ok((ops, SourceDeleted { rows, closets }))
    }
}

#[cfg(test)]
pub(in crate::palace) mod tests;
