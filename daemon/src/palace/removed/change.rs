//! What changes what is kept: drawers brought back, removals forgotten.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::engine::{Collection, Op, ReadError, RecordRange, Row, Timestamp, View};
use crate::palace::command::{Command, Decided};
use crate::palace::decide::rows_of;
use crate::palace::moment::Moment;
use crate::palace::portable::PortableRow;
use crate::palace::records;

use super::{Keeper, Removal, Why, find, forget, is_kept};

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

/// Brings one drawer back, or a single chunk by its own id. What stands in its place is exchanged with the newest text
/// that differs from it.
fn undelete(view: &dyn View, id: &str, at: &Moment, ops: &mut Vec<Op>) -> Result<Undeleted, ReadError> {
    let was_there = !rows_of(view, id)?.is_empty();
    let nothing = Undeleted { drawer_id: id.to_owned(), rows: 0, was_there };
    let (drawer_id, chunk) = match (is_kept(view, id)?, id.rsplit_once("_chunk_")) {
        (false, Some((parent, _))) => (parent, Some(id)),
        (true, _) | (false, None) => (id, None),
    };
    let present = rows_of(view, drawer_id)?;
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
