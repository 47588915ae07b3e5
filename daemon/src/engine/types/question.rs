//! What is asked of many rows, and what comes back.

use super::rows::{Row, RowKey};

/// Drawers that counts and listings leave out: those in rooms of these names, and those whose ids begin so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Omit {
    /// Names of rooms, in any wing.
    pub rooms: &'static [&'static str],
    /// Begins of drawer ids.
    pub id_prefixes: &'static [&'static str],
}

/// Which rows a question is about. Absent fields do not restrict.
///
/// `since` and `before` compare against `filed_at` as normalised text, half open: a date alone means
/// its midnight, and a row is in when `since <= filed_at < before`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Only this wing.
    pub wing: Option<String>,
    /// Only rooms of this name, in any wing unless one is given.
    pub room: Option<String>,
    /// Only rows of exactly this source.
    pub source_file: Option<String>,
    /// Only rows filed at this moment or later.
    pub since: Option<String>,
    /// Only rows filed before this moment.
    pub before: Option<String>,
}

impl Filter {
    /// Tells whether the filter lets everything through.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Tells whether only wing and room restrict, if anything does.
    pub fn is_by_place(&self) -> bool {
        self.source_file.is_none() && self.since.is_none() && self.before.is_none()
    }

    /// Tells whether a row passes.
    pub fn admits(&self, row: &Row) -> bool {
        let equal = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        let filed_at = sortable_time(&row.filed_at);
        equal(&self.wing, &row.wing)
            && equal(&self.room, &row.room)
            && equal(&self.source_file, &row.source_file)
            && self.since.as_deref().is_none_or(|since| sortable_time(since) <= filed_at)
            && self.before.as_deref().is_none_or(|before| filed_at < sortable_time(before))
    }
}

/// Returns naive ISO text in the one form in which order of text is order of time.
///
/// A date alone gets its midnight, a space between date and time becomes `T`, missing seconds become
/// `:00`, a trailing `Z` goes. Text that is no ISO time is kept as it is and sorts where it falls.
pub fn sortable_time(text: &str) -> String {
    let text = text.trim().trim_end_matches(['Z', 'z']);
    let mut out = String::with_capacity(text.len() + 9);
    match (text.get(..10), text.get(10..11), text.get(11..)) {
        (Some(date), Some(" " | "t" | "T"), Some(time)) => {
            out.push_str(date);
            out.push('T');
            out.push_str(time);
        }
        _ => out.push_str(text),
    }
    match out.len() {
        10 => out.push_str("T00:00:00"),
        16 => out.push_str(":00"),
        _ => {}
    }
    out
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The first chunk of each drawer, in the order of drawer ids.
    pub rows: Vec<Row>,
    /// Rows of this page that cannot be read; the others are given all the same.
    pub unreadable: Vec<DamagedRow>,
    /// Drawers on all pages together. Hidden rows are counted unless a source or a time was asked for.
    pub total: u64,
    /// Ids that were passed on the way and can be begun at the next time.
    pub landmarks: Vec<Landmark>,
}

/// An id whose place in a listing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landmark {
    /// The drawer's id; empty for the begin of the listing.
    pub drawer: String,
    /// Drawers with smaller ids.
    pub position: usize,
}

/// A row that cannot be read, beside others that can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRow {
    /// Its id where known, otherwise its key in the store.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A row near a query vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VectorHit {
    /// The row.
    pub row_key: RowKey,
    /// Cosine distance `1 - cos`, exact up to the half precision of stored vectors.
    pub distance: f32,
}

/// A row that shares words with a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextHit {
    /// The row.
    pub row_key: RowKey,
    /// BM25 score over the whole store, whatever the filter.
    pub score: f32,
}
