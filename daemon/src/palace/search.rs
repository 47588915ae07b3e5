//! Hybrid search: candidates by meaning and by words, fused, collapsed to drawers, identical texts folded.
//!
//! A row is a hit only if it is in the reader's snapshot, which is taken after the indexes were asked: a row removed
//! in between is dropped, and everything acknowledged before the search began is in both. A row that cannot be read
//! costs itself alone: it is named beside the hits.
//!
//! Index cards say which sources are about the query. They change what is shown of a source, and bring its drawers nearer:
//! the ranking by meaning is by the distance that is left (the peer's `effective_distance`). A card brings in no drawer
//! that is not a candidate without it.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{DamagedRow, Filter, ReadError, Reader, Row, RowKey, Selection, Snapshot};

use super::bookkeeping;
use super::boost::{self, Boost};
use super::error::QueryError;
use super::fusion::fuse;
use super::passage::{self, Passage};

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
pub struct Question<'a> {
    /// The query's text.
    pub text: &'a str,
    /// Which rows count.
    pub filter: Filter,
    /// Hits with a larger cosine distance are dropped; `None` keeps all.
    pub distance_max: Option<f32>,
    /// Number of hits.
    pub limit: usize,
    /// What to show of each hit.
    pub shown: Shown,
}

/// What to show of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The row with what stands around it, the best part of sources that have index cards.
    Passages,
    /// The row alone; index cards are not read.
    Rows,
}

/// How a hit was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Via {
    /// By its own meaning, perhaps by its words too.
    Drawer,
    /// As before, and an index card of its source speaks for it.
    Closet(Boost),
    /// By its words alone.
    Words,
}

/// One found passage.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The row that was found.
    pub row: Row,
    /// Exact cosine distance to the query; unknown when the query has no vector.
    pub distance: Option<f32>,
    /// BM25 score over the whole palace; zero when no word matches.
    pub lexical_score: f32,
    /// How it was found.
    pub via: Via,
    /// The row with what stands around it, where there is more than the row.
    pub passage: Option<Passage>,
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
    /// Why words alone decided, when the query could not be embedded.
    pub words_alone: Option<String>,
}

