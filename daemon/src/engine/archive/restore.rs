//! A store made from archives.
//!
//! The store is made beside the living one, read back whole, and only then put in its place; the old one is kept under
//! another name. It has an identity of its own: what it becomes from here on is another history than the one that was
//! given up, and saved indexes or backups of that one must not be taken for its own.

use std::fs;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase};
use thiserror::Error;

use super::format::{Archive, ArchiveError, Header, Item};
use crate::engine::error::{CommitError, Fault, OpenError, ReadError, guarded};
use crate::engine::store::bulk::Bulk;
use crate::engine::store::records::State;
use crate::engine::store::{audit, file, read, records, tables, write};
use crate::engine::types::{EngineOptions, Seq};
use crate::engine::verify::VerifyReport;
use crate::failpoint;

/// Items applied in one transaction.
const BATCH: usize = 4_096;

/// Why no store was made. What was there before is untouched.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// An archive cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The archives do not follow each other.
    #[error("{} does not continue the backup before it: {detail}", path.display())]
    Chain {
        /// The archive.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// The vectors come from another model.
    #[error("the backup holds vectors of {found}, this program makes those of {expected}")]
    Embedder {
        /// Model of the backup.
        found: String,
        /// Model of this program.
        expected: String,
    },
    /// The store cannot be made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store that was made does not hold what the archives say.
    #[error("the restored store was checked and is not right: {0}; the palace was left as it is")]
    Wrong(String),
    /// It was to be given up.
    #[error("interrupted; the palace was left as it is")]
    Interrupted,
}

/// A store that was made from archives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Position in history.
    pub seq: Seq,
    /// Rows in it.
    pub rows: u64,
}

