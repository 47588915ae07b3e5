//! The proof of an import: the source is read a second time and held against what is stored.
//!
//! Every document by its hash, all metadata, every vector by its cosine, rows per wing and room, and a sample of
//! searches against exact search over the source's own vectors.

use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::ops::ControlFlow;

use serde_json::{Value, json};

use crate::ingest::job::{JobError, Progress};
use crate::ingest::transfer::upstream::{Inventory, UpstreamPalace};
use crate::palace::ids::sha256_hex;
use crate::palace::{Palace, View};

use super::convert;
use super::mempalace::explain;

/// Vectors of the source that are searched with.
const QUERY_COUNT: usize = 24;
/// Hits compared for each.
const HIT_COUNT: usize = 10;
/// Cosine below which a stored vector is not the source's: half precision changes far less.
const COSINE_MIN: f32 = 0.999;
/// Share of hits that must agree. Hits at the same distance may change places.
const RECALL_MIN: f64 = 0.95;
/// Differences that are named; more are counted.
const NAMED_COUNT_MAX: usize = 1_000;

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
    differences: Vec<String>,
    difference_count: u64,
    source_rooms: BTreeMap<String, u64>,
    stored_rooms: BTreeMap<String, u64>,
}

impl Tallies {
    fn differs(&mut self, what: String) {
        self.difference_count += 1;
        if self.differences.len() < NAMED_COUNT_MAX {
            self.differences.push(what);
        }
    }
}

