//! Closets: index cards of a source's drawers. Mining writes them; a drawer that goes takes its source's cards with it.

use crate::engine::{Collection, Op, ReadError, RecordRange, View};

use super::records;

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
        let range = RecordRange::under(records::key(&[source_file]));
        view.records(Collection::Closets, &range, &mut |key, _| {
            keys.push(key.to_vec());
            true
        })?;
    }
    Ok(keys)
}