/// Makes a complete store at `path` from a full archive and those that continue it, and reads all of it back. Blocks.
///
/// `go_on` is told how many items are done and says whether to go on.
///
/// # Errors
/// Says what is wrong with which archive. `path` holds nothing to be used then.
pub fn restore(
    archives: &[PathBuf],
    path: &Path,
    options: &EngineOptions,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Restored, RestoreError> {
    let headers = chain(archives, options)?;
    let Some(last) = headers.last() else {
        return Err(RestoreError::Wrong("no backup was named".to_owned()));
    };
    let identity = file::new_identity(options, Some(last.database_uuid));
    let mut failed = None;
    let mut done = 0;
    let made = file::make(path, &identity, options, |db| {
        for archive in archives {
            if let Err(error) = apply_archive(db, archive, &mut done, go_on) {
                failed = Some(error);
                return Err(CommitError::Poisoned);
            }
        }
        finish(db, last)
    });
    if let Some(error) = failed {
        // The half-made store is of no use, and its absence is what an interrupted attempt is known by.
        let _ = fs::remove_file(path);
        return Err(error);
    }
    made?;
    failpoint::reach("restore.made");
    let rows = read_back(path, options, last)?;
    failpoint::reach("restore.checked");
    Ok(Restored { seq: last.seq, rows })
}

/// Reads the headers and checks that each archive continues the one before it.
fn chain(archives: &[PathBuf], options: &EngineOptions) -> Result<Vec<Header>, RestoreError> {
    let mut headers: Vec<Header> = Vec::new();
    for path in archives {
        let header = Archive::open(path)?.header().clone();
        let fits = match (headers.last(), header.since) {
            (None, None) => Ok(()),
            (None, Some(since)) => Err(format!("it holds only what changed since {since}")),
            (Some(_), None) => Err("it is a full one".to_owned()),
            (Some(before), Some(_)) if before.database_uuid != header.database_uuid => {
                Err("it is of another store".to_owned())
            }
            (Some(before), Some(since)) if before.seq != since => {
                Err(format!("it continues {since}, the one before ends at {}", before.seq))
            }
            (Some(_), Some(_)) => Ok(()),
        };
        fits.map_err(|detail| RestoreError::Chain { path: path.clone(), detail })?;
        if header.embedder != options.embedder_identity || header.dimension as usize != options.dimension {
            return Err(RestoreError::Embedder {
                found: format!("{} ({})", header.embedder, header.dimension),
                expected: format!("{} ({})", options.embedder_identity, options.dimension),
            });
        }
        headers.push(header);
    }
    Ok(headers)
}

fn apply_archive(
    db: &Database,
    path: &Path,
    done: &mut u64,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<(), RestoreError> {
    let mut batch = Vec::with_capacity(BATCH);
    Archive::open(path)?.each(&mut |item| {
        batch.push(item);
        if batch.len() < BATCH {
            return Ok(());
        }
        *done += batch.len() as u64;
        apply(db, std::mem::take(&mut batch)).map_err(|error| failed(error, path))?;
        if go_on(*done) { Ok(()) } else { Err(RestoreError::Interrupted) }
    })?;
    *done += batch.len() as u64;
    apply(db, batch).map_err(|error| failed(error, path))
}

fn failed(error: CommitError, path: &Path) -> RestoreError {
    RestoreError::Open(error.opening(path.to_owned()))
}

/// Applies items in one transaction: what is replaced goes first, then new rows come together.
fn apply(db: &Database, items: Vec<Item>) -> Result<(), CommitError> {
    let mut txn = db.begin_write().map_err(Fault::from)?;
    // Only the last transaction has to be on disk before the store is: it brings the earlier ones with it.
    txn.set_durability(redb::Durability::None)
        .map_err(|error| CommitError::Damaged { detail: error.to_string() })?;
    let mut state = read::state(&txn)?;
    for item in &items {
        match item {
            Item::Row { key, .. } | Item::RowGone(key) => {
                if let Some(row) = read::row_of_key(&txn, *key)? {
                    write::delete_row(&txn, &mut state, &row.id)?;
                }
            }
            Item::Record { table, key, value } => {
                if let Some(collection) = tables::collection_of_tag(*table) {
                    write::put_record(&txn, collection, key, value)?;
                }
            }
            Item::RecordGone { table, key } => {
                if let Some(collection) = tables::collection_of_tag(*table) {
                    write::delete_record(&txn, collection, key)?;
                }
            }
        }
    }
    let mut bulk = Bulk::begin(&txn)?;
    for item in &items {
        let Item::Row { key, row, vector } = item else { continue };
        let row = records::decode_row(row).map_err(|why| CommitError::Damaged { detail: why.to_string() })?;
        bulk.insert(*key, &row, vector)?;
        state.rows += 1;
    }
    bulk.finish()?;
    write::put_state(&txn, &state)?;
    txn.commit().map_err(Fault::from)?;
    Ok(())
}

/// Brings the store to where the last archive stands, and to disk.
fn finish(db: &Database, last: &Header) -> Result<(), CommitError> {
    let txn = db.begin_write().map_err(Fault::from)?;
    let rows = read::state(&txn)?.rows;
    write::put_state(&txn, &State { seq: last.seq, next_key: last.next_key, rows })?;
    txn.commit().map_err(Fault::from)?;
    Ok(())
}

/// Reads a store back that was just made and returns its number of rows.
fn read_back(path: &Path, options: &EngineOptions, expected: &Header) -> Result<u64, RestoreError> {
    let report = check_file(path, options)?;
    if let Some(problem) = report.problems.first() {
        return Err(RestoreError::Wrong(format!("{}: {}", problem.table, problem.detail)));
    }
    // Rows that could not be read when the archive was written are not in it; it can only hold fewer.
    if report.rows > expected.rows {
        return Err(RestoreError::Wrong(format!("{} rows, the backup has {}", report.rows, expected.rows)));
    }
    Ok(report.rows)
}

/// Checks every record of a store file that nobody has open, and the checksum of every page of it, which redb cannot do
/// while the store is served. It opens the file as a start does: one that was not closed is repaired by it, where it
/// stands is settled, and an older one is brought up to date.
///
/// # Errors
/// When the file cannot be opened as a store; damage of a page is one of the reasons.
pub fn check_file(path: &Path, options: &EngineOptions) -> Result<VerifyReport, OpenError> {
    let options = EngineOptions { integrity_check_max_bytes: u64::MAX, ..options.clone() };
    let check = || {
        let (db, _) = file::open_file(path, &options)?;
        let mut report = VerifyReport::default();
        let refused = |error: ReadError| error.opening(path.to_owned());
        let txn = db.begin_read().map_err(|error| Fault::from(error).opening(path.to_owned()))?;
        audit::audit(&txn, options.dimension, &mut report).map_err(refused)?;
        Ok(report)
    };
    guarded(check, |detail| OpenError::Damaged { path: path.to_owned(), detail })
}

/// Puts a complete store in the place of a palace's store, which is kept beside it under `kept`. The palace's writer
/// lock must be held, and nobody may have either file open.
///
/// # Errors
/// When the file system refuses; then either store has its name, and none is lost.
pub fn replace_store(made: &Path, dir: &Path, kept: &str) -> Result<(), OpenError> {
    let current = dir.join(file::FILE_NAME);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    match fs::hard_link(&current, dir.join(kept)) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        // A file system without links: for a moment there is no store under the name, and a start then finds `made`.
        Err(_) => fs::rename(&current, dir.join(kept)).map_err(io(&current))?,
    }
    failpoint::reach("restore.kept");
    file::put_in_place(made, dir)?;
    failpoint::reach("restore.named");
    Ok(())
}
