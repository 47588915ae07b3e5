//! The proof of an imported export: every line of it is held against what is stored.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::ingest::job::{JobError, Progress};
use crate::ingest::transfer::import::id_hash;
use crate::ingest::transfer::import::proof::{Differences, Kept, Proof, Records};
use crate::ingest::transfer::lines::{Line, Reader};
use crate::palace::portable::PortableRow;
use crate::palace::{Palace, Snapshot, StoredVector, View};

use super::{Found, changed};

struct Tallies {
    /// Vectors of the export are expected bit by bit.
    own_vectors: bool,
    rows: u64,
    documents_equal: u64,
    metadata_equal: u64,
    vectors: u64,
    vectors_equal: u64,
    /// Of rows that were there before, with a vector of this palace's own.
    vectors_kept: u64,
    /// Rows that are others here and were kept so.
    kept: u64,
    cosine_min: f32,
    records: Records,
    stored_rooms: BTreeMap<String, u64>,
    differences: Differences,
}

/// Holds the palace against an export.
pub fn prove(
    palace: &Palace,
    source: &Path,
    found: &Found,
    own_vectors: bool,
    kept: &Kept<'_>,
    progress: &Progress,
) -> Result<Proof, JobError> {
    progress.phase("proving: reading the export again", Some(found.end.rows + found.end.records));
    let snapshot = palace.snapshot().map_err(JobError::of)?;
    let mut tallies = Tallies {
        own_vectors,
        rows: 0,
        documents_equal: 0,
        metadata_equal: 0,
        vectors: 0,
        vectors_equal: 0,
        vectors_kept: 0,
        kept: 0,
        cosine_min: 1.0,
        records: Records::default(),
        stored_rooms: BTreeMap::new(),
        differences: Differences::default(),
    };
    let mut reader = Reader::open(source).map_err(changed)?;
    let mut done = 0;
    loop {
        match reader.next_line().map_err(changed)? {
            Line::Row(row) if kept.rows.contains(row.id.as_str()) => tallies.keep(*row)?,
            Line::Row(row) => tallies.row(&snapshot, *row, kept)?,
            Line::Record(record) if record.is_bookkeeping() => {}
            Line::Record(record) => {
                tallies.records.compare(&snapshot, &record, &kept.records, &mut tallies.differences)?;
            }
            Line::Unknown(_) => {}
            Line::End(_) => return Ok(tallies.proof(found)),
        }
        done += 1;
        progress.done(done)?;
    }
}

impl Tallies {
    /// Counts a row that is another one here and was kept so.
    fn keep(&mut self, row: PortableRow) -> Result<(), JobError> {
        self.kept += 1;
        let (row, _) = row.into_row().map_err(JobError::of)?;
        *self.stored_rooms.entry(super::place(&row)).or_default() += 1;
        Ok(())
    }

    fn row(&mut self, snapshot: &Snapshot, expected: PortableRow, kept: &Kept<'_>) -> Result<(), JobError> {
        self.rows += 1;
        let Some(stored) = snapshot.row(&expected.id).map_err(JobError::of)? else {
            self.differences.add(format!("{}: not stored", expected.id));
            return Ok(());
        };
        *self.stored_rooms.entry(super::place(&stored)).or_default() += 1;
        let same = self.differences.compare_texts(&expected.id, &expected.document, &stored.document);
        self.documents_equal += u64::from(same);
        // Held as JSON, in which a number that is none is equal to itself.
        let stored = PortableRow::new(stored, None);
        let same = PortableRow { vector: None, document: stored.document.clone(), ..expected.clone() };
        if in_order(stored) == in_order(same) {
            self.metadata_equal += 1;
        } else {
            self.differences.add(format!("{}: other metadata", expected.id));
        }
        if self.own_vectors { self.vector(snapshot, expected, kept) } else { Ok(()) }
    }

    fn vector(
        &mut self,
        snapshot: &Snapshot,
        expected: PortableRow,
        kept: &Kept<'_>,
    ) -> Result<(), JobError> {
        let (row, Some(vector)) = expected.into_row().map_err(JobError::of)? else { return Ok(()) };
        self.vectors += 1;
        match snapshot.stored_vector(&row.id).map_err(JobError::of)? {
            Some(stored) if stored == vector => self.vectors_equal += 1,
            Some(_) if kept.there_before.contains(&id_hash(&row.id)) => self.vectors_kept += 1,
            Some(kept) => {
                let cosine = cosine(&kept, &vector);
                self.cosine_min = self.cosine_min.min(cosine);
                self.differences.add(format!("{}: another vector, cosine {cosine}", row.id));
            }
            None => self.differences.add(format!("{}: no vector", row.id)),
        }
        Ok(())
    }

    fn proof(self, found: &Found) -> Proof {
        let rooms_agree = self.stored_rooms == found.rooms;
        let holds = self.differences.count == 0 && rooms_agree;
        let report = json!({
            "holds": holds,
            "rows": self.rows,
            "kept_as_here": self.kept,
            "vectors_kept_ours": self.vectors_kept,
            "documents_equal_by_sha256": self.documents_equal,
            "metadata_equal": self.metadata_equal,
            "vectors_compared": self.vectors,
            "vectors_equal_bit_by_bit": self.vectors_equal,
            "cosine": {"min": self.cosine_min},
            "records": self.records.report(),
            "rows_by_room": {"agree": rooms_agree, "source": found.rooms, "stored": self.stored_rooms},
            "difference_count": self.differences.count,
            "differences": self.differences.named,
        });
        Proof { holds, report }
    }
}

/// Returns a row whose metadata stands in the order of its names: another program may write it in any.
fn in_order(mut row: PortableRow) -> PortableRow {
    row.metadata.sort_keys();
    row
}

/// Returns the cosine between two stored vectors; they are of unit length.
fn cosine(left: &StoredVector, right: &StoredVector) -> f32 {
    left.decode().iter().zip(right.decode()).map(|(left, right)| left * right).sum()
}
