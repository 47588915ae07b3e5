//! What can go wrong, one enum per operation, one variant per decision the caller can take.
//!
//! Three things must never be mixed up: a store that is busy (`Locked`), a store that is damaged
//! (`Damaged`), and a disk that refuses (`Io`). Only the second is about the data.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use palace_system::files::Odd;
use thiserror::Error;

use super::types::DamagedRow;

/// Why a store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has the store open. Nothing is known to be wrong with it.
    #[error("{} is open in another process", path.display())]
    Locked {
        /// Store file.
        path: PathBuf,
    },
    /// Something else than a file has the store's name.
    #[error("{} cannot be opened: {odd}", path.display())]
    NotAFile {
        /// Where the store should be.
        path: PathBuf,
        /// What stands there.
        odd: Odd,
    },
    /// The file exists and is no store: empty, foreign, or without our records.
    #[error("{} is not a palace store: {detail}", path.display())]
    NotAStore {
        /// Store file.
        path: PathBuf,
        /// What was found instead.
        detail: String,
    },
    /// The file is a store whose content fails its checks.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// Store file.
        path: PathBuf,
        /// The check that failed.
        detail: String,
    },
    /// There is no store, but files that a restore or a repair has made or kept: an empty store must not take their place.
    #[error("{} is missing, but {} is there", path.display(), kept.join(", "))]
    Missing {
        /// Store file.
        path: PathBuf,
        /// Names of the files, in the same directory.
        kept: Vec<String>,
    },
    /// A newer program wrote the store.
    #[error("{} has format {found}, this program knows up to format {supported}", path.display())]
    NewerFormat {
        /// Store file.
        path: PathBuf,
        /// Format of the store.
        found: u32,
        /// Newest format this program knows.
        supported: u32,
    },
    /// The vectors come from another model; comparing them with ours would be meaningless.
    #[error(
        "{} holds vectors of {found} ({found_dimension}), not of {expected} ({expected_dimension})", path.display()
    )]
    EmbedderMismatch {
        /// Store file.
        path: PathBuf,
        /// Model the store was made with.
        found: String,
        /// Vector length of the store.
        found_dimension: usize,
        /// Model of this program.
        expected: String,
        /// Vector length of this program.
        expected_dimension: usize,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

/// Why a question to the store has no answer.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A record fails its checksum or contradicts another one.
    #[error("record {key} of table {table} is damaged: {detail}")]
    Damaged {
        /// Table of the record.
        table: &'static str,
        /// Drawer id where known, otherwise the record's key.
        key: String,
        /// The check that failed.
        detail: String,
    },
    /// The operating system refused.
    #[error("the store cannot be read: {0}")]
    Io(#[source] io::Error),
    /// An earlier fault made the handle unusable; `Engine::reopen` makes a new one.
    #[error("the store must be reopened after an earlier fault")]
    NeedsReopen,
    /// The query cannot be compared with stored vectors.
    #[error("query vector refused: {reason}")]
    BadQuery {
        /// What is wrong with it.
        reason: String,
    },
}

impl ReadError {
    /// Returns which row is damaged, so that the others can be given without it.
    ///
    /// # Errors
    /// The error itself when it is not about one record.
    pub fn into_damaged_row(self) -> Result<DamagedRow, ReadError> {
        match self {
            ReadError::Damaged { ref key, .. } => {
                Ok(DamagedRow { id: key.clone(), reason: self.to_string() })
            }
            ReadError::Io(_) | ReadError::NeedsReopen | ReadError::BadQuery { .. } => Err(self),
        }
    }
}

/// Why a change was not made. Nothing of the transaction is in the store.
#[derive(Debug, Error)]
pub enum CommitError {
    /// The vector is not finite, not of unit length or not of the store's dimension. Nothing was
    /// written for this op, the transaction goes on.
    #[error("vector of {id} refused: {reason}")]
    BadVector {
        /// Row the vector came with.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Metadata for a row that does not exist. The transaction goes on.
    #[error("no row {id}")]
    NoSuchRow {
        /// The missing row.
        id: String,
    },
    /// A metadata update came with another text; the stored vector would not fit it. The
    /// transaction goes on.
    #[error("a metadata update of {id} would change its text")]
    TextChanged {
        /// The row.
        id: String,
    },
    /// The row that is there cannot be read, so it can be neither replaced nor removed without leaving
    /// index entries behind. The transaction goes on.
    #[error("the stored row {id} cannot be read: {source}")]
    RowDamaged {
        /// The row.
        id: String,
        /// What is wrong with it.
        source: ReadError,
    },
    /// An earlier op of this transaction failed in the store, so the rest must not be committed.
    #[error("an earlier change of the same transaction failed")]
    Poisoned,
    /// The change needs a record that cannot be read.
    #[error(transparent)]
    Read(ReadError),
    /// The store's file is not in its place any more: what is written into it nobody will find.
    #[error("the store's file was removed or replaced")]
    Displaced,
    /// The operating system refused.
    #[error("the store cannot be written: {0}")]
    Io(#[source] io::Error),
    /// An earlier fault made the handle unusable; `Engine::reopen` makes a new one.
    #[error("the store must be reopened after an earlier fault")]
    NeedsReopen,
    /// The store contradicted itself while writing.
    #[error("the store is damaged: {detail}")]
    Damaged {
        /// What the store reported.
        detail: String,
    },
}

/// Why a store was not compacted. Nothing is lost in any case.
#[derive(Debug, Error)]
pub enum CompactError {
    /// Something still reads an older state of the store.
    #[error("the store is being read; try again when exports, backups and checks have ended")]
    InUse,
    /// An earlier fault made the handle unusable.
    #[error("the store must be reopened after an earlier fault")]
    NeedsReopen,
    /// The store refused, for want of room for example. It was opened again as it is.
    #[error("the store cannot be compacted: {0}")]
    Store(String),
}

impl CommitError {
    /// Tells whether the disk, a quota or a file size limit is exhausted.
    pub fn is_disk_full(&self) -> bool {
        match self {
            CommitError::Io(error) | CommitError::Read(ReadError::Io(error)) => is_disk_full(error),
            CommitError::BadVector { .. }
            | CommitError::NoSuchRow { .. }
            | CommitError::TextChanged { .. }
            | CommitError::RowDamaged { .. }
            | CommitError::Poisoned
            | CommitError::Displaced
            | CommitError::Read(_)
            | CommitError::NeedsReopen
            | CommitError::Damaged { .. } => false,
        }
    }

    /// Tells whether no further write can succeed before `Engine::reopen`.
    pub fn needs_reopen(&self) -> bool {
        match self {
            CommitError::Io(_) | CommitError::NeedsReopen | CommitError::Damaged { .. } => true,
            CommitError::Read(ReadError::Io(_) | ReadError::NeedsReopen) => true,
            CommitError::BadVector { .. }
            | CommitError::NoSuchRow { .. }
            | CommitError::TextChanged { .. }
            | CommitError::RowDamaged { .. }
            | CommitError::Poisoned
            | CommitError::Displaced
            | CommitError::Read(ReadError::Damaged { .. } | ReadError::BadQuery { .. }) => false,
        }
    }

    /// Tells whether the op was refused before anything was written, so that the transaction may go on.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            CommitError::BadVector { .. }
                | CommitError::NoSuchRow { .. }
                | CommitError::TextChanged { .. }
                | CommitError::RowDamaged { .. }
        )
    }
}

impl CommitError {
    /// Names the file that making or upgrading a store was about.
    pub(super) fn opening(self, path: PathBuf) -> OpenError {
        match self {
            CommitError::Io(source) => OpenError::Io { path, source },
            CommitError::BadVector { .. }
            | CommitError::NoSuchRow { .. }
            | CommitError::TextChanged { .. }
            | CommitError::RowDamaged { .. }
            | CommitError::Poisoned
            | CommitError::Displaced
            | CommitError::Read(_)
            | CommitError::NeedsReopen
            | CommitError::Damaged { .. } => OpenError::Damaged { path, detail: self.to_string() },
        }
    }
}

/// Why the derived indexes were not saved. The store is not affected: they can be rebuilt.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// The index knows fewer rows than the store, and a partial index is never saved.
    #[error("the {kind} index knows {indexed} of {rows} rows")]
    Partial {
        /// Which index.
        kind: &'static str,
        /// Rows it knows.
        indexed: u64,
        /// Rows of the store.
        rows: u64,
    },
    /// The vector library could not write its graph.
    #[error("the vector graph cannot be serialised: {detail}")]
    Graph {
        /// What it said.
        detail: String,
    },
    /// The store could not be closed cleanly; the next start repairs it.
    #[error("the store was not closed cleanly: {detail}")]
    Close {
        /// What the store said.
        detail: String,
    },
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// What redb said, in the terms of the enums above.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    NeedsReopen,
    Locked,
    Foreign(String),
    Damaged(String),
}

