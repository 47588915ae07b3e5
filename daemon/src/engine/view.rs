//! One state of the store, as a snapshot or as a transaction in the making sees it.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use redb::ReadTransaction;

use super::error::{Fault, ReadError, guarded};
use super::handle::Lease;
use super::shared::page_damage;
use super::store::listing::{self, Listing};
use super::store::read::{self, Tables};
use super::store::select::{self, Selection};
use super::store::tables;
use super::types::{
    Collection, Counts, Facet, Filter, IdempotencyKey, Landmark, Omit, Page, RecordRange, Row, RowKey, Seq,
    StoreInfo, StoredVector,
};

/// Point reads of one state of the store.
pub trait View {
    /// Returns a row by its id.
    fn row(&self, id: &str) -> Result<Option<Row>, ReadError>;

    /// Returns the stored vector of a row, as half precision kept it.
    fn vector(&self, id: &str) -> Result<Option<Vec<f32>>, ReadError>;

    /// Returns the vector of a row as it is stored.
    fn stored_vector(&self, id: &str) -> Result<Option<StoredVector>, ReadError>;

    /// Returns the chunks of a drawer in the order of their chunk index.
    fn chunks_of(&self, parent: &str) -> Result<Vec<Row>, ReadError>;

    /// Returns the ids of all rows from one source, oldest row first.
    fn ids_by_source(&self, source: &str) -> Result<Vec<String>, ReadError>;

    /// Returns the rows put under keys after `after` whose cosine similarity to a vector of unit length is at least
    /// `similarity_min`, in the order of their keys, with that similarity. Damaged ones are near to nothing.
    fn newer_rows_near(
        &self,
        after: RowKey,
        vector: &[f32],
        similarity_min: f32,
    ) -> Result<Vec<(Row, f32)>, ReadError>;

    /// Returns how much stands in each room.
    fn counts(&self) -> Result<Counts, ReadError>;

    /// Returns the remembered answer to a write.
    fn key_result(&self, key: &IdempotencyKey) -> Result<Option<Vec<u8>>, ReadError>;

    /// Returns the position in history.
    fn seq(&self) -> Seq;

    /// Returns how many rows share room, wing, hall and date, in the order of these.
    fn facets(&self) -> Result<Vec<Facet>, ReadError>;

    /// Returns a record of a collection.
    fn record(&self, collection: Collection, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;

    /// Calls `visit` with key and value of the records of a range, in order, until it says stop with `false`.
    fn records(
        &self,
        collection: Collection,
        range: &RecordRange,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), ReadError>;

    /// Returns the number of records of a collection; takes no longer when there are many.
    fn record_count(&self, collection: Collection) -> Result<u64, ReadError>;
}

/// Gives the implementor's tables to the reads all views share.
pub(super) trait HasTables {
    type Txn: Tables;

    fn tables(&self) -> &Self::Txn;
    fn at(&self) -> Seq;
}

impl<V: HasTables> View for V {
    fn row(&self, id: &str) -> Result<Option<Row>, ReadError> {
        guarded(|| read::row(self.tables(), id), page_damage)
    }

    fn vector(&self, id: &str) -> Result<Option<Vec<f32>>, ReadError> {
        Ok(self.stored_vector(id)?.map(|stored| stored.decode()))
    }

    fn stored_vector(&self, id: &str) -> Result<Option<StoredVector>, ReadError> {
        guarded(|| read::stored_vector(self.tables(), id), page_damage)
    }

    fn chunks_of(&self, parent: &str) -> Result<Vec<Row>, ReadError> {
        guarded(|| read::chunks_of(self.tables(), parent), page_damage)
    }

    fn ids_by_source(&self, source: &str) -> Result<Vec<String>, ReadError> {
        guarded(|| read::ids_by_source(self.tables(), source), page_damage)
    }

    fn newer_rows_near(
        &self,
        after: RowKey,
        vector: &[f32],
        similarity_min: f32,
    ) -> Result<Vec<(Row, f32)>, ReadError> {
        guarded(|| read::newer_rows_near(self.tables(), after, vector, similarity_min), page_damage)
    }

    fn counts(&self) -> Result<Counts, ReadError> {
        guarded(|| read::counts(self.tables()), page_damage)
    }

    fn key_result(&self, key: &IdempotencyKey) -> Result<Option<Vec<u8>>, ReadError> {
        let found = guarded(|| read::key_result(self.tables(), key), page_damage)?;
        Ok(found.map(|(_, result)| result))
    }

    fn seq(&self) -> Seq {
        self.at()
    }

    fn facets(&self) -> Result<Vec<Facet>, ReadError> {
        guarded(|| read::facets(self.tables()), page_damage)
    }

    fn record(&self, collection: Collection, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        guarded(|| read::side_record(self.tables(), collection, key), page_damage)
    }

    fn records(
        &self,
        collection: Collection,
        range: &RecordRange,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), ReadError> {
        guarded(|| read::side_records(self.tables(), collection, range, visit), page_damage)
    }

    fn record_count(&self, collection: Collection) -> Result<u64, ReadError> {
        guarded(|| read::side_count(self.tables(), collection), page_damage)
    }
}

/// Takes the key of a record and its value, or what is wrong with it; says whether to go on.
pub type VisitRecord<'v> = dyn FnMut(&[u8], Result<&[u8], ReadError>) -> bool + 'v;

/// One committed state of the store. Cheap to open, unaffected by later commits.
///
/// A snapshot that is kept open keeps the pages of its state on disk and holds up `Engine::reopen`:
/// take one per request.
pub struct Snapshot {
    // Invariant: dropped before the lease, or a reopening would find the file still open.
    txn: ReadTransaction,
    lease: Lease,
    seq: Seq,
}

impl HasTables for Snapshot {
    type Txn = ReadTransaction;

