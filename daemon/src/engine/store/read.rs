//! Point reads that work the same in a snapshot and inside a write transaction.
//!
//! Every value goes through `unseal`. An index entry without its record is damage, not absence.

use std::ops::Bound;

use redb::{ReadableTable, ReadableTableMetadata};

use super::codec::{Unreadable, trailing_u64, unseal};
use super::records::{self, Home, Identity, Logged, State, Touch};
use super::tables::{self, Bytes, Table};
use crate::engine::error::{Fault, ReadError};
use crate::engine::index::code::cosine_distance;
use crate::engine::types::{
    Collection, Counts, Facet, IdempotencyKey, RecordRange, Row, RowKey, Seq, StoredVector, Timestamp,
};
use crate::engine::view::VisitRecord;

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

/// Returns a record of a collection.
pub(in crate::engine) fn side_record<T: Tables>(
    tables: &T,
    collection: Collection,
    key: &[u8],
) -> Result<Option<Vec<u8>>, ReadError> {
    let table = tables::collection(collection);
    record(tables, table, key, || label(key), |payload| Ok(payload.to_vec()))
}

/// Calls `visit` with the records of a range until it says stop.
pub(in crate::engine) fn side_records<T: Tables>(
    tables: &T,
    collection: Collection,
    range: &RecordRange,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), ReadError> {
    let table = tables::collection(collection);
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    let open = tables.open(table)?;
    let end = end_of(&range.prefix);
    let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let begin = Bound::Included(range.prefix.as_slice());
    let after = range.after.as_deref();
    let bounds = match after {
        // A cursor of another prefix: everything, or nothing, comes after it.
        Some(after) if !after.starts_with(&range.prefix) => {
            if (after < range.prefix.as_slice()) == range.backwards {
                return Ok(());
            }
            (begin, end)
        }
        Some(after) if range.backwards => (begin, Bound::Excluded(after)),
        Some(after) => (Bound::Excluded(after), end),
        None => (begin, end),
    };
    let mut found = open.range::<&[u8]>(bounds).map_err(fault)?;
    loop {
        let entry = if range.backwards { found.next_back() } else { found.next() };
        let Some(entry) = entry else { return Ok(()) };
        let (key, value) = entry.map_err(fault)?;
        let payload = unseal(table.tag, key.value(), value.value())
            .map_err(|why| damaged(table, label(key.value()), why))?;
        if !visit(key.value(), payload) {
            return Ok(());
        }
    }
}