impl From<redb::Error> for Fault {
    // redb's list of errors is open: whatever it adds is treated as damage, the cautious reading.
    #[expect(clippy::wildcard_enum_match_arm, reason = "redb::Error is non-exhaustive")]
    fn from(error: redb::Error) -> Self {
        match error {
            // A page that points behind the end of the file. The disk has refused nothing.
            redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Fault::Damaged("a page is referred to that is not in the file".to_owned())
            }
            redb::Error::Io(error) => Fault::Io(error),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_) => {
                Fault::NeedsReopen
            }
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Fault::Locked,
            redb::Error::UpgradeRequired(version) => Fault::Foreign(format!("redb file format {version}")),
            other => Fault::Damaged(other.to_string()),
        }
    }
}

macro_rules! fault_from {
    ($($error:ty),*) => {$(
        impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Fault::from(redb::Error::from(error))
            }
        }
    )*};
}
fault_from!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError
);

impl Fault {
    /// Names the table a read was about.
    pub(super) fn reading(self, table: &'static str) -> ReadError {
        match self {
            Fault::Io(error) => ReadError::Io(error),
            Fault::NeedsReopen | Fault::Locked => ReadError::NeedsReopen,
            Fault::Foreign(detail) | Fault::Damaged(detail) => {
                ReadError::Damaged { table, key: "?".to_owned(), detail }
            }
        }
    }

