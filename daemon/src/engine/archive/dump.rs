//! Writing an archive from a snapshot.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use redb::ReadTransaction;

use super::Summary;
use super::format::{ArchiveError, Header, Item, Sink};
use crate::engine::error::ReadError;
use crate::engine::store::records::Logged;
use crate::engine::store::{read, tables};
use crate::engine::types::{Collection, RowKey, Seq, Timestamp};
use crate::engine::view::Snapshot;

/// Rows between two questions whether to go on.
const ROWS_PER_LOOK: u64 = 256;

/// What is wanted of an archive that is being written.
struct Wanted<'w> {
    /// Only what changed since this position.
    pub since: Option<Seq>,
    /// Time of the archive.
    pub now: Timestamp,
    /// Name of the file, for errors.
    pub path: &'w Path,
    /// Told how many rows are done; says whether to go on.
    pub go_on: &'w mut dyn FnMut(u64) -> bool,
}

impl Snapshot {
    /// Writes an archive of this state, or of what changed since `since`. Blocks; writers go on meanwhile. The caller
    /// brings the file to disk.
    ///
    /// `go_on` is told how many rows are done and says whether to go on.
    ///
    /// # Errors
    /// [`ArchiveError::LogTooShort`] when the changes since then are no longer known; otherwise when the store cannot be
    /// read or the file cannot be written. Single damaged records are left out and named in the summary.
    pub fn archive<W: Write>(
        &self,
        since: Option<Seq>,
        now: Timestamp,
        path: &Path,
        out: W,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(W, Summary), ArchiveError> {
        self.read(|txn| Ok(write(txn, out, Wanted { since, now, path, go_on })))?
    }
}

fn write<'w, W: Write>(
    txn: &'w ReadTransaction,
    out: W,
    wanted: Wanted<'w>,
) -> Result<(W, Summary), ArchiveError> {
    let (identity, state) = (read::identity(txn)?, read::state(txn)?);
    let changed = match wanted.since {
        None => None,
        Some(since) => {
            Some(read::logged_since(txn, since, state.seq)?.ok_or(ArchiveError::LogTooShort { since })?)
        }
    };
    let header = Header {
        database_uuid: identity.database_uuid,
        embedder: identity.embedder,
        dimension: identity.dimension,
        store_format: read::format(txn)?,
        seq: state.seq,
        since: wanted.since,
        taken_at: wanted.now,
        rows: state.rows,
        next_key: state.next_key,
    };
    let io = |source| ArchiveError::Io { path: wanted.path.to_owned(), source };
    let sink = Sink::begin(out, &header).map_err(io)?;
    let mut dump = Dump { txn, sink, summary: Summary::default(), wanted };
    match changed {
        None => dump.everything()?,
        Some(logged) => dump.changes(logged)?,
    }
    let Dump { sink, mut summary, .. } = dump;
    let (out, bytes) = sink.finish().map_err(io_of_finish)?;
    summary.bytes = bytes;
    Ok((out, summary))
}

fn io_of_finish(source: std::io::Error) -> ArchiveError {
    ArchiveError::Io { path: "backup".into(), source }
}

struct Dump<'d, W: Write> {
    txn: &'d ReadTransaction,
    sink: Sink<W>,
    summary: Summary,
    wanted: Wanted<'d>,
}

impl<W: Write> Dump<'_, W> {
    fn everything(&mut self) -> Result<(), ArchiveError> {
        let mut stopped = None;
        read::each_row_payload(self.txn, &mut |key, payload| {
            let taken = match payload {
                Ok(row) => self.row(key, row),
                Err(error) => self.leave_out(key, &error),
            };
            taken.map_err(|error| stopped = Some(error)).is_ok()
        })?;
        if let Some(error) = stopped {
            return Err(error);
        }
        for collection in tables::COLLECTIONS {
            self.records(collection)?;
        }
        Ok(())
    }

    fn records(&mut self, collection: Collection) -> Result<(), ArchiveError> {
        let table = tables::collection(collection).tag;
        let mut stopped = None;
        read::each_side_record(self.txn, collection, &mut |key, value| {
            let taken = match value {
                Ok(value) => {
                    self.summary.records += 1;
                    self.push(&Item::Record { table, key: key.to_vec(), value: value.to_vec() })
                }
                Err(error) => {
                    self.summary.damaged.push(error.to_string());
                    Ok(())
                }
            };
            taken.map_err(|error| stopped = Some(error)).is_ok()
        })?;
        stopped.map_or(Ok(()), Err)
    }

    fn changes(&mut self, logged: Vec<Logged>) -> Result<(), ArchiveError> {
        let (mut rows, mut records) = (BTreeSet::new(), BTreeSet::new());
        for entry in logged {
            match entry {
                Logged::Row(_, key) => {
                    rows.insert(key);
                }
                Logged::Record { table, key } => {
                    records.insert((table, key));
                }
            }
        }
        for key in rows {
            match read::row_payload(self.txn, key) {
                Ok(Some(row)) => self.row(key, &row)?,
                Ok(None) => {
                    self.summary.rows_gone += 1;
                    self.push(&Item::RowGone(key))?;
                }
                Err(error) => self.leave_out(key, &error)?,
            }
        }
        for (table, key) in records {
            let Some(collection) = tables::collection_of_tag(table) else { continue };
            self.summary.records += 1;
            match read::side_record(self.txn, collection, &key)? {
                Some(value) => self.push(&Item::Record { table, key, value })?,
                None => self.push(&Item::RecordGone { table, key })?,
            }
        }
        Ok(())
    }

    fn row(&mut self, key: RowKey, row: &[u8]) -> Result<(), ArchiveError> {
        let vector = match read::vector_bytes(self.txn, key) {
            Ok(Some(vector)) => vector,
            Ok(None) => {
                self.summary.damaged.push(format!("{}: no vector", read::name_of_key(self.txn, key)));
                return Ok(());
            }
            Err(error) => return self.leave_out(key, &error),
        };
        self.push(&Item::Row { key, row: row.to_vec(), vector })?;
        self.summary.rows += 1;
        if self.summary.rows.is_multiple_of(ROWS_PER_LOOK) && !(self.wanted.go_on)(self.summary.rows) {
            return Err(ArchiveError::Interrupted);
        }
        Ok(())
    }

    /// Notes a record that fails its checks; any other fault ends the archive.
    fn leave_out(&mut self, key: RowKey, error: &ReadError) -> Result<(), ArchiveError> {
        match error {
            ReadError::Damaged { detail, .. } => {
                self.summary.damaged.push(format!("{}: {detail}", read::name_of_key(self.txn, key)));
                Ok(())
            }
            ReadError::Io(source) => Err(ReadError::Io(std::io::Error::other(source.to_string())).into()),
            ReadError::NeedsReopen | ReadError::BadQuery { .. } => Err(ReadError::NeedsReopen.into()),
        }
    }

    fn push(&mut self, item: &Item) -> Result<(), ArchiveError> {
        self.sink.push(item).map_err(|source| ArchiveError::Io { path: self.wanted.path.to_owned(), source })
    }
}
