//! Text to terms. The same for documents and queries, or nothing would be found.
//!
//! Words follow Unicode's boundaries and are stemmed for English. Identifiers are kept whole *and*
//! in parts (`foo_bar`, `v3.11.0`, `PalaceDaemon`). Scripts written without spaces give every
//! character and every pair of neighbours. Nothing is too short or too common to be found.

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

/// Longer terms are cut: nobody types them, and encoded blobs would fill the index.
const TERM_BYTES_MAX: usize = 64;

/// Part of a text.
pub(super) enum Piece<'t, 'p> {
    /// A word, whose terms follow from it alone.
    Word(&'t str),
    /// A term as it is, of a script without spaces.
    Term(&'p str),
}

/// Calls `emit` with each term of a text, in order, repetitions included.
pub(in crate::engine) fn each_term(text: &str, mut emit: impl FnMut(&str)) {
    let stemmer = stemmer();
    each_piece(text, |piece| match piece {
        Piece::Word(word) => each_term_of_word(word, &stemmer, &mut emit),
        Piece::Term(term) => emit(term),
    });
}

/// Calls `emit` with each piece of a text, in order.
pub(super) fn each_piece<'t>(text: &'t str, mut emit: impl FnMut(Piece<'t, '_>)) {
    // Unspaced scripts come one character per word; neighbours are recognised by their offsets.
    let mut previous: Option<(usize, char)> = None;
    for (start, word) in text.unicode_word_indices() {
        if word.starts_with(is_unspaced) {
            previous = emit_unspaced(start, word, previous, &mut |term| emit(Piece::Term(term)));
        } else {
            previous = None;
            emit(Piece::Word(cut(word)));
        }
    }
}

pub(super) fn stemmer() -> Stemmer {
    Stemmer::create(Algorithm::English)
}

/// Emits each character and each pair of neighbours; returns the last character and where it ends.
fn emit_unspaced(
    start: usize,
    word: &str,
    mut previous: Option<(usize, char)>,
    emit: &mut impl FnMut(&str),
) -> Option<(usize, char)> {
    for (offset, current) in word.char_indices() {
        let at = start + offset;
        let mut buffer = [0; 4];
        emit(current.encode_utf8(&mut buffer));
        if let Some((end, before)) = previous
            && end == at
        {
            emit(&String::from_iter([before, current]));
        }
        previous = Some((at + current.len_utf8(), current));
    }
    previous
}

/// Calls `emit` with each term of one word.
pub(super) fn each_term_of_word(word: &str, stemmer: &Stemmer, emit: &mut impl FnMut(&str)) {
    let lower = word.to_lowercase().replace('\u{2019}', "'");
    let plain = lower.chars().all(|c| c.is_alphabetic() || c == '\'');
    let parts = identifier_parts(word);
    if plain && parts.len() <= 1 {
        emit(&stemmer.stem(&lower));
        return;
    }
    emit(&lower);
    if parts.len() > 1 {
        for part in parts {
            let part = part.to_lowercase();
            if part.chars().all(char::is_alphabetic) {
                emit(&stemmer.stem(&part));
            } else {
                emit(&part);
            }
        }
    }
}

/// Splits an identifier at punctuation, at a capital after a small letter, and between letters and
/// digits. An apostrophe does not split.
fn identifier_parts(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before: Option<char> = None;
    for (at, c) in word.char_indices() {
        let joins = c.is_alphanumeric() || c == '\'' || c == '\u{2019}';
        let turns = before.is_some_and(|before| {
            (before.is_lowercase() && c.is_uppercase()) || (before.is_numeric() != c.is_numeric())
        });
        if !joins || turns {
            parts.push(&word[start..at]);
            start = if joins { at } else { at + c.len_utf8() };
        }
        before = joins.then_some(c);
    }
    parts.push(&word[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

fn cut(word: &str) -> &str {
    &word[..word.floor_char_boundary(TERM_BYTES_MAX)]
}

/// Tells whether a character belongs to a script written without spaces between words. Hangul has
/// spaces, but its words carry endings: pairs of syllables find the stem.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF        // Thai, Lao
        | 0x1000..=0x109F      // Myanmar
        | 0x1780..=0x17FF      // Khmer
        | 0x3040..=0x30FF      // Hiragana, Katakana
        | 0x31F0..=0x31FF
        | 0x3400..=0x4DBF      // Han
        | 0x4E00..=0x9FFF
        | 0xAC00..=0xD7AF      // Hangul syllables
        | 0xF900..=0xFAFF
        | 0x20000..=0x323AF)
}
