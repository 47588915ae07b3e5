//! The new store, written and read back.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use redb::Database;

use super::{Plan, RowPlan, VectorPlan};
use crate::engine::archive::check_file;
use crate::engine::error::{CommitError, Fault};
use crate::engine::salvage::survey::{Found, Survey};
use crate::engine::salvage::{Lost, SalvageError, Salvaged};
use crate::engine::store::bulk::Bulk;
use crate::engine::store::records::State;
use crate::engine::store::tables;
use crate::engine::store::{file, records, write};
use crate::engine::types::{Collection, EngineOptions, Row, StoredVector};

/// Rows or records written in one transaction.
const BATCH: usize = 4_096;

/// Writes the new store, reads it back and compares.
pub fn write(
    plan: Plan,
    made: &Path,
    options: &EngineOptions,
    embed: &mut dyn FnMut(&str) -> Option<Vec<f32>>,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Salvaged, SalvageError> {
    let Plan { survey, mut report, rows, next_key } = plan;
    let identity = file::new_identity(options, report.origin);
    let mut writing = Writing {
        survey: &survey,
        report: &mut report,
        options,
        embed,
        go_on,
        steps: 0,
        rows: 0,
        stopped: false,
    };
    let result = file::make(made, &identity, options, |db| {
        writing.rows(db, &rows)?;
        for collection in tables::COLLECTIONS {
            writing.records(db, collection)?;
        }
        writing.finish(db, next_key)
    });
    let (stopped, written) = (writing.stopped, writing.rows);
    let checked = match result {
        Err(_) if stopped => Err(SalvageError::Interrupted),
        Err(error) => Err(error.into()),
        Ok(()) => read_back(made, options, written),
    };
    if let Err(error) = checked {
        let _ = fs::remove_file(made);
        return Err(error);
    }
    // What could not be embedded is lost after all.
    let vectorless: BTreeSet<&str> =
        report.lost.iter().filter(|lost| lost.table == "vectors").map(|lost| lost.name.as_str()).collect();
    report.reembedded.retain(|id| !vectorless.contains(id.as_str()));
    if let Some(count) = report.tables.iter_mut().find(|count| count.table == "rows") {
        count.lost = count.lost.map(|lost| lost + count.read.saturating_sub(written));
        count.read = written;
    }
    Ok(report)
}

fn read_back(made: &Path, options: &EngineOptions, rows: u64) -> Result<(), SalvageError> {
    let checked = check_file(made, options)?;
    if let Some(problem) = checked.problems.first() {
        return Err(SalvageError::Wrong(format!("{}: {}", problem.table, problem.detail)));
    }
    if checked.rows != rows {
        return Err(SalvageError::Wrong(format!("{} rows instead of {rows}", checked.rows)));
    }
    Ok(())
}

struct Writing<'w> {
    survey: &'w Survey,
    report: &'w mut Salvaged,
    options: &'w EngineOptions,
    embed: &'w mut dyn FnMut(&str) -> Option<Vec<f32>>,
    go_on: &'w mut dyn FnMut(u64) -> bool,
    steps: u64,
    rows: u64,
    stopped: bool,
}

impl Writing<'_> {
    fn rows(&mut self, db: &Database, rows: &[RowPlan]) -> Result<(), CommitError> {
        for batch in rows.chunks(BATCH) {
            let txn = begin(db)?;
            let mut bulk = Bulk::begin(&txn)?;
            for planned in batch {
                let Some((payload, _)) = self.survey.record(&tables::ROWS, &tables::row_key(planned.key))
                else {
                    continue;
                };
                let row = records::decode_row(&payload)
                    .map_err(|why| CommitError::Damaged { detail: format!("{}: {why}", planned.id) })?;
                match self.vector(planned, &row) {
                    Some(vector) => {
                        bulk.insert(planned.key, &row, &vector)?;
                        self.rows += 1;
                    }
                    None => {
                        let reason = "its vector is lost and none could be made".to_owned();
                        self.report.lost.push(Lost { table: "vectors", name: row.id, reason });
                    }
                }
                self.step()?;
            }
            bulk.finish()?;
            txn.commit().map_err(Fault::from)?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), CommitError> {
        self.steps += 1;
        if self.steps.is_multiple_of(256) && !(self.go_on)(self.steps) {
            self.stopped = true;
            return Err(CommitError::Poisoned);
        }
        Ok(())
    }

    /// Returns the vector a row gets: its own where it is certain, otherwise a new one, otherwise the doubtful one.
    fn vector(&mut self, planned: &RowPlan, row: &Row) -> Option<Vec<u8>> {
        let stored =
            || self.survey.record(&tables::VECTORS, &tables::row_key(planned.key)).map(|(bytes, _)| bytes);
        if planned.vector == VectorPlan::Stored {
            return stored();
        }
        let made = (self.embed)(&row.document).filter(|vector| vector.len() == self.options.dimension);
        match made.and_then(|vector| StoredVector::encode(&vector)) {
            Some(vector) => Some(vector.bytes().to_vec()),
            None if planned.vector == VectorPlan::Doubtful => {
                self.report.reembedded.retain(|id| *id != row.id);
                self.report
                    .notes
                    .push(format!("{}: its vector may be of an older version of the text", row.id));
                stored()
            }
            None => None,
        }
    }

    fn records(&mut self, db: &Database, collection: Collection) -> Result<(), CommitError> {
        // The times of removed things follow from the things themselves.
        if collection == Collection::RemovedByTime {
            return Ok(());
        }
        let table = tables::collection(collection);
        let found: Vec<(&Vec<u8>, &Found)> = self.survey.extent(table).found.iter().collect();
        for batch in found.chunks(BATCH) {
            let txn = begin(db)?;
            for (key, found) in batch {
                let payload = self.survey.payload(table, key, found);
                write::put_record(&txn, collection, key, &payload)?;
                if collection == Collection::Removed
                    && let Some(by_time) = tables::removed_by_time(key)
                {
                    write::put_record(&txn, Collection::RemovedByTime, &by_time, b"null")?;
                }
                self.step()?;
            }
            txn.commit().map_err(Fault::from)?;
        }
        Ok(())
    }

    /// Brings the store to where the damaged one stood, and to disk.
    fn finish(&mut self, db: &Database, next_key: u64) -> Result<(), CommitError> {
        let txn = db.begin_write().map_err(Fault::from)?;
        write::put_state(&txn, &State { seq: self.report.seq, next_key, rows: self.rows })?;
        txn.commit().map_err(Fault::from)?;
        Ok(())
    }
}

fn begin(db: &Database) -> Result<redb::WriteTransaction, CommitError> {
    let mut txn = db.begin_write().map_err(Fault::from)?;
    // The last transaction brings the earlier ones to disk.
    txn.set_durability(redb::Durability::None)
        .map_err(|error| CommitError::Damaged { detail: error.to_string() })?;
    Ok(txn)
}
