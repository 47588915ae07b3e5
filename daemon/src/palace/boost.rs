//! What index cards say about the sources of a search's candidates.
//!
//! Only the cards of sources that are candidates already are read: a card cannot bring in a drawer, as with the peer,
//! so the cost follows the number of candidates and not that of cards. Scores are BM25 within these cards.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Collection, DamagedRow, Filter, ReadError, View};

use super::closets::{self, Closet};

/// How much nearer a source's drawers appear, by the rank of its best card.
const BY_RANK: [f32; 5] = [0.40, 0.25, 0.15, 0.08, 0.04];
/// Largest cosine distance.
const DISTANCE_MAX: f32 = 2.0;
/// Cards that are ranked for each wanted hit.
const CARDS_PER_HIT: usize = 2;
/// Characters of a card that are shown.
const PREVIEW_CHARS: usize = 200;
/// How soon repetitions of a word stop counting.
const K1: f64 = 1.5;
/// How much length counts against a card.
const B: f64 = 0.75;

/// What speaks for one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Boost {
    /// Taken off the distance of its drawers.
    pub value: f32,
    /// Begin of the card.
    pub preview: String,
}

impl Boost {
    /// Returns what is left of the distance of one of the source's drawers.
    pub fn applied_to(&self, distance: f32) -> f32 {
        (distance - self.value).clamp(0.0, DISTANCE_MAX)
    }
}

/// Returns what speaks for each of the sources, and the cards that cannot be read.
///
/// # Errors
/// When the store cannot be read.
pub fn by_source(
    view: &dyn View,
    query: &str,
    filter: &Filter,
    sources: &BTreeSet<&str>,
    limit: usize,
) -> Result<(BTreeMap<String, Boost>, Vec<DamagedRow>), ReadError> {
    let (mut cards, mut damaged) = (Vec::new(), Vec::new());
    if view.record_count(Collection::Closets)? == 0 {
        return Ok((BTreeMap::new(), damaged));
    }
    let equal = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    for source in sources {
        match closets::of_source(view, source) {
            Ok(found) => cards.extend(
                found
                    .into_iter()
                    .filter(|card| equal(&filter.wing, &card.wing) && equal(&filter.room, &card.room)),
            ),
            Err(error) => damaged.push(error.into_damaged_row()?),
        }
    }
    let mut boosts = BTreeMap::new();
    let ranked = ranked(&cards, query).into_iter().take((limit * CARDS_PER_HIT).max(1));
    for (card, value) in ranked.zip(BY_RANK) {
        boosts
            .entry(card.source_file.clone())
            .or_insert_with(|| Boost { value, preview: card.document.chars().take(PREVIEW_CHARS).collect() });
    }
    Ok((boosts, damaged))
}

/// Returns the cards that share a word with the query, best first.
fn ranked<'a>(cards: &'a [Closet], query: &str) -> Vec<&'a Closet> {
    let wanted: BTreeSet<String> = words(query).collect();
    let words: Vec<Vec<String>> = cards.iter().map(|card| words(&card.document).collect()).collect();
    let count = as_f64(cards.len());
    let average_len = (as_f64(words.iter().map(Vec::len).sum()) / count).max(1.0);
    let mut scores = vec![0.0; cards.len()];
    for term in &wanted {
        let counts: Vec<usize> =
            words.iter().map(|words| words.iter().filter(|word| *word == term).count()).collect();
        let with_term = as_f64(counts.iter().filter(|count| **count > 0).count());
        let weight = (1.0 + (count - with_term + 0.5) / (with_term + 0.5)).ln();
        for (index, found) in counts.into_iter().enumerate() {
            let found = as_f64(found);
            let damping = K1 * (1.0 - B + B * as_f64(words[index].len()) / average_len);
            scores[index] += weight * found * (K1 + 1.0) / (found + damping);
        }
    }
    let mut order: Vec<usize> = (0..cards.len()).filter(|index| scores[*index] > 0.0).collect();
    order.sort_by(|left, right| scores[*right].total_cmp(&scores[*left]));
    order.into_iter().map(|index| &cards[index]).collect()
}

/// Returns the words of a text as the peer counts them: two characters or more, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| word.chars().nth(1).is_some())
        .map(str::to_lowercase)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of cards and words are small")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