/// Returns the number of records of a collection; takes no longer when there are many.
pub(in crate::engine) fn side_count<T: Tables>(tables: &T, collection: Collection) -> Result<u64, ReadError> {
    let table = tables::collection(collection);
    tables.open(table)?.len().map_err(|error| Fault::from(error).reading(table.name))
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

pub(in crate::engine) fn key_result<T: Tables>(
    tables: &T,
    key: &IdempotencyKey,
) -> Result<Option<(Timestamp, Vec<u8>)>, ReadError> {
    record(
        tables,
        &tables::KEYS,
        &key.0,
        || format!("{:02x?}", key.0),
        |payload| records::decode_key_result(payload).map(|(at, result)| (at, result.to_vec())),
    )
}

/// Reads a record of the meta table that every store has.
fn meta_record<T: Tables, R>(
    tables: &T,
    name: &'static [u8],
    decode: impl FnOnce(&[u8]) -> Result<R, Unreadable>,
) -> Result<R, ReadError> {
    let label = || String::from_utf8_lossy(name).into_owned();
    record(tables, &tables::META, name, label, decode)?
        .ok_or_else(|| damaged(&tables::META, label(), "missing record"))
}

pub(in crate::engine) fn format<T: Tables>(tables: &T) -> Result<u32, ReadError> {
    meta_record(tables, tables::META_FORMAT, |payload| super::codec::Cursor(payload).u32("format"))
}

pub(in crate::engine) fn identity<T: Tables>(tables: &T) -> Result<Identity, ReadError> {
    meta_record(tables, tables::META_IDENTITY, records::decode_identity)
}

/// Returns where the store was when it was last opened; stores of formats before 3 do not know.
pub(in crate::engine) fn home<T: Tables>(tables: &T) -> Result<Option<Home>, ReadError> {
    record(tables, &tables::META, tables::META_HOME, || "home".to_owned(), records::decode_home)
}

pub(in crate::engine) fn state<T: Tables>(tables: &T) -> Result<State, ReadError> {
    meta_record(tables, tables::META_STATE, records::decode_state)
}

/// Returns what the commits after `since` touched, or `None` when the log does not reach back that far without a gap.
pub(in crate::engine) fn logged_since<T: Tables>(
    tables: &T,
    since: Seq,
    until: Seq,
) -> Result<Option<Vec<Logged>>, ReadError> {
    let table = &tables::LOG;
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    let open = tables.open(table)?;
    let mut logged = Vec::new();
    let mut expected = since.0 + 1;
    for entry in open.range(expected.to_be_bytes().as_slice()..).map_err(fault)? {
        let (key, value) = entry.map_err(fault)?;
        let seq = trailing_u64(key.value()).map_err(|why| damaged(table, "?", why))?;
        if seq != expected {
            return Ok(None);
        }
        let entries = unseal(table.tag, key.value(), value.value())
            .and_then(records::decode_log)
            .map_err(|why| damaged(table, seq, why))?;
        logged.extend(entries);
        expected += 1;
    }
    Ok((expected == until.0 + 1).then_some(logged))
}

/// Returns the rows that the commits after `since` touched, in order; `None` as for [`logged_since`].
pub(in crate::engine) fn touched_since<T: Tables>(
    tables: &T,
    since: Seq,
    until: Seq,
) -> Result<Option<Vec<(Touch, RowKey)>>, ReadError> {
    let rows = |logged: Vec<Logged>| {
        let row = |entry| match entry {
            Logged::Row(touch, key) => Some((touch, key)),
            Logged::Record { .. } => None,
        };
        logged.into_iter().filter_map(row).collect()
    };
    Ok(logged_since(tables, since, until)?.map(rows))
}

/// Calls `visit` with every stored vector in the order of row keys.
pub(in crate::engine) fn each_vector<T: Tables>(
    tables: &T,
    visit: impl FnMut(RowKey, Result<&[u8], ReadError>),
) -> Result<(), ReadError> {
    each_record(tables, &tables::VECTORS, visit)
}

/// Returns the rows with keys after `after` that are near a vector of unit length, with their similarity.
pub(in crate::engine) fn newer_rows_near<T: Tables>(
    tables: &T,
    after: RowKey,
    vector: &[f32],
    similarity_min: f32,
) -> Result<Vec<(Row, f32)>, ReadError> {
    let table = &tables::VECTORS;
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    let from = tables::row_key(RowKey(after.0.saturating_add(1)));
    let open = tables.open(table)?;
    let mut near = Vec::new();
    for entry in open.range(from.as_slice()..).map_err(fault)? {
        let (key, value) = entry.map_err(fault)?;
        let Ok(stored) = unseal(table.tag, key.value(), value.value()) else { continue };
        let similarity = 1.0 - cosine_distance(vector, &records::decode_vector(stored));
        if similarity < similarity_min {
            continue;
        }
        let row_key = RowKey(trailing_u64(key.value()).map_err(|why| damaged(table, "?", why))?);
        match row_of_key(tables, row_key) {
            Ok(row) => near.extend(row.map(|row| (row, similarity))),
            Err(ReadError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(near)
}

/// Calls `visit` with every row in the order of row keys.
pub(in crate::engine) fn each_row<T: Tables>(
    tables: &T,
    mut visit: impl FnMut(RowKey, Result<Row, ReadError>),
) -> Result<(), ReadError> {
    each_record(tables, &tables::ROWS, |key, payload| {
        let row = payload.and_then(|payload| {
            records::decode_row(payload).map_err(|why| damaged(&tables::ROWS, format!("row key {key}"), why))
        });
        visit(key, row);
    })
}

/// Takes the key of a row and its payload, or what is wrong with it; says whether to go on.
pub(in crate::engine) type VisitRow<'v> = dyn FnMut(RowKey, Result<&[u8], ReadError>) -> bool + 'v;

/// Calls `visit` with the payload of every row record until it says stop with `false`.
pub(in crate::engine) fn each_row_payload<T: Tables>(
    tables: &T,
    visit: &mut VisitRow<'_>,
) -> Result<(), ReadError> {
    each_payload(tables, &tables::ROWS, visit)
}

/// Returns the payload of one row record.
pub(in crate::engine) fn row_payload<T: Tables>(
    tables: &T,
    key: RowKey,
) -> Result<Option<Vec<u8>>, ReadError> {
    let name = || name_of_key(tables, key);
    record(tables, &tables::ROWS, &tables::row_key(key), name, |payload| Ok(payload.to_vec()))
}

/// Calls `visit` with every record of a collection, those included that fail their checks.
pub(in crate::engine) fn each_side_record<T: Tables>(
    tables: &T,
    collection: Collection,
    visit: &mut VisitRecord<'_>,
) -> Result<(), ReadError> {
    let table = tables::collection(collection);
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    let open = tables.open(table)?;
    for entry in open.range::<&[u8]>(..).map_err(fault)? {
        let (key, value) = entry.map_err(fault)?;
        let payload = unseal(table.tag, key.value(), value.value())
            .map_err(|why| damaged(table, label(key.value()), why));
        if !visit(key.value(), payload) {
            return Ok(());
        }
    }
    Ok(())
}

/// Calls `visit` with every record of a table keyed by row key; damage of one record is passed on,
/// damage of the table ends the walk.
fn each_record<T: Tables>(
    tables: &T,
    table: &'static Table,
    mut visit: impl FnMut(RowKey, Result<&[u8], ReadError>),
) -> Result<(), ReadError> {
    each_payload(tables, table, &mut |key, payload| {
        visit(key, payload);
        true
    })
}

/// The same walk, until `visit` says stop with `false`.
fn each_payload<T: Tables>(
    tables: &T,
    table: &'static Table,
    visit: &mut VisitRow<'_>,
) -> Result<(), ReadError> {
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    let open = tables.open(table)?;
    for entry in open.range::<&[u8]>(..).map_err(fault)? {
        let (key, value) = entry.map_err(fault)?;
        let row_key = RowKey(trailing_u64(key.value()).map_err(|why| damaged(table, "?", why))?);
        let payload = unseal(table.tag, key.value(), value.value())
            .map_err(|why| damaged(table, format!("row key {row_key}"), why));
        if !visit(row_key, payload) {
            return Ok(());
        }
    }
    Ok(())
}

/// Takes the next row of a walk over the row table. The outer error ends the walk.
pub(in crate::engine) fn next_row(
    range: &mut redb::Range<'static, Bytes, Bytes>,
) -> Result<Option<Result<Row, ReadError>>, ReadError> {
    let table = &tables::ROWS;
    let Some(entry) = range.next() else { return Ok(None) };
    let (key, value) = entry.map_err(|error| Fault::from(error).reading(table.name))?;
    let row = unseal(table.tag, key.value(), value.value())
        .and_then(records::decode_row)
        .map_err(|why| damaged(table, format!("row key {:02x?}", key.value()), why));
    Ok(Some(row))
}
