//! Listings: drawers in the order of their ids, a page at a time.
//!
//! The order of `by_wing` is the order of drawer ids within one room, so a page over several rooms is a merge of their
//! ranges. It may begin at a landmark, an id whose place among all is known, and says which landmarks it passed: whoever
//! keeps them pays for the page and not for what is before it.

use std::collections::BTreeMap;

use redb::ReadTransaction;

use super::codec::{Unreadable, trailing_u64};
use super::read::{self, Tables, damaged, keys_under, row_behind};
use super::select::{Selection, rooms, rows_matching};
use super::tables;
use crate::engine::error::{Fault, ReadError};
use crate::engine::types::{Counts, Filter, Landmark, Omit, Page, RowKey, Tally};

/// Drawers between two landmarks.
const LANDMARK_SPACING: usize = 512;
/// Chunk index and row key behind the drawer id of a `by_wing` key, in bytes.
const SHELF_TAIL_BYTES: usize = 12;

/// Which page of which drawers.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    /// Which drawers.
    pub filter: &'a Filter,
    /// Which of them are left out for what they are called.
    pub omit: Omit,
    /// Rows that are left out.
    pub hidden: &'a Selection,
    /// Where the walk may begin, at or before `offset`. Not with a source or a time.
    pub from: &'a Landmark,
    /// Drawers before the page.
    pub offset: usize,
    /// Drawers on the page.
    pub limit: usize,
}

/// Returns one page of drawers in the order of their ids.
pub(in crate::engine) fn page(txn: &ReadTransaction, listing: &Listing<'_>) -> Result<Page, ReadError> {
    let Listing { filter, omit, hidden, from, offset, limit } = *listing;
    let mut rooms = rooms(txn, filter)?;
    rooms.retain(|(_, room), _| !omit.rooms.contains(&room.as_str()));
    let mut page = Page::default();
    let keys = if filter.is_by_place() {
        let mut left_out = 0;
        for (wing, room) in rooms.keys() {
            left_out += omitted_in(txn, omit, wing, room)?.drawers;
        }
        page.total = rooms.values().sum::<u64>().saturating_sub(left_out);
        // The total is known from the counts, so the walk may stop early, or need not begin.
        if offset as u64 >= page.total {
            return Ok(page);
        }
        let walk = Walk::start(txn, rooms.keys(), omit, hidden, None, &from.drawer)?;
        walk_to(walk, from.position, offset, limit, &mut page.landmarks)?
    } else {
        let selection = rows_matching(txn, filter)?;
        let mut walk = Walk::start(txn, rooms.keys(), omit, hidden, Some(&selection), "")?;
        let mut keys = Vec::new();
        while let Some(key) = walk.next_drawer()? {
            page.total += 1;
            if page.total > offset as u64 && keys.len() < limit {
                keys.push(key);
            }
        }
        keys
    };
    for key in keys {
        let row = row_behind(txn, key, &tables::BY_WING).and_then(|row| {
            if filter.admits(&row) {
                Ok(row)
            } else {
                Err(damaged(&tables::BY_WING, &row.id, "entry contradicts the row"))
            }
        });
        match row {
            Ok(row) => page.rows.push(row),
            Err(error) => page.unreadable.push(error.into_damaged_row()?),
        }
    }
    Ok(page)
}

