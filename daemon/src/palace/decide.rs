//! What a command does to a palace: a pure function from the state the writer sees to operations and an outcome.
//!
//! The caller may have looked at an older state; everything that matters is looked at again here. A decision has no
//! effect of its own: it is applied whole, in one transaction, or not at all.

use std::collections::BTreeSet;

use crate::engine::{MetaValue, Op, ReadError, Row, RowKey, View};

use super::command::{
    Added, Change, Checkpoint, CheckpointItem, Command, EntryWritten, Match, NewDrawer, NewEntry, Outcome,
    Removed,
};
use super::draft::{self, Piece, Placement};
use super::moment::Moment;
use super::removed::{Keeper, Why};
use super::{bookkeeping, closets, events, facts, hallways, import, removed, settings, tunnels};

/// What is to be done, and what to answer once it is committed.
#[derive(Debug)]
pub struct Decision {
    /// Changes, in order.
    pub ops: Vec<Op>,
    /// The answer.
    pub outcome: Outcome,
}

/// Decides a command against `view`.
///
/// # Errors
/// Only when the state cannot be read; a refusal is an outcome.
pub fn decide(view: &dyn View, command: &Command) -> Result<Decision, ReadError> {
    match command {
        Command::Add(drawer) => {
            let mut ops = Vec::new();
            let added = add(view, drawer, &mut ops)?;
            Ok(Decision { ops, outcome: Outcome::Added(added) })
        }
        Command::Checkpoint(checkpoint) => decide_checkpoint(view, checkpoint),
        Command::Update(change) => decide_update(view, change),
        Command::Delete { ids, at } => decide_delete(view, ids, at),
        Command::DeleteSource { source_file, at } => decide_delete_source(view, source_file, at),
        Command::WriteDiary(entry) => {
            let mut ops = Vec::new();
            let written = write_diary(entry, &mut ops);
            Ok(Decision { ops, outcome: Outcome::DiaryWritten(written) })
        }
        Command::Fact(command) => Ok(decided(facts::decide(view, command)?, Outcome::Fact)),
        Command::Tunnel(command) => Ok(decided(tunnels::decide(view, command)?, Outcome::Tunnel)),
        Command::DeleteHallway { id } => Ok(decided(hallways::delete(view, id)?, Outcome::HallwayDeleted)),
        Command::Event(command) => Ok(decided(events::decide(view, command)?, Outcome::Event)),
        Command::Settings(command) => Ok(decided(settings::decide(view, command)?, Outcome::Settings)),
        Command::Import(batch) => Ok(decided(import::decide(view, batch)?, Outcome::Imported)),
        Command::Removed(command) => Ok(decided(removed::decide(view, command)?, Outcome::Removed)),
    }
}

/// Returns what a part of the domain decided, its outcome among those of all.
fn decided<T>((ops, outcome): (Vec<Op>, T), wrap: impl FnOnce(T) -> Outcome) -> Decision {
    Decision { ops, outcome: wrap(outcome) }
}

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

