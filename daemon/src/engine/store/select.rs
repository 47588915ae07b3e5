//! Questions over many rows: filters, pages, the newest.
//!
//! They walk index keys and read only the rows they return. The order of `by_wing` is the order of
//! drawer ids within one room, so a page over several rooms is a merge of their ranges.

use std::collections::BTreeMap;

use redb::ReadTransaction;
use roaring::RoaringTreemap;

use super::codec::{Cursor, trailing_u64};
use super::read::{self, Tables, damaged, keys_under, row_behind};
use super::tables::{self, Table, shelf_entry};
use crate::engine::error::{Fault, ReadError};
use crate::engine::types::{Counts, Filter, Omit, Page, Row, RowKey, Tally, sortable_time};

/// Selections up to this size are read and sorted; larger ones are met while walking an index.
const SORT_IN_MEMORY_MAX: u64 = 2_000;

/// A set of rows, as a filter or a caller chose them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection(pub(in crate::engine) RoaringTreemap);

impl Selection {
    /// Returns the number of rows.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Tells whether no row is selected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether a row is selected.
    pub fn contains(&self, key: RowKey) -> bool {
        self.0.contains(key.0)
    }

    /// Returns the selected rows in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = RowKey> + '_ {
        self.0.iter().map(RowKey)
    }
}

impl FromIterator<RowKey> for Selection {
    fn from_iter<I: IntoIterator<Item = RowKey>>(keys: I) -> Self {
        Selection(keys.into_iter().map(|key| key.0).collect())
    }
}

/// Returns the rows a filter lets through.
pub(in crate::engine) fn rows_matching(
    txn: &ReadTransaction,
    filter: &Filter,
) -> Result<Selection, ReadError> {
    let mut parts = Vec::new();
    if filter.wing.is_some() || filter.room.is_some() {
        parts.push(rows_in_rooms(txn, filter)?);
    }
    if let Some(source) = &filter.source_file {
        parts.push(rows_under(txn, &tables::BY_SOURCE, &tables::text_prefix(&[source]))?);
    }
    if filter.since.is_some() || filter.before.is_some() {
        parts.push(rows_filed_between(txn, filter)?);
    }
    let all = match parts.into_iter().reduce(|left, right| left & right) {
        Some(selected) => selected,
        None => rows_under(txn, &tables::BY_FILED_AT, &[])?,
    };
    Ok(Selection(all))
}

fn rows_under(
    txn: &ReadTransaction,
    table: &'static Table,
    prefix: &[u8],
) -> Result<RoaringTreemap, ReadError> {
    let mut rows = RoaringTreemap::new();
    keys_under(txn, table, prefix, |key| {
        rows.insert(trailing_u64(key)?);
        Ok(true)
    })?;
    Ok(rows)
}

fn rows_in_rooms(txn: &ReadTransaction, filter: &Filter) -> Result<RoaringTreemap, ReadError> {
    match (&filter.wing, &filter.room) {
        (Some(wing), None) => rows_under(txn, &tables::BY_WING, &tables::text_prefix(&[wing])),
        (Some(_), Some(_)) | (None, _) => {
            let mut rows = RoaringTreemap::new();
            for (wing, room) in rooms(txn, filter)?.keys() {
                rows |= rows_under(txn, &tables::BY_WING, &tables::text_prefix(&[wing, room]))?;
            }
            Ok(rows)
        }
    }
}

fn rows_filed_between(txn: &ReadTransaction, filter: &Filter) -> Result<RoaringTreemap, ReadError> {
    let table = &tables::BY_FILED_AT;
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    let bound =
        |text: &Option<String>| text.as_deref().map(|text| tables::text_prefix(&[&sortable_time(text)]));
    let from = bound(&filter.since).unwrap_or_default();
    let until = bound(&filter.before);
    let mut rows = RoaringTreemap::new();
    for entry in txn.open(table)?.range(from.as_slice()..).map_err(fault)? {
        let (key, _) = entry.map_err(fault)?;
        if until.as_deref().is_some_and(|until| key.value() >= until) {
            break;
        }
        rows.insert(trailing_u64(key.value()).map_err(|why| damaged(table, "?", why))?);
    }
    Ok(rows)
}

