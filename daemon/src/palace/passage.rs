//! What stands around a found row: a hit that ends mid-word is of no use.
//!
//! Slices of one drawer are joined as they were cut, so that the passage is a part of the drawer's text, word for word.
//! Chunks of a mined source overlap and were trimmed; they are joined by blank lines, as the peer shows them.

use std::collections::BTreeSet;

use crate::engine::{Filter, ReadError, Row, RowKey, Snapshot, View};

use super::boost::words;

/// A passage has at most so many characters.
const PASSAGE_CHARS_MAX: usize = 10_000;
/// A word cut by the passage's edge is looked for within so many characters.
const EDGE_CHARS_MAX: usize = 40;
/// Sources with more rows than this are not searched for a better row than the one that was found.
const SOURCE_ROWS_MAX: u64 = 400;
/// Rows that are read on either side of a row of a larger source.
const SOURCE_ROWS_AROUND: u64 = 4;

/// A found row with its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The text.
    pub text: String,
    /// Place of the row in its middle among the rows of its drawer or source, from zero.
    pub index: usize,
    /// Number of rows of that drawer or source.
    pub total: usize,
}

/// Returns a slice of a drawer with the slices before and after it; `None` when the drawer has one row.
///
/// # Errors
/// When a row cannot be read.
pub fn of_slice(snapshot: &Snapshot, row: &Row) -> Result<Option<Passage>, ReadError> {
    let Some(parent) = &row.parent_id else { return Ok(None) };
    let (rows, total) = snapshot.chunks_around(parent, row.chunk_index, 1)?;
    if total < 2 {
        return Ok(None);
    }
    let neighbour = |index: Option<u32>| {
        let found = rows.iter().find(|found| index == Some(found.chunk_index));
        found.map_or("", |found| found.document.as_str())
    };
    let budget = PASSAGE_CHARS_MAX.saturating_sub(row.document.chars().count()) / 2;
    let index = usize::try_from(row.chunk_index).unwrap_or(usize::MAX);
    let whole = |text: &str| text.chars().count() <= budget;
    let before = neighbour(row.chunk_index.checked_sub(1));
    let before = if index == 1 && whole(before) { before } else { end_of(before, budget) };
    let after = neighbour(row.chunk_index.checked_add(1));
    let after = if index + 2 == total && whole(after) { after } else { begin_of(after, budget) };
    Ok(Some(Passage { text: format!("{before}{}{after}", row.document), index, total }))
}

/// Returns at most `budget` characters from the end of a text, without a word that was cut before it.
fn end_of(text: &str, budget: usize) -> &str {
    let skip = text.chars().count().saturating_sub(budget);
    let text = text.char_indices().nth(skip).map_or("", |(at, _)| &text[at..]);
    let word_end = text.char_indices().take(EDGE_CHARS_MAX).find(|(_, c)| c.is_whitespace());
    word_end.map_or(text, |(at, space)| &text[at + space.len_utf8()..])
}

/// Returns at most `budget` characters from the begin of a text, without a word that is cut after it.
fn begin_of(text: &str, budget: usize) -> &str {
    let text = text.char_indices().nth(budget).map_or(text, |(at, _)| &text[..at]);
    let word_begin = text.char_indices().rev().take(EDGE_CHARS_MAX).find(|(_, c)| c.is_whitespace());
    word_begin.map_or(text, |(at, _)| &text[..at])
}

/// Returns the row of a source, or of the drawer of a sliced row, that holds most words of the query, with the rows
/// before and after it; `None` when there is one row.
///
/// # Errors
/// When a row cannot be read.
pub fn of_source(
    snapshot: &Snapshot,
    key: RowKey,
    row: &Row,
    query: &str,
) -> Result<Option<Passage>, ReadError> {
    let (rows, found, total) = match &row.parent_id {
        Some(parent) => {
            let rows = snapshot.chunks_of(parent)?;
            let total = rows.len();
            (rows, None, total)
        }
        None => source_rows(snapshot, key, row)?,
    };
    if total < 2 {
        return Ok(None);
    }
    let middle = found.unwrap_or_else(|| best(&rows, query));
    let around = middle.saturating_sub(1)..(middle + 2).min(rows.len());
    let texts: Vec<&str> = rows[around].iter().map(|row| row.document.as_str()).collect();
    let text = texts.join("\n\n");
    let text = match text.char_indices().nth(PASSAGE_CHARS_MAX) {
        Some((at, _)) => format!(
            "{}\n\n[cut here; the source has {total} rows, mempalace_get_drawer gives one in full]",
            &text[..at]
        ),
        None => text,
    };
    let index = if found.is_some() { usize::try_from(row.chunk_index).unwrap_or(usize::MAX) } else { middle };
    Ok(Some(Passage { text, index, total }))
}

/// Returns rows of a row's source in order, the place of the row among them if it shall not be chosen anew, and the
/// number of all rows of the source.
fn source_rows(
    snapshot: &Snapshot,
    key: RowKey,
    row: &Row,
) -> Result<(Vec<Row>, Option<usize>, usize), ReadError> {
    let filter = Filter { source_file: Some(row.source_file.clone()), ..Filter::default() };
    let all = snapshot.rows_matching(&filter)?;
    let total = usize::try_from(all.len()).unwrap_or(usize::MAX);
    let is_small = all.len() <= SOURCE_ROWS_MAX;
    // Rows of a source are put in their order, so a row's neighbours have the keys next to its own.
    let is_near = |other: &RowKey| other.0.abs_diff(key.0) <= SOURCE_ROWS_AROUND;
    let mut rows = Vec::new();
    for other in all.iter().filter(|other| is_small || is_near(other)) {
        rows.extend(snapshot.row_at(other)?.map(|found| (other, found)));
    }
    rows.sort_by_key(|(key, row)| (row.chunk_index, *key));
    let place = rows.iter().position(|(other, _)| *other == key).filter(|_| !is_small);
    Ok((rows.into_iter().map(|(_, row)| row).collect(), place, total))
}

/// Returns the first row with most words of the query.
fn best(rows: &[Row], query: &str) -> usize {
    let wanted: BTreeSet<String> = words(query).collect();
    let mut best = (0, 0);
    for (index, row) in rows.iter().enumerate() {
        let text = row.document.to_lowercase();
        let found = wanted.iter().filter(|word| text.contains(word.as_str())).count();
        if found > best.1 {
            best = (index, found);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_keep_whole_words() {
        assert_eq!(end_of("alf a word", 50), "a word");
        assert_eq!(end_of("one two three", 7), "three");
        assert_eq!(begin_of("a word hal", 50), "a word");
        assert_eq!(begin_of("一二三四", 3), "一二三");
        assert_eq!((end_of("", 5), begin_of("", 5)), ("", ""));
    }
}
