//! The whole store checked without changing it.
//!
//! The report says what was looked at and what was not, so that a clean one is not taken for more
//! than it is.

use super::error::ReadError;
use super::reader::Reader;
use super::store::{audit, read};
use super::view::View;

/// Vectors looked up by themselves in the vector index.
const SELF_SEARCH_MAX: u64 = 256;

/// What `verify` looks at.
pub const CHECKED: [&str; 7] = [
    "checksum of every row, vector, tally, log entry and remembered answer",
    "every row against the id table and back",
    "every row against the wing, source, time and chunk indexes and back",
    "tallies against rows",
    "checksum of every fact, entity, tunnel, hallway, event, artifact, closet and setting",
    "change log without a gap up to the present",
    "derived indexes: number of rows, and a sample of vectors finding themselves",
];

/// What `verify` does not look at.
pub const NOT_CHECKED: [&str; 3] = [
    "page checksums of the file (checked when the store is opened, below a size limit)",
    "whether a vector belongs to its text (needs the model)",
    "each posting of the text index",
];

/// What a check of the store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Rows read.
    pub rows: u64,
    /// Vectors searched for by themselves.
    pub self_searches: u64,
    /// The derived indexes stood at another commit than the store, so they were not compared.
    pub indexes_skipped: bool,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Table or index.
    pub table: &'static str,
    /// The drawer concerned, where one is.
    pub drawer: Option<String>,
    /// What was found.
    pub detail: String,
}

impl VerifyReport {
    /// Tells whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn problem(&mut self, table: &'static str, drawer: Option<String>, detail: String) {
        self.problems.push(Problem { table, drawer, detail });
    }
}

/// Checks the store and its derived indexes. Reads everything; searches and commits go on meanwhile.
///
/// Damage of single records is in the report; an error means the check itself could not go on.
pub fn verify(reader: &Reader) -> Result<VerifyReport, ReadError> {
    let mut report = VerifyReport::default();
    let snapshot = reader.snapshot()?;
    snapshot.read(|txn| audit::audit(txn, reader.shared.options.dimension, &mut report))?;
    let stats = reader.stats();
    if stats.applied_seq != snapshot.seq() {
        report.indexes_skipped = true;
        return Ok(report);
    }
    for (index, found) in [("vector index", stats.vectors), ("text index", stats.text_documents)] {
        if found != report.rows {
            report.problem(index, None, format!("knows {found} of {} rows", report.rows));
        }
    }
    self_searches(reader, &snapshot, &mut report)?;
    Ok(report)
}

/// Looks up evenly spread vectors; each must find a row at no distance.
fn self_searches(
    reader: &Reader,
    snapshot: &super::view::Snapshot,
    report: &mut VerifyReport,
) -> Result<(), ReadError> {
    let every = report.rows.div_ceil(SELF_SEARCH_MAX).max(1);
    let mut sample = Vec::new();
    let mut position = 0u64;
    snapshot.read(|txn| {
        read::each_vector(txn, |key, stored| {
            if position.is_multiple_of(every)
                && let Ok(stored) = stored
            {
                sample.push((key, super::store::records::decode_vector(stored)));
            }
            position += 1;
        })
    })?;
    for (key, vector) in sample {
        report.self_searches += 1;
        let found = match reader.nearest(&vector, 1, None) {
            Ok(hits) => hits.first().is_some_and(|hit| hit.distance < 1e-3),
            Err(ReadError::BadQuery { .. }) => false,
            Err(error @ (ReadError::Damaged { .. } | ReadError::Io(_) | ReadError::NeedsReopen)) => {
                return Err(error);
            }
        };
        if !found {
            let drawer = snapshot.read(|txn| Ok(read::name_of_key(txn, key)))?;
            report.problem("vector index", Some(drawer), "its vector does not find itself".to_owned());
        }
    }
    Ok(())
}
