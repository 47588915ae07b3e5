//! The event stream: what agents tell each other, in the order it was told, and the exact texts they refer to.
//!
//! Events are appended and never changed. `seq` is the order of arrival and the cursor of every reader; `hlc`, a hybrid
//! logical clock (Kulkarni et al., 2014), orders events of several palaces and never goes back, whatever the clock does.

mod append;
pub mod index;
pub mod query;
pub mod rules;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::{Collection, Op, ReadError, RecordRange, View};

use super::records;

pub use append::{Acknowledge, Announce, Stamp, Stamped};

/// A stored event. Field names and order are the peer's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Id.
    pub id: String,
    /// Order of arrival, from 1.
    pub seq: u64,
    /// The palace it was written in.
    pub origin_replica: String,
    /// Order of arrival there.
    pub origin_seq: u64,
    /// Hybrid logical clock: milliseconds, counter, replica; sorts as text.
    pub hlc: String,
    /// Type, such as `task.request`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Stream, such as `project/x`.
    pub stream: String,
    /// Room.
    pub room: String,
    /// Topic.
    pub topic: Option<String>,
    /// Who wrote it.
    pub from_agent: String,
    /// To whom; `*` for all.
    pub to_agent: Option<String>,
    /// What it belongs to.
    pub correlation_id: Option<String>,
    /// Git branch.
    pub branch: Option<String>,
    /// Git commit.
    pub base_commit: Option<String>,
    /// Status.
    pub status: Option<String>,
    /// Artifacts it refers to.
    pub artifact_ids: Vec<String>,
    /// Text, verbatim.
    pub body: String,
    /// When it was written, UTC, to the second.
    pub created_at: String,
    /// Free data.
    pub metadata: Map<String, Value>,
}

/// A stored text. Field names and order are the peer's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Id.
    pub id: String,
    /// patch, file, log, json or note.
    pub kind: String,
    /// Digest of the text.
    pub sha256: String,
    /// Length in bytes.
    pub size_bytes: usize,
    /// The text, verbatim.
    pub content: String,
    /// Who stored it.
    pub created_by: String,
    /// When, UTC, to the second.
    pub created_at: String,
    /// The palace it was stored in.
    pub origin_replica: String,
    /// Free data.
    pub metadata: Map<String, Value>,
}

/// An event to be appended; checked by [`rules`].
#[derive(Clone, Debug, Default)]
pub struct NewEvent {
    /// Type.
    pub kind: String,
    /// Stream.
    pub stream: String,
    /// Room.
    pub room: String,
    /// Topic.
    pub topic: Option<String>,
    /// Who writes it.
    pub from_agent: String,
    /// To whom.
    pub to_agent: Option<String>,
    /// What it belongs to.
    pub correlation_id: Option<String>,
    /// Git branch.
    pub branch: Option<String>,
    /// Git commit.
    pub base_commit: Option<String>,
    /// Status.
    pub status: Option<String>,
    /// Text.
    pub body: String,
    /// Free data.
    pub metadata: Map<String, Value>,
    /// Artifacts it refers to.
    pub artifact_ids: Vec<String>,
}

/// An artifact to be stored; checked by [`rules`].
#[derive(Clone, Debug)]
pub struct NewArtifact {
    /// Id.
    pub id: String,
    /// Kind.
    pub kind: String,
    /// Text.
    pub content: String,
    /// Who stores it.
    pub created_by: String,
    /// Free data.
    pub metadata: Map<String, Value>,
}

/// Returns the operations that store an event with its index entries.
pub(super) fn put(event: &Event) -> Vec<Op> {
    vec![
        records::put(Collection::Events, event.seq.to_be_bytes(), event),
        records::put(Collection::EventIds, event.id.as_bytes(), &event.seq),
    ]
}

/// Returns the newest event.
pub(super) fn last(view: &dyn View) -> Result<Option<Event>, ReadError> {
    let mut last = None;
    let range = RecordRange { backwards: true, ..RecordRange::default() };
    records::each(view, Collection::Events, &range, |event| {
        last = Some(event);
        false
    })?;
    Ok(last)
}
