//! What the writer and every reader hold in common.
//!
//! Locks, in the order in which they may be taken: `saving`, then `derived`. Nothing waits for the
//! disk or for another thread while it holds `derived`, except a reopening, which is alone anyway.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use redb::{Database, ReadTransaction, ReadableDatabase};

use super::derived::Derived;
use super::error::{CompactError, Fault, OpenError, ReadError, guarded, let_go};
use super::handle::Handle;
use super::index::GraphFault;
use super::snapshot::{Kind, Loaded, SnapshotDir};
use super::store::anchor::Anchor;
use super::store::file;
use super::store::records::Identity;
use super::types::{EngineOptions, Seq};
use super::{SnapshotError, view::Snapshot};
use crate::failpoint;

pub(super) struct Shared {
    pub dir: PathBuf,
    pub options: EngineOptions,
    pub database_uuid: [u8; 16],
    pub handle: Arc<Handle>,
    /// Searches and saves hold it for reading, a commit for as long as its changes take in memory.
    pub derived: RwLock<Derived>,
    /// Held for the whole of a save, file writes included: two savers would mix their files.
    saving: Mutex<Loaded>,
    saved: SnapshotDir,
    /// The file that `handle` has open; guards single reads and writes.
    anchor: Mutex<Anchor>,
    /// History of the current files, for status; zero for none.
    pub snapshot_seq: AtomicU64,
    /// End of the log no saved index needs; zero for none.
    trim_to: AtomicU64,
    /// End of the log no backup needs; `u64::MAX` when there is none that could be continued.
    pub backed_up_to: AtomicU64,
}

/// Commits that are kept in the log for a backup to continue from. One that is further behind is made anew instead.
const LOG_KEPT_FOR_BACKUP: u64 = 100_000;

impl Shared {
    pub fn open(dir: PathBuf, options: EngineOptions) -> Result<Shared, OpenError> {
        let (db, identity) = file::open(&dir, &options)?;
        Shared::over(db, identity, dir, options)
    }

    /// Loads the derived indexes of a store that is open.
    pub fn over(
        db: Database,
        identity: Identity,
        dir: PathBuf,
        options: EngineOptions,
    ) -> Result<Shared, OpenError> {
        let path = dir.join(file::FILE_NAME);
        let saved = SnapshotDir::new(&dir, identity.database_uuid, &options);
        let load = || -> Result<(Derived, Loaded), ReadError> {
            let txn = db.begin_read().map_err(|error| Fault::from(error).reading("meta"))?;
            Derived::load(&txn, &options, &saved)
        };
        let damaged = |detail| ReadError::Damaged { table: "rows", key: "?".to_owned(), detail };
        let (derived, mut loaded) = match guarded(load, damaged) {
            Ok(loaded) => loaded,
            Err(error) => {
                let_go(db);
                return Err(error.opening(path));
            }
        };
        saved.tidy(&mut loaded);
        let shared = Shared {
            dir,
            options,
            database_uuid: identity.database_uuid,
            handle: Handle::new(db),
            derived: RwLock::new(derived),
            snapshot_seq: AtomicU64::new(loaded.current_seq().unwrap_or_default().0),
            trim_to: AtomicU64::new(0),
            backed_up_to: AtomicU64::new(u64::MAX),
            saving: Mutex::new(loaded),
            saved,
            anchor: Mutex::new(Anchor::of(&path)),
        };
        Ok(shared)
    }

    /// Opens a snapshot; waits for a reopening, with a deadline in case the caller's own older
    /// snapshot is what the reopening waits for.
    pub fn snapshot(&self) -> Result<Snapshot, ReadError> {
        let lease = self.handle.lease().ok_or(ReadError::NeedsReopen)?;
        Snapshot::new(begin_read(lease.db())?, lease)
    }

