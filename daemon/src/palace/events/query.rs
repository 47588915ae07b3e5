//! Questions to the event stream.

use crate::engine::{Collection, ReadError, View};
use crate::palace::error::{InputError, QueryError};
use crate::palace::records;

use super::{Artifact, Event};

/// Which events to return. Absent fields do not restrict; values are checked by [`super::rules`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Stream.
    pub stream: Option<String>,
    /// Room.
    pub room: Option<String>,
    /// Topic.
    pub topic: Option<String>,
    /// Type.
    pub kind: Option<String>,
    /// Addressee; events to all are for everyone.
    pub to_agent: Option<String>,
    /// Who wrote it.
    pub writer: Option<String>,
    /// What it belongs to.
    pub correlation_id: Option<String>,
    /// Status.
    pub status: Option<String>,
    /// Only events after this one.
    pub since_event_id: Option<String>,
    /// Only events before this one.
    pub before_event_id: Option<String>,
    /// Only events written at this time or later.
    pub since_created_at: Option<String>,
    /// Newest first.
    pub newest_first: bool,
    /// How many.
    pub limit: usize,
}

impl EventFilter {
    /// Tells whether an event is wanted; where it may stand is not looked at.
    pub fn admits(&self, event: &Event) -> bool {
        let equal = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        equal(&self.stream, Some(&event.stream))
            && equal(&self.room, Some(&event.room))
            && equal(&self.topic, event.topic.as_deref())
            && equal(&self.kind, Some(&event.kind))
            && equal(&self.writer, Some(&event.from_agent))
            && equal(&self.correlation_id, event.correlation_id.as_deref())
            && equal(&self.status, event.status.as_deref())
            && (event.to_agent.as_deref() == Some("*") || equal(&self.to_agent, event.to_agent.as_deref()))
            && self.since_created_at.as_deref().is_none_or(|since| event.created_at.as_str() >= since)
    }
}

/// Returns the event of that id.
///
/// # Errors
/// When the store cannot be read.
pub fn event(view: &dyn View, id: &str) -> Result<Option<Event>, ReadError> {
    match records::get::<u64>(view, Collection::EventIds, id.as_bytes())? {
        Some(seq) => records::get(view, Collection::Events, &seq.to_be_bytes()),
        None => Ok(None),
    }
}

/// Returns the artifact of that id.
///
/// # Errors
/// When the store cannot be read.
pub fn artifact(view: &dyn View, id: &str) -> Result<Option<Artifact>, ReadError> {
    records::get(view, Collection::Artifacts, id.as_bytes())
}

/// Returns where the event of that id stands.
pub(super) fn anchor(view: &dyn View, id: Option<&str>, parameter: &str) -> Result<Option<u64>, QueryError> {
    let Some(id) = id else { return Ok(None) };
    match records::get(view, Collection::EventIds, id.as_bytes())? {
        Some(seq) => Ok(Some(seq)),
        None => Err(InputError(format!("{parameter} {id:?} not found")).into()),
    }
}
