//! A private copy of one SQLite database.
//!
//! SQLite is never pointed at the source: even a reader may create `-shm`, roll a journal back or check a log point
//! in. The file and its companions are copied while nothing changes, and what SQLite has to finish it finishes in the
//! copy.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::error::{UpstreamError, is_damage};
use super::files::{self, Stamp};

/// How often a copy is begun again when the source changed under it.
const COPY_COUNT_MAX: u32 = 4;
/// The file itself, its write-ahead log and its rollback journal. `-shm` is rebuilt from the log.
const SOURCE_SUFFIXES: [&str; 3] = ["", "-wal", "-journal"];
/// Everything that may be left of an earlier copy.
const COPY_SUFFIXES: [&str; 4] = ["", "-wal", "-journal", "-shm"];

type Stamps = [Option<Stamp>; SOURCE_SUFFIXES.len()];

/// A copied database.
pub(super) struct Database {
    /// The copy.
    pub conn: Connection,
    /// The source, for messages.
    pub path: PathBuf,
    /// What is to be known about the copy.
    pub notes: Vec<String>,
    stamps: Stamps,
}

impl Database {
    /// Copies a database into the scratch directory under a name and opens the copy.
    pub fn copy(source: &Path, scratch: &Path, name: &str) -> Result<Database, UpstreamError> {
        let target = scratch.join(name);
        let stamps = copy_at_rest(source, &target)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => UpstreamError::NotSqlite { path: source.to_owned() },
            _ => UpstreamError::Database { path: source.to_owned(), source: error },
        };
        let conn = Connection::open_with_flags(&target, flags).map_err(failed)?;
        let mut notes = Vec::new();
        // Views and triggers of a file from elsewhere must not call anything.
        conn.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA temp_store = FILE").map_err(failed)?;
        if let Err(error) = probe(&conn) {
            if !is_damage(&error) {
                return Err(failed(error));
            }
            // Makes SQLite overlook a file shorter than its header says and entries of the schema it cannot parse.
            conn.execute_batch("PRAGMA writable_schema = ON").map_err(failed)?;
            probe(&conn).map_err(failed)?;
            notes.push(format!("{} is damaged; what can be read is read", source.display()));
        }
        Ok(Database { conn, path: source.to_owned(), notes, stamps })
    }

    /// Returns what wraps an error of this database.
    pub fn failed(&self, source: rusqlite::Error) -> UpstreamError {
        UpstreamError::Database { path: self.path.clone(), source }
    }

    /// Returns the columns of a table; none if there is no such table.
    pub fn columns(&self, table: &str) -> Result<Vec<String>, UpstreamError> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut statement = self.conn.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
            statement.query_map([table], |row| row.get(0))?.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    /// Returns the index SQLite made for a table's primary key or first unique constraint: it is named by the table.
    pub fn own_index(&self, table: &str) -> Option<String> {
        let sql =
            "SELECT name FROM pragma_index_list(?1) WHERE origin IN ('pk', 'u') ORDER BY seq DESC LIMIT 1";
        self.conn.query_row(sql, [table], |row| row.get(0)).ok()
    }

    /// Refuses if the source has changed since it was copied.
    pub fn check_unchanged(&self) -> Result<(), UpstreamError> {
        for (suffix, stamp) in SOURCE_SUFFIXES.iter().zip(&self.stamps) {
            files::check_unchanged(&with_suffix(&self.path, suffix), stamp)?;
        }
        Ok(())
    }
}

fn probe(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn stamps(source: &Path) -> Result<Stamps, UpstreamError> {
    let mut stamps = [const { None }; SOURCE_SUFFIXES.len()];
    for (stamp, suffix) in stamps.iter_mut().zip(SOURCE_SUFFIXES) {
        *stamp = files::stamp(&with_suffix(source, suffix))?;
    }
    Ok(stamps)
}

/// Copies the file and its companions in one state: the one they had before is the one they have after.
fn copy_at_rest(source: &Path, target: &Path) -> Result<Stamps, UpstreamError> {
    for _ in 0..COPY_COUNT_MAX {
        let before = stamps(source)?;
        if before[0].is_none() {
            return Err(UpstreamError::io(source)(io::ErrorKind::NotFound.into()));
        }
        remove_copy(target)?;
        for (suffix, _) in SOURCE_SUFFIXES.iter().zip(&before).filter(|(_, stamp)| stamp.is_some()) {
            match copy_file(&with_suffix(source, suffix), &with_suffix(target, suffix)) {
                // A journal that has just been deleted: the stamps will tell.
                Err(UpstreamError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => break,
                copied => copied?,
            }
        }
        if stamps(source)? == before {
            return Ok(before);
        }
    }
    Err(UpstreamError::BeingWritten { path: source.to_owned() })
}

fn remove_copy(target: &Path) -> Result<(), UpstreamError> {
    for suffix in COPY_SUFFIXES {
        let path = with_suffix(target, suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(UpstreamError::io(&path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Copies bytes only: the permissions of a read-only source would keep SQLite from finishing its work in the copy.
fn copy_file(source: &Path, target: &Path) -> Result<(), UpstreamError> {
    let mut from = files::open(source).map_err(UpstreamError::io(source))?;
    let mut to =
        OpenOptions::new().write(true).create_new(true).open(target).map_err(UpstreamError::io(target))?;
    io::copy(&mut from, &mut to).map_err(|error| UpstreamError::copying(source, target, error))?;
    Ok(())
}

/// Returns a value as text, and whether that text is exactly what is stored.
pub(super) fn text(value: ValueRef<'_>) -> Option<(String, bool)> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let exact = matches!(text, std::borrow::Cow::Borrowed(_));
            Some((text.into_owned(), exact))
        }
        ValueRef::Integer(number) => Some((number.to_string(), true)),
        ValueRef::Real(number) => Some((number.to_string(), true)),
        ValueRef::Null => None,
    }
}
