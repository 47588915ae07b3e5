//! Many new rows in one go, for imports and for stores that are made from others.
//!
//! The tables are opened once and what is counted is counted in memory and written at the end: a tenth of the work of as
//! many single puts. The price is that the caller must know the rows to be new.
//!
//! Invariant: after [`Bulk::finish`] every index table agrees with the row table, and `counts` with both.

use std::collections::HashMap;

use redb::{ReadableTable, Table as RedbTable, WriteTransaction};

use super::codec::seal;
use super::read;
use super::records;
use super::tables::{self, Bytes, Table, row_key};
use super::write;
use crate::engine::error::{CommitError, Fault};
use crate::engine::types::{Row, RowKey, Tally};

/// The tables of rows, open for writing. Until it is finished nobody else may open them in this transaction.
pub(in crate::engine) struct Bulk<'t> {
    txn: &'t WriteTransaction,
    ids: RedbTable<'t, Bytes, Bytes>,
    rows: RedbTable<'t, Bytes, Bytes>,
    vectors: RedbTable<'t, Bytes, Bytes>,
    by_wing: RedbTable<'t, Bytes, Bytes>,
    by_source: RedbTable<'t, Bytes, Bytes>,
    by_filed_at: RedbTable<'t, Bytes, Bytes>,
    chunks: RedbTable<'t, Bytes, Bytes>,
    tallies: HashMap<(String, String), Tally>,
    facets: HashMap<Vec<u8>, u64>,
}

impl<'t> Bulk<'t> {
    /// Opens the tables.
    pub fn begin(txn: &'t WriteTransaction) -> Result<Self, CommitError> {
        let open = |table: &'static Table| txn.open_table(table.definition()).map_err(Fault::from);
        Ok(Bulk {
            txn,
            ids: open(&tables::IDS)?,
            rows: open(&tables::ROWS)?,
            vectors: open(&tables::VECTORS)?,
            by_wing: open(&tables::BY_WING)?,
            by_source: open(&tables::BY_SOURCE)?,
            by_filed_at: open(&tables::BY_FILED_AT)?,
            chunks: open(&tables::CHUNKS)?,
            tallies: HashMap::new(),
            facets: HashMap::new(),
        })
    }

    /// Inserts a row that is not there yet, under a key that nobody has.
    pub fn insert(&mut self, key: RowKey, row: &Row, vector: &[u8]) -> Result<(), CommitError> {
        let new_drawer = !self.drawer_has_rows(row)?;
        put(&mut self.ids, &tables::IDS, row.id.as_bytes(), &key.0.to_le_bytes())?;
        put(&mut self.rows, &tables::ROWS, &row_key(key), &records::encode_row(row))?;
        put(&mut self.vectors, &tables::VECTORS, &row_key(key), vector)?;
        let empty: &[u8] = &[];
        let fault = Fault::from;
        self.by_wing.insert(tables::by_wing(row, key).as_slice(), empty).map_err(fault)?;
        self.by_source.insert(tables::by_source(row, key).as_slice(), empty).map_err(fault)?;
        self.by_filed_at.insert(tables::by_filed_at(row, key).as_slice(), empty).map_err(fault)?;
        if let Some(parent) = &row.parent_id {
            self.chunks.insert(tables::chunks(parent, row, key).as_slice(), empty).map_err(fault)?;
        }
        let tally = self.tallies.entry((row.wing.clone(), row.room.clone())).or_default();
        tally.rows += 1;
        tally.drawers += u64::from(new_drawer);
        *self.facets.entry(tables::facet(row)).or_default() += 1;
        Ok(())
    }

    fn drawer_has_rows(&self, row: &Row) -> Result<bool, CommitError> {
        let prefix = tables::text_prefix(&[&row.wing, &row.room, row.drawer_id()]);
        let mut found = self.by_wing.range(prefix.as_slice()..).map_err(Fault::from)?;
        match found.next() {
            Some(entry) => Ok(entry.map_err(Fault::from)?.0.value().starts_with(&prefix)),
            None => Ok(false),
        }
    }

    /// Writes what was counted and lets go of the tables.
    pub fn finish(self) -> Result<(), CommitError> {
        let Bulk { txn, tallies, facets, .. } = self;
        for ((wing, room), counted) in tallies {
            write::adjust_tally(txn, &wing, &room, |tally| {
                tally.rows += counted.rows;
                tally.drawers += counted.drawers;
            })?;
        }
        for (key, rows) in facets {
            let name = || "facet".to_owned();
            let there = read::record(txn, &tables::FACETS, &key, name, records::decode_count)?;
            let total = there.unwrap_or_default() + rows;
            write::insert(txn, &tables::FACETS, &key, &records::encode_count(total))?;
        }
        Ok(())
    }
}

fn put(
    open: &mut RedbTable<'_, Bytes, Bytes>,
    table: &'static Table,
    key: &[u8],
    payload: &[u8],
) -> Result<(), CommitError> {
    open.insert(key, seal(table.tag, key, payload).as_slice()).map_err(Fault::from)?;
    Ok(())
}
