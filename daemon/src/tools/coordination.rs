//! The event stream: agents hand each other work.

mod artifacts;
mod listing;

use serde_json::{Value, json};

use crate::palace::command::Command;
use crate::palace::error::{InputError, QueryError};
use crate::palace::events::query::EventFilter;
use crate::palace::events::{Acknowledge, Event, NewEvent, Stamp, Stamped, rules};
use crate::palace::{Palace, ids};

use super::{Answer, Arguments, Call, write};

pub use artifacts::{artifact_get, artifact_put, patch_submit};
pub use listing::{WAIT_MS_DEFAULT, event_list, event_wait};

fn routing(arguments: &Arguments, field: &str) -> Result<String, InputError> {
    rules::routing(arguments.required(field), field)
}

fn optional_routing(arguments: &Arguments, field: &str) -> Result<Option<String>, InputError> {
    arguments
        .text(field)
        .filter(|value| !value.is_empty())
        .map(|value| rules::routing(value, field))
        .transpose()
}

fn status(arguments: &Arguments) -> Result<Option<String>, InputError> {
    rules::status(arguments.text("status").unwrap_or_default())
}

/// Fields that every event has.
fn event_of(arguments: &Arguments, kind: String, room: String) -> Result<NewEvent, InputError> {
    Ok(NewEvent {
        kind,
        stream: routing(arguments, "stream")?,
        room,
        topic: optional_routing(arguments, "topic")?,
        from_agent: routing(arguments, "from_agent")?,
        to_agent: optional_routing(arguments, "to_agent")?,
        correlation_id: optional_routing(arguments, "correlation_id")?,
        branch: optional_routing(arguments, "branch")?,
        base_commit: optional_routing(arguments, "base_commit")?,
        status: None,
        body: rules::body(arguments.text("body").unwrap_or_default())?,
        metadata: rules::metadata(arguments.value("metadata"))?,
        artifact_ids: Vec::new(),
    })
}

pub fn event_append(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let prepare = || -> Result<NewEvent, InputError> {
        let kind = rules::kind(arguments.required("type"))?;
        let mut event = event_of(arguments, kind, routing(arguments, "room")?)?;
        event.status = status(arguments)?;
        event.artifact_ids = artifact_ids(arguments)?;
        Ok(event)
    };
    submit(palace, call, prepare(), appended)
}

fn artifact_ids(arguments: &Arguments) -> Result<Vec<String>, InputError> {
    let mut ids = arguments.texts("artifact_ids");
    if ids.iter().any(String::is_empty) {
        return Err(InputError("artifact_ids must be a list of artifact ids; one is empty".into()));
    }
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    Ok(ids)
}

pub fn task_create(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let text = |field: &str| -> Result<&str, InputError> {
        let value = arguments.required(field);
        if value.trim().is_empty() {
            Err(InputError(format!("{field} must not be empty")))
        } else {
            Ok(value)
        }
    };
    let prepare = || -> Result<NewEvent, InputError> {
        let (goal, done) = (text("goal")?, text("done")?);
        let noise = uuid::Uuid::new_v4().simple().to_string();
        Ok(NewEvent {
            kind: "task.request".to_owned(),
            stream: format!("project/{}", rules::slug(text("project")?, "project")),
            room: "delegation".to_owned(),
            from_agent: routing(arguments, "from_agent")?,
            to_agent: Some(routing(arguments, "to_agent")?),
            correlation_id: Some(format!("task_{}_{}", rules::slug(goal, "work"), &noise[..8])),
            branch: Some(routing(arguments, "branch")?),
            base_commit: Some(rules::commit(arguments.required("base_commit"))?),
            status: Some("open".to_owned()),
            body: rules::body(&task_body(goal, done))?,
            ..NewEvent::default()
        })
    };
    submit(palace, call, prepare(), |outcome| {
        let event = match outcome {
            Ok(event) => event,
            Err(error) => return Answer::input_refused(error).json,
        };
        let task = event.correlation_id.as_deref().unwrap_or_default();
        let agent = event.to_agent.as_deref().unwrap_or_default();
        let handoff = format!(
            "Open MemPalace task {task} as {agent}: claim it with mempalace_event_ack, work to its definition of \
             done and answer through the event stream."
        );
        json!({"success": true, "task": event, "handoff": handoff})
    })
}

fn task_body(goal: &str, done: &str) -> String {
    format!(
        "Goal:\n{goal}\n\nDefinition of done:\n{done}\n\nDelivery:\nClaim this request, then submit a patch with \
         mempalace_patch_submit, or answer blocked or failed with the reason."
    )
}

pub fn event_ack(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let prepare = || -> Result<Acknowledge, InputError> {
        Ok(Acknowledge {
            event_id: routing(arguments, "event_id")?,
            from_agent: routing(arguments, "from_agent")?,
            status: status(arguments)?,
            body: rules::body(arguments.text("body").unwrap_or_default())?,
            topic: optional_routing(arguments, "topic")?,
        })
    };
    submit(palace, call, prepare(), appended)
}

/// Returns the answer to an event that was appended, or not.
fn appended(outcome: &Result<Event, InputError>) -> Value {
    match outcome {
        Ok(event) => json!({"success": true, "event": event}),
        Err(error) => Answer::input_refused(error).json,
    }
}

/// Stamps an act on the stream and queues it.
fn submit<A>(
    palace: &Palace,
    call: Call,
    act: Result<A, InputError>,
    show: fn(&<Stamped<A> as Command>::Outcome) -> Value,
) -> Answer
where
    Stamped<A>: Command,
{
    let act = match act {
        Ok(act) => act,
        Err(error) => return Answer::input_refused(&error),
    };
    let replica = match palace.replica() {
        Ok(replica) => replica,
        Err(error) => return Answer::query_failed(&error),
    };
    let id = ids::stamped("evt", &call.at.utc_stamp());
    let stamp = Stamp { id, replica, now: call.at.clone() };
    write(palace, Stamped { act, stamp }, call, show)
}

/// One palace, one replica: events are not exchanged with others, and the answer says so with empty lists.
pub fn mesh_peers(palace: &Palace) -> Answer {
    let show = || -> Result<Value, QueryError> {
        let replica = palace.replica()?;
        let filter = EventFilter { newest_first: true, limit: 1, ..EventFilter::default() };
        let seq = palace.events(&filter)?.first().map_or(0, |event| event.seq);
        let vector = if seq > 0 { json!({ replica.as_str(): seq }) } else { json!({}) };
        Ok(json!({
            "self": {
                "replica_id": replica, "name": null, "version_vector": vector,
                "profile": {
                    "roles": [], "accelerator": {"provider": "cpu", "embedder": palace.embedder_identity()},
                    "drawers": palace.counts()?.rows(), "hardware": null, "advertised_at": null,
                },
            },
            "peers": [], "unnamed_origins": [], "origin_profiles": {}, "sync_interval_s": null,
            "estate_source": {"in_process": true, "published_at": null, "writer_alive": true},
        }))
    };
    Answer::of(show())
}
