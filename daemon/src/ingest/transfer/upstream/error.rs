//! What can stop a reader, and what a reader lost without stopping.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use serde::{Deserialize, Serialize};

/// Why a palace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The directory holds no store this reader knows.
    #[error("{} is not a palace of MemPalace: it has neither chroma.sqlite3 nor sqlite_exact.sqlite3", path.display())]
    NotAPalace {
        /// The directory.
        path: PathBuf,
    },
    /// A file changed while it was read.
    #[error("{} is being written; stop MemPalace first", path.display())]
    BeingWritten {
        /// The file.
        path: PathBuf,
    },
    /// A name stands for something that is no regular file, such as a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The name.
        path: PathBuf,
    },
    /// A file cannot be read or copied.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The copy that is read instead of the source found no room.
    #[error(
        "no room for {}, a copy that is read so that the source stays as it is; make room on that disk and import again",
        path.display()
    )]
    NoRoom {
        /// The copy.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that should be a database is none.
    #[error("{} is not an SQLite database", path.display())]
    NotSqlite {
        /// The file.
        path: PathBuf,
    },
    /// A database lacks what every version of MemPalace writes.
    #[error("{} has no table {table}", path.display())]
    NoTable {
        /// The database.
        path: PathBuf,
        /// The table.
        table: &'static str,
    },
    /// A database cannot be asked.
    #[error("cannot read the database {}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The palace has no such collection.
    #[error("the palace has no collection {name:?}")]
    NoCollection {
        /// The name asked for.
        name: String,
    },
    /// Writing to the scratch directory would change the source.
    #[error("the scratch directory {} is part of what is to be read", path.display())]
    ScratchInSource {
        /// The scratch directory.
        path: PathBuf,
    },
    /// The scratch database fails; most likely the disk is full.
    #[error("the scratch database fails")]
    Scratch {
        /// Why.
        #[from]
        source: rusqlite::Error,
    },
}

impl UpstreamError {
    /// Returns what wraps an error of the file system on a path.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> UpstreamError {
        let path = path.to_owned();
        move |source| UpstreamError::Io { path, source }
    }

    /// Returns the error of copying a file: which side failed is told by its kind alone.
    pub(super) fn copying(from: &Path, to: &Path, source: io::Error) -> UpstreamError {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
            UpstreamError::NoRoom { path: to.to_owned(), source }
        } else {
            UpstreamError::io(from)(source)
        }
    }
}

/// Returns whether a database refused because its bytes are wrong, so that other rows may still be readable.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// What kind of thing was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// A whole drawer or closet.
    Row,
    /// The text of a row; the row itself is there.
    Document,
    /// Metadata of a row.
    Metadata,
    /// An entity of the knowledge graph.
    Entity,
    /// A fact of the knowledge graph.
    Fact,
    /// An event.
    Event,
    /// An artifact.
    Artifact,
    /// A file beside the palace.
    File,
}

/// Something that stands in the source and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What it was.
    pub what: Lost,
    /// Its id; its internal row number ("row 17") where the id is lost as well.
    pub id: String,
    /// Why.
    pub reason: String,
}