    fn tables(&self) -> &ReadTransaction {
        &self.txn
    }

    fn at(&self) -> Seq {
        self.seq
    }
}

impl Snapshot {
    pub(super) fn new(txn: ReadTransaction, lease: Lease) -> Result<Snapshot, ReadError> {
        let seq = guarded(|| read::state(&txn), page_damage)?.seq;
        Ok(Snapshot { txn, lease, seq })
    }

    /// Tells whether a reopening waits for this snapshot: a long walk then gives up.
    pub fn is_awaited(&self) -> bool {
        self.lease.is_awaited()
    }

    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        guarded(|| work(&self.txn), page_damage)
    }

    /// Returns one page of drawers in the order of their ids: for each its first admitted row, and
    /// the number of drawers on all pages. Chunks count as the drawer they belong to.
    pub fn page(&self, filter: &Filter, offset: usize, limit: usize) -> Result<Page, ReadError> {
        let (hidden, from) = (Selection::default(), Landmark::default());
        let omit = Omit::default();
        self.listed(&Listing { filter, omit, hidden: &hidden, from: &from, offset, limit })
    }

    /// As [`Snapshot::page`], with drawers left out, and from a landmark on.
    pub fn listed(&self, listing: &Listing<'_>) -> Result<Page, ReadError> {
        self.read(|txn| listing::page(txn, listing))
    }

    /// Returns the rows of a drawer that stand in a room.
    pub fn rows_on_shelf(&self, wing: &str, room: &str, drawer: &str) -> Result<Vec<RowKey>, ReadError> {
        self.read(|txn| listing::rows_on_shelf(txn, wing, room, drawer))
    }

    /// Returns the rows that nobody gave a time.
    pub fn rows_without_time(&self) -> Result<Selection, ReadError> {
        self.read(select::rows_without_time)
    }

    /// Returns how much of each room is left out; takes longer with what is left out, not with the store.
    pub fn omitted(&self, omit: Omit) -> Result<Counts, ReadError> {
        self.read(|txn| listing::omitted(txn, omit))
    }

    /// Returns the rows a filter lets through.
    pub fn rows_matching(&self, filter: &Filter) -> Result<Selection, ReadError> {
        self.read(|txn| select::rows_matching(txn, filter))
    }

    /// Returns the newest rows a filter lets through, newest first.
    pub fn recent(&self, filter: &Filter, limit: usize) -> Result<Vec<Row>, ReadError> {
        self.read(|txn| select::recent(txn, filter, limit))
    }

    /// Returns the chunks of a drawer whose index is at most `radius` from `index`, in order, and how many it has.
    pub fn chunks_around(
        &self,
        parent: &str,
        index: u32,
        radius: u32,
    ) -> Result<(Vec<Row>, usize), ReadError> {
        self.read(|txn| select::chunks_around(txn, parent, index, radius))
    }

    /// Returns the greatest key that was ever given to a row.
    pub fn last_row_key(&self) -> Result<RowKey, ReadError> {
        Ok(RowKey(self.read(read::state)?.next_key.saturating_sub(1)))
    }

    /// Returns the rows that commits after `since` put, changed or removed, each once; `None` when the log does not
    /// reach back that far.
    pub fn touched_since(&self, since: Seq) -> Result<Option<Vec<RowKey>>, ReadError> {
        let touched = self.read(|txn| read::touched_since(txn, since, self.seq))?;
        Ok(touched.map(|touched| {
            let keys: BTreeSet<RowKey> = touched.into_iter().map(|(_, key)| key).collect();
            keys.into_iter().collect()
        }))
    }

    /// Returns a row by its internal key, `None` when it is not in this state.
    pub fn row_at(&self, key: RowKey) -> Result<Option<Row>, ReadError> {
        self.read(|txn| read::row_of_key(txn, key))
    }

    /// Calls `visit` with key and value of every record of a collection, or with what is wrong with it, until it says
    /// stop with `false`.
    pub fn all_records(&self, collection: Collection, visit: &mut VisitRecord<'_>) -> Result<(), ReadError> {
        self.read(|txn| read::each_side_record(txn, collection, visit))
    }

    /// Returns all rows in the order they were first put. After an error the walk may go on.
    pub fn all_rows(&self) -> Result<AllRows<'_>, ReadError> {
        let table = &tables::ROWS;
        let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
        let range = self.read(|txn| txn.open(table)?.range::<&[u8]>(..).map_err(fault))?;
        Ok(AllRows { range, ended: false, snapshot: PhantomData })
    }

    /// Returns what the store says about itself.
    pub fn meta(&self) -> Result<StoreInfo, ReadError> {
        let identity = self.read(read::identity)?;
        Ok(StoreInfo {
            database_uuid: identity.database_uuid,
            format: self.read(read::format)?,
            created_at: identity.created_at,
            embedder_identity: identity.embedder,
            dimension: identity.dimension as usize,
            origin: identity.origin,
            seq: self.seq,
        })
    }
}

/// All rows of a snapshot. It borrows the snapshot, whose lease keeps the file from being closed.
pub struct AllRows<'s> {
    range: redb::Range<'static, tables::Bytes, tables::Bytes>,
    ended: bool,
    snapshot: PhantomData<&'s Snapshot>,
}

impl Iterator for AllRows<'_> {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        // Damage of one record leaves the walk sound, damage of the table ends it.
        match guarded(|| read::next_row(&mut self.range), page_damage) {
            Ok(row) => {
                self.ended = row.is_none();
                row
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}
