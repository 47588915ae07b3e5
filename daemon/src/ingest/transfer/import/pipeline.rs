//! From converted rows to committed batches: this thread makes the next batch ready while the writer stores the last.
//!
//! A row that is there already is only compared: so an import that was interrupted goes on where it stopped, and one that is
//! repeated embeds nothing again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::failpoint;
use crate::ingest::job::JobError;
use crate::palace::error::WriteError;
use crate::palace::import::{Compared, ImportBatch, ImportOutcome, Imported, compare};
use crate::palace::{ImportReceipt, Palace, PreparedRow, Preparer, Row, Snapshot, StoredVector};

use super::id_hash;
use super::proof::Kept;

/// Rows from which on they are handed to the writer if it has nothing else of this import.
const ROW_COUNT_MIN: usize = 1_000;
/// Rows of one transaction at most. A commit costs less a row the more there are, and other sessions wait longer for it: some
/// tenths of a second.
const ROW_COUNT_MAX: usize = 6_000;
/// Records of one transaction; some are large.
const RECORD_COUNT_MAX: usize = 500;
/// Texts that are embedded together.
const EMBED_COUNT_MAX: usize = 64;
/// Ids of rows embedded again that the report names.
const NAMED_COUNT_MAX: usize = 10_000;

/// Longest time that rows which are being embedded wait to be stored.
const SEND_INTERVAL: Duration = Duration::from_secs(5);

/// What an import did.
#[derive(Debug, Default)]
pub struct Sums {
    /// What became of rows and records.
    pub outcome: ImportOutcome,
    /// Rows that had to be embedded.
    pub embedded: u64,
    /// Their ids, with the reason.
    pub embedded_ids: Vec<String>,
    /// Hashes ([`id_hash`]) of the ids of rows that were there before.
    pub there_before: HashSet<u64>,
}

impl Sums {
    /// Returns what was another one here, or gone from here, and was kept so: the source is no measure of it.
    pub fn kept(&self) -> Kept<'_> {
        let rows = self.outcome.rows_different.iter().chain(&self.outcome.rows_changed_here);
        Kept {
            rows: rows.map(String::as_str).collect(),
            records: self.outcome.records_different.iter().map(String::as_str).collect(),
            there_before: &self.there_before,
        }
    }
}

/// The way into the palace.
pub struct Pipeline<'p> {
    palace: &'p Palace,
    preparer: Preparer,
    /// Rows in the order of the source; those that must be embedded have their place.
    rows: Vec<Option<Arc<PreparedRow>>>,
    /// Rows that must be embedded, each with its place.
    without_vector: Vec<(usize, Row)>,
    records: Vec<Imported>,
    /// Drawers of which a part was met that is another one here.
    changed: HashSet<String>,
    /// The palace held rows when the import began.
    compares: bool,
    /// What the palace holds. Let go before the writer is waited for: after a fault it waits for open snapshots itself.
    present: Option<Snapshot>,
    last_send: Instant,
    in_flight: Option<InFlight>,
    sums: Sums,
}

/// A batch on its way into the store.
struct InFlight {
    receipt: ImportReceipt,
    /// Its rows: the writer, which everybody waits for, should not be the one to free them.
    rows: Vec<Arc<PreparedRow>>,
}

impl<'p> Pipeline<'p> {
    /// Begins an import.
    pub fn new(palace: &'p Palace) -> Result<Self, JobError> {
        let rows = palace.counts().map_err(JobError::of)?.rows();
        Ok(Self {
            palace,
            preparer: palace.preparer().map_err(JobError::of)?,
            rows: Vec::new(),
            without_vector: Vec::new(),
            records: Vec::new(),
            changed: HashSet::new(),
            compares: rows > 0,
            present: None,
            last_send: Instant::now(),
            in_flight: None,
            sums: Sums::default(),
        })
    }

    /// Takes a row, with its vector or why it has none.
    pub fn row(&mut self, row: Row, vector: Result<StoredVector, String>) -> Result<(), JobError> {
        if self.compares && self.compare(&row)? == Compared::Same {
            self.sums.outcome.rows_same += 1;
            self.sums.there_before.insert(id_hash(&row.id));
            return Ok(());
        }
        match vector {
            Ok(stored) => match self.preparer.prepare(row, stored) {
                Ok(prepared) => self.rows.push(Some(prepared)),
                Err(refused) => {
                    let why = refused.to_string();
                    self.embed_later(*refused.row, &why);
                }
            },
            Err(why) => self.embed_later(row, &why),
        }
        if self.without_vector.len() >= EMBED_COUNT_MAX {
            self.embed()?;
            // Embedding takes long; what it cost must not be lost with a kill.
            if self.last_send.elapsed() >= SEND_INTERVAL {
                return self.send();
            }
        }
        let is_due = match self.rows.len() {
            ..ROW_COUNT_MIN => false,
            ROW_COUNT_MIN..ROW_COUNT_MAX => self.is_writer_idle()?,
            ROW_COUNT_MAX.. => true,
        };
        if is_due { self.send() } else { Ok(()) }
    }

