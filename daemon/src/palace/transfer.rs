//! A palace as whole: what goes into it and out of it in bulk.
//!
//! Walks take one snapshot and see one state, however long they take. They give up when the store must be reopened
//! meanwhile: a fault of the disk must not wait for them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::engine::archive::{ArchiveError, Summary};
use crate::engine::{
    Collection, CompactError, Filter, PreparedRow, ReadError, Row, RowKey, Snapshot, StoredVector,
    VectorRefused, View, sortable_time,
};

use super::command::{Command, Outcome};
use super::error::{QueryError, WriteError};
use super::handle::Palace;
use super::import::{ImportBatch, ImportOutcome, Imported};
use super::moment::Moment;
use super::records;
use super::removed::{self, Listed, RemovedCommand, RemovedOutcome};
use super::writer::{Receipt, Submission};

/// A batch on its way into the palace.
pub struct ImportReceipt(Receipt);

impl ImportReceipt {
    /// Waits until the batch is committed. Blocks.
    ///
    /// # Errors
    /// When nothing of it was stored.
    pub fn wait(self) -> Result<ImportOutcome, WriteError> {
        let text = self.0.wait()?;
        Ok(serde_json::from_str(&text).expect("the outcome of an import was rendered as one"))
    }
}

impl Palace {
    /// Returns the length of each vector.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn dimension(&self) -> Result<usize, QueryError> {
        Ok(self.snapshot()?.meta()?.dimension)
    }

    /// Returns embeddings of texts as the store keeps them. Blocks while they are made.
    ///
    /// # Errors
    /// When the model cannot be used.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<StoredVector>, WriteError> {
        let vectors = self.embedder().documents(texts)?;
        Ok(vectors
            .iter()
            .map(|vector| StoredVector::encode(vector).expect("models make unit vectors"))
            .collect())
    }

    /// Makes a row ready to be imported; for the caller's thread.
    ///
    /// # Errors
    /// When no store takes the vector.
    pub fn prepare(
        &self,
        row: Row,
        vector: StoredVector,
        dimension: usize,
    ) -> Result<Arc<PreparedRow>, VectorRefused> {
        PreparedRow::new(row, vector, dimension).map(Arc::new)
    }

    /// Queues a batch. Blocks while the queue is full.
    ///
    /// # Errors
    /// When the palace is being closed.
    pub fn import(&self, batch: ImportBatch, at: &Moment) -> Result<ImportReceipt, WriteError> {
        let render = |outcome: &Outcome| {
            let Outcome::Imported(outcome) = outcome else { unreachable!("an import was asked for") };
            serde_json::to_string(outcome).expect("an outcome is plain data")
        };
        let command = Command::Import(Box::new(batch));
        let submission = Submission { command, key: None, at: at.utc, render: Box::new(render) };
        Ok(ImportReceipt(self.submit(submission)?))
    }

    /// Returns a setting.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn setting(&self, name: &str) -> Result<Option<Value>, QueryError> {
        Ok(records::get(&self.snapshot()?, Collection::Settings, name.as_bytes())?)
    }

    /// Returns the ids of the rows nearest to a vector, with their distances, nearest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn nearest_ids(&self, vector: &[f32], count: usize) -> Result<Vec<(String, f32)>, QueryError> {
        let hits = self.reader().nearest(vector, count, None)?;
        let snapshot = self.reader().snapshot()?;
        let mut found = Vec::with_capacity(hits.len());
        for hit in hits {
            if let Some(row) = self.reader().resolve(&snapshot, hit.row_key)? {
                found.push((row.id, hit.distance));
            }
        }
        Ok(found)
    }

    /// Calls `visit` with every row that a filter lets through, oldest first, until it says stop with `false`. What is
    /// damaged is named: a row is left out then, a vector is absent. Vectors are read only if they are wanted.
    ///
    /// # Errors
    /// When the store cannot be read, or must be reopened.
    pub fn each_row(
        snapshot: &Snapshot,
        filter: &Filter,
        with_vectors: bool,
        damaged: &mut Vec<String>,
        visit: &mut dyn FnMut(Row, Option<StoredVector>) -> bool,
    ) -> Result<(), QueryError> {
        let mut take = |row: Result<Option<Row>, ReadError>| -> Result<bool, QueryError> {
            make_way(snapshot)?;
            let Some(row) = named(row.transpose(), damaged)? else { return Ok(true) };
            let mut vector = None;
            if with_vectors {
                vector = named(snapshot.stored_vector(&row.id).transpose(), damaged)?;
            }
            Ok(visit(row, vector))
        };
        if filter.is_empty() {
            for row in snapshot.all_rows()? {
                if !take(row.map(Some))? {
                    break;
                }
            }
        } else {
            for key in snapshot.rows_matching(filter)?.iter() {
                if !take(snapshot.row_at(key))? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Calls `visit` with the rows of every drawer that a filter lets through, chunks in their order, drawers by the
    /// time they were filed. Rows that are damaged are named and left out. Keys and times of all of them are in memory
    /// meanwhile: a caller asks room by room.
    ///
    /// # Errors
    /// When the store cannot be read, or must be reopened.
    pub fn each_drawer(
        snapshot: &Snapshot,
        filter: &Filter,
        damaged: &mut Vec<String>,
        visit: &mut dyn FnMut(Vec<Row>) -> bool,
    ) -> Result<(), QueryError> {
        let mut drawers: BTreeMap<String, (String, Vec<(u32, RowKey)>)> = BTreeMap::new();
        for key in snapshot.rows_matching(filter)?.iter() {
            make_way(snapshot)?;
            let Some(row) = named(snapshot.row_at(key).transpose(), damaged)? else { continue };
            let filed_at = sortable_time(&row.filed_at);
            let known = drawers.entry(row.drawer_id().to_owned()).or_insert((filed_at, Vec::new()));
            known.1.push((row.chunk_index, key));
        }
        let mut in_order: Vec<_> = drawers.into_iter().collect();
        in_order.sort_by(|left, right| (&left.1.0, &left.0).cmp(&(&right.1.0, &right.0)));
        for (_, (_, mut chunks)) in in_order {
            make_way(snapshot)?;
            chunks.sort_unstable();
            let mut rows = Vec::with_capacity(chunks.len());
            for (_, key) in chunks {
                rows.extend(snapshot.row_at(key)?);
            }
            if !visit(rows) {
                break;
            }
        }
        Ok(())
    }

    /// Returns how many rows a filter lets through.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn count_rows(snapshot: &Snapshot, filter: &Filter) -> Result<u64, QueryError> {
        Ok(if filter.is_empty() { snapshot.counts()?.rows() } else { snapshot.rows_matching(filter)?.len() })
    }

    /// Calls `visit` with every record beside the rows: entities, facts, tunnels, hallways, artifacts, events, index
    /// cards, settings; within each in the order of keys.
    ///
    /// # Errors
    /// When the store cannot be read, or must be reopened.
    pub fn each_record(
        snapshot: &Snapshot,
        visit: &mut dyn FnMut(Imported) -> bool,
    ) -> Result<(), QueryError> {
        let all = crate::engine::RecordRange::default();
        let mut go_on = true;
        let mut visit = |record| visit(record) && !snapshot.is_in_the_way();
        macro_rules! walk {
            ($collection:ident, $wrap:expr) => {
                if go_on {
                    records::each(snapshot, Collection::$collection, &all, |record| {
                        go_on = visit($wrap(record));
                        go_on
                    })?;
                }
            };
        }
        walk!(Entities, Imported::Entity);
        walk!(Facts, Imported::Fact);
        walk!(Tunnels, Imported::Tunnel);
        walk!(Hallways, Imported::Hallway);
        walk!(Artifacts, Imported::Artifact);
        walk!(Events, Imported::Event);
        for collection in [Collection::Closets, Collection::Settings] {
            if !go_on {
                break;
            }
            records::each_with_key(snapshot, collection, &all, |key, value: Value| {
                let key = String::from_utf8_lossy(key);
                let record = match (collection, key.split_once('\0')) {
                    (Collection::Closets, Some((source_file, id))) => {
                        Imported::Closet { source_file: source_file.into(), id: id.into(), card: value }
                    }
                    _ => Imported::Setting { name: key.into_owned(), value },
                };
                go_on = visit(record);
                go_on
            })?;
        }
        make_way(snapshot)
    }

    /// Writes an archive of the present state, or of what changed since `since`, and brings it to disk. Blocks; writers
    /// go on meanwhile.
    ///
    /// # Errors
    /// As [`Snapshot::archive`]; the file is not to be used then.
    pub fn archive(
        &self,
        path: &Path,
        since: Option<crate::engine::Seq>,
        now: &Moment,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(Summary, crate::engine::Seq), ArchiveError> {
        let io = |source| ArchiveError::Io { path: path.to_owned(), source };
        let snapshot = self.reader().snapshot()?;
        let out = std::io::BufWriter::with_capacity(1 << 20, File::create(path).map_err(io)?);
        let (out, summary) = snapshot.archive(since, now.utc, path, out, go_on)?;
        out.into_inner().map_err(|error| io(error.into_error()))?.sync_all().map_err(io)?;
        Ok((summary, snapshot.seq()))
    }

    /// Keeps the change log from a position on, so that a backup that ends there can be continued.
    pub fn keep_log_from(&self, seq: crate::engine::Seq) {
        self.reader().keep_log_from(seq);
    }

    /// Gives the room of removed things back to the file system; returns the size of the store before and after, in
    /// bytes. Blocks; everybody waits meanwhile.
    ///
    /// # Errors
    /// When something reads the store for long, or the file system refuses.
    pub fn compact(&self) -> Result<Result<(u64, u64), CompactError>, WriteError> {
        self.writer().alone(crate::engine::Engine::compact)
    }

    /// Saves both derived indexes. Blocks.
    ///
    /// # Errors
    /// When they cannot be written; nothing but start-up time is lost.
    pub fn save_indexes(&self) -> Result<(), crate::engine::SnapshotError> {
        self.reader().save_snapshots()
    }

    /// Returns the newest removals that can be taken back, and how many there are.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn removed(&self, limit: usize) -> Result<(Vec<Listed>, u64), QueryError> {
        Ok(removed::list(&self.snapshot()?, limit)?)
    }

    /// Changes what is kept of removed drawers, and waits for the commit. Blocks.
    ///
    /// # Errors
    /// When nothing was changed.
    pub fn change_removed(&self, command: RemovedCommand, at: &Moment) -> Result<RemovedOutcome, WriteError> {
        let render = |outcome: &Outcome| {
            let Outcome::Removed(outcome) = outcome else {
                unreachable!("a change of removals was asked for")
            };
            serde_json::to_string(outcome).expect("an outcome is plain data")
        };
        let command = Command::Removed(command);
        let submission = Submission { command, key: None, at: at.utc, render: Box::new(render) };
        let text = self.submit(submission)?.wait()?;
        Ok(serde_json::from_str(&text).expect("the outcome was rendered as one"))
    }
}

/// Ends a walk that the reopening of the store waits for.
fn make_way(snapshot: &Snapshot) -> Result<(), QueryError> {
    if snapshot.is_in_the_way() { Err(ReadError::NeedsReopen.into()) } else { Ok(()) }
}

/// Names what is damaged and returns the rest.
fn named<T>(found: Option<Result<T, ReadError>>, damaged: &mut Vec<String>) -> Result<Option<T>, QueryError> {
    match found.transpose() {
        Err(error @ ReadError::Damaged { .. }) => {
            damaged.push(error.to_string());
            Ok(None)
        }
        found => Ok(found?),
    }
}
