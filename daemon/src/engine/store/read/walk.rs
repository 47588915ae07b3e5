//! Walks over whole tables, damaged records included.

use redb::ReadableTable;

use super::{Tables, damaged, label, name_of_key, record, row_of_key};
use crate::engine::error::{Fault, ReadError};
use crate::engine::index::code::cosine_distance;
use crate::engine::store::codec::{Unreadable, trailing_u64, unseal};
use crate::engine::store::records;
use crate::engine::store::tables::{self, Bytes, Table};
use crate::engine::types::{Collection, Row, RowKey};
use crate::engine::view::VisitRecord;

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
type VisitRow<'v> = dyn FnMut(RowKey, Result<&[u8], ReadError>) -> bool + 'v;

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
    each_entry(tables, table, |key, payload| {
        Ok(visit(key, payload.map_err(|why| damaged(table, label(key), why))))
    })
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
    each_entry(tables, table, |key, payload| {
        let row_key = RowKey(trailing_u64(key).map_err(|why| damaged(table, "?", why))?);
        Ok(visit(row_key, payload.map_err(|why| damaged(table, format!("row key {row_key}"), why))))
    })
}

/// Walks over a table with sealed records until `visit` says stop with `false`.
fn each_entry<T: Tables>(
    tables: &T,
    table: &'static Table,
    mut visit: impl FnMut(&[u8], Result<&[u8], Unreadable>) -> Result<bool, ReadError>,
) -> Result<(), ReadError> {
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    let open = tables.open(table)?;
    for entry in open.range::<&[u8]>(..).map_err(fault)? {
        let (key, value) = entry.map_err(fault)?;
        if !visit(key.value(), unseal(table.tag, key.value(), value.value()))? {
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
