//! Scores: BM25 over the whole store, one term at a time.

use std::collections::BTreeSet;

use super::postings::TextIndex;
use super::tokenize::each_term;
use crate::engine::store::select::Selection;
use crate::engine::types::TextHit;

/// How soon repetitions of a term stop counting.
const K1: f32 = 1.5;
/// How much a document's length counts against it.
const B: f32 = 0.75;

/// Returns up to `k` rows with words of the query, best first, equal scores by row key.
pub(in crate::engine) fn search(
    index: &TextIndex,
    query: &str,
    k: usize,
    within: Option<&Selection>,
) -> Vec<TextHit> {
    let mut terms = BTreeSet::new();
    each_term(query, |term| {
        terms.insert(term.to_owned());
    });
    if terms.is_empty() || index.len() == 0 || k == 0 {
        return Vec::new();
    }
    let scores = score(index, &terms);
    let mut hits: Vec<TextHit> = scores
        .iter()
        .enumerate()
        .filter(|(_, score)| **score > 0.0)
        .map(|(number, score)| TextHit { row_key: index.row(number as u32), score: *score })
        .filter(|hit| within.is_none_or(|within| within.contains(hit.row_key)))
        .collect();
    let order = |left: &TextHit, right: &TextHit| {
        right.score.total_cmp(&left.score).then(left.row_key.cmp(&right.row_key))
    };
    if hits.len() > k {
        hits.select_nth_unstable_by(k, order);
        hits.truncate(k);
    }
    hits.sort_unstable_by(order);
    hits
}

/// Returns the score of every document number; zero for those without any term.
fn score(index: &TextIndex, terms: &BTreeSet<String>) -> Vec<f32> {
    let documents = index.len() as f32;
    let average_len = (index.total_len() as f32 / documents).max(1.0);
    let mut scores = vec![0.0f32; index.numbers()];
    for term in terms {
        let postings = index.postings(term);
        let frequency = postings.len() as f32;
        // Always positive, so that a word most rows have still tells them from the rest.
        let weight = (1.0 + (documents - frequency + 0.5) / (frequency + 0.5)).ln();
        for posting in postings {
            let count = posting.count as f32;
            let len = index.document_len(posting.number) as f32;
            let damping = K1 * (1.0 - B + B * len / average_len);
            scores[posting.number as usize] += weight * count * (K1 + 1.0) / (count + damping);
        }
    }
    scores
}
