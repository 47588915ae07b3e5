//! What is kept, as people are shown it.

use crate::engine::{Collection, ReadError, RecordRange, View};
use crate::palace::portable::PortableRow;
use crate::palace::records;

use super::{Removal, Why};

/// Characters of the text that a listing shows.
const PREVIEW_CHARS: usize = 80;

/// A removal as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Id of the drawer.
    pub drawer_id: String,
    /// When it went, local text.
    pub at: String,
    /// Why it went.
    pub why: Why,
    /// Where it stood.
    pub wing: String,
    /// Where it stood.
    pub room: String,
    /// Number of rows.
    pub rows: usize,
    /// The beginning of its text.
    pub preview: String,
}

/// Returns the newest removals, newest first, and how many there are.
///
/// # Errors
/// When a record cannot be read.
pub fn list(view: &dyn View, limit: usize) -> Result<(Vec<Listed>, u64), ReadError> {
    let mut newest: Vec<Vec<u8>> = Vec::new();
    let range = RecordRange { backwards: true, ..RecordRange::default() };
    view.records(Collection::RemovedByTime, &range, &mut |key, _| {
        if newest.len() < limit {
            newest.push(key.to_vec());
        }
        newest.len() < limit
    })?;
    let mut listed = Vec::new();
    for key in newest {
        let Some((time, drawer_id)) = key.split_first_chunk::<8>() else { continue };
        let by_id = [drawer_id, &[0], &time[..]].concat();
        if let Some(removal) = records::get::<Removal>(view, Collection::Removed, &by_id)? {
            listed.push(describe(removal));
        }
    }
    Ok((listed, view.record_count(Collection::RemovedByTime)?))
}

fn describe(removal: Removal) -> Listed {
    let first = removal.rows.first();
    let text = |pick: fn(&PortableRow) -> &String| first.map(pick).cloned().unwrap_or_default();
    Listed {
        wing: text(|row| &row.wing),
        room: text(|row| &row.room),
        preview: text(|row| &row.document).chars().take(PREVIEW_CHARS).collect(),
        drawer_id: removal.drawer_id,
        at: removal.at,
        why: removal.why,
        rows: removal.rows.len(),
    }
}
