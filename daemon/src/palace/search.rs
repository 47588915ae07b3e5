//! Hybrid search: candidates by meaning and by words, fused, collapsed to drawers, identical texts folded.
//!
//! A row is a hit only if it is in the reader's snapshot, which is taken after the indexes were asked: a row removed
//! in between is dropped, and everything acknowledged before the search began is in both.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Filter, ReadError, Reader, Row, RowKey, Selection};

use super::error::QueryError;
use super::fusion::fuse;

/// Candidates per ranking: at least this many, so that folding leaves enough.
const POOL_COUNT_MIN: usize = 50;
/// Candidates per ranking for each wanted hit.
const POOL_PER_HIT: usize = 6;
/// Candidates per ranking at most.
const POOL_COUNT_MAX: usize = 600;
/// Texts shorter than this are never folded: short remarks may repeat and still mean different things.
const FOLD_CHARS_MIN: usize = 100;

/// What to search for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The query's text, for words.
    pub text: &'a str,
    /// The query's embedding, for meaning.
    pub vector: &'a [f32],
    /// Which rows count.
    pub filter: Filter,
    /// Hits with a larger cosine distance are dropped; `None` keeps all.
    pub distance_max: Option<f32>,
    /// Number of hits.
    pub limit: usize,
}

/// One found passage.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The row that was found.
    pub row: Row,
    /// Exact cosine distance to the query.
    pub distance: f32,
    /// BM25 score over the whole palace; zero when no word matches.
    pub lexical_score: f32,
    /// Other rows with the same text.
    pub also_in: Vec<Row>,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Candidates before the distance limit and folding.
    pub candidate_count: usize,
}

/// Searches the palace. Blocks for the duration of index and store reads, never for a commit.
///
/// # Errors
/// When the store cannot be read or the vector does not fit it.
pub fn search(reader: &Reader, request: &Request<'_>) -> Result<Found, QueryError> {
    let pool = (request.limit * POOL_PER_HIT).clamp(POOL_COUNT_MIN, POOL_COUNT_MAX);
    let selection = selection(reader, &request.filter)?;
    let near = reader.nearest(request.vector, pool, selection.as_ref())?;
    let worded = reader.lexical(request.text, pool, selection.as_ref());

    let mut distances: BTreeMap<RowKey, f32> = near.iter().map(|hit| (hit.row_key, hit.distance)).collect();
    let unmeasured: Vec<RowKey> =
        worded.iter().map(|hit| hit.row_key).filter(|key| !distances.contains_key(key)).collect();
    let measured = reader.distances(request.vector, &unmeasured)?;
    distances.extend(unmeasured.iter().zip(measured).filter_map(|(key, distance)| Some((*key, distance?))));
    let scores: BTreeMap<RowKey, f32> = worded.iter().map(|hit| (hit.row_key, hit.score)).collect();

    let by_meaning: Vec<RowKey> = near.iter().map(|hit| hit.row_key).collect();
    let by_words: Vec<RowKey> = worded.iter().map(|hit| hit.row_key).collect();
    let ranked = fuse(&[&by_meaning, &by_words]);
    let candidate_count = ranked.len();

    let snapshot = reader.snapshot()?;
    let mut collapsed = Collapse::default();
    for (key, _) in ranked {
        let Some(distance) = distances.get(&key).copied() else { continue };
        if request.distance_max.is_some_and(|max| distance > max) {
            continue;
        }
        if let Some(row) = reader.resolve(&snapshot, key)? {
            let lexical_score = scores.get(&key).copied().unwrap_or(0.0);
            collapsed.push(Hit { row, distance, lexical_score, also_in: Vec::new() });
        }
    }
    Ok(Found { hits: collapsed.finish(request.limit), candidate_count })
}

/// Returns the rows that pass the filter, or `None` when every row does.
fn selection(reader: &Reader, filter: &Filter) -> Result<Option<Selection>, ReadError> {
    if filter.is_empty() {
        return Ok(None);
    }
    reader.snapshot()?.rows_matching(filter).map(Some)
}

/// Keeps the best row of each drawer and folds identical texts of other drawers into it.
#[derive(Default)]
struct Collapse {
    hits: Vec<Hit>,
    drawers: BTreeSet<String>,
    texts: BTreeMap<String, usize>,
}

impl Collapse {
    fn push(&mut self, hit: Hit) {
        if !self.drawers.insert(hit.row.drawer_id().to_owned()) {
            return;
        }
        if hit.row.document.chars().count() >= FOLD_CHARS_MIN {
            if let Some(at) = self.texts.get(&hit.row.document) {
                self.hits[*at].also_in.push(hit.row);
                return;
            }
            self.texts.insert(hit.row.document.clone(), self.hits.len());
        }
        self.hits.push(hit);
    }

    fn finish(mut self, limit: usize) -> Vec<Hit> {
        self.hits.truncate(limit);
        self.hits
    }
}
