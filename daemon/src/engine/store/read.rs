//! Reads that work the same in a snapshot and inside a write transaction: single records here, the rest by what it is of.
//!
//! Every value goes through `unseal`. An index entry without its record is damage, not absence.

mod beside;
mod history;
mod walk;

use redb::{ReadableTable, ReadableTableMetadata};

use super::codec::{Unreadable, trailing_u64, unseal};
use super::records;
use super::tables::{self, Bytes, Table};
use crate::engine::error::{Fault, ReadError};
use crate::engine::types::{Counts, Facet, Row, RowKey, StoredVector};

pub(in crate::engine) use beside::{key_result, side_count, side_record, side_records};
pub(in crate::engine) use history::{format, home, identity, logged_since, state, touched_since};
pub(in crate::engine) use walk::{
    each_row, each_row_payload, each_side_record, each_vector, newer_rows_near, next_row, row_payload,
};

/// Something whose tables can be read: a read or a write transaction.
pub(in crate::engine) trait Tables {
    type Open<'a>: ReadableTable<Bytes, Bytes> + ReadableTableMetadata
    where
        Self: 'a;

    fn open(&self, table: &'static Table) -> Result<Self::Open<'_>, ReadError>;
}

impl Tables for redb::ReadTransaction {
    type Open<'a> = redb::ReadOnlyTable<Bytes, Bytes>;

    fn open(&self, table: &'static Table) -> Result<Self::Open<'_>, ReadError> {
        self.open_table(table.definition()).map_err(|error| Fault::from(error).reading(table.name))
    }
}

impl Tables for redb::WriteTransaction {
    type Open<'a> = redb::Table<'a, Bytes, Bytes>;