/// Walks to a page, naming the landmarks on the way, and returns its drawers.
fn walk_to(
    mut walk: Walk<'_>,
    from: usize,
    offset: usize,
    limit: usize,
    landmarks: &mut Vec<Landmark>,
) -> Result<Vec<RowKey>, ReadError> {
    let end = offset.saturating_add(limit);
    let mut keys = Vec::new();
    for position in from..end {
        if position > from
            && position % LANDMARK_SPACING == 0
            && let Some(drawer) = walk.landmark()?
        {
            landmarks.push(Landmark { drawer, position });
        }
        let Some(key) = walk.next_drawer()? else { break };
        if position >= offset {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Merges the drawers of several rooms in the order of drawer ids. Ids are compared as they stand in keys, which sort as
/// the ids do.
struct Walk<'a> {
    rooms: Vec<RoomCursor<'a>>,
    /// Next drawer of each room that has one: drawer id, room number → first row.
    heads: BTreeMap<(Vec<u8>, usize), RowKey>,
    /// The drawer that was given last.
    given: Vec<u8>,
    selection: Option<&'a Selection>,
    hidden: &'a Selection,
    omit: Omit,
}

struct RoomCursor<'a> {
    range: redb::Range<'a, tables::Bytes, tables::Bytes>,
    prefix: Vec<u8>,
    last_drawer: Vec<u8>,
}

impl<'a> Walk<'a> {
    fn start(
        txn: &ReadTransaction,
        rooms: impl Iterator<Item = &'a (String, String)>,
        omit: Omit,
        hidden: &'a Selection,
        selection: Option<&'a Selection>,
        from: &str,
    ) -> Result<Self, ReadError> {
        let table = txn.open(&tables::BY_WING)?;
        let (heads, given) = (BTreeMap::new(), Vec::new());
        let mut walk = Walk { rooms: Vec::new(), heads, given, selection, hidden, omit };
        for (wing, room) in rooms {
            let prefix = tables::text_prefix(&[wing, room]);
            let begin =
                if from.is_empty() { prefix.clone() } else { tables::text_prefix(&[wing, room, from]) };
            let range = table
                .range(begin.as_slice()..)
                .map_err(|error| Fault::from(error).reading(tables::BY_WING.name))?;
            walk.rooms.push(RoomCursor { range, prefix, last_drawer: Vec::new() });
            walk.advance(walk.rooms.len() - 1)?;
        }
        Ok(walk)
    }

    fn next_drawer(&mut self) -> Result<Option<RowKey>, ReadError> {
        let Some(((drawer, room), key)) = self.heads.pop_first() else { return Ok(None) };
        self.given = drawer;
        self.advance(room)?;
        Ok(Some(key))
    }

    /// Returns the id of the next drawer, unless a drawer of that id was given already: a landmark is before all of them.
    fn landmark(&self) -> Result<Option<String>, ReadError> {
        let Some(((drawer, _), _)) = self.heads.first_key_value() else { return Ok(None) };
        if *drawer == self.given {
            return Ok(None);
        }
        let text = super::codec::pop_text(&mut drawer.as_slice());
        text.map(Some).map_err(|why| damaged(&tables::BY_WING, "?", why))
    }

    /// Moves a room to its next drawer with a selected row.
    fn advance(&mut self, room: usize) -> Result<(), ReadError> {
        let cursor = &mut self.rooms[room];
        for entry in cursor.range.by_ref() {
            let (key, _) = entry.map_err(|error| Fault::from(error).reading(tables::BY_WING.name))?;
            let Some(rest) = key.value().strip_prefix(cursor.prefix.as_slice()) else { break };
            let (drawer, row) = shelf_entry(rest).map_err(|why| damaged(&tables::BY_WING, "?", why))?;
            if cursor.last_drawer == drawer
                || self.selection.is_some_and(|selection| !selection.contains(row))
                || self.hidden.contains(row)
                || self.omit.id_prefixes.iter().any(|prefix| drawer.starts_with(prefix.as_bytes()))
            {
                continue;
            }
            cursor.last_drawer.clear();
            cursor.last_drawer.extend_from_slice(drawer);
            self.heads.insert((drawer.to_vec(), room), row);
            return Ok(());
        }
        Ok(())
    }
}

/// Takes apart what follows wing and room in a key of `by_wing`: the drawer id as it stands there, and the row.
fn shelf_entry(rest: &[u8]) -> Result<(&[u8], RowKey), Unreadable> {
    let at = rest.len().checked_sub(SHELF_TAIL_BYTES).ok_or(Unreadable::Malformed("key"))?;
    let (drawer, tail) = rest.split_at(at);
    if !drawer.ends_with(&[0, 0]) {
        return Err(Unreadable::Malformed("key"));
    }
    Ok((drawer, RowKey(trailing_u64(tail)?)))
}

/// Returns the rows of a drawer that stand in a room.
pub(in crate::engine) fn rows_on_shelf(
    txn: &ReadTransaction,
    wing: &str,
    room: &str,
    drawer: &str,
) -> Result<Vec<RowKey>, ReadError> {
    let mut rows = Vec::new();
    keys_under(txn, &tables::BY_WING, &tables::text_prefix(&[wing, room, drawer]), |key| {
        rows.push(RowKey(trailing_u64(key)?));
        Ok(true)
    })?;
    Ok(rows)
}

/// Returns how much of each room is left out; rooms of which nothing is are not among them.
pub(in crate::engine) fn omitted(txn: &ReadTransaction, omit: Omit) -> Result<Counts, ReadError> {
    let mut omitted = read::counts(txn)?;
    for (wing, rooms) in &mut omitted.wings {
        for (room, tally) in rooms.iter_mut().filter(|(room, _)| !omit.rooms.contains(&room.as_str())) {
            *tally = omitted_in(txn, omit, wing, room)?;
        }
        rooms.retain(|_, tally| tally.rows > 0);
    }
    omitted.wings.retain(|_, rooms| !rooms.is_empty());
    Ok(omitted)
}

/// Returns how much of a room is left out for the begin of its id.
fn omitted_in(txn: &ReadTransaction, omit: Omit, wing: &str, room: &str) -> Result<Tally, ReadError> {
    let mut tally = Tally::default();
    let room = tables::text_prefix(&[wing, room]);
    for prefix in omit.id_prefixes {
        let mut last = Vec::new();
        keys_under(txn, &tables::BY_WING, &[&room, prefix.as_bytes()].concat(), |key| {
            let (drawer, _) = shelf_entry(key.get(room.len()..).unwrap_or_default())?;
            tally.rows += 1;
            if last != drawer {
                tally.drawers += 1;
                last = drawer.to_vec();
            }
            Ok(true)
        })?;
    }
    Ok(tally)
}