fn decide_checkpoint(view: &dyn View, checkpoint: &Checkpoint) -> Result<Decision, ReadError> {
    let mut ops = Vec::new();
    let mut added: Vec<Added> = Vec::new();
    let mut duplicates = Vec::new();
    let mut filed: Vec<(&NewDrawer, &[f32])> = Vec::new();
    for item in &checkpoint.items {
        match item {
            CheckpointItem::Duplicate { room, matches } => duplicates.push((room.clone(), matches.clone())),
            CheckpointItem::New { drawer, vector, known } => {
                let threshold = checkpoint.dedup_threshold;
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
    let diary = checkpoint.diary.as_ref().map(|entry| write_diary(entry, &mut ops));
    Ok(Decision { ops, outcome: Outcome::Checkpointed { added, duplicates, diary } })
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

fn decide_update(view: &dyn View, change: &Change) -> Result<Decision, ReadError> {
    let rows = rows_of(view, &change.id)?;
    let Some(first) = rows.first() else {
        return Ok(Decision { ops: Vec::new(), outcome: Outcome::NotFound { id: change.id.clone() } });
    };
    let wing = change.wing.clone().unwrap_or_else(|| first.wing.clone());
    let room = change.room.clone().unwrap_or_else(|| first.room.clone());
    let moved = |row: &Row| {
        let mut row = row.clone();
        row.wing.clone_from(&wing);
        row.room.clone_from(&room);
        set_text(&mut row.extra, "last_modified", &change.at.local);
        row
    };
    let was_group = first.id != change.id;
    let mut ops = Vec::new();
    let mut keeper = Keeper::default();
    // A card quotes the text it stands for, so it goes with it.
    let closets = match change.pieces {
        Some(_) => {
            for row in &rows {
                keeper.row(view, row, &change.id, Why::Replaced, &change.at)?;
            }
            closets::purge(view, &first.source_file, &mut ops, &mut |key, value| {
                keeper.closet(first.drawer_id(), key, value, Why::Replaced, &change.at);
            })?
        }
        None => 0,
    };
    keeper.keep(view, &mut ops)?;
    let mut chunk_ids = Vec::new();
    match &change.pieces {
        None => {
            chunk_ids.extend(rows.iter().filter(|_| was_group).map(|row| row.id.clone()));
            ops.extend(rows.iter().map(|row| Op::PutMeta(moved(row))));
        }
        Some(pieces) => {
            let template = moved(first);
            let grouped = was_group || pieces.len() > 1;
            let group = if was_group { None } else { first.parent_id.clone() };
            let mut kept: Vec<String> = Vec::new();
            for (mut row, vector) in draft::rows(&change.id, &bare(&template), pieces, grouped) {
                row.extra.clone_from(&template.extra);
                if !grouped {
                    // A single chunk that is changed by its own id stays the chunk it was.
                    row.parent_id.clone_from(&group);
                    row.chunk_index = first.chunk_index;
                }
                kept.push(row.id.clone());
                ops.push(Op::PutRow(row, vector));
            }
            let stale = rows.iter().filter(|row| !kept.contains(&row.id));
            ops.extend(stale.map(|row| Op::DeleteRow { id: row.id.clone() }));
            chunk_ids.extend(kept.into_iter().filter(|_| grouped));
        }
    }
    Ok(Decision { ops, outcome: Outcome::Updated { id: change.id.clone(), wing, room, chunk_ids, closets } })
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

fn decide_delete(view: &dyn View, ids: &[String], at: &Moment) -> Result<Decision, ReadError> {
    let mut ops: Vec<Op> = Vec::new();
    let mut keeper = Keeper::default();
    let mut gone: BTreeSet<String> = BTreeSet::new();
    let mut purged: BTreeSet<String> = BTreeSet::new();
    let mut results = Vec::new();
    for id in ids {
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
            keeper.row(view, &row, id, Why::Deleted, at)?;
            if purged.insert(row.source_file.clone()) {
                removed.closets += closets::purge(view, &row.source_file, &mut ops, &mut |key, value| {
                    keeper.closet(row.drawer_id(), key, value, Why::Deleted, at);
                })?;
            }
            ops.push(Op::DeleteRow { id: row.id.clone() });
            removed.rows.push(row.id);
        }
        results.push(removed);
    }
    keeper.keep(view, &mut ops)?;
    Ok(Decision { ops, outcome: Outcome::Deleted(results) })
}

fn decide_delete_source(view: &dyn View, source_file: &str, at: &Moment) -> Result<Decision, ReadError> {
    let ids = view.ids_by_source(source_file)?;
    let rows = ids.len();
    let mut ops: Vec<Op> = Vec::new();
    let mut keeper = Keeper::default();
    let mut first = None;
    for id in ids {
        if let Some(row) = view.row(&id)? {
            keeper.row(view, &row, row.drawer_id(), Why::Deleted, at)?;
            first.get_or_insert_with(|| row.drawer_id().to_owned());
        }
        ops.push(Op::DeleteRow { id });
    }
    let closets = closets::purge(view, source_file, &mut ops, &mut |key, value| {
        if let Some(drawer_id) = &first {
            keeper.closet(drawer_id, key, value, Why::Deleted, at);
        }
    })?;
    keeper.keep(view, &mut ops)?;
    Ok(Decision { ops, outcome: Outcome::SourceDeleted { rows, closets } })
}

#[cfg(test)]
pub(in crate::palace) mod tests;