/// Holds the palace against its source, but for the rows that are kept as they are here.
///
/// # Errors
/// When either cannot be read. A difference is no error, it is what the proof is for.
pub fn prove(
    palace: &Palace,
    source: &UpstreamPalace,
    inventory: &Inventory,
    kept: &HashSet<String>,
    progress: &Progress,
) -> Result<Proof, JobError> {
    let Some(name) = &inventory.drawers else {
        return Ok(Proof { holds: true, report: json!({ "rows": 0 }) });
    };
    let total =
        inventory.collections.iter().find(|known| known.name == *name).map_or(0, |known| known.row_count);
    progress.phase("proving: reading the source again", Some(total));
    let snapshot = palace.snapshot().map_err(JobError::of)?;
    let mut tallies = Tallies { cosine_min: 1.0, ..Tallies::default() };
    let mut searches = Searches::new(total);
    let mut failed = None;
    let walked = source.each_row(name, None, &mut |row| {
        let Ok(converted) = convert::row(row) else { return ControlFlow::Continue(()) };
        if kept.contains(&converted.row.id) {
            return ControlFlow::Continue(());
        }
        searches.see(&converted.row.id, converted.vector.as_deref().ok());
        tallies.rows += 1;
        let rows = tallies.rows;
        let compared = compare(&snapshot, &converted, &mut tallies).and_then(|()| progress.done(rows));
        match compared {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    walked.map_err(explain)?;
    if let Some(error) = failed {
        return Err(error);
    }
    progress.phase("proving: searching", Some(QUERY_COUNT as u64));
    searches.choose_done();
    let walked = source.each_row(name, None, &mut |row| {
        // A row without a text is nowhere to be found.
        if let (Ok(vector), Some(_), false) = (&row.vector, &row.document, kept.contains(&row.id)) {
            searches.rank(&row.id, vector);
        }
        if progress.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    walked.map_err(explain)?;
    let recall = searches.recall(palace)?;
    let rooms_agree = tallies.source_rooms == tallies.stored_rooms;
    let holds =
        tallies.difference_count == 0 && rooms_agree && recall.is_none_or(|recall| recall >= RECALL_MIN);
    let mean = if tallies.vectors == 0 { 1.0 } else { tallies.cosine_sum / tallies.vectors as f64 };
    let report = json!({
        "holds": holds,
        "rows": tallies.rows,
        "kept_as_here": kept.len(),
        "documents_equal_by_sha256": tallies.documents_equal,
        "metadata_equal": tallies.metadata_equal,
        "vectors_compared": tallies.vectors,
        "cosine": {"min": tallies.cosine_min, "mean": mean, "least_accepted": COSINE_MIN},
        "rows_by_room": {"agree": rooms_agree, "source": tallies.source_rooms, "stored": tallies.stored_rooms},
        "searches": {"queries": searches.queries.len(), "k": HIT_COUNT,
                     "recall_against_exact_search_over_the_source": recall},
        "difference_count": tallies.difference_count,
        "differences": tallies.differences,
    });
    Ok(Proof { holds, report })
}

fn compare(
    snapshot: &crate::palace::Snapshot,
    converted: &convert::Converted,
    tallies: &mut Tallies,
) -> Result<(), JobError> {
    let expected = &converted.row;
    let room = |row: &crate::palace::Row| format!("{}/{}", row.wing, row.room);
    *tallies.source_rooms.entry(room(expected)).or_default() += 1;
    let Some(stored) = snapshot.row(&expected.id).map_err(JobError::of)? else {
        tallies.differs(format!("{}: not stored", expected.id));
        return Ok(());
    };
    *tallies.stored_rooms.entry(room(&stored)).or_default() += 1;
    let hash = |text: &str| sha256_hex(text.as_bytes(), 64);
    if hash(&stored.document) == hash(&expected.document) {
        tallies.documents_equal += 1;
    } else {
        tallies.differs(format!("{}: another text", expected.id));
    }
    if stored == *expected {
        tallies.metadata_equal += 1;
    } else if stored.document == expected.document {
        tallies.differs(format!("{}: other metadata", expected.id));
    }
    let Ok(vector) = &converted.vector else { return Ok(()) };
    let Some(kept) = snapshot.vector(&expected.id).map_err(JobError::of)? else {
        tallies.differs(format!("{}: no vector", expected.id));
        return Ok(());
    };
    let cosine = cosine(vector, &kept);
    tallies.vectors += 1;
    tallies.cosine_sum += f64::from(cosine);
    tallies.cosine_min = tallies.cosine_min.min(cosine);
    if cosine < COSINE_MIN {
        tallies.differs(format!("{}: cosine {cosine}", expected.id));
    }
    Ok(())
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

/// Exact search over the source's vectors for evenly spread queries.
struct Searches {
    every: u64,
    seen: u64,
    queries: Vec<Query>,
    /// Hashes of the source's ids: our palace may hold more than the source.
    ids: HashSet<u64>,
}

struct Query {
    vector: Vec<f32>,
    /// The nearest so far, the farthest of them on top.
    nearest: BinaryHeap<Near>,
}

#[derive(PartialEq)]
struct Near(f32, String);

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then_with(|| self.1.cmp(&other.1))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Searches {
    fn new(rows: u64) -> Self {
        Self { every: (rows / QUERY_COUNT as u64).max(1), seen: 0, queries: Vec::new(), ids: HashSet::new() }
    }

    fn see(&mut self, id: &str, vector: Option<&[f32]>) {
        self.ids.insert(hash(id));
        if self.seen.is_multiple_of(self.every)
            && self.queries.len() < QUERY_COUNT
            && let Some(vector) = vector
        {
            self.queries.push(Query { vector: vector.to_vec(), nearest: BinaryHeap::new() });
        }
        self.seen += 1;
    }

    fn choose_done(&mut self) {
        self.queries.shrink_to_fit();
    }

    fn rank(&mut self, id: &str, vector: &[f32]) {
        for query in &mut self.queries {
            let distance = 1.0 - dot(&query.vector, vector);
            if query.nearest.len() < HIT_COUNT {
                query.nearest.push(Near(distance, id.to_owned()));
            } else if query.nearest.peek().is_some_and(|farthest| distance < farthest.0) {
                query.nearest.pop();
                query.nearest.push(Near(distance, id.to_owned()));
            }
        }
    }

    /// Returns the share of the source's nearest rows that our search finds; none without vectors.
    fn recall(&self, palace: &Palace) -> Result<Option<f64>, JobError> {
        let (mut wanted, mut found) = (0u64, 0u64);
        for query in &self.queries {
            let hits = palace.nearest_ids(&query.vector, HIT_COUNT * 20).map_err(JobError::of)?;
            let ours: Vec<(String, f32)> =
                hits.into_iter().filter(|(id, _)| self.ids.contains(&hash(id))).take(HIT_COUNT).collect();
            let last = ours.last().map_or(f32::MAX, |(_, distance)| *distance);
            for Near(distance, id) in query.nearest.iter() {
                wanted += 1;
                // Rows at the distance of the last hit may stand for each other.
                let is_there = ours.iter().any(|(hit, _)| hit == id) || *distance >= last - 1e-4;
                found += u64::from(is_there);
            }
        }
        Ok((wanted > 0).then(|| found as f64 / wanted as f64))
    }
}

fn hash(id: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(id.as_bytes())
}
