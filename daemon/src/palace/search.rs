//! Hybrid search: candidates by meaning and by words, fused, collapsed to drawers, identical texts folded.
//!
//! A row is a hit only if it is in the reader's snapshot, which is taken after the indexes were asked: a row removed
//! in between is dropped, and everything acknowledged before the search began is in both. A row that cannot be read
//! costs itself alone: it is named beside the hits.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{DamagedRow, Filter, ReadError, Reader, Row, RowKey, Selection};

use super::error::QueryError;
use super::fusion::fuse;

/// Candidates per ranking: at least this many, so that folding leaves enough.
const POOL_COUNT_MIN: usize = 50;
/// Candidates per ranking for each wanted hit.
const POOL_PER_HIT: usize = 6;
/// Candidates per ranking at most.
const POOL_COUNT_MAX: usize = 600;
/// When copies leave too few hits, the pool grows by this factor,
const POOL_GROWTH: usize = 4;
/// so often at most,
const POOL_GROWTHS_MAX: usize = 2;
/// and not beyond this many candidates.
const POOL_GROWN_MAX: usize = 500;
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
    /// Whether copies of few texts filled every pool, so that others may exist.
    pub truncated: bool,
    /// Candidates that cannot be read.
    pub unreadable: Vec<DamagedRow>,
}

/// Searches the palace. Blocks for the duration of index and store reads, never for a commit.
///
/// # Errors
/// When the store cannot be read or the vector does not fit it.
pub fn search(reader: &Reader, request: &Request<'_>) -> Result<Found, QueryError> {
    let selection = selection(reader, &request.filter)?;
    let mut pool = (request.limit * POOL_PER_HIT).clamp(POOL_COUNT_MIN, POOL_COUNT_MAX);
    let mut growths = 0;
    loop {
        let candidates = Candidates::gather(reader, request, selection.as_ref(), pool)?;
        let is_full = candidates.is_full;
        let (mut found, has_copies) = candidates.collapse(reader, request)?;
        let is_short = found.hits.len() < request.limit && has_copies && is_full;
        if !is_short {
            return Ok(found);
        }
        if growths == POOL_GROWTHS_MAX || pool >= POOL_GROWN_MAX {
            found.truncated = true;
            return Ok(found);
        }
        pool = (pool * POOL_GROWTH).min(POOL_GROWN_MAX);
        growths += 1;
    }
}

/// Returns the rows that pass the filter, or `None` when every row does.
fn selection(reader: &Reader, filter: &Filter) -> Result<Option<Selection>, ReadError> {
    if filter.is_empty() {
        return Ok(None);
    }
    reader.snapshot()?.rows_matching(filter).map(Some)
}

/// Rows that may be hits, best first, with what is known of them without reading them.
struct Candidates {
    ranked: Vec<RowKey>,
    distances: BTreeMap<RowKey, f32>,
    scores: BTreeMap<RowKey, f32>,
    /// Whether a ranking came back full: there are more.
    is_full: bool,
    unreadable: Unreadable,
}

impl Candidates {
    fn gather(
        reader: &Reader,
        request: &Request<'_>,
        within: Option<&Selection>,
        pool: usize,
    ) -> Result<Self, QueryError> {
        let (near, damaged) = reader.nearest_readable(request.vector, pool, within)?;
        let worded = reader.lexical(request.text, pool, within);
        let mut unreadable = Unreadable::default();
        for error in damaged {
            unreadable.note(error, None)?;
        }
        let mut distances: BTreeMap<RowKey, f32> =
            near.iter().map(|hit| (hit.row_key, hit.distance)).collect();
        let unmeasured: Vec<RowKey> =
            worded.iter().map(|hit| hit.row_key).filter(|key| !distances.contains_key(key)).collect();
        let measured = reader.distances(request.vector, &unmeasured)?;
        distances
            .extend(unmeasured.iter().zip(measured).filter_map(|(key, distance)| Some((*key, distance?))));
        let by_meaning: Vec<RowKey> = near.iter().map(|hit| hit.row_key).collect();
        let by_words: Vec<RowKey> = worded.iter().map(|hit| hit.row_key).collect();
        Ok(Self {
            ranked: fuse(&[&by_meaning, &by_words]).into_iter().map(|(key, _)| key).collect(),
            distances,
            scores: worded.iter().map(|hit| (hit.row_key, hit.score)).collect(),
            is_full: near.len() == pool || worded.len() == pool,
            unreadable,
        })
    }

    /// Reads the candidates, best first, and returns the hits and whether several candidates became one.
    fn collapse(mut self, reader: &Reader, request: &Request<'_>) -> Result<(Found, bool), QueryError> {
        let snapshot = reader.snapshot()?;
        let candidate_count = self.ranked.len();
        let mut collapsed = Collapse::default();
        for key in self.ranked {
            let Some(distance) = self.distances.get(&key).copied() else { continue };
            if request.distance_max.is_some_and(|max| distance > max) {
                continue;
            }
            match reader.resolve(&snapshot, key) {
                Ok(Some(row)) => {
                    let lexical_score = self.scores.get(&key).copied().unwrap_or(0.0);
                    collapsed.push(Hit { row, distance, lexical_score, also_in: Vec::new() });
                }
                Ok(None) => {}
                Err(error) => self.unreadable.note(error, Some(key))?,
            }
        }
        let has_copies = collapsed.has_copies;
        let mut hits = collapsed.hits;
        hits.truncate(request.limit);
        let found = Found { hits, candidate_count, truncated: false, unreadable: self.unreadable.0 };
        Ok((found, has_copies))
    }
}

/// Rows that cannot be read, each named once.
#[derive(Default)]
struct Unreadable(Vec<DamagedRow>);

impl Unreadable {
    /// Notes a damaged row; any other error ends the search.
    fn note(&mut self, error: ReadError, key: Option<RowKey>) -> Result<(), ReadError> {
        let mut damaged = error.into_damaged_row()?;
        if let Some(key) = key.filter(|_| damaged.id == "?") {
            damaged.id = format!("row key {key}");
        }
        if self.0.iter().all(|known| known.id != damaged.id) {
            self.0.push(damaged);
        }
        Ok(())
    }
}

/// Keeps the best row of each drawer and folds identical texts of other drawers into it.
#[derive(Default)]
struct Collapse {
    hits: Vec<Hit>,
    drawers: BTreeSet<String>,
    texts: BTreeMap<String, usize>,
    /// Whether a candidate became part of another hit.
    has_copies: bool,
}

impl Collapse {
    fn push(&mut self, hit: Hit) {
        if !self.drawers.insert(hit.row.drawer_id().to_owned()) {
            self.has_copies = true;
            return;
        }
        if hit.row.document.chars().count() >= FOLD_CHARS_MIN {
            if let Some(at) = self.texts.get(&hit.row.document) {
                self.hits[*at].also_in.push(hit.row);
                self.has_copies = true;
                return;
            }
            self.texts.insert(hit.row.document.clone(), self.hits.len());
        }
        self.hits.push(hit);
    }
}

#[cfg(test)]
mod tests;
