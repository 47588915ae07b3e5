//! A store written out as one checked stream, and made again from such streams.
//!
//! An archive holds what cannot be computed: rows with their vectors, and the records beside them. It is taken from a
//! snapshot, so writers go on meanwhile. A full one stands alone; a partial one holds what changed since another and
//! names it by store and position in history. Index tables, tallies, the change log and remembered answers are left
//! out: the first two are made anew, the others mean nothing to a restored store.
//!
//! Nothing of an archive is believed before its checksums agree, and a restored store gets its name only when it is
//! complete, has been read back whole and is on disk.

mod dump;
mod format;
mod restore;

pub use format::{Archive, ArchiveError, Header};
pub use restore::{RestoreError, Restored, check_file, replace_store, restore};

/// What an archive says when it is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows in it.
    pub rows: u64,
    /// Rows that it says are gone.
    pub rows_gone: u64,
    /// Records beside the rows, those that are gone included.
    pub records: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Records that could not be read and are left out, each with its name and what is wrong.
    pub damaged: Vec<String>,
}
