//! Changes of the tables inside one write transaction.
//!
//! Invariant: after each op every index table agrees with the row table, and `counts` with both.
//! An op that is refused has written nothing; an op that fails in the store spoils the transaction.

use redb::{ReadableTable, WriteTransaction};

use super::codec::{seal, trailing_u64};
use super::read::{self, key_of_id};
use super::records::{self, Home, Identity, Logged, State};
use super::tables::{self, Table, row_key};
use crate::engine::error::{CommitError, Fault, ReadError};
use crate::engine::types::{Collection, IdempotencyKey, Row, RowKey, Seq, Tally, Timestamp};

pub(super) fn insert(
    txn: &WriteTransaction,
    table: &'static Table,
    key: &[u8],
    payload: &[u8],
) -> Result<(), CommitError> {
    let sealed = seal(table.tag, key, payload);
    insert_raw(txn, table, key, &sealed)
}

fn insert_raw(
    txn: &WriteTransaction,
    table: &'static Table,
    key: &[u8],
    value: &[u8],
) -> Result<(), CommitError> {
    let mut open = txn.open_table(table.definition()).map_err(Fault::from)?;
    open.insert(key, value).map_err(Fault::from)?;
    Ok(())
}

fn remove(txn: &WriteTransaction, table: &'static Table, key: &[u8]) -> Result<bool, CommitError> {
    let mut open = txn.open_table(table.definition()).map_err(Fault::from)?;
    let removed = open.remove(key).map_err(Fault::from)?.is_some();
    Ok(removed)
}

/// Inserts or replaces a row and its vector; tells the row's key.
pub(in crate::engine) fn put_row(
    txn: &WriteTransaction,
    state: &mut State,
    row: &Row,
    vector: &[u8],
) -> Result<RowKey, CommitError> {
    let key = match key_of_id(txn, &row.id)? {
        Some(key) => {
            unlink(txn, &stored(txn, key, &row.id)?, key)?;
            key
        }
        None => {
            let key = RowKey(state.next_key);
            state.next_key += 1;
            state.rows += 1;
            insert(txn, &tables::IDS, row.id.as_bytes(), &key.0.to_le_bytes())?;
            key
        }
    };
    link(txn, row, key)?;
    insert(txn, &tables::ROWS, &row_key(key), &records::encode_row(row))?;
    insert(txn, &tables::VECTORS, &row_key(key), vector)?;
    Ok(key)
}

/// Replaces the metadata of a row; refuses a missing row and a changed text.
pub(in crate::engine) fn put_meta(txn: &WriteTransaction, row: &Row) -> Result<RowKey, CommitError> {
    let Some(key) = key_of_id(txn, &row.id)? else {
        return Err(CommitError::NoSuchRow { id: row.id.clone() });
    };
    let old = stored(txn, key, &row.id)?;
    if old.document != row.document {
        return Err(CommitError::TextChanged { id: row.id.clone() });
    }
    unlink(txn, &old, key)?;
    link(txn, row, key)?;
    insert(txn, &tables::ROWS, &row_key(key), &records::encode_row(row))?;
    Ok(key)
}

/// Removes a row; tells its key if there was one.
pub(in crate::engine) fn delete_row(
    txn: &WriteTransaction,
    state: &mut State,
    id: &str,
) -> Result<Option<RowKey>, CommitError> {
    let Some(key) = key_of_id(txn, id)? else { return Ok(None) };
    unlink(txn, &stored(txn, key, id)?, key)?;
    remove(txn, &tables::IDS, id.as_bytes())?;
    remove(txn, &tables::ROWS, &row_key(key))?;
    remove(txn, &tables::VECTORS, &row_key(key))?;
    state.rows -= 1;
    Ok(Some(key))
}

/// Reads the row an op is about to replace. Nothing has been written yet: damage refuses the op only.
fn stored(txn: &WriteTransaction, key: RowKey, id: &str) -> Result<Row, CommitError> {
    read::row_behind(txn, key, &tables::IDS).map_err(|error| match error {
        ReadError::Damaged { .. } => CommitError::RowDamaged { id: id.to_owned(), source: error },
        ReadError::Io(_) | ReadError::NeedsReopen | ReadError::BadQuery { .. } => error.into(),
    })
}

