//! Terms of text after text. Most words of a text stood in the ones before it: what a word comes to is remembered, and
//! stemming, most of the work, is done once for each.

use std::collections::HashMap;

use rust_stemmers::Stemmer;

use super::tokenize::{Piece, each_piece, each_term_of_word, stemmer};

/// Words that are remembered, some megabytes with their terms. Then it begins anew: frequent ones are soon back.
const WORD_COUNT_MAX: usize = 32_768;

/// The terms of one document, counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::engine) struct Terms {
    pub counts: Vec<(String, u32)>,
    /// Terms with repetitions: the document's length for BM25.
    pub len: u32,
}

/// Finds the terms of texts.
pub(in crate::engine) struct Vocabulary {
    stemmer: Stemmer,
    words: HashMap<Box<str>, Box<[Box<str>]>>,
}

impl Default for Vocabulary {
    fn default() -> Self {
        Vocabulary { stemmer: stemmer(), words: HashMap::new() }
    }
}

/// Returns the counted terms of a single text.
pub(in crate::engine) fn terms(text: &str) -> Terms {
    Vocabulary::default().terms(text)
}

impl Vocabulary {
    /// Returns the counted terms of a text.
    pub fn terms(&mut self, text: &str) -> Terms {
        let mut words: HashMap<&str, u32> = HashMap::new();
        let mut counted = Counted::default();
        each_piece(text, |piece| match piece {
            Piece::Word(word) => *words.entry(word).or_default() += 1,
            Piece::Term(term) => counted.add(term, 1),
        });
        for (word, count) in words {
            self.terms_of(word).iter().for_each(|term| counted.add(term, count));
        }
        counted.finish()
    }

    fn terms_of(&mut self, word: &str) -> &[Box<str>] {
        if !self.words.contains_key(word) {
            if self.words.len() >= WORD_COUNT_MAX {
                self.words.clear();
            }
            let mut terms: Vec<Box<str>> = Vec::new();
            each_term_of_word(word, &self.stemmer, &mut |term| terms.push(term.into()));
            self.words.insert(word.into(), terms.into());
        }
        &self.words[word]
    }
}

#[derive(Default)]
struct Counted {
    counts: HashMap<String, u32>,
    len: u32,
}

impl Counted {
    fn add(&mut self, term: &str, count: u32) {
        self.len = self.len.saturating_add(count);
        match self.counts.get_mut(term) {
            Some(counted) => *counted += count,
            None => {
                self.counts.insert(term.to_owned(), count);
            }
        }
    }

    fn finish(self) -> Terms {
        let mut counts: Vec<_> = self.counts.into_iter().collect();
        counts.sort_unstable();
        Terms { counts, len: self.len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::text::tokenize::each_term;

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
            let mut expected = Counted::default();
            each_term(text, |term| expected.add(term, 1));
            assert_eq!(vocabulary.terms(text), expected.finish(), "{text}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut vocabulary = Vocabulary::default();
        for number in 0..WORD_COUNT_MAX + 10 {
            assert_eq!(vocabulary.terms(&format!("w{number}")).len, 3);
        }
        assert!(vocabulary.words.len() <= WORD_COUNT_MAX);
    }
}
