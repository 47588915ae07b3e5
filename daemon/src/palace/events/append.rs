//! What changes the stream: events appended, events acknowledged, texts stored and announced.

use serde_json::Map;

use crate::engine::{Collection, Op, ReadError, View};
use crate::palace::command::{Command, Decided};
use crate::palace::error::InputError;
use crate::palace::ids::sha256_hex;
use crate::palace::moment::Moment;
use crate::palace::records;

use super::{Artifact, Event, NewArtifact, NewEvent, last, put, query};

/// Type of an event that acknowledges another.
const ACK: &str = "event.ack";
/// Ticks of one millisecond; after that the clock steps on.
const COUNTER_MAX: u32 = 0xFF_FFFF;
/// How far ahead of the clock the last event may be to be believed.
const DRIFT_MS_MAX: i64 = 60_000;

/// A change of the stream, with what the palace adds to it: `act` is a [`NewEvent`], an [`Acknowledge`], a
/// [`NewArtifact`] or an [`Announce`].
#[derive(Clone, Debug)]
pub struct Stamped<A> {
    /// What to do.
    pub act: A,
    /// By which id, where and when.
    pub stamp: Stamp,
}

/// By which id, in which palace and when the stream is changed.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Id of the event that is appended.
    pub id: String,
    /// This palace.
    pub replica: String,
    /// When.
    pub now: Moment,
}

/// Appends an acknowledgement of an event, addressed to its writer.
#[derive(Clone, Debug)]
pub struct Acknowledge {
    /// The event.
    pub event_id: String,
    /// Who acknowledges.
    pub from_agent: String,
    /// Status.
    pub status: Option<String>,
    /// Text.
    pub body: String,
    /// Topic; that of the event by default.
    pub topic: Option<String>,
}

/// Stores a text and appends the event that announces it.
#[derive(Clone, Debug)]
pub struct Announce {
    /// The text.
    pub artifact: NewArtifact,
    /// The event.
    pub event: NewEvent,
}

impl Command for Stamped<NewEvent> {
    /// The event that was appended, or why none was.
    type Outcome = Result<Event, InputError>;

    fn decide(&self, view: &dyn View) -> Decided<Self::Outcome> {
        if let Some(unknown) = unknown_artifact(view, &self.act.artifact_ids)? {
            let refused = InputError(format!("artifact_ids references unknown artifact {unknown:?}"));
            return Ok((Vec::new(), Err(refused)));
        }
        let event = append(view, &self.stamp, self.act.clone())?;
        Ok((put(&event), Ok(event)))
    }
}

impl Command for Stamped<Acknowledge> {
    /// The event that was appended, or why none was.
    type Outcome = Result<Event, InputError>;

    fn decide(&self, view: &dyn View) -> Decided<Self::Outcome> {
        let Acknowledge { event_id, from_agent, status, body, topic } = self.act.clone();
        let Some(target) = query::event(view, &event_id)? else {
            return Ok((Vec::new(), Err(InputError(format!("event {event_id:?} not found")))));
        };
        let new = NewEvent {
            kind: ACK.to_owned(),
            topic: topic.or(target.topic),
            stream: target.stream,
            room: target.room,
            from_agent,
            to_agent: Some(target.from_agent),
            correlation_id: Some(target.correlation_id.unwrap_or(target.id)),
            status,
            body,
            metadata: Map::from_iter([("ack_of".to_owned(), event_id.into())]),
            ..NewEvent::default()
        };
        let event = append(view, &self.stamp, new)?;
        Ok((put(&event), Ok(event)))
    }
}

impl Command for Stamped<NewArtifact> {
    /// The text that was stored.
    type Outcome = Artifact;

    fn decide(&self, _: &dyn View) -> Decided<Artifact> {
        let artifact = stored(&self.stamp, &self.act);
        Ok((vec![put_artifact(&artifact)], artifact))
    }
}

impl Command for Stamped<Announce> {
    /// The text that was stored and the event that was appended.
    type Outcome = (Artifact, Event);

