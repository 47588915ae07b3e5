//! The proof of an import: the source is read a second time and held against what is stored.
//!
//! Every document by its hash, all metadata, every vector by its cosine, rows per wing and room, every record beside the
//! drawers, and a sample of searches against exact search over the source's own vectors.

mod records;
mod searches;

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use crate::ingest::job::{JobError, Progress};
use crate::ingest::transfer::upstream::{Inventory, UpstreamPalace};
use crate::palace::{Palace, Snapshot, View};

use super::{convert, id_hash, source};

pub use records::{Differences, Records};
use searches::{HIT_COUNT, Recall, Searches};

/// Cosine below which a stored vector is not the source's: half precision changes far less.
const COSINE_MIN: f32 = 0.999;
/// Share of hits that must agree. Hits at the same distance may change places.
const RECALL_MIN: f64 = 0.95;

/// What the palace had otherwise before the import, and kept: the source is no measure of it.
pub struct Kept<'i> {
    /// Ids of rows.
    pub rows: HashSet<&'i str>,
    /// Names of records.
    pub records: HashSet<&'i str>,
    /// Hashes of the ids of rows that were there before, whose vectors may have been made here.
    pub there_before: &'i HashSet<u64>,
}

/// What the proof found.
pub struct Proof {
    /// Everything agrees.
    pub holds: bool,
    /// The numbers.
    pub report: Value,
}

#[derive(Default)]
struct Tallies {
    rows: u64,
    documents_equal: u64,
    metadata_equal: u64,
    vectors: u64,
    cosine_min: f32,
    cosine_sum: f64,
    /// Rows that were there before, with a vector of this palace's own.
    own_vectors: u64,
    /// Rows of the source by what became of them.
    kept: u64,
    without_text: u64,
    source_rooms: BTreeMap<String, u64>,
    stored_rooms: BTreeMap<String, u64>,
    differences: Differences,
}

/// Holds the palace against its source, but for what is kept as it is here.
///
/// # Errors
/// When either cannot be read. A difference is no error, it is what the proof is for.
pub fn prove(
    palace: &Palace,
    source: &UpstreamPalace,
    inventory: &Inventory,
    kept: &Kept<'_>,
    progress: &Progress,
) -> Result<Proof, JobError> {
    let snapshot = palace.snapshot().map_err(JobError::of)?;
    let mut tallies = Tallies { cosine_min: 1.0, ..Tallies::default() };
    let mut recall = None;
    if let Some(name) = &inventory.drawers {
        let total = source::row_count(inventory, name);
        let mut searches = Searches::choose(source, name)?;
        progress.phase("proving: reading the source again", total);
        source::each_row(source, name, |row| {
            match convert::row(row) {
                Ok(converted) if kept.rows.contains(converted.row.id.as_str()) => tallies.kept += 1,
                Ok(converted) => {
                    searches.rank(&converted.row.id, converted.vector.as_deref().ok());
                    tallies.compare(&snapshot, &converted, kept)?;
                }
                // A row without a text is nowhere to be found.
                Err(_) => tallies.without_text += 1,
            }
            progress.done(tallies.seen())
        })?;
        tallies.account_for(total.unwrap_or_default());
        progress.phase("proving: searching", None);
        recall = searches.recall(palace)?;
    }
    progress.phase("proving: records beside the drawers", Some(source::record_count(inventory)));
    let mut records = Records::default();
    source::each_record(source, inventory, |record| match record {
        Ok(record) => {
            records.compare(&snapshot, &record, &kept.records, &mut tallies.differences)?;
            progress.done(records.compared())
        }
        // It could not be stored either; the report names it.
        Err(_) => Ok(()),
    })?;
    Ok(tallies.proof(&records, recall))
}

impl Tallies {
    /// Returns how many rows of the source were met.
    fn seen(&self) -> u64 {
        self.rows + self.kept + self.without_text
    }

    /// Holds what was met against what the source was found to have before anything was read of it.
    fn account_for(&mut self, found: u64) {
        let seen = self.seen();
        if seen != found {
            self.differences.add(format!("the source was found to have {found} rows, and {seen} were met"));
        }
    }

    fn compare(
        &mut self,
        snapshot: &Snapshot,
        converted: &convert::Converted,
        kept_here: &Kept<'_>,
    ) -> Result<(), JobError> {
        self.rows += 1;
        let expected = &converted.row;
        let room = |row: &crate::palace::Row| format!("{}/{}", row.wing, row.room);
        *self.source_rooms.entry(room(expected)).or_default() += 1;
        let Some(stored) = snapshot.row(&expected.id).map_err(JobError::of)? else {
            self.differences.add(format!("{}: not stored", expected.id));
            return Ok(());
        };
        *self.stored_rooms.entry(room(&stored)).or_default() += 1;
        let same = self.differences.compare_texts(&expected.id, &expected.document, &stored.document);
        self.documents_equal += u64::from(same);
        if stored == *expected {
            self.metadata_equal += 1;
        } else if stored.document == expected.document {
            self.differences.add(format!("{}: other metadata", expected.id));
        }
        let Ok(vector) = &converted.vector else { return Ok(()) };
        let Some(kept) = snapshot.vector(&expected.id).map_err(JobError::of)? else {
            self.differences.add(format!("{}: no vector", expected.id));
            return Ok(());
        };
        let cosine = cosine(vector, &kept);
        self.vectors += 1;
        self.cosine_sum += f64::from(cosine);
        self.cosine_min = self.cosine_min.min(cosine);
        // Whatever is no number is no likeness either.
        let is_alike = cosine >= COSINE_MIN;
        if !is_alike && kept_here.there_before.contains(&id_hash(&expected.id)) {
            self.own_vectors += 1;
        } else if !is_alike {
            self.differences.add(format!("{}: cosine {cosine}", expected.id));
        }
        Ok(())
    }

    fn proof(self, records: &Records, recall: Option<Recall>) -> Proof {
        let rooms_agree = self.source_rooms == self.stored_rooms;
        let finds = recall.as_ref().is_none_or(|recall| recall.share() >= RECALL_MIN);
        let holds = self.differences.count == 0 && rooms_agree && finds;
        let mean = if self.vectors == 0 { 1.0 } else { self.cosine_sum / self.vectors as f64 };
        let report = json!({
            "holds": holds,
            "rows": self.rows,
            "kept_as_here": self.kept,
            "without_text": self.without_text,
            "vectors_kept_ours": self.own_vectors,
            "documents_equal_by_sha256": self.documents_equal,
            "metadata_equal": self.metadata_equal,
            "vectors_compared": self.vectors,
            "cosine": {"min": self.cosine_min, "mean": mean, "least_accepted": COSINE_MIN},
            "rows_by_room": {"agree": rooms_agree, "source": self.source_rooms, "stored": self.stored_rooms},
            "records": records.report(),
            "searches": {"queries": recall.as_ref().map_or(0, |recall| recall.queries), "k": HIT_COUNT,
                         "recall_against_exact_search_over_the_source": recall.as_ref().map(Recall::share)},
            "difference_count": self.differences.count,
            "differences": self.differences.named,
        });
        Proof { holds, report }
    }
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}
