//! The writing side: one engine, one transaction at a time.
//!
//! A commit is durable before the indexes know it, and the indexes know it before `commit`
//! returns: whoever is told of a write finds it with the next search.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::{Durability, WriteTransaction};

use crate::failpoint;

use super::derived::{Change, prepare_vector};
use super::error::{CommitError, CompactError, Fault, OpenError, SnapshotError, guarded, let_go};
use super::handle::Handle;
use super::index::code::{NotUnit, almost_unit, unit};
use super::reader::Reader;
use super::shared::Shared;
use super::store::bulk::Bulk;
use super::store::records::{Logged, State, Touch, encode_vector};
use super::store::{read, tables, write};
use super::text::vocabulary::terms;
use super::types::{
    Collection, EngineOptions, IdempotencyKey, Op, Row, RowKey, Seq, StoredVector, Timestamp, Vector,
};
use super::view::HasTables;

/// Log entries removed by one commit at most, so that no commit pays for a long history.
const LOG_TRIM_MAX: usize = 2_048;

/// Longest wait of `close` for snapshots that are still open.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// The writing side of a store. There is one per store, owned by the writer thread.
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// Opens the store of a palace directory, making it when the directory has none, and loads the
    /// derived indexes. Blocks for as long as that takes.
    pub fn open(dir: &Path, options: EngineOptions) -> Result<(Engine, Reader), OpenError> {
        let shared = Arc::new(Shared::open(dir.to_owned(), options)?);
        Ok((Engine { shared: Arc::clone(&shared) }, Reader::new(shared)))
    }

    /// Returns the identity of a palace's store that nobody has open, `None` when it cannot be read: it is damaged, or was
    /// not closed. Changes nothing.
    pub fn identity(dir: &Path) -> Option<[u8; 16]> {
        super::store::file::identity(&dir.join(super::store::file::FILE_NAME))
    }

    /// Tells whether a palace directory has a store, sound or not.
    pub fn exists(dir: &Path) -> bool {
        dir.join(super::store::file::FILE_NAME).symlink_metadata().is_ok()
    }

    /// Opens a store over storage of a test's own.
    #[cfg(test)]
    pub(super) fn open_over(
        backend: impl redb::StorageBackend,
        dir: &Path,
        options: EngineOptions,
    ) -> Result<(Engine, Reader), OpenError> {
        let path = dir.join(super::store::file::FILE_NAME);
        // Indexes are saved where the store's file is.
        std::fs::write(&path, b"").expect("a test's directory can be written");
        let (db, identity) = super::store::file::open_over(backend, &path, &options)?;
        let shared = Arc::new(Shared::over(db, identity, dir.to_owned(), options)?);
        Ok((Engine { shared: Arc::clone(&shared) }, Reader::new(shared)))
    }

    /// Begins a transaction. Dropping it takes everything back.
    pub fn begin(&mut self) -> Result<WriteTxn<'_>, CommitError> {
        guarded(|| self.begin_unguarded(), damage)
    }

    fn begin_unguarded(&self) -> Result<WriteTxn<'_>, CommitError> {
        if self.shared.handle.is_spoiled() {
            return Err(CommitError::NeedsReopen);
        }
        let lease = self.shared.handle.lease_briefly().ok_or(CommitError::NeedsReopen)?;
        let mut txn = lease.db().begin_write().map_err(Fault::from)?;
        txn.set_durability(Durability::Immediate).expect("no persistent savepoint is ever touched");
        let txn = Transaction { txn: Some(txn), handle: &self.shared.handle };
        let state = read::state(&*txn)?;
        Ok(WriteTxn {
            txn,
            shared: &self.shared,
            state,
            touched: Vec::new(),
            changes: Vec::new(),
            failed: false,
        })
    }

    /// Saves both derived indexes.
    pub fn save_snapshots(&self) -> Result<(), SnapshotError> {
        self.shared.save()
    }

    /// Gives the room of removed things back to the file system. Waits a few seconds for open snapshots and keeps new
    /// ones waiting; returns the size of the file before and after, in bytes.
    ///
    /// # Errors
    /// When something still reads, or the file system refuses; the store goes on as it was.
    pub fn compact(&mut self) -> Result<(u64, u64), CompactError> {
        let before = self.shared.file_bytes();
        self.shared.compact(CLOSE_WAIT)?;
        Ok((before, self.shared.file_bytes()))
    }

    /// Makes a new handle after a fault that spoiled the old one, such as a full disk. Waits for
    /// open snapshots, then catches up with whatever the store holds.
    pub fn reopen(&mut self) -> Result<(), OpenError> {
        self.shared.reopen()
    }

    /// Saves the derived indexes and closes the store. Readers get errors from then on.
    pub fn close(self) -> Result<(), SnapshotError> {
        let saved = self.shared.save();
        let Ok(db) = self.shared.handle.withdraw(Some(Instant::now() + CLOSE_WAIT)) else {
            return Err(SnapshotError::Close { detail: "snapshots are still open".to_owned() });
        };
        self.shared.handle.install(None);
        let close = || match db {
            Some(db) => db.close().map_err(|error| SnapshotError::Close { detail: error.to_string() }),
            None => Ok(()),
        };
        guarded(close, |detail| SnapshotError::Close { detail })?;
        saved
    }
}