/// Searches the palace by meaning and words, or by words alone when the query has no vector. Blocks for the duration of
/// index and store reads, never for a commit.
///
/// # Errors
/// When the store cannot be read or the vector does not fit it.
pub fn search(reader: &Reader, question: &Question<'_>, vector: Option<&[f32]>) -> Result<Found, QueryError> {
    let selection = selection(reader, &question.filter)?;
    let mut pool = (question.limit * POOL_PER_HIT).clamp(POOL_COUNT_MIN, POOL_COUNT_MAX);
    let mut growths = 0;
    loop {
        let candidates = Candidates::gather(reader, question, vector, selection.as_ref(), pool)?;
        let is_full = candidates.is_full;
        let (mut found, has_copies) = candidates.collapse(reader, question)?;
        let is_short = found.hits.len() < question.limit && has_copies && is_full;
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
    by_meaning: Vec<RowKey>,
    by_words: Vec<RowKey>,
    /// Exact distances; without those of rows that are gone or whose vectors are damaged.
    distances: BTreeMap<RowKey, f32>,
    scores: BTreeMap<RowKey, f32>,
    has_vector: bool,
    /// Whether a ranking came back full: there are more.
    is_full: bool,
    unreadable: Unreadable,
}

impl Candidates {
    fn gather(
        reader: &Reader,
        question: &Question<'_>,
        vector: Option<&[f32]>,
        within: Option<&Selection>,
        pool: usize,
    ) -> Result<Self, QueryError> {
        let (near, damaged) = match vector {
            Some(vector) => reader.nearest_readable(vector, pool, within)?,
            None => (Vec::new(), Vec::new()),
        };
        let worded = reader.lexical(question.text, pool, within);
        let mut unreadable = Unreadable::default();
        for error in damaged {
            unreadable.note(error, None)?;
        }
        let mut distances: BTreeMap<RowKey, f32> =
            near.iter().map(|hit| (hit.row_key, hit.distance)).collect();
        let unmeasured: Vec<RowKey> =
            worded.iter().map(|hit| hit.row_key).filter(|key| !distances.contains_key(key)).collect();
        if let Some(vector) = vector {
            let measured = reader.distances(vector, &unmeasured)?;
            distances.extend(unmeasured.iter().zip(measured).filter_map(|(key, at)| Some((*key, at?))));
        }
        let by_meaning: Vec<RowKey> = near.iter().map(|hit| hit.row_key).collect();
        let by_words: Vec<RowKey> = worded.iter().map(|hit| hit.row_key).collect();
        Ok(Self {
            ranked: fuse(&[&by_meaning, &by_words]).into_iter().map(|(key, _)| key).collect(),
            distances,
            scores: worded.iter().map(|hit| (hit.row_key, hit.score)).collect(),
            has_vector: vector.is_some(),
            is_full: by_meaning.len() == pool || by_words.len() == pool,
            by_meaning,
            by_words,
            unreadable,
        })
    }

    /// Reads the candidates, best first, and returns the hits and whether several candidates became one.
    fn collapse(mut self, reader: &Reader, question: &Question<'_>) -> Result<(Found, bool), QueryError> {
        let snapshot = reader.snapshot()?;
        let candidate_count = self.ranked.len();
        let mut rows = self.read(reader, &snapshot, question)?;
        let boosts = match question.shown {
            Shown::Passages => {
                let sources: BTreeSet<&str> = rows.iter().map(|(_, row)| row.source_file.as_str()).collect();
                let (boosts, damaged) =
                    boost::by_source(&snapshot, question.text, &question.filter, &sources, question.limit)?;
                damaged.into_iter().for_each(|card| self.unreadable.add(card));
                boosts
            }
            Shown::Rows => BTreeMap::new(),
        };
        if !boosts.is_empty() {
            self.rank_again(&mut rows, &boosts);
        }
        let near: BTreeSet<RowKey> = self.by_meaning.iter().copied().collect();
        let mut collapsed = Collapse::new(&snapshot, question, boosts);
        for (key, row) in rows {
            let via = if near.contains(&key) { Via::Drawer } else { Via::Words };
            let hit = Hit {
                distance: self.distances.get(&key).copied(),
                lexical_score: self.scores.get(&key).copied().unwrap_or(0.0),
                via,
                passage: None,
                also_in: Vec::new(),
                row,
            };
            collapsed.push(key, hit, &mut self.unreadable)?;
        }
        collapsed.add_neighbours(&mut self.unreadable)?;
        let found = Found {
            hits: collapsed.hits,
            candidate_count,
            truncated: false,
            unreadable: self.unreadable.0,
            words_alone: None,
        };
        Ok((found, collapsed.has_copies))
    }

    /// Orders what was read anew, by the distances that index cards leave.
    fn rank_again(&mut self, rows: &mut [(RowKey, Row)], boosts: &BTreeMap<String, Boost>) {
        let mut left = self.distances.clone();
        for (key, row) in rows.iter() {
            if let (Some(distance), Some(boost)) = (left.get_mut(key), boosts.get(&row.source_file)) {
                *distance = boost.applied_to(*distance);
            }
        }
        let distance = |key: &RowKey| left.get(key).copied().unwrap_or(f32::INFINITY);
        self.by_meaning.sort_by(|one, other| distance(one).total_cmp(&distance(other)));
        let fused = fuse(&[&self.by_meaning, &self.by_words]);
        let ranks: BTreeMap<RowKey, usize> =
            fused.into_iter().enumerate().map(|(rank, (key, _))| (key, rank)).collect();
        rows.sort_by_key(|(key, _)| ranks.get(key).copied());
    }

    /// Returns the candidates that are in the snapshot and near enough, best first.
    fn read(
        &mut self,
        reader: &Reader,
        snapshot: &Snapshot,
        question: &Question<'_>,
    ) -> Result<Vec<(RowKey, Row)>, QueryError> {
        let mut rows = Vec::new();
        for key in std::mem::take(&mut self.ranked) {
            let distance = self.distances.get(&key).copied();
            if question.distance_max.is_some_and(|max| distance.is_some_and(|distance| distance > max)) {
                continue;
            }
            match reader.resolve(snapshot, key) {
                Ok(Some(row)) if bookkeeping::is_bookkeeping(&row) => {}
                Ok(Some(row)) if distance.is_none() && self.has_vector => {
                    self.unreadable
                        .add(DamagedRow { id: row.id, reason: "its vector is damaged".to_owned() });
                }
                Ok(Some(row)) => rows.push((key, row)),
                Ok(None) => {}
                Err(error) => self.unreadable.note(error, Some(key))?,
            }
        }
        Ok(rows)
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
        self.add(damaged);
        Ok(())
    }

    fn add(&mut self, damaged: DamagedRow) {
        if self.0.iter().all(|known| known.id != damaged.id) {
            self.0.push(damaged);
        }
    }

    /// Takes what was read, or notes the damage and goes on without it.
    fn unless_damaged<T>(&mut self, read: Result<Option<T>, ReadError>) -> Result<Option<T>, ReadError> {
        match read {
            Ok(found) => Ok(found),
            Err(error) => self.note(error, None).map(|()| None),
        }
    }
}

/// Keeps the best row of each drawer, and of each source with cards the best passage; folds identical texts into one.
struct Collapse<'a> {
    snapshot: &'a Snapshot,
    question: &'a Question<'a>,
    boosts: BTreeMap<String, Boost>,
    /// What is shown of sources with cards, by source and drawer.
    passages: BTreeMap<(String, Option<String>), Option<Passage>>,
    hits: Vec<Hit>,
    drawers: BTreeSet<String>,
    rendered: BTreeSet<(String, String)>,
    texts: BTreeMap<String, usize>,
    /// Whether a candidate became part of another hit.
    has_copies: bool,
}

