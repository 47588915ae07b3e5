//! Many new rows in one go, for imports and for stores that are made from others.
//!
//! The tables are opened once and what is counted is counted in memory and written at the end: a tenth of the work of as
//! many single puts. The price is that the caller must know the rows to be new.
//!
//! Invariant: after [`Bulk::finish`] every index table agrees with the row table, and `counts` with both.

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
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
    /// Entries of the tables whose keys are not those of rows in their order.
    entries: Entries,
    /// Drawers that got a row in this go, by their place.
    drawers: HashSet<Vec<u8>>,
    /// What was counted by place.
    tallies: HashMap<Vec<u8>, Counted>,
    facets: HashMap<Vec<u8>, u64>,
}

/// Index entries that wait to be inserted in the order of their keys: neighbours share pages, which are then found in the
/// processor's cache.
#[derive(Default)]
struct Entries {
    ids: Vec<(Vec<u8>, RowKey)>,
    by_wing: Vec<Vec<u8>>,
    by_source: Vec<Vec<u8>>,
    by_filed_at: Vec<Vec<u8>>,
    chunks: Vec<Vec<u8>>,
}

/// What a room got.
struct Counted {
    wing: String,
    room: String,
    tally: Tally,
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
            entries: Entries::default(),
            drawers: HashSet::new(),
            tallies: HashMap::new(),
            facets: HashMap::new(),
        })
    }

    /// Inserts a row that is not there yet, under a key that nobody has.
    pub fn insert(&mut self, key: RowKey, row: &Row, vector: &[u8]) -> Result<(), CommitError> {
        put(&mut self.rows, &tables::ROWS, &row_key(key), &records::encode_row(row))?;
        put(&mut self.vectors, &tables::VECTORS, &row_key(key), vector)?;
        let entries = &mut self.entries;
        entries.ids.push((row.id.as_bytes().to_vec(), key));
        entries.by_wing.push(tables::by_wing(row, key));
        entries.by_source.push(tables::by_source(row, key));
        entries.by_filed_at.push(tables::by_filed_at(row, key));
        if let Some(parent) = &row.parent_id {
            entries.chunks.push(tables::chunks(parent, row, key));
        }
        let new_drawer = self.is_new_drawer(row)?;
        let counted = self.tallies.entry(tables::text_prefix(&[&row.wing, &row.room])).or_insert_with(|| {
            Counted { wing: row.wing.clone(), room: row.room.clone(), tally: Tally::default() }
        });
        counted.tally.rows += 1;
        counted.tally.drawers += u64::from(new_drawer);
        *self.facets.entry(tables::facet(row)).or_default() += 1;
        Ok(())
    }

    /// Tells whether the row is the first of its drawer in its room, those of this go included.
    fn is_new_drawer(&mut self, row: &Row) -> Result<bool, CommitError> {
        let prefix = tables::text_prefix(&[&row.wing, &row.room, row.drawer_id()]);
        let was_there = match self.by_wing.range(prefix.as_slice()..).map_err(Fault::from)?.next() {
            Some(entry) => entry.map_err(Fault::from)?.0.value().starts_with(&prefix),
            None => false,
        };
        Ok(self.drawers.insert(prefix) && !was_there)
    }

    /// Writes what waits and what was counted, and lets go of the tables.
    pub fn finish(mut self) -> Result<(), CommitError> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.ids.sort_unstable();
        for (id, key) in &entries.ids {
            put(&mut self.ids, &tables::IDS, id, &key.0.to_le_bytes())?;
        }
        insert_all(&mut self.by_wing, entries.by_wing)?;
        insert_all(&mut self.by_source, entries.by_source)?;
        insert_all(&mut self.by_filed_at, entries.by_filed_at)?;
        insert_all(&mut self.chunks, entries.chunks)?;
        let Bulk { txn, tallies, facets, .. } = self;
        for Counted { wing, room, tally: counted } in tallies.into_values() {
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

/// Inserts keys that have no value, in their order.
fn insert_all(open: &mut RedbTable<'_, Bytes, Bytes>, mut keys: Vec<Vec<u8>>) -> Result<(), CommitError> {
    let empty: &[u8] = &[];
    keys.sort_unstable();
    for key in keys {
        open.insert(key.as_slice(), empty).map_err(Fault::from)?;
    }
    Ok(())
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
