//! A palace as whole: what goes into it and out of it in bulk.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::engine::archive::{ArchiveError, Summary};
use crate::engine::{Collection, CompactError, Preparer, StoredVector, View};

use super::command::Command;
use super::error::{QueryError, WriteError};
use super::handle::Palace;
use super::import::{ImportBatch, ImportOutcome};
use super::moment::Moment;
use super::records;
use super::removed::{self, Listed};
use super::writer::{Receipt, Submission};

/// A batch on its way into the palace.
pub struct ImportReceipt(Receipt);

impl ImportReceipt {
    /// Waits until the batch is committed. Blocks.
    ///
    /// # Errors
    /// When nothing of it was stored.
    pub fn wait(self) -> Result<ImportOutcome, WriteError> {
        Ok(read(&self.0.wait()?))
    }

    /// Returns what became of the batch if that is known, once. Does not block.
    pub fn poll(&self) -> Option<Result<ImportOutcome, WriteError>> {
        Some(self.0.poll()?.map(|text| read(&text)))
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
        let vectors = self.embedder.documents(texts)?;
        Ok(vectors
            .iter()
            .map(|vector| StoredVector::encode(vector).expect("models make unit vectors"))
            .collect())
    }

    /// Returns what makes rows ready to be imported.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn preparer(&self) -> Result<Preparer, QueryError> {
        Ok(Preparer::new(self.dimension()?))
    }

    /// Queues a batch. Blocks while the queue is full.
    ///
    /// # Errors
    /// When the palace is being closed.
    pub fn import(&self, batch: ImportBatch, at: &Moment) -> Result<ImportReceipt, WriteError> {
        Ok(ImportReceipt(self.queue(batch, at)?))
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
        let hits = self.reader.nearest(vector, count, None)?;
        let snapshot = self.reader.snapshot()?;
        let mut found = Vec::with_capacity(hits.len());
        for hit in hits {
            if let Some(row) = self.reader.resolve(&snapshot, hit.row_key)? {
                found.push((row.id, hit.distance));
            }
        }
        Ok(found)
    }

    /// Returns the settings whose names begin with `prefix`, in the order of their names.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn settings_under(&self, prefix: &str) -> Result<Vec<(String, Value)>, QueryError> {
        let mut found = Vec::new();
        let all = crate::engine::RecordRange::default();
        self.snapshot()?.records(Collection::Settings, &all, &mut |key, value| {
            let name = String::from_utf8_lossy(key);
            if name.starts_with(prefix)
                && let Ok(value) = serde_json::from_slice(value)
            {
                found.push((name.into_owned(), value));
            }
            true
        })?;
        Ok(found)
    }

    /// Writes an archive of the present state, or of what changed since `since`, to `out`; `path` names it in errors.
    /// Blocks; writers go on meanwhile. The caller brings the file to disk.
    ///
    /// # Errors
    /// As [`crate::engine::Snapshot::archive`]; what was written is not to be used then.
    pub fn archive<W: std::io::Write>(
        &self,
        path: &Path,
        out: W,
        since: Option<crate::engine::Seq>,
        now: &Moment,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(W, Summary, crate::engine::Seq), ArchiveError> {
        let snapshot = self.reader.snapshot()?;
        let (out, summary) = snapshot.archive(since, now.utc, path, out, go_on)?;
        Ok((out, summary, snapshot.seq()))
    }

    /// Keeps the change log from a position on, so that a backup that ends there can be continued.
    pub fn keep_log_from(&self, seq: crate::engine::Seq) {
        self.reader.keep_log_from(seq);
    }

    /// Gives the room of removed things back to the file system; returns the size of the store before and after, in
    /// bytes. Blocks; everybody waits meanwhile.
    ///
    /// # Errors
    /// When something reads the store for long, or the file system refuses.
    pub fn compact(&self) -> Result<Result<(u64, u64), CompactError>, WriteError> {
        self.writer.alone(crate::engine::Engine::compact)
    }

    /// Saves both derived indexes. Blocks.
    ///
    /// # Errors
    /// When they cannot be written; nothing but start-up time is lost.
    pub fn save_indexes(&self) -> Result<(), crate::engine::SnapshotError> {
        self.reader.save_snapshots()
    }

    /// Returns the newest removals that can be taken back, and how many there are.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn removed(&self, limit: usize) -> Result<(Vec<Listed>, u64), QueryError> {
        Ok(removed::list(&self.snapshot()?, limit)?)
    }

    /// Carries out a command whose outcome is wanted as it is, and waits for the commit. Blocks.
    ///
    /// # Errors
    /// When nothing was changed.
    pub fn carry_out<C: Command>(&self, command: C, at: &Moment) -> Result<C::Outcome, WriteError>
    where
        C::Outcome: Serialize + DeserializeOwned,
    {
        Ok(read(&self.queue(command, at)?.wait()?))
    }

    fn queue<C: Command>(&self, command: C, at: &Moment) -> Result<Receipt, WriteError>
    where
        C::Outcome: Serialize,
    {
        let render = |outcome: &C::Outcome| serde_json::to_string(outcome).expect("an outcome is plain data");
        self.submit(Submission::new(command, None, at.utc, render))
    }
}

fn read<O: DeserializeOwned>(rendered: &str) -> O {
    serde_json::from_str(rendered).expect("the outcome was rendered as one")
}