    /// Names the file an open was about.
    pub(super) fn opening(self, path: PathBuf) -> OpenError {
        match self {
            Fault::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
                OpenError::NotAStore { path, detail: source.to_string() }
            }
            Fault::Io(source) => OpenError::Io { path, source },
            Fault::Locked => OpenError::Locked { path },
            Fault::Foreign(detail) => OpenError::NotAStore { path, detail },
            Fault::Damaged(detail) => OpenError::Damaged { path, detail },
            Fault::NeedsReopen => OpenError::Damaged { path, detail: "unusable after a fault".to_owned() },
        }
    }
}

impl From<Fault> for CommitError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Io(error) => CommitError::Io(error),
            Fault::NeedsReopen | Fault::Locked => CommitError::NeedsReopen,
            Fault::Foreign(detail) | Fault::Damaged(detail) => CommitError::Damaged { detail },
        }
    }
}

impl From<ReadError> for CommitError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => CommitError::Io(error),
            ReadError::NeedsReopen => CommitError::NeedsReopen,
            ReadError::Damaged { .. } | ReadError::BadQuery { .. } => CommitError::Read(error),
        }
    }
}

impl ReadError {
    /// Names the file an open was about.
    pub(super) fn opening(self, path: PathBuf) -> OpenError {
        match self {
            ReadError::Io(source) => OpenError::Io { path, source },
            ReadError::Damaged { .. } | ReadError::NeedsReopen | ReadError::BadQuery { .. } => {
                OpenError::Damaged { path, detail: self.to_string() }
            }
        }
    }
}

/// Drops something of redb's; tells whether that went without a panic.
///
/// After a panic on a damaged page redb's locks are poisoned, and what it does when it is dropped panics again.
pub(super) fn let_go<T>(of: T) -> bool {
    catch_unwind(AssertUnwindSafe(move || drop(of))).is_ok()
}

/// Runs a piece of work on redb and turns a panic into damage.
///
/// redb panics on some damaged pages. One damaged page must cost one request, not the process, and
/// must never look like an absent record.
pub(super) fn guarded<T, E>(
    work: impl FnOnce() -> Result<T, E>,
    on_panic: impl FnOnce(String) -> E,
) -> Result<T, E> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(payload) => {
            let text = payload
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| payload.downcast_ref::<&str>().copied())
                .unwrap_or("panic without text");
            Err(on_panic(text.to_owned()))
        }
    }
}
