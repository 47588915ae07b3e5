//! Turns text into the rows that will be stored: slicing, ids, metadata.
//!
//! A drawer of up to 800 characters is one row under its own id. A longer one is cut into slices of 800 characters,
//! without overlap as the peer cuts them, each a row of its own that names its drawer; joined in order they are the
//! text again, byte for byte.

use crate::engine::{MetaValue, Row, Vector};

use super::ids;
use super::moment::Moment;

/// Characters of one slice.
pub const CHUNK_CHARS: usize = 800;

/// One slice of a text with its embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The slice, verbatim.
    pub text: String,
    /// Its embedding.
    pub vector: Vec<f32>,
}

/// Where a drawer stands and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Wing.
    pub wing: String,
    /// Room.
    pub room: String,
    /// Source file; empty when there is none.
    pub source_file: String,
    /// Metadata beside the fixed columns, in any order.
    pub extra: Vec<(String, String)>,
    /// When it was filed.
    pub filed_at: String,
}

/// Cuts a text into slices of at most [`CHUNK_CHARS`] characters.
pub fn slices(text: &str) -> Vec<&str> {
    let mut bounds: Vec<usize> = text.char_indices().step_by(CHUNK_CHARS).map(|(at, _)| at).collect();
    bounds.push(text.len());
    bounds.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

/// Returns the rows of a drawer or diary entry.
///
/// `grouped` says whether the slices become rows of their own that name `id` as their drawer; otherwise there is
/// exactly one piece, stored under `id` itself.
pub fn rows(id: &str, placement: &Placement, pieces: &[Piece], grouped: bool) -> Vec<(Row, Vector)> {
    pieces
        .iter()
        .enumerate()
        .map(|(index, piece)| {
            let row = Row {
                id: if grouped { ids::chunk(id, index) } else { id.to_owned() },
                document: piece.text.clone(),
                wing: placement.wing.clone(),
                room: placement.room.clone(),
                source_file: placement.source_file.clone(),
                filed_at: placement.filed_at.clone(),
                chunk_index: u32::try_from(index).expect("a text of 100,000 characters has few slices"),
                parent_id: grouped.then(|| id.to_owned()),
                extra: sorted(&placement.extra),
            };
            (row, Vector(piece.vector.clone()))
        })
        .collect()
}

fn sorted(extra: &[(String, String)]) -> Vec<(String, MetaValue)> {
    let mut extra: Vec<(String, MetaValue)> =
        extra.iter().map(|(key, value)| (key.clone(), MetaValue::Text(value.clone()))).collect();
    extra.sort_by(|left, right| left.0.cmp(&right.0));
    extra
}

/// Returns the placement of a drawer filed by hand.
pub fn drawer_placement(wing: &str, room: &str, source_file: &str, added_by: &str, at: &Moment) -> Placement {
    Placement {
        wing: wing.to_owned(),
        room: room.to_owned(),
        source_file: source_file.to_owned(),
        extra: pairs(&[("added_by", added_by), ("id_recipe", ids::RECIPE), ("last_modified", &at.local)]),
        filed_at: at.local.clone(),
    }
}

/// Returns the placement of a diary entry; `entry_id` is named by its slices when there are several.
pub fn diary_placement(
    wing: &str,
    agent: &str,
    topic: &str,
    entry_id: Option<&str>,
    at: &Moment,
) -> Placement {
    let mut extra = pairs(&[
        ("hall", "hall_diary"),
        ("topic", topic),
        ("type", "diary_entry"),
        ("agent", agent),
        ("date", at.date()),
        ("last_modified", &at.local),
    ]);
    if let Some(entry_id) = entry_id {
        extra.push(("parent_entry_id".to_owned(), entry_id.to_owned()));
    }
    Placement {
        wing: wing.to_owned(),
        room: "diary".to_owned(),
        source_file: String::new(),
        extra,
        filed_at: at.local.clone(),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_join_to_the_text() {
        for len in [1, 799, 800, 801, 1600, 1601] {
            let text: String = "aé日🏛".chars().cycle().take(len).collect();
            let slices = slices(&text);
            assert_eq!(slices.concat(), text);
            assert_eq!(slices.len(), len.div_ceil(CHUNK_CHARS));
            assert!(slices.iter().all(|slice| (1..=CHUNK_CHARS).contains(&slice.chars().count())));
        }
    }
}