/// Returns the rooms a filter names, with the number of drawers in each.
fn rooms(txn: &ReadTransaction, filter: &Filter) -> Result<BTreeMap<(String, String), u64>, ReadError> {
    let mut rooms = BTreeMap::new();
    for (wing, tallies) in read::counts(txn)?.wings {
        if filter.wing.as_ref().is_some_and(|wanted| *wanted != wing) {
            continue;
        }
        for (room, tally) in tallies {
            if filter.room.as_ref().is_none_or(|wanted| *wanted == room) {
                rooms.insert((wing.clone(), room), tally.drawers);
            }
        }
    }
    Ok(rooms)
}

/// Returns one page of drawers in the order of their ids.
pub(in crate::engine) fn page(
    txn: &ReadTransaction,
    filter: &Filter,
    omit: Omit,
    offset: usize,
    limit: usize,
) -> Result<Page, ReadError> {
    let mut rooms = rooms(txn, filter)?;
    rooms.retain(|(_, room), _| !omit.rooms.contains(&room.as_str()));
    let restricted = filter.source_file.is_some() || filter.since.is_some() || filter.before.is_some();
    let selection = if restricted { Some(rows_matching(txn, filter)?) } else { None };
    let end = offset.saturating_add(limit);
    let mut keys = Vec::new();
    let mut position = 0;
    let mut walk = Walk::start(txn, rooms.keys(), omit, selection.as_ref())?;
    // Without a selection the total is known from the counts and the walk may stop early.
    while selection.is_some() || position < end {
        let Some(key) = walk.next_drawer()? else { break };
        if (offset..end).contains(&position) {
            keys.push(key);
        }
        position += 1;
    }
    let total = if selection.is_some() {
        position as u64
    } else {
        let mut left_out = 0;
        for (wing, room) in rooms.keys() {
            left_out += omitted_in(txn, omit, wing, room)?.drawers;
        }
        rooms.values().sum::<u64>().saturating_sub(left_out)
    };
    let mut page = Page { total, ..Page::default() };
    for key in keys {
        let row = row_behind(txn, key, &tables::BY_WING).and_then(|row| {
            let admitted = filter.admits(&row);
            if admitted {
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

/// Returns the chunks of a drawer whose index is at most `radius` from `index`, in order, and how many it has in all.
pub(in crate::engine) fn chunks_around(
    txn: &ReadTransaction,
    parent: &str,
    index: u32,
    radius: u32,
) -> Result<(Vec<Row>, usize), ReadError> {
    let prefix = tables::text_prefix(&[parent]);
    let (mut keys, mut total) = (Vec::new(), 0);
    keys_under(txn, &tables::CHUNKS, &prefix, |key| {
        total += 1;
        let at = Cursor(key.get(prefix.len()..).unwrap_or_default()).take(4, "chunk index")?;
        let at = u32::from_be_bytes(at.try_into().expect("four bytes were taken"));
        if at.abs_diff(index) <= radius {
            keys.push(RowKey(trailing_u64(key)?));
        }
        Ok(true)
    })?;
    let rows = keys.into_iter().map(|key| row_behind(txn, key, &tables::CHUNKS));
    Ok((rows.collect::<Result<_, _>>()?, total))
}

/// Merges the drawers of several rooms in the order of drawer ids.
struct Walk<'a> {
    rooms: Vec<RoomCursor<'a>>,
    /// Next drawer of each room that has one: drawer id, room number → first row.
    heads: BTreeMap<(String, usize), RowKey>,
    selection: Option<&'a Selection>,
    omit: Omit,
}

struct RoomCursor<'a> {
    range: redb::Range<'a, tables::Bytes, tables::Bytes>,
    prefix: Vec<u8>,
    last_drawer: Option<String>,
}

impl<'a> Walk<'a> {
    fn start(
        txn: &ReadTransaction,
        rooms: impl Iterator<Item = &'a (String, String)>,
        omit: Omit,
        selection: Option<&'a Selection>,
    ) -> Result<Self, ReadError> {
        let table = txn.open(&tables::BY_WING)?;
        let mut walk = Walk { rooms: Vec::new(), heads: BTreeMap::new(), selection, omit };
        for (wing, room) in rooms {
            let prefix = tables::text_prefix(&[wing, room]);
            let range = table
                .range(prefix.as_slice()..)
                .map_err(|error| Fault::from(error).reading(tables::BY_WING.name))?;
            walk.rooms.push(RoomCursor { range, prefix, last_drawer: None });
            walk.advance(walk.rooms.len() - 1)?;
        }
        Ok(walk)
    }

    fn next_drawer(&mut self) -> Result<Option<RowKey>, ReadError> {
        let Some(((_, room), key)) = self.heads.pop_first() else { return Ok(None) };
        self.advance(room)?;
        Ok(Some(key))
    }

    /// Moves a room to its next drawer with a selected row.
    fn advance(&mut self, room: usize) -> Result<(), ReadError> {
        let cursor = &mut self.rooms[room];
        for entry in cursor.range.by_ref() {
            let (key, _) = entry.map_err(|error| Fault::from(error).reading(tables::BY_WING.name))?;
            if !key.value().starts_with(&cursor.prefix) {
                break;
            }
            let entry = shelf_entry(key.value(), cursor.prefix.len())
                .map_err(|why| damaged(&tables::BY_WING, "?", why))?;
            if cursor.last_drawer.as_ref() == Some(&entry.drawer) {
                continue;
            }
            if self.selection.is_some_and(|selection| !selection.contains(entry.key))
                || self.omit.id_prefixes.iter().any(|prefix| entry.drawer.starts_with(prefix))
            {
                continue;
            }
            cursor.last_drawer = Some(entry.drawer.clone());
            self.heads.insert((entry.drawer, room), entry.key);
            return Ok(());
        }
        Ok(())
    }
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
        let mut last = None;
        keys_under(txn, &tables::BY_WING, &[&room, prefix.as_bytes()].concat(), |key| {
            let drawer = shelf_entry(key, room.len())?.drawer;
            tally.rows += 1;
            tally.drawers += u64::from(last.as_ref() != Some(&drawer));
            last = Some(drawer);
            Ok(true)
        })?;
    }
    Ok(tally)
}

/// Returns the newest rows a filter lets through, newest first; rows of one moment by descending key.
pub(in crate::engine) fn recent(
    txn: &ReadTransaction,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Row>, ReadError> {
    let selection = if filter.is_empty() { None } else { Some(rows_matching(txn, filter)?) };
    if let Some(selection) = selection.as_ref().filter(|selection| selection.len() <= SORT_IN_MEMORY_MAX) {
        let mut rows = Vec::new();
        for key in selection.iter() {
            let row = row_behind(txn, key, &tables::BY_FILED_AT)?;
            rows.push((sortable_time(&row.filed_at), key, row));
        }
        rows.sort_by(|left, right| (&right.0, right.1).cmp(&(&left.0, left.1)));
        return Ok(rows.into_iter().take(limit).map(|(_, _, row)| row).collect());
    }
    let table = &tables::BY_FILED_AT;
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    let mut rows = Vec::new();
    for entry in txn.open(table)?.range::<&[u8]>(..).map_err(fault)?.rev() {
        if rows.len() >= limit {
            break;
        }
        let (key, _) = entry.map_err(fault)?;
        let key = RowKey(trailing_u64(key.value()).map_err(|why| damaged(table, "?", why))?);
        if selection.as_ref().is_none_or(|selection| selection.contains(key)) {
            rows.push(row_behind(txn, key, table)?);
        }
    }
    Ok(rows)
}