/// Returns the entries a row has in the index tables.
pub(super) fn index_entries(row: &Row, key: RowKey) -> Vec<(&'static Table, Vec<u8>)> {
    let mut entries = vec![
        (&tables::BY_WING, tables::by_wing(row, key)),
        (&tables::BY_SOURCE, tables::by_source(row, key)),
        (&tables::BY_FILED_AT, tables::by_filed_at(row, key)),
    ];
    if let Some(parent) = &row.parent_id {
        entries.push((&tables::CHUNKS, tables::chunks(parent, row, key)));
    }
    entries
}

fn link(txn: &WriteTransaction, row: &Row, key: RowKey) -> Result<(), CommitError> {
    let new_drawer = !drawer_has_rows(txn, row)?;
    for (table, entry) in index_entries(row, key) {
        insert_raw(txn, table, &entry, &[])?;
    }
    adjust_facet(txn, row, 1)?;
    adjust_tally(txn, &row.wing, &row.room, |tally| {
        tally.rows += 1;
        tally.drawers += u64::from(new_drawer);
    })
}

fn unlink(txn: &WriteTransaction, row: &Row, key: RowKey) -> Result<(), CommitError> {
    for (table, entry) in index_entries(row, key) {
        remove(txn, table, &entry)?;
    }
    let last_of_drawer = !drawer_has_rows(txn, row)?;
    adjust_facet(txn, row, -1)?;
    adjust_tally(txn, &row.wing, &row.room, |tally| {
        tally.rows = tally.rows.saturating_sub(1);
        tally.drawers = tally.drawers.saturating_sub(u64::from(last_of_drawer));
    })
}

/// Tells whether any row of the same drawer stands in the row's room.
fn drawer_has_rows(txn: &WriteTransaction, row: &Row) -> Result<bool, CommitError> {
    let mut found = false;
    let prefix = tables::text_prefix(&[&row.wing, &row.room, row.drawer_id()]);
    read::keys_under(txn, &tables::BY_WING, &prefix, |_| {
        found = true;
        Ok(false)
    })?;
    Ok(found)
}

pub(super) fn adjust_tally(
    txn: &WriteTransaction,
    wing: &str,
    room: &str,
    change: impl FnOnce(&mut Tally),
) -> Result<(), CommitError> {
    let key = tables::text_prefix(&[wing, room]);
    let name = || format!("{wing}/{room}");
    let mut tally =
        read::record(txn, &tables::COUNTS, &key, name, records::decode_tally)?.unwrap_or_default();
    change(&mut tally);
    if tally.rows == 0 {
        remove(txn, &tables::COUNTS, &key)?;
        return Ok(());
    }
    insert(txn, &tables::COUNTS, &key, &records::encode_tally(tally))
}

/// Counts a row in or out among those of its room, wing, hall and date.
fn adjust_facet(txn: &WriteTransaction, row: &Row, by: i64) -> Result<(), CommitError> {
    let key = tables::facet(row);
    let name = || format!("{}/{}", row.wing, row.room);
    let rows = read::record(txn, &tables::FACETS, &key, name, records::decode_count)?.unwrap_or_default();
    match rows.saturating_add_signed(by) {
        0 => remove(txn, &tables::FACETS, &key).map(drop),
        rows => insert(txn, &tables::FACETS, &key, &records::encode_count(rows)),
    }
}

/// Inserts or replaces a record of a collection.
pub(in crate::engine) fn put_record(
    txn: &WriteTransaction,
    collection: Collection,
    key: &[u8],
    value: &[u8],
) -> Result<(), CommitError> {
    insert(txn, tables::collection(collection), key, value)
}

/// Removes a record of a collection; tells whether there was one.
pub(in crate::engine) fn delete_record(
    txn: &WriteTransaction,
    collection: Collection,
    key: &[u8],
) -> Result<bool, CommitError> {
    remove(txn, tables::collection(collection), key)
}

/// Records what the commit touched and where the store then stands.
pub(in crate::engine) fn close_commit(
    txn: &WriteTransaction,
    state: &State,
    touched: &[Logged],
) -> Result<(), CommitError> {
    insert(txn, &tables::LOG, &state.seq.0.to_be_bytes(), &records::encode_log(touched))?;
    put_state(txn, state)
}