    fn compare(&mut self, row: &Row) -> Result<Compared, JobError> {
        let present = match self.present.take() {
            Some(present) => present,
            None => self.palace.snapshot().map_err(JobError::of)?,
        };
        let compared = compare(&present, row).map_err(JobError::of);
        self.present = Some(present);
        compared
    }

    fn embed_later(&mut self, row: Row, why: &str) {
        self.sums.embedded += 1;
        if self.sums.embedded_ids.len() < NAMED_COUNT_MAX {
            self.sums.embedded_ids.push(format!("{}: {why}", row.id));
        }
        self.without_vector.push((self.rows.len(), row));
        self.rows.push(None);
    }

    fn embed(&mut self) -> Result<(), JobError> {
        if self.without_vector.is_empty() {
            return Ok(());
        }
        let texts: Vec<&str> = self.without_vector.iter().map(|(_, row)| row.document.as_str()).collect();
        let vectors = self.palace.embed(&texts).map_err(JobError::of)?;
        let rows = std::mem::take(&mut self.without_vector);
        for ((place, row), vector) in rows.into_iter().zip(vectors) {
            let prepared = self.preparer.prepare(row, vector).map_err(JobError::of)?;
            self.rows[place] = Some(prepared);
        }
        Ok(())
    }

    /// Takes a record.
    pub fn record(&mut self, record: Imported) -> Result<(), JobError> {
        self.records.push(record);
        if self.records.len() >= RECORD_COUNT_MAX { self.send() } else { Ok(()) }
    }

    /// Hands the batch to the writer once the one before is stored.
    fn send(&mut self) -> Result<(), JobError> {
        self.embed()?;
        if self.rows.is_empty() && self.records.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        let rows: Vec<_> =
            rows.into_iter().map(|row| row.expect("every row of the batch was embedded")).collect();
        let records = std::mem::take(&mut self.records);
        // What the batch before met counts for this one.
        self.settle()?;
        let drawers = rows.iter().map(|row| row.row().drawer_id());
        let changed = drawers.filter(|id| self.changed.contains(*id)).map(str::to_owned).collect();
        let batch = ImportBatch { rows: rows.clone(), records, changed, ..ImportBatch::default() };
        failpoint::reach("import.batch");
        self.last_send = Instant::now();
        let sent = self.palace.import(batch, &clock::now());
        let receipt = sent.map_err(|error| self.not_stored(&error))?;
        self.in_flight = Some(InFlight { receipt, rows });
        Ok(())
    }

    /// Tells whether the batch before is stored.
    fn is_writer_idle(&mut self) -> Result<bool, JobError> {
        let Some(sent) = self.in_flight.take() else { return Ok(true) };
        match sent.receipt.poll() {
            Some(answer) => self.note(sent.rows, answer).map(|()| true),
            None => {
                self.in_flight = Some(sent);
                Ok(false)
            }
        }
    }

    /// Waits until the batch before is stored.
    fn settle(&mut self) -> Result<(), JobError> {
        self.present = None;
        match self.in_flight.take() {
            Some(InFlight { receipt, rows }) => self.note(rows, receipt.wait()),
            None => Ok(()),
        }
    }

    /// Takes down what became of a batch.
    fn note(
        &mut self,
        rows: Vec<Arc<PreparedRow>>,
        answer: Result<ImportOutcome, WriteError>,
    ) -> Result<(), JobError> {
        let stored = answer.map_err(|error| self.not_stored(&error))?;
        let different: HashSet<&str> = stored.rows_different.iter().map(String::as_str).collect();
        let changed = rows.iter().filter(|row| different.contains(row.row().id.as_str()));
        self.changed.extend(changed.map(|row| row.row().drawer_id().to_owned()));
        self.sums.outcome.add(stored);
        Ok(())
    }

    /// Returns why a batch was not stored. What the error says is of that batch alone.
    fn not_stored(&self, error: &WriteError) -> JobError {
        let stored = self.sums.outcome.rows_new + self.sums.outcome.records_new;
        JobError::Failed(match stored {
            0 => error.to_string(),
            _ => format!(
                "{error}. That is said of the last batch: {stored} rows and records before it are stored and stay; the same \
                 import goes on behind them"
            ),
        })
    }

    /// Brings everything that was taken into the palace, and waits for it.
    pub fn flush(&mut self) -> Result<(), JobError> {
        self.send()?;
        self.settle()
    }

    /// Ends the import: everything is stored.
    pub fn finish(mut self) -> Result<Sums, JobError> {
        self.flush()?;
        failpoint::reach("import.stored");
        // A start after a kill would make the indexes of everything that came in anew. A failure costs that time and no
        // more; upkeep tries again and tells why.
        let _ = self.palace.save_indexes();
        failpoint::reach("import.complete");
        Ok(self.sums)
    }
}

#[cfg(test)]
mod tests;
