//! Filing drawers, diary entries and checkpoints.

use crate::engine::{Op, ReadError, RowKey, View};
use crate::palace::bookkeeping;
use crate::palace::command::{
    Added, Checkpoint, CheckpointItem, Checkpointed, Command, Decided, EntryWritten, Match, NewDrawer,
    NewEntry,
};
use crate::palace::draft::{self, Piece, Placement};

use super::rows_of;

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