    /// Runs a short read of its own. It never waits for a reopening, which may wait for the
    /// caller's snapshot.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let lease = self.handle.lease_briefly().ok_or(ReadError::NeedsReopen)?;
        let txn = begin_read(lease.db())?;
        guarded(|| work(&txn), page_damage)
    }

    /// Tells whether the store's file is where it was opened. Costs one look at the directory.
    pub fn is_in_place(&self) -> bool {
        let anchor = *self.anchor.lock();
        anchor.holds(&self.dir.join(file::FILE_NAME))
    }

    /// Drops the handle, opens the store again and brings the indexes to where it stands.
    pub fn reopen(&self) -> Result<(), OpenError> {
        let withdrawn = self.handle.withdraw(None);
        let_go(withdrawn.expect("a wait without deadline does not time out"));
        let reopened = self.open_again();
        let (db, result) = match reopened {
            Ok(db) => (Some(db), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.handle.install(db);
        result
    }

    /// Writes the store file anew without the room that removed things took. Blocks for seconds per gigabyte; nobody
    /// reads or writes meanwhile.
    pub fn compact(&self, wait: std::time::Duration) -> Result<(), CompactError> {
        let Ok(withdrawn) = self.handle.withdraw(Some(std::time::Instant::now() + wait)) else {
            return Err(CompactError::InUse);
        };
        let Some(mut db) = withdrawn else {
            self.handle.install(None);
            return Err(CompactError::NeedsReopen);
        };
        failpoint::reach("compact");
        let compacted = guarded(
            || db.compact().map_err(|error| CompactError::Store(error.to_string())),
            |detail| CompactError::Store(format!("damaged page: {detail}")),
        );
        match compacted {
            Ok(_) => {
                self.handle.install(Some(db));
                Ok(())
            }
            Err(error) => {
                // What a failed compaction leaves in the handle is not to be trusted; the file is.
                let_go(db);
                let reopened = self.open_again();
                self.handle.install(reopened.ok());
                Err(error)
            }
        }
    }

    fn open_again(&self) -> Result<Database, OpenError> {
        let path = self.dir.join(file::FILE_NAME);
        let (db, identity) = file::open_existing(&self.dir, &self.options)?;
        if identity.database_uuid != self.database_uuid {
            return Err(OpenError::NotAStore {
                path,
                detail: "another store has taken its place".to_owned(),
            });
        }
        let resync = || -> Result<(), ReadError> {
            let txn = db.begin_read().map_err(|error| Fault::from(error).reading("meta"))?;
            self.derived.write().resync(&txn, &self.options)
        };
        match guarded(resync, page_damage) {
            Ok(()) => {
                *self.anchor.lock() = Anchor::of(&path);
                Ok(db)
            }
            Err(error) => {
                let_go(db);
                Err(error.opening(path))
            }
        }
    }

    /// Saves both indexes, each where the current file is older than the index.
    pub fn save(&self) -> Result<(), SnapshotError> {
        let mut loaded = self.saving.lock();
        let unsaved = self.derived.read().unsaved;
        let mut first_error = None;
        for kind in Kind::ALL {
            if let Err(error) = self.save_one(kind, &mut loaded) {
                first_error.get_or_insert(error);
            }
        }
        self.snapshot_seq.store(loaded.current_seq().unwrap_or_default().0, Ordering::Relaxed);
        self.trim_to.store(loaded.trim_to().unwrap_or_default().0, Ordering::Relaxed);
        match first_error {
            Some(error) => Err(error),
            None => {
                // What changed meanwhile may or may not be in the files; it counts as not.
                let mut derived = self.derived.write();
                derived.unsaved = derived.unsaved.saturating_sub(unsaved);
                Ok(())
            }
        }
    }

    fn save_one(&self, kind: Kind, loaded: &mut Loaded) -> Result<(), SnapshotError> {
        let current = self.saved.current_seq(kind, loaded);
        let Some((seq, count, body)) = self.serialise(kind, current)? else { return Ok(()) };
        let written = self.saved.write(kind, seq, count, &body, loaded);
        if written.is_err() && kind == Kind::Vectors {
            // A graph that did not reach the disk is to be saved with the next attempt, changed or not.
            self.derived.read().vectors.graph_unsaved.store(true, Ordering::Relaxed);
        }
        written
    }

    /// Copies an index out under the lock; `None` when the current file already says the same.
    fn serialise(
        &self,
        kind: Kind,
        current: Option<Seq>,
    ) -> Result<Option<(Seq, u64, Vec<u8>)>, SnapshotError> {
        let derived = self.derived.read();
        let new_graph = kind == Kind::Vectors && derived.vectors.graph_unsaved.swap(false, Ordering::Relaxed);
        if current == Some(derived.applied_seq) && !new_graph {
            return Ok(None);
        }
        let count = match kind {
            Kind::Vectors => derived.vectors.catalogue.rows_len() as u64,
            Kind::Text => derived.text.len() as u64,
        };
        if count != derived.rows {
            return Err(SnapshotError::Partial { kind: kind.name(), indexed: count, rows: derived.rows });
        }
        let mut body = Vec::new();
        match kind {
            Kind::Vectors => derived
                .vectors
                .write_to(&mut body)
                .map_err(|GraphFault(detail)| SnapshotError::Graph { detail })?,
            Kind::Text => derived.text.write_to(&mut body),
        }
        Ok(Some((derived.applied_seq, count, body)))
    }

    /// Returns how far the log of a store that stands at `seq` may be trimmed; zero for not at all.
    pub fn log_end(&self, seq: Seq) -> Seq {
        let saved = self.trim_to.load(Ordering::Relaxed);
        let backed_up =
            self.backed_up_to.load(Ordering::Relaxed).max(seq.0.saturating_sub(LOG_KEPT_FOR_BACKUP));
        Seq(saved.min(backed_up))
    }

    pub fn file_bytes(&self) -> u64 {
        std::fs::metadata(self.dir.join(file::FILE_NAME)).map_or(0, |metadata| metadata.len())
    }
}

fn begin_read(db: &Database) -> Result<ReadTransaction, ReadError> {
    guarded(|| db.begin_read().map_err(|error| Fault::from(error).reading("meta")), page_damage)
}

/// Names what a panic of redb means.
pub(super) fn page_damage(detail: String) -> ReadError {
    ReadError::Damaged { table: "?", key: "?".to_owned(), detail: format!("damaged page: {detail}") }
}
