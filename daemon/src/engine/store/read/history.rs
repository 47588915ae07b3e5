//! What the store says about itself: format, identity, place, state, and what its commits touched.

use redb::ReadableTable;

use super::{Tables, damaged, record};
use crate::engine::error::{Fault, ReadError};
use crate::engine::store::codec::{Cursor, Unreadable, trailing_u64, unseal};
use crate::engine::store::records::{self, Home, Identity, Logged, State, Touch};
use crate::engine::store::tables;
use crate::engine::types::{RowKey, Seq};

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
    meta_record(tables, tables::META_FORMAT, |payload| Cursor(payload).u32("format"))
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