    fn decide(&self, view: &dyn View) -> Decided<(Artifact, Event)> {
        let Announce { artifact, event } = &self.act;
        let artifact = stored(&self.stamp, artifact);
        let new = NewEvent { artifact_ids: vec![artifact.id.clone()], ..event.clone() };
        let event = append(view, &self.stamp, new)?;
        let mut ops = vec![put_artifact(&artifact)];
        ops.extend(put(&event));
        Ok((ops, (artifact, event)))
    }
}

fn unknown_artifact(view: &dyn View, ids: &[String]) -> Result<Option<String>, ReadError> {
    for id in ids {
        if view.record(Collection::Artifacts, id.as_bytes())?.is_none() {
            return Ok(Some(id.clone()));
        }
    }
    Ok(None)
}

/// Returns a new text as it is stored.
fn stored(stamp: &Stamp, new: &NewArtifact) -> Artifact {
    Artifact {
        id: new.id.clone(),
        kind: new.kind.clone(),
        sha256: sha256_hex(new.content.as_bytes(), 64),
        size_bytes: new.content.len(),
        content: new.content.clone(),
        created_by: new.created_by.clone(),
        created_at: stamp.now.utc_seconds(),
        origin_replica: stamp.replica.clone(),
        metadata: new.metadata.clone(),
    }
}

fn put_artifact(artifact: &Artifact) -> Op {
    records::put(Collection::Artifacts, artifact.id.as_bytes(), artifact)
}

/// Returns a new event at the end of the stream.
fn append(view: &dyn View, stamp: &Stamp, new: NewEvent) -> Result<Event, ReadError> {
    let last = last(view)?;
    let seq = last.as_ref().map_or(1, |last| last.seq + 1);
    Ok(Event {
        id: stamp.id.clone(),
        seq,
        origin_replica: stamp.replica.clone(),
        origin_seq: seq,
        hlc: tick(last.as_ref().map(|last| last.hlc.as_str()), stamp.now.utc.0, &stamp.replica),
        kind: new.kind,
        stream: new.stream,
        room: new.room,
        topic: new.topic,
        from_agent: new.from_agent,
        to_agent: new.to_agent,
        correlation_id: new.correlation_id,
        branch: new.branch,
        base_commit: new.base_commit,
        status: new.status,
        artifact_ids: new.artifact_ids,
        body: new.body,
        created_at: stamp.now.utc_seconds(),
        metadata: new.metadata,
    })
}

/// Returns the clock's next value: the present millisecond, or the one after the last when the clock stood or went back.
fn tick(last: Option<&str>, now_ms: i64, replica: &str) -> String {
    let last = last.and_then(parse).filter(|(ms, _)| *ms <= now_ms.saturating_add(DRIFT_MS_MAX));
    let (ms, counter) = match last {
        Some((ms, counter)) if ms >= now_ms => {
            if counter < COUNTER_MAX {
                (ms, counter + 1)
            } else {
                (ms + 1, 0)
            }
        }
        Some(_) | None => (now_ms, 0),
    };
    format!("{ms:013}-{counter:06x}-{replica}")
}

fn parse(hlc: &str) -> Option<(i64, u32)> {
    let mut parts = hlc.splitn(3, '-');
    Some((parts.next()?.parse().ok()?, u32::from_str_radix(parts.next()?, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let first = tick(None, 1_000, "rep_a");
        assert_eq!(first, "0000000001000-000000-rep_a");
        let same = tick(Some(&first), 1_000, "rep_a");
        assert_eq!(same, "0000000001000-000001-rep_a");
        let back = tick(Some(&same), 400, "rep_a");
        assert!(back > same, "{back}");
        assert!(tick(Some("0000000001000-ffffff-rep_a"), 1_000, "rep_a").starts_with("0000000001001-000000"));
        // A last event from far ahead is no reason to stay there.
        assert!(tick(Some("0000009990000-000000-rep_a"), 1_000, "rep_a").starts_with("0000000001000"));
    }
}
