//! A sample of searches: what ours finds against exact search over the source's own vectors.

use std::collections::{BinaryHeap, HashSet};

use crate::ingest::job::JobError;
use crate::ingest::transfer::upstream::UpstreamPalace;
use crate::palace::Palace;

use super::super::source::explain;
use super::dot;

/// Vectors of the source that are searched with.
const QUERY_COUNT: u64 = 24;
/// Hits compared for each.
pub const HIT_COUNT: usize = 10;
/// Distances this near to each other count as equal: vectors are stored in half precision.
const DISTANCE_TOLERANCE: f32 = 1e-4;

/// Exact search over the source's vectors for evenly spread queries.
pub struct Searches {
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

/// How many of the source's nearest rows our search finds.
pub struct Recall {
    /// Searches that were made.
    pub queries: usize,
    wanted: u64,
    found: u64,
}

impl Recall {
    /// Returns the share that was found.
    pub fn share(&self) -> f64 {
        self.found as f64 / self.wanted as f64
    }
}

impl Searches {
    /// Takes the vectors of rows that are spread evenly over a collection.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn choose(source: &UpstreamPalace, collection: &str) -> Result<Self, JobError> {
        let mut queries = Vec::new();
        source
            .each_of_sample(collection, QUERY_COUNT, &mut |row| {
                if let Ok(vector) = row.vector {
                    queries.push(Query { vector, nearest: BinaryHeap::new() });
                }
            })
            .map_err(explain)?;
        Ok(Self { queries, ids: HashSet::new() })
    }

    /// Takes a row of the source into account.
    pub fn rank(&mut self, id: &str, vector: Option<&[f32]>) {
        self.ids.insert(hash(id));
        let Some(vector) = vector else { return };
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

    /// Searches the palace for the same; none when the source has no vectors.
    ///
    /// # Errors
    /// When the palace cannot be read.
    pub fn recall(&self, palace: &Palace) -> Result<Option<Recall>, JobError> {
        let mut recall = Recall { queries: self.queries.len(), wanted: 0, found: 0 };
        for query in &self.queries {
            let hits = palace.nearest_ids(&query.vector, HIT_COUNT * 20).map_err(JobError::of)?;
            let ours: Vec<(String, f32)> =
                hits.into_iter().filter(|(id, _)| self.ids.contains(&hash(id))).take(HIT_COUNT).collect();
            let last = ours.last().map_or(f32::MAX, |(_, distance)| *distance);
            for Near(distance, id) in query.nearest.iter() {
                recall.wanted += 1;
                // Rows at the distance of the last hit may stand for each other.
                let is_there =
                    ours.iter().any(|(hit, _)| hit == id) || *distance >= last - DISTANCE_TOLERANCE;
                recall.found += u64::from(is_there);
            }
        }
        Ok((recall.wanted > 0).then_some(recall))
    }
}

fn hash(id: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(id.as_bytes())
}