/// Removes log entries up to `until`, at most `max` of them, oldest first.
pub(in crate::engine) fn trim_log(txn: &WriteTransaction, until: Seq, max: usize) -> Result<(), CommitError> {
    let mut open = txn.open_table(tables::LOG.definition()).map_err(Fault::from)?;
    for _ in 0..max {
        let oldest = match open.first().map_err(Fault::from)? {
            Some((key, _)) => key.value().to_vec(),
            None => return Ok(()),
        };
        if trailing_u64(&oldest).is_ok_and(|seq| seq > until.0) {
            return Ok(());
        }
        open.remove(oldest.as_slice()).map_err(Fault::from)?;
    }
    Ok(())
}

/// Remembers the answer to a write, replacing an older one of the same key.
pub(in crate::engine) fn put_key(
    txn: &WriteTransaction,
    key: &IdempotencyKey,
    at: Timestamp,
    result: &[u8],
) -> Result<(), CommitError> {
    if let Some((old, _)) = read::key_result(txn, key)? {
        remove(txn, &tables::KEYS_BY_TIME, &tables::keys_by_time(old, &key.0))?;
    }
    insert(txn, &tables::KEYS, &key.0, &records::encode_key_result(at, result))?;
    insert_raw(txn, &tables::KEYS_BY_TIME, &tables::keys_by_time(at, &key.0), &[])
}

/// Forgets answers older than `before`, at most `max` of them; tells how many.
pub(in crate::engine) fn prune_keys(
    txn: &WriteTransaction,
    before: Timestamp,
    max: usize,
) -> Result<usize, CommitError> {
    let limit = tables::sortable_timestamp(before);
    let mut old = Vec::new();
    if max > 0 {
        read::keys_under(txn, &tables::KEYS_BY_TIME, &[], |key| {
            if key[..key.len().min(8)] < limit[..] {
                old.push(key.to_vec());
            }
            Ok(old.len() < max && old.last().is_some_and(|last| last == key))
        })?;
    }
    for key in &old {
        remove(txn, &tables::KEYS_BY_TIME, key)?;
        remove(txn, &tables::KEYS, key.get(8..).unwrap_or_default())?;
    }
    Ok(old.len())
}

/// Writes the records every store has.
pub(super) fn initialise(
    txn: &WriteTransaction,
    format: u32,
    identity: &Identity,
    home: &Home,
) -> Result<(), CommitError> {
    make_tables(txn, format)?;
    put_identity(txn, identity)?;
    put_home(txn, home)?;
    // Row keys start at 1 and the log at 1; u64::MAX is out of reach.
    put_state(txn, &State { seq: Seq(0), next_key: 1, rows: 0 })
}

pub(in crate::engine) fn put_identity(
    txn: &WriteTransaction,
    identity: &Identity,
) -> Result<(), CommitError> {
    insert(txn, &tables::META, tables::META_IDENTITY, &records::encode_identity(identity))
}

pub(in crate::engine) fn put_home(txn: &WriteTransaction, home: &Home) -> Result<(), CommitError> {
    insert(txn, &tables::META, tables::META_HOME, &records::encode_home(home))
}

pub(in crate::engine) fn put_state(txn: &WriteTransaction, state: &State) -> Result<(), CommitError> {
    insert(txn, &tables::META, tables::META_STATE, &records::encode_state(state))
}

/// Brings a store of an older format to the present one. Tables that it lacks are made; a store of format 1 gets its
/// facets counted. What formats 2 and 3 added is read as absent until it is written.
pub(super) fn upgrade(txn: &WriteTransaction, found: u32, format: u32) -> Result<(), CommitError> {
    make_tables(txn, format)?;
    if found > 1 {
        return Ok(());
    }
    let mut failed = Ok(());
    read::each_row(txn, |_, row| {
        // A damaged row is named by `verify`; it must not keep the others from being counted.
        if let (Ok(()), Ok(row)) = (&failed, row) {
            failed = adjust_facet(txn, &row, 1);
        }
    })?;
    failed
}

fn make_tables(txn: &WriteTransaction, format: u32) -> Result<(), CommitError> {
    for table in tables::all() {
        txn.open_table(table.definition()).map_err(Fault::from)?;
    }
    insert(txn, &tables::META, tables::META_FORMAT, &format.to_le_bytes())
}