/// redb's transaction, whose end may panic after it met a damaged page. Then nothing may be written through the handle.
struct Transaction<'e> {
    /// `None` once it is being committed.
    txn: Option<WriteTransaction>,
    handle: &'e Handle,
}

impl std::ops::Deref for Transaction<'_> {
    type Target = WriteTransaction;

    fn deref(&self) -> &WriteTransaction {
        self.txn.as_ref().expect("nobody looks at a transaction that is being committed")
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !let_go(self.txn.take()) {
            self.handle.spoil();
        }
    }
}

/// Changes that become visible and durable together, or not at all.
pub struct WriteTxn<'e> {
    txn: Transaction<'e>,
    shared: &'e Shared,
    state: State,
    touched: Vec<Logged>,
    changes: Vec<Change>,
    /// An op failed half way: the transaction must not be committed.
    failed: bool,
}

impl HasTables for WriteTxn<'_> {
    type Txn = WriteTransaction;

    fn tables(&self) -> &WriteTransaction {
        &self.txn
    }

    fn at(&self) -> Seq {
        self.state.seq
    }
}

impl WriteTxn<'_> {
    /// Applies changes in order. Rows that are known to be new are put together.
    ///
    /// # Errors
    /// As [`WriteTxn::apply`], for the first change that fails.
    pub fn apply_all(&mut self, ops: &[Op]) -> Result<(), CommitError> {
        let mut rest = ops;
        while let Some(first) = rest.first() {
            let new = rest.iter().take_while(|op| matches!(op, Op::PutNew(_))).count();
            let taken = new.max(1);
            match new {
                0 => self.apply(first)?,
                _ => self.put_new(&rest[..new])?,
            }
            rest = &rest[taken..];
        }
        Ok(())
    }

    fn put_new(&mut self, ops: &[Op]) -> Result<(), CommitError> {
        self.attempt(|this| {
            let mut bulk = Bulk::begin(&this.txn)?;
            for op in ops {
                let Op::PutNew(prepared) = op else { continue };
                let key = RowKey(this.state.next_key);
                bulk.insert(key, prepared.row(), prepared.stored().bytes())?;
                this.state.next_key += 1;
                this.state.rows += 1;
                this.touched.push(Logged::Row(Touch::Put, key));
                this.changes.push(Change::PutPrepared { key, row: Arc::clone(prepared) });
            }
            bulk.finish()
        })
    }

    /// Applies one change. A refused one (`BadVector`, `NoSuchRow`, `TextChanged`, `RowDamaged`)
    /// leaves the transaction as it was; after any other error it can only be dropped.
    pub fn apply(&mut self, op: &Op) -> Result<(), CommitError> {
        self.attempt(|this| match op {
            Op::PutRow(row, vector) => this.put_row(row, vector),
            Op::PutStored(row, vector) => this.put_stored(row, vector),
            Op::PutNew(prepared) => this.put_stored(prepared.row(), prepared.stored()),
            Op::PutMeta(row) => this.put_meta(row),
            Op::DeleteRow { id } => this.delete_row(id),
            Op::PutRecord { collection, key, value } => {
                write::put_record(&this.txn, *collection, key, value)?;
                this.touch_record(*collection, key);
                Ok(())
            }
            Op::DeleteRecord { collection, key } => {
                if write::delete_record(&this.txn, *collection, key)? {
                    this.touch_record(*collection, key);
                }
                Ok(())
            }
        })
    }

    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, CommitError>,
    ) -> Result<T, CommitError> {
        if self.failed {
            return Err(CommitError::Poisoned);
        }
        let result = guarded(|| work(self), damage);
        self.failed = result.as_ref().is_err_and(|error| !error.is_refusal());
        result
    }

    fn put_row(&mut self, row: &Row, vector: &Vector) -> Result<(), CommitError> {
        let refused = |reason: String| CommitError::BadVector { id: row.id.clone(), reason };
        let unit = unit(&vector.0, self.shared.options.dimension).map_err(|why| refused(why.to_string()))?;
        let stored = encode_vector(&unit);
        self.put_bytes(row, &stored)
    }

    fn put_stored(&mut self, row: &Row, vector: &StoredVector) -> Result<(), CommitError> {
        let refused = |why: NotUnit| CommitError::BadVector { id: row.id.clone(), reason: why.to_string() };
        almost_unit(&vector.decode(), self.shared.options.dimension).map_err(refused)?;
        self.put_bytes(row, vector.bytes())
    }

    fn put_bytes(&mut self, row: &Row, stored: &[u8]) -> Result<(), CommitError> {
        let vector =
            prepare_vector(stored, self.shared.options.dimension).ok_or_else(|| CommitError::BadVector {
                id: row.id.clone(),
                reason: "nothing is left of it in half precision".to_owned(),
            })?;
        let key = write::put_row(&self.txn, &mut self.state, row, stored)?;
        self.touched.push(Logged::Row(Touch::Put, key));
        self.changes.push(Change::Put { key, vector, terms: terms(&row.document) });
        Ok(())
    }

    fn touch_record(&mut self, collection: Collection, key: &[u8]) {
        self.touched.push(Logged::Record { table: tables::collection(collection).tag, key: key.to_vec() });
    }

    fn put_meta(&mut self, row: &Row) -> Result<(), CommitError> {
        let key = write::put_meta(&self.txn, row)?;
        self.touched.push(Logged::Row(Touch::Meta, key));
        Ok(())
    }

    fn delete_row(&mut self, id: &str) -> Result<(), CommitError> {
        if let Some(key) = write::delete_row(&self.txn, &mut self.state, id)? {
            self.touched.push(Logged::Row(Touch::Delete, key));
            self.changes.push(Change::Remove(key));
        }
        Ok(())
    }

    /// Remembers the answer to a write in the transaction of that write.
    pub fn put_key(&mut self, key: &IdempotencyKey, at: Timestamp, result: &[u8]) -> Result<(), CommitError> {
        self.attempt(|this| write::put_key(&this.txn, key, at, result))
    }

    /// Forgets answers given before a time, oldest first and at most `max`; tells how many.
    pub fn prune_keys(&mut self, before: Timestamp, max: usize) -> Result<usize, CommitError> {
        self.attempt(|this| write::prune_keys(&this.txn, before, max))
    }

    /// Makes the changes durable, then lets searches see them, then returns the position in history.
    ///
    /// A transaction that changed neither a row nor a record keeps the position. A store whose file was removed or replaced
    /// takes nothing more, and what it took at that very moment is not acknowledged. After an error the store may still turn
    /// out to hold the changes once it is reopened: a repeated write must be idempotent.
    pub fn commit(mut self) -> Result<Seq, CommitError> {
        if self.failed {
            return Err(CommitError::Poisoned);
        }
        let shared = self.shared;
        if !shared.is_in_place() {
            return Err(CommitError::Displaced);
        }
        let moved = !self.touched.is_empty();
        if moved {
            self.state.seq.0 += 1;
        }
        let WriteTxn { mut txn, state, touched, changes, .. } = self;
        let durable = || -> Result<(), CommitError> {
            if moved {
                write::close_commit(&txn, &state, &touched)?;
            }
            let trim_to = shared.log_end(state.seq);
            if trim_to > Seq(0) {
                write::trim_log(&txn, trim_to, LOG_TRIM_MAX)?;
            }
            failpoint::reach("write.logged");
            txn.txn.take().expect("committed once").commit().map_err(Fault::from)?;
            Ok(())
        };
        guarded(durable, damage)?;
        failpoint::reach("write.committed");
        // A process may have been suspended between the look and the commit.
        if !shared.is_in_place() {
            return Err(CommitError::Displaced);
        }
        if moved {
            shared.derived.write().apply(changes, &state);
        }
        Ok(state.seq)
    }
}

fn damage(detail: String) -> CommitError {
    CommitError::Damaged { detail }
}