impl<'a> Collapse<'a> {
    fn new(snapshot: &'a Snapshot, question: &'a Question<'a>, boosts: BTreeMap<String, Boost>) -> Self {
        Self {
            snapshot,
            question,
            boosts,
            passages: BTreeMap::new(),
            hits: Vec::new(),
            drawers: BTreeSet::new(),
            rendered: BTreeSet::new(),
            texts: BTreeMap::new(),
            has_copies: false,
        }
    }

    fn push(&mut self, key: RowKey, mut hit: Hit, unreadable: &mut Unreadable) -> Result<(), ReadError> {
        if !self.drawers.insert(hit.row.drawer_id().to_owned()) {
            self.has_copies = true;
            return Ok(());
        }
        let is_complete = self.hits.len() == self.question.limit;
        if let Some(boost) = self.boosts.get(&hit.row.source_file).cloned() {
            if is_complete {
                return Ok(());
            }
            hit.via = Via::Closet(boost);
            hit.passage = self.passage(key, &hit.row, unreadable)?;
            let shown = hit.passage.as_ref().map_or(&hit.row.document, |passage| &passage.text);
            if !self.rendered.insert((hit.row.source_file.clone(), shown.clone())) {
                self.has_copies = true;
                return Ok(());
            }
        }
        let text = hit.passage.as_ref().map_or(&hit.row.document, |passage| &passage.text);
        if text.chars().count() >= FOLD_CHARS_MIN {
            if let Some(at) = self.texts.get(text) {
                self.hits[*at].also_in.push(hit.row);
                self.has_copies = true;
                return Ok(());
            }
            if !is_complete {
                self.texts.insert(text.clone(), self.hits.len());
            }
        }
        if !is_complete {
            self.hits.push(hit);
        }
        Ok(())
    }

    /// Returns what is shown of a source with cards; it is the same for all its rows, so it is made once.
    fn passage(
        &mut self,
        key: RowKey,
        row: &Row,
        unreadable: &mut Unreadable,
    ) -> Result<Option<Passage>, ReadError> {
        let group = (row.source_file.clone(), row.parent_id.clone());
        if let Some(known) = self.passages.get(&group) {
            return Ok(known.clone());
        }
        let made = passage::of_source(self.snapshot, key, row, self.question.text);
        let made = unreadable.unless_damaged(made)?;
        self.passages.insert(group, made.clone());
        Ok(made)
    }

    /// Gives hits in slices of a drawer what stands before and after them.
    fn add_neighbours(&mut self, unreadable: &mut Unreadable) -> Result<(), ReadError> {
        if self.question.shown == Shown::Rows {
            return Ok(());
        }
        for hit in self.hits.iter_mut().filter(|hit| hit.passage.is_none()) {
            hit.passage = unreadable.unless_damaged(passage::of_slice(self.snapshot, &hit.row))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