    fn open(&self, table: &'static Table) -> Result<Self::Open<'_>, ReadError> {
        self.open_table(table.definition()).map_err(|error| Fault::from(error).reading(table.name))
    }
}

/// Names the record a codec could not read.
pub(super) fn damaged(table: &'static Table, key: impl ToString, why: impl ToString) -> ReadError {
    ReadError::Damaged { table: table.name, key: key.to_string(), detail: why.to_string() }
}

/// Reads one record and decodes its payload.
pub(super) fn record<T: Tables, R>(
    tables: &T,
    table: &'static Table,
    key: &[u8],
    name: impl Fn() -> String,
    decode: impl FnOnce(&[u8]) -> Result<R, Unreadable>,
) -> Result<Option<R>, ReadError> {
    let open = tables.open(table)?;
    let Some(value) = open.get(key).map_err(|error| Fault::from(error).reading(table.name))? else {
        return Ok(None);
    };
    unseal(table.tag, key, value.value())
        .and_then(decode)
        .map(Some)
        .map_err(|why| damaged(table, name(), why))
}

/// Calls `visit` with the keys that start with `prefix`, in order, until it says stop.
pub(super) fn keys_under<T: Tables>(
    tables: &T,
    table: &'static Table,
    prefix: &[u8],
    mut visit: impl FnMut(&[u8]) -> Result<bool, Unreadable>,
) -> Result<(), ReadError> {
    let open = tables.open(table)?;
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    for entry in open.range(prefix..).map_err(fault)? {
        let (key, _) = entry.map_err(fault)?;
        let key = key.value();
        if !key.starts_with(prefix) {
            break;
        }
        if !visit(key).map_err(|why| damaged(table, "?", why))? {
            break;
        }
    }
    Ok(())
}

pub(in crate::engine) fn key_of_id<T: Tables>(tables: &T, id: &str) -> Result<Option<RowKey>, ReadError> {
    record(
        tables,
        &tables::IDS,
        id.as_bytes(),
        || id.to_owned(),
        |payload| {
            let bytes = payload.try_into().map_err(|_| Unreadable::Malformed("row key"))?;
            Ok(RowKey(u64::from_le_bytes(bytes)))
        },
    )
}

pub(in crate::engine) fn row_of_key<T: Tables>(tables: &T, key: RowKey) -> Result<Option<Row>, ReadError> {
    record(tables, &tables::ROWS, &tables::row_key(key), || name_of_key(tables, key), records::decode_row)
}

/// Finds the drawer id of a row whose record is damaged, through the id table. Slow, and only used
/// to make an error name something a person can act on.
pub(in crate::engine) fn name_of_key<T: Tables>(tables: &T, key: RowKey) -> String {
    let sealed = key.0.to_le_bytes();
    let search = || -> Option<String> {
        let open = tables.open(&tables::IDS).ok()?;
        for entry in open.range::<&[u8]>(..).ok()? {
            let (id, value) = entry.ok()?;
            if unseal(tables::IDS.tag, id.value(), value.value()) == Ok(&sealed[..]) {
                return String::from_utf8(id.value().to_vec()).ok();
            }
        }
        None
    };
    search().unwrap_or_else(|| format!("row key {key}"))
}

/// Reads a row an index pointed to; its absence is damage of that index.
pub(super) fn row_behind<T: Tables>(
    tables: &T,
    key: RowKey,
    index: &'static Table,
) -> Result<Row, ReadError> {
    row_of_key(tables, key)?.ok_or_else(|| damaged(index, key, "entry without a row"))
}

pub(in crate::engine) fn row<T: Tables>(tables: &T, id: &str) -> Result<Option<Row>, ReadError> {
    let Some(key) = key_of_id(tables, id)? else { return Ok(None) };
    let row = row_behind(tables, key, &tables::IDS)?;
    if row.id != id {
        return Err(damaged(&tables::IDS, id, format!("leads to the row of {}", row.id)));
    }
    Ok(Some(row))
}

/// Returns the stored half-precision bytes of a vector.
pub(in crate::engine) fn vector_bytes<T: Tables>(
    tables: &T,
    key: RowKey,
) -> Result<Option<Vec<u8>>, ReadError> {
    record(
        tables,
        &tables::VECTORS,
        &tables::row_key(key),
        || name_of_key(tables, key),
        |payload| Ok(payload.to_vec()),
    )
}

pub(in crate::engine) fn stored_vector<T: Tables>(
    tables: &T,
    id: &str,
) -> Result<Option<StoredVector>, ReadError> {
    let Some(key) = key_of_id(tables, id)? else { return Ok(None) };
    match vector_bytes(tables, key)? {
        Some(bytes) => Ok(Some(StoredVector::from_bytes(bytes))),
        None => Err(damaged(&tables::VECTORS, id, "row without a vector")),
    }
}

pub(in crate::engine) fn chunks_of<T: Tables>(tables: &T, parent: &str) -> Result<Vec<Row>, ReadError> {
    let mut keys = Vec::new();
    keys_under(tables, &tables::CHUNKS, &tables::text_prefix(&[parent]), |key| {
        keys.push(RowKey(trailing_u64(key)?));
        Ok(true)
    })?;
    keys.into_iter().map(|key| row_behind(tables, key, &tables::CHUNKS)).collect()
}

pub(in crate::engine) fn ids_by_source<T: Tables>(
    tables: &T,
    source: &str,
) -> Result<Vec<String>, ReadError> {
    let mut keys = Vec::new();
    keys_under(tables, &tables::BY_SOURCE, &tables::text_prefix(&[source]), |key| {
        keys.push(RowKey(trailing_u64(key)?));
        Ok(true)
    })?;
    keys.into_iter().map(|key| Ok(row_behind(tables, key, &tables::BY_SOURCE)?.id)).collect()
}

pub(in crate::engine) fn counts<T: Tables>(tables: &T) -> Result<Counts, ReadError> {
    let table = &tables::COUNTS;
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    let open = tables.open(table)?;
    let mut counts = Counts::default();
    for entry in open.range::<&[u8]>(..).map_err(fault)? {
        let (key, value) = entry.map_err(fault)?;
        let mut rest = key.value();
        let decoded = unseal(table.tag, key.value(), value.value()).and_then(|payload| {
            let wing = super::codec::pop_text(&mut rest)?;
            let room = super::codec::pop_text(&mut rest)?;
            Ok((wing, room, records::decode_tally(payload)?))
        });
        let (wing, room, tally) = decoded.map_err(|why| damaged(table, "?", why))?;
        counts.wings.entry(wing).or_default().insert(room, tally);
    }
    Ok(counts)
}

/// Returns how many rows share room, wing, hall and date.
pub(in crate::engine) fn facets<T: Tables>(tables: &T) -> Result<Vec<Facet>, ReadError> {
    let table = &tables::FACETS;
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    let open = tables.open(table)?;
    let mut facets = Vec::new();
    for entry in open.range::<&[u8]>(..).map_err(fault)? {
        let (key, value) = entry.map_err(fault)?;
        let mut rest = key.value();
        let facet = unseal(table.tag, key.value(), value.value()).and_then(|payload| {
            Ok(Facet {
                room: super::codec::pop_text(&mut rest)?,
                wing: super::codec::pop_text(&mut rest)?,
                hall: super::codec::pop_text(&mut rest)?,
                date: super::codec::pop_text(&mut rest)?,
                rows: records::decode_count(payload)?,
            })
        });
        facets.push(facet.map_err(|why| damaged(table, "?", why))?);
    }
    Ok(facets)
}

fn label(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// Returns the smallest key after all that begin with `prefix`; `None` when there is none.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
