//! Closets: index cards of a source's drawers. Mining writes them; a drawer that goes takes its source's cards with it.

use serde::{Deserialize, Serialize};

use crate::engine::{Collection, Op, ReadError, RecordRange, View};

use super::records;

/// One card.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Closet {
    /// Its id, as it was made or imported.
    pub id: String,
    /// The source it is about; empty when it is about a drawer without one.
    #[serde(default)]
    pub source_file: String,
    /// What it says: topics, names and where they are spoken of.
    #[serde(default)]
    pub document: String,
    /// Wing of its drawers.
    #[serde(default)]
    pub wing: String,
    /// Room of its drawers.
    #[serde(default)]
    pub room: String,
    /// Whatever else it came with.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

/// Returns the operation that stores a card, in place of one of the same source and id.
pub fn put(closet: &Closet) -> Op {
    records::put(Collection::Closets, key(&closet.source_file, &closet.id), closet)
}

/// Returns the cards of a source in the order of their ids.
///
/// # Errors
/// When the state cannot be read.
pub fn of_source(view: &dyn View, source_file: &str) -> Result<Vec<Closet>, ReadError> {
    let mut closets = Vec::new();
    records::each(view, Collection::Closets, &RecordRange::under(key(source_file, "")), |closet| {
        closets.push(closet);
        true
    })?;
    Ok(closets)
}

/// Adds the operations that remove the cards of a source and returns how many there are. A drawer without source has none.
/// `keep` is given key and value of each.
///
/// # Errors
/// When the state cannot be read.
pub fn purge(
    view: &dyn View,
    source_file: &str,
    ops: &mut Vec<Op>,
    keep: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<usize, ReadError> {
    let keys = keys(view, source_file)?;
    for key in &keys {
        if let Some(value) = view.record(Collection::Closets, key)? {
            keep(key, &value);
        }
    }
    ops.extend(keys.iter().map(|key| records::delete(Collection::Closets, key.clone())));
    Ok(keys.len())
}

/// Returns how many cards a source has.
///
/// # Errors
/// When the state cannot be read.
pub fn count(view: &dyn View, source_file: &str) -> Result<usize, ReadError> {
    Ok(keys(view, source_file)?.len())
}

fn keys(view: &dyn View, source_file: &str) -> Result<Vec<Vec<u8>>, ReadError> {
    let mut keys = Vec::new();
    if !source_file.is_empty() {
        view.records(Collection::Closets, &RecordRange::under(key(source_file, "")), &mut |key, _| {
            keys.push(key.to_vec());
            true
        })?;
    }
    Ok(keys)
}

fn key(source_file: &str, id: &str) -> Vec<u8> {
    let mut key = records::key(&[source_file]);
    key.extend_from_slice(id.as_bytes());
    key
}
