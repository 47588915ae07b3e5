//! Terms of text after text. Most words of a text stood in the ones before it: what a word comes to is remembered, and
//! stemming, most of the work, is done once for each.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use rust_stemmers::Stemmer;

use super::tokenize::{Piece, each_piece, each_term_of_word, stemmer};

/// Terms that are remembered, some megabytes with the words they come from. Then it begins anew: frequent ones are soon
/// back.
const TERM_COUNT_MAX: usize = 32_768;

/// The terms of one document, counted.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Terms {
    /// Each term once, in no particular order.
    pub counts: Vec<(Arc<str>, u32)>,
    /// Terms with repetitions: the document's length for BM25.
    pub len: u32,
}

/// Finds the terms of texts.
pub(in crate::engine) struct Vocabulary {
    stemmer: Stemmer,
    /// Numbers of the terms of each word.
    words: HashMap<Box<str>, Box<[u32]>>,
    numbers: HashMap<Arc<str>, u32>,
    terms: Vec<Arc<str>>,
}

impl Default for Vocabulary {
    fn default() -> Self {
        Vocabulary { stemmer: stemmer(), words: HashMap::new(), numbers: HashMap::new(), terms: Vec::new() }
    }
}

/// Returns the counted terms of a single text.
pub(in crate::engine) fn terms(text: &str) -> Terms {
    Vocabulary::default().terms(text)
}

impl Vocabulary {
    /// Returns the counted terms of a text.
    pub fn terms(&mut self, text: &str) -> Terms {
        // Between two texts, for within one the numbers must stay what they are.
        if self.terms.len() >= TERM_COUNT_MAX {
            *self = Vocabulary::default();
        }
        let mut found: Vec<u32> = Vec::new();
        each_piece(text, |piece| match piece {
            Piece::Word(word) => self.add_word(word, &mut found),
            Piece::Term(term) => found.push(number_of(&mut self.numbers, &mut self.terms, term)),
        });
        found.sort_unstable();
        let counts = found
            .chunk_by(|left, right| left == right)
            .map(|same| (Arc::clone(&self.terms[same[0] as usize]), counted(same)))
            .collect();
        Terms { counts, len: counted(&found) }
    }

    fn add_word(&mut self, word: &str, found: &mut Vec<u32>) {
        if let Some(known) = self.words.get(word) {
            found.extend_from_slice(known);
            return;
        }
        let first = found.len();
        each_term_of_word(word, &self.stemmer, &mut |term| {
            found.push(number_of(&mut self.numbers, &mut self.terms, term));
        });
        self.words.insert(word.into(), found[first..].into());
    }
}

fn number_of(numbers: &mut HashMap<Arc<str>, u32>, terms: &mut Vec<Arc<str>>, term: &str) -> u32 {
    if let Some(number) = numbers.get(term) {
        return *number;
    }
    let number = u32::try_from(terms.len()).expect("a text has fewer terms than bytes");
    let term: Arc<str> = term.into();
    numbers.insert(Arc::clone(&term), number);
    terms.push(term);
    number
}

fn counted(terms: &[u32]) -> u32 {
    u32::try_from(terms.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::text::tokenize::each_term;

    fn sorted(terms: &Terms) -> BTreeMap<String, u32> {
        assert_eq!(terms.counts.iter().map(|(_, count)| count).sum::<u32>(), terms.len);
        let counts: BTreeMap<_, _> =
            terms.counts.iter().map(|(term, count)| (term.to_string(), *count)).collect();
        assert_eq!(counts.len(), terms.counts.len(), "each term once");
        counts
    }

    #[test]
    fn what_is_remembered_changes_nothing() {
        let texts = [
            "Running dogs ran, running",
            "foo_bar foo Foo foo_bar v3.11",
            "\u{65e5}\u{672c} dogs \u{65e5}",
            "",
        ];
        let mut vocabulary = Vocabulary::default();
        for text in texts.iter().chain(&texts) {
            let mut expected = BTreeMap::new();
            each_term(text, |term| *expected.entry(term.to_owned()).or_default() += 1);
            assert_eq!(sorted(&vocabulary.terms(text)), expected, "{text}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut vocabulary = Vocabulary::default();
        for number in 0..TERM_COUNT_MAX + 10 {
            assert_eq!(vocabulary.terms(&format!("w{number}")).len, 3);
        }
        assert!(vocabulary.terms.len() <= TERM_COUNT_MAX + 3 && vocabulary.words.len() <= TERM_COUNT_MAX);
    }
}
