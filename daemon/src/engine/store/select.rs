//! Questions over many rows: filters, the newest, what stands around a chunk. They walk index keys and read only the rows
//! they return.

use std::collections::BTreeMap;

use redb::ReadTransaction;
use roaring::RoaringTreemap;

use super::codec::{Cursor, trailing_u64};
use super::read::{self, Tables, damaged, keys_under, row_behind};
use super::tables::{self, Table};
use crate::engine::error::{Fault, ReadError};
use crate::engine::types::{Filter, Row, RowKey, sortable_time};

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

/// Returns the rows that nobody gave a time.
pub(in crate::engine) fn rows_without_time(txn: &ReadTransaction) -> Result<Selection, ReadError> {
    rows_under(txn, &tables::BY_FILED_AT, &tables::text_prefix(&[""])).map(Selection)
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
pub(super) fn rooms(
    txn: &ReadTransaction,
    filter: &Filter,
) -> Result<BTreeMap<(String, String), u64>, ReadError> {
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
