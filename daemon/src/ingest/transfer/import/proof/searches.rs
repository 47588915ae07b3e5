//! A sample of searches: what ours finds against exact search over the source's own vectors.

use std::collections::{BinaryHeap, HashSet};

use crate::ingest::job::JobError;
use crate::ingest::transfer::upstream::UpstreamPalace;
use crate::palace::Palace;

use super::super::{id_hash, source::explain};
use super::dot;

/// Vectors of the source that are searched with.
const QUERY_COUNT: u64 = 24;
/// Hits compared for each.
pub const HIT_COUNT: usize = 10;
/// Hits the palace is asked for at most: beyond, what it holds besides the source is too much alike.
const ASKED_COUNT_MAX: usize = 12_800;
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
        self.ids.insert(id_hash(id));
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
            let wanted = query.nearest.len();
            let ours = self.own_hits(palace, &query.vector, wanted)?;
            recall.wanted += wanted as u64;
            recall.found += found(&query.nearest, &ours) as u64;
        }
        Ok((recall.wanted > 0).then_some(recall))
    }

    /// Returns the nearest rows of the source that a search of the palace finds, as many as wanted. The palace may hold more
    /// than the source: it is asked for more until there are enough, or until there are no more.
    fn own_hits(
        &self,
        palace: &Palace,
        vector: &[f32],
        wanted: usize,
    ) -> Result<Vec<(String, f32)>, JobError> {
        let mut asked = HIT_COUNT * 20;
        loop {
            let hits = palace.nearest_ids(vector, asked).map_err(JobError::of)?;
            let is_all = hits.len() < asked;
            let ours: Vec<_> =
                hits.into_iter().filter(|(id, _)| self.ids.contains(&id_hash(id))).take(wanted).collect();
            if ours.len() >= wanted || is_all || asked >= ASKED_COUNT_MAX {
                return Ok(ours);
            }
            asked *= 4;
        }
    }
}

/// Counts the nearest of the source among the hits. Rows at one distance may stand for each other: each hit serves once.
fn found(nearest: &BinaryHeap<Near>, hits: &[(String, f32)]) -> usize {
    let mut left: Vec<&(String, f32)> = hits.iter().collect();
    let mut taken = |is_it: &dyn Fn(&(String, f32)) -> bool| {
        let place = left.iter().position(|hit| is_it(hit));
        place.map(|place| left.swap_remove(place)).is_some()
    };
    let (named, others): (Vec<&Near>, Vec<&Near>) =
        nearest.iter().partition(|Near(_, id)| taken(&|hit| hit.0 == *id));
    let equal = others
        .iter()
        .filter(|Near(distance, _)| taken(&|hit| (hit.1 - distance).abs() <= DISTANCE_TOLERANCE));
    named.len() + equal.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(rows: &[(&str, f32)]) -> BinaryHeap<Near> {
        rows.iter().map(|(id, distance)| Near(*distance, (*id).to_owned())).collect()
    }

    fn hits(rows: &[(&str, f32)]) -> Vec<(String, f32)> {
        rows.iter().map(|(id, distance)| ((*id).to_owned(), *distance)).collect()
    }

    #[test]
    fn hits_are_found_by_id_or_by_their_distance() {
        let wanted = nearest(&[("a", 0.0), ("b", 0.2), ("c", 0.3)]);
        assert_eq!(found(&wanted, &hits(&[("a", 0.0), ("b", 0.2), ("c", 0.3)])), 3);
        assert_eq!(found(&wanted, &hits(&[("a", 0.0), ("x", 0.2), ("c", 0.3)])), 3, "a tie");
        assert_eq!(found(&wanted, &hits(&[("a", 0.0), ("x", 0.25), ("c", 0.3)])), 2);
        assert_eq!(found(&wanted, &hits(&[("a", 0.0)])), 1, "what was not found is not found");
        assert_eq!(found(&wanted, &[]), 0);
        let ties = nearest(&[("a", 0.0), ("b", 0.0), ("c", 0.0)]);
        assert_eq!(found(&ties, &hits(&[("x", 0.0), ("a", 0.0)])), 2, "each hit serves once");
    }
}
