//! Hallways: links between two entities of one wing that are named together.
//!
//! Mining finds them; here they are listed and removed.

use serde::{Deserialize, Serialize};

use crate::engine::{Collection, Op, ReadError, View};

use super::records;
use super::tunnels::Dynamics;

/// A stored hallway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hallway {
    /// Id.
    pub id: String,
    /// Wing.
    pub wing: String,
    /// One entity, the first in the order of names.
    pub entity_a: String,
    /// The other.
    pub entity_b: String,
    /// Rows that name both.
    pub co_occurrence_count: u64,
    /// Rooms of these rows.
    pub rooms: Vec<String>,
    /// What joins them.
    #[serde(default)]
    pub label: String,
    /// When it was found, UTC.
    pub created_at: String,
    /// What found it.
    pub created_by: String,
    /// Its use.
    #[serde(flatten)]
    pub dynamics: Dynamics,
}

/// Returns a page of the hallways of a wing, or of all wings, strongest first, and how many there are in all.
///
/// # Errors
/// When the state cannot be read.
pub fn page(
    view: &dyn View,
    wing: Option<&str>,
    limit: usize,
    offset: usize,
) -> Result<(Vec<Hallway>, usize), ReadError> {
    let mut found: Vec<Hallway> = records::all(view, Collection::Hallways)?;
    found.retain(|hallway| wing.is_none_or(|wing| hallway.wing == wing));
    found.sort_by_key(|hallway| std::cmp::Reverse(hallway.co_occurrence_count));
    let total = found.len();
    Ok((found.into_iter().skip(offset).take(limit).collect(), total))
}

/// Decides the removal of a hallway; tells whether there was one.
///
/// # Errors
/// Only when the state cannot be read.
pub fn delete(view: &dyn View, id: &str) -> Result<(Vec<Op>, bool), ReadError> {
    let existed = view.record(Collection::Hallways, id.as_bytes())?.is_some();
    let ops = existed.then(|| records::delete(Collection::Hallways, id.as_bytes()));
    Ok((ops.into_iter().collect(), existed))
}
