//! Changing text and place of a drawer.

use crate::engine::{MetaValue, Op, Row, View};
use crate::palace::closets;
use crate::palace::command::{Change, Changed, Command, Decided};
use crate::palace::draft::{self, Piece, Placement};
use crate::palace::removed::{Keeper, Why};

use super::rows_of;

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
