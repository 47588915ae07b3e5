//! Hallways: links between two entities of one wing that are named together.
//!
//! Mining finds them; here they are listed and removed.

use serde::{Deserialize, Serialize};

use crate::engine::{Collection, ReadError, View};

use super::command::{Command, Decided};
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

/// Removes a hallway.
#[derive(Clone, Debug)]
pub struct DeleteHallway {
    /// Its id.
    pub id: String,
}

impl Command for DeleteHallway {
    /// Whether there was one.
    type Outcome = bool;

    fn decide(&self, view: &dyn View) -> Decided<bool> {
        records::remove(view, Collection::Hallways, self.id.as_bytes())
    }
}
