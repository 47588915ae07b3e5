//! The whole store checked without changing it.
//!
//! The report says what was looked at and what was not, so that a clean one is not taken for more
//! than it is.

use super::derived::prepare_vector;
use super::error::ReadError;
use super::index::vectors::Prepared;
use super::reader::Reader;
use super::store::{audit, read};
use super::text::postings::digest_of_terms;
use super::text::vocabulary::Vocabulary;
use super::types::RowKey;
use super::view::{Snapshot, View};

/// Entries compared under the lock of the indexes at a time: commits wait for it.
const COMPARED_AT_ONCE: usize = 4_096;

/// Vectors looked up by themselves in the vector index.
const SELF_SEARCH_MAX: u64 = 256;

/// Rows looked up by name for a problem of an index.
const NAMED_MAX: usize = 64;

/// What `verify` looks at.
pub const CHECKED: [&str; 9] = [
    "checksum of every row, vector, tally, log entry and remembered answer",
    "every row against the id table and back",
    "every row against the wing, source, time and chunk indexes and back",
    "tallies against rows",
    "checksum of every fact, entity, tunnel, hallway, event, artifact, closet, setting and removed drawer",
    "every removed drawer against the list of removals by time and back",
    "change log without a gap up to the present",
    "vector index: the code of every vector and the rows it belongs to; a sample of vectors finding themselves",
    "text index: every term of every row with its count, against the text",
];

/// What `verify` does not look at.
pub const NOT_CHECKED: [&str; 4] = [
    "page checksums of the file (only possible while nobody has it open: at a start, below a size limit, and when a store \
     is restored or salvaged)",
    "pages on disk that the cache holds: they are read from memory (`palacectl repair`, which reads the file, sees them)",
    "whether a vector belongs to its text (needs the model)",
    "edges of the vector graph, beyond the sample",
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
    /// What is unusual and may be meant so.
    pub notices: Vec<Problem>,
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

    pub(super) fn notice(&mut self, table: &'static str, drawer: Option<String>, detail: String) {
        self.notices.push(Problem { table, drawer, detail });
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
    let compared =
        compare_vectors(reader, &snapshot, &mut report)? && compare_texts(reader, &snapshot, &mut report)?;
    if !compared {
        report.indexes_skipped = true;
        return Ok(report);
    }
    self_searches(reader, &snapshot, &mut report)?;
    Ok(report)
}

/// Holds the vector index against every stored vector; `false` when a commit came between.
fn compare_vectors(
    reader: &Reader,
    snapshot: &Snapshot,
    report: &mut VerifyReport,
) -> Result<bool, ReadError> {
    let dimension = reader.shared.options.dimension;
    let mut batch: Vec<(RowKey, Prepared)> = Vec::new();
    let mut wrong = Vec::new();
    let mut undisturbed = true;
    let mut compare = |batch: &mut Vec<(RowKey, Prepared)>| {
        let derived = reader.shared.derived.read();
        undisturbed &= derived.applied_seq == snapshot.seq();
        wrong.extend(batch.drain(..).filter(|(row, vector)| !derived.vectors.holds(*row, vector)));
    };
    snapshot.read(|txn| {
        read::each_vector(txn, |key, stored| {
            // One that cannot be read is a problem of its own table.
            batch.extend(stored.ok().and_then(|stored| Some((key, prepare_vector(stored, dimension)?))));
            if batch.len() >= COMPARED_AT_ONCE {
                compare(&mut batch);
            }
        })
    })?;
    compare(&mut batch);
    if undisturbed {
        let wrong = wrong.into_iter().map(|(key, _)| key).collect();
        name(snapshot, report, "vector index", "another vector, or none", wrong)?;
    }
    Ok(undisturbed)
}

/// Holds the text index against the terms of every text; `false` when a commit came between.
fn compare_texts(reader: &Reader, snapshot: &Snapshot, report: &mut VerifyReport) -> Result<bool, ReadError> {
    let (all, mut digests) = {
        let derived = reader.shared.derived.read();
        (derived.text.all_terms(), derived.text.digest_lengths())
    };
    for batch in all.chunks(COMPARED_AT_ONCE) {
        let derived = reader.shared.derived.read();
        derived.text.digest(batch, &mut digests);
        if derived.applied_seq != snapshot.seq() {
            return Ok(false);
        }
    }
    if reader.shared.derived.read().applied_seq != snapshot.seq() {
        return Ok(false);
    }
    let mut vocabulary = Vocabulary::default();
    snapshot.read(|txn| {
        read::each_row(txn, |key, row| {
            let Ok(row) = row else { return };
            if digests.remove(&key.0) != Some(digest_of_terms(&vocabulary.terms(&row.document))) {
                report.problem("text index", Some(row.id), "other words than the text has".to_owned());
            }
        })
    })?;
    let rest = digests.into_keys().map(RowKey).collect();
    name(snapshot, report, "text index", "words of a row that is not there or cannot be read", rest)?;
    Ok(true)
}

/// Adds a problem for each row, by its drawer's id as long as they are few: finding one takes a walk over all ids.
fn name(
    snapshot: &Snapshot,
    report: &mut VerifyReport,
    index: &'static str,
    detail: &str,
    mut keys: Vec<RowKey>,
) -> Result<(), ReadError> {
    keys.sort_unstable();
    for (position, key) in keys.into_iter().enumerate() {
        let drawer = match position {
            0..NAMED_MAX => snapshot.read(|txn| Ok(read::name_of_key(txn, key)))?,
            _ => format!("row key {key}"),
        };
        report.problem(index, Some(drawer), detail.to_owned());
    }
    Ok(())
}

/// Looks up evenly spread vectors; each must find a row at no distance.
fn self_searches(reader: &Reader, snapshot: &Snapshot, report: &mut VerifyReport) -> Result<(), ReadError> {
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
