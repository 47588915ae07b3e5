//! Records beside the rows: collections and remembered answers.

use std::ops::Bound;

use redb::{ReadableTable, ReadableTableMetadata};

use super::{Tables, damaged, end_of, label, record};
use crate::engine::error::{Fault, ReadError};
use crate::engine::store::codec::unseal;
use crate::engine::store::{records, tables};
use crate::engine::types::{Collection, IdempotencyKey, RecordRange, Timestamp};

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
