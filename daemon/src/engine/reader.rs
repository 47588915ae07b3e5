//! The reading side: searches over the derived indexes, and the way to snapshots.
//!
//! A search may be a commit ahead of a snapshot taken before it: hits are row keys, and
//! `Reader::resolve` drops those the snapshot does not have.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::error::{ReadError, SnapshotError};
use super::index::code::{Code, cosine_distance};
use super::shared::Shared;
use super::store::read;
use super::store::records::decode_vector;
use super::store::select::Selection;
use super::text::bm25;
use super::types::{EngineStats, Row, RowKey, Seq, TextHit, VectorHit};
use super::view::Snapshot;

/// Most hits one search returns.
pub const HITS_MAX: usize = 1_000;

/// Candidates taken by code for each hit wanted; the exact distances then decide.
const CANDIDATES_PER_HIT: usize = 4;

/// Fewest candidates taken, so that a single hit is not left to the codes.
const CANDIDATES_MIN: usize = 64;

/// A handle for any thread: snapshots, searches, numbers. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pub(super) shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Reader {
        Reader { shared }
    }

    /// Opens a snapshot of the newest committed state.
    ///
    /// While the store is being reopened it waits, at most ten seconds: a thread that holds an older
    /// snapshot meanwhile gets `NeedsReopen` then.
    pub fn snapshot(&self) -> Result<Snapshot, ReadError> {
        self.shared.snapshot()
    }

    /// Returns a row key such that searches begun from now on know of every row up to it.
    ///
    /// The store may be a commit ahead of the indexes; rows of such a commit are after the key.
    pub fn searchable_until(&self) -> Result<RowKey, ReadError> {
        let applied = self.shared.derived.read().applied_seq;
        let snapshot = self.snapshot()?;
        let last = snapshot.last_row_key()?;
        match snapshot.touched_since(applied)? {
            Some(touched) => Ok(touched.first().map_or(last, |first| RowKey(first.0 - 1).min(last))),
            None => Ok(RowKey(0)),
        }
    }

    /// Returns up to `k` rows nearest to a query vector, by exact cosine distance, nearest first.
    ///
    /// The query need not be of unit length. `k` is clamped to `HITS_MAX`. A damaged vector among the
    /// candidates is an error; [`Reader::nearest_readable`] does without it.
    pub fn nearest(
        &self,
        query: &[f32],
        k: usize,
        within: Option<&Selection>,
    ) -> Result<Vec<VectorHit>, ReadError> {
        let (hits, damaged) = self.nearest_readable(query, k, within)?;
        damaged.into_iter().next().map_or(Ok(hits), Err)
    }

    /// As [`Reader::nearest`], without the rows whose vectors are damaged, which are told beside the hits.
    pub fn nearest_readable(
        &self,
        query: &[f32],
        k: usize,
        within: Option<&Selection>,
    ) -> Result<(Vec<VectorHit>, Vec<ReadError>), ReadError> {
        let query = self.query(query)?;
        let k = k.min(HITS_MAX);
        if k == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        let candidates = self.candidates(&query, k, within);
        let mut damaged = Vec::new();
        let mut hits = self.shared.read(|txn| {
            let mut hits = Vec::new();
            for rows in &candidates {
                // All rows of one candidate have the same vector: one read answers for them. A row
                // may be gone since the candidates were taken, then the next one answers.
                for (index, row) in rows.iter().enumerate() {
                    let stored = match read::vector_bytes(txn, *row) {
                        Ok(Some(stored)) => stored,
                        Ok(None) => continue,
                        Err(error @ ReadError::Damaged { .. }) => {
                            damaged.push(error);
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                    let distance = cosine_distance(&query, &decode_vector(&stored));
                    hits.extend(rows[index..].iter().map(|row| VectorHit { row_key: *row, distance }));
                    break;
                }
            }
            Ok(hits)
        })?;
        hits.sort_by(|left, right| {
            left.distance.total_cmp(&right.distance).then(left.row_key.cmp(&right.row_key))
        });
        hits.truncate(k);
        Ok((hits, damaged))
    }

    /// Returns the rows of each candidate vector, at most `k` of one.
    fn candidates(&self, query: &[f32], k: usize, within: Option<&Selection>) -> Vec<Vec<RowKey>> {
        let code = Code::of(query);
        let count = (k * CANDIDATES_PER_HIT).max(CANDIDATES_MIN);
        let derived = self.shared.derived.read();
        let near = derived.vectors.candidates(&code, count, within);
        near.into_iter()
            .map(|near| {
                let rows = derived.vectors.catalogue.rows_of(near.slot).iter().map(|row| RowKey(*row));
                rows.filter(|row| within.is_none_or(|within| within.contains(*row))).take(k).collect()
            })
            .collect()
    }

    /// Checks a query vector and brings it to unit length.
    fn query(&self, query: &[f32]) -> Result<Vec<f32>, ReadError> {
        let dimension = self.shared.options.dimension;
        let refused = |reason: String| ReadError::BadQuery { reason };
        if query.len() != dimension {
            return Err(refused(format!("dimension {} instead of {dimension}", query.len())));
        }
        let length = query.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt() as f32;
        if !length.is_normal() {
            return Err(refused(format!("length {length}")));
        }
        Ok(query.iter().map(|value| value / length).collect())
    }

    /// Returns up to `k` rows that share words with a query, by BM25 over the whole store.
    pub fn lexical(&self, query: &str, k: usize, within: Option<&Selection>) -> Vec<TextHit> {
        bm25::search(&self.shared.derived.read().text, query, k.min(HITS_MAX), within)
    }

    /// Returns the exact distance of each row from a query vector, `None` for rows that are gone and
    /// for those whose vector is damaged.
    pub fn distances(&self, query: &[f32], keys: &[RowKey]) -> Result<Vec<Option<f32>>, ReadError> {
        let query = self.query(query)?;
        self.shared.read(|txn| {
            keys.iter()
                .map(|key| match read::vector_bytes(txn, *key) {
                    Ok(stored) => Ok(stored.map(|stored| cosine_distance(&query, &decode_vector(&stored)))),
                    Err(ReadError::Damaged { .. }) => Ok(None),
                    Err(error) => Err(error),
                })
                .collect()
        })
    }

    /// Returns the row of a hit, `None` when it is not in the snapshot.
    pub fn resolve(&self, snapshot: &Snapshot, key: RowKey) -> Result<Option<Row>, ReadError> {
        snapshot.row_at(key)
    }

    /// Returns numbers about the indexes and the file.
    pub fn stats(&self) -> EngineStats {
        let file_bytes = self.shared.file_bytes();
        let derived = self.shared.derived.read();
        EngineStats {
            rows: derived.rows,
            vectors: derived.vectors.catalogue.rows_len() as u64,
            distinct_vectors: derived.vectors.catalogue.distinct_len() as u64,
            text_documents: derived.text.len() as u64,
            vector_index: derived.vectors.kind(),
            tombstones: derived.vectors.graph.as_ref().map_or(0, |graph| graph.tombstones() as u64),
            file_bytes,
            applied_seq: derived.applied_seq,
            unsaved: derived.unsaved,
            snapshot_seq: Seq(self.shared.snapshot_seq.load(Ordering::Relaxed)),
        }
    }

    /// Keeps the change log from `seq` on, so that a backup that ends there can be continued.
    pub fn keep_log_from(&self, seq: Seq) {
        self.shared.backed_up_to.store(seq.0, Ordering::Relaxed);
    }

    /// Saves both derived indexes; for an upkeep thread.
    pub fn save_snapshots(&self) -> Result<(), SnapshotError> {
        self.shared.save()
    }
}
