//! The event stream: agents hand each other work.

use serde_json::{Value, json};

use crate::palace::command::{Command, Outcome};
use crate::palace::error::{InputError, QueryError};
use crate::palace::events::query::{self, EventFilter};
use crate::palace::events::{
    Artifact, Event, EventAct, EventCommand, EventOutcome, NewArtifact, NewEvent, rules,
};
use crate::palace::{Palace, ids, names};

use super::drawers::unexpected;
use super::{Answer, Arguments, Call, write};

/// Events of one answer when the caller names no limit.
const LIMIT_DEFAULT: i64 = 50;
/// Characters of a body in a preview.
const PREVIEW_CHARS: usize = 200;
/// How long to wait when the caller names no time.
pub const WAIT_MS_DEFAULT: usize = 60_000;

const IDENTITY_NOTE: &str = "from_agent is your identity and filters nothing here; filter by who wrote an event with \
writer=<agent>, and ask for your inbox with to_agent=<you>.";

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
    let prepare = || -> Result<EventAct, InputError> {
        let kind = rules::kind(arguments.required("type"))?;
        let mut event = event_of(arguments, kind, routing(arguments, "room")?)?;
        event.status = status(arguments)?;
        event.artifact_ids = artifact_ids(arguments)?;
        Ok(EventAct::Append(Box::new(event)))
    };
    submit(palace, call, prepare(), |outcome| json!({"success": true, "event": outcome.event}))
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
    let prepare = || -> Result<EventAct, InputError> {
        let (goal, done) = (text("goal")?, text("done")?);
        let noise = uuid::Uuid::new_v4().simple().to_string();
        let event = NewEvent {
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
        };
        Ok(EventAct::Append(Box::new(event)))
    };
    submit(palace, call, prepare(), |outcome| {
        let event = outcome.event.as_deref();
        let task = event.and_then(|event| event.correlation_id.as_deref()).unwrap_or_default();
        let agent = event.and_then(|event| event.to_agent.as_deref()).unwrap_or_default();
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
    let prepare = || -> Result<EventAct, InputError> {
        Ok(EventAct::Acknowledge {
            event_id: routing(arguments, "event_id")?,
            from_agent: routing(arguments, "from_agent")?,
            status: status(arguments)?,
            body: rules::body(arguments.text("body").unwrap_or_default())?,
            topic: optional_routing(arguments, "topic")?,
        })
    };
    submit(palace, call, prepare(), |outcome| json!({"success": true, "event": outcome.event}))
}

pub fn artifact_put(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let act = new_artifact(arguments, arguments.required("kind"), "created_by", &call);
    submit(
        palace,
        call,
        act.map(EventAct::Store),
        |outcome| json!({"success": true, "artifact": outcome.artifact.as_deref().map(stored_json)}),
    )
}

fn new_artifact(
    arguments: &Arguments,
    kind: &str,
    author: &str,
    call: &Call,
) -> Result<Box<NewArtifact>, InputError> {
    let created_by = routing(arguments, author)?;
    let (kind, content) = rules::artifact(kind, arguments.required("content"))?;
    let metadata = rules::metadata(arguments.value("metadata"))?;
    let id = ids::stamped("art", &call.at.utc_stamp());
    Ok(Box::new(NewArtifact { id, kind, content, created_by, metadata }))
}

/// Returns what is told of an artifact to whoever has its text.
fn stored_json(artifact: &Artifact) -> Value {
    let mut json = json!({
        "id": artifact.id, "kind": artifact.kind, "sha256": artifact.sha256,
        "size_bytes": artifact.size_bytes, "created_by": artifact.created_by,
        "created_at": artifact.created_at, "origin_replica": artifact.origin_replica,
    });
    let warnings = patch_warnings(artifact);
    if !warnings.is_empty() {
        json["warnings"] = json!(warnings);
    }
    json
}

/// Returns why a patch may not apply; it is stored as it is.
fn patch_warnings(artifact: &Artifact) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    if artifact.kind == "patch" {
        if !artifact.content.ends_with('\n') {
            warnings.push("the patch does not end with a newline; git apply may refuse it");
        }
        if artifact.content.contains("\r\n") {
            warnings.push("the patch has CRLF line ends; git apply may refuse it");
        }
    }
    warnings
}

pub fn patch_submit(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let prepare = || -> Result<EventAct, InputError> {
        let artifact = new_artifact(arguments, "patch", "from_agent", &call)?;
        let room = optional_routing(arguments, "room")?.unwrap_or_else(|| "patches".to_owned());
        let mut event = event_of(arguments, "patch.ready".to_owned(), room)?;
        event.status = Some("ready".to_owned());
        Ok(EventAct::Announce(artifact, Box::new(event)))
    };
    let act = prepare();
    submit(palace, call, act, |outcome| {
        let artifact = outcome.artifact.as_deref().map(stored_json);
        json!({"success": true, "artifact": artifact, "event": outcome.event})
    })
}

fn submit(
    palace: &Palace,
    call: Call,
    act: Result<EventAct, InputError>,
    show: fn(&EventOutcome) -> Value,
) -> Answer {
    let act = match act {
        Ok(act) => act,
        Err(error) => return Answer::input_refused(&error),
    };
    let replica = match palace.replica() {
        Ok(replica) => replica,
        Err(error) => return Answer::query_failed(&error),
    };
    let id = ids::stamped("evt", &call.at.utc_stamp());
    let command = EventCommand { act, id, replica, now: call.at.clone() };
    write(palace, Command::Event(Box::new(command)), call, move |outcome| match outcome {
        Outcome::Event(EventOutcome { refused: Some(reason), .. }) => {
            json!({"success": false, "error": reason})
        }
        Outcome::Event(outcome) => show(outcome),
        _ => unexpected(outcome),
    })
}

fn positive(arguments: &Arguments) -> Result<usize, InputError> {
    let limit = usize::try_from(arguments.integer("limit", LIMIT_DEFAULT)).unwrap_or_default();
    if limit == 0 { Err(InputError("limit must be a positive integer".into())) } else { Ok(limit) }
}

fn filter(arguments: &Arguments) -> Result<EventFilter, InputError> {
    let optional = |field| optional_routing(arguments, field);
    let kind = arguments.text("type").filter(|kind| !kind.is_empty()).map(rules::kind).transpose()?;
    let since = arguments.text("since_created_at").unwrap_or_default();
    let order = arguments.text("order").map(|order| order.trim().to_lowercase());
    let since_event_id = optional("since_event_id")?;
    let newest_first = match order.as_deref() {
        Some("asc") => false,
        Some("desc") => true,
        None => since_event_id.is_none(),
        Some(other) => return Err(InputError(format!("order={other:?} must be 'asc' or 'desc'"))),
    };
    Ok(EventFilter {
        stream: optional("stream")?,
        room: optional("room")?,
        topic: optional("topic")?,
        kind,
        to_agent: optional("to_agent")?,
        writer: optional("writer")?,
        correlation_id: optional("correlation_id")?,
        status: status(arguments)?,
        since_event_id,
        before_event_id: optional("before_event_id")?,
        since_created_at: names::instant(since, "since_created_at")?,
        newest_first,
        limit: positive(arguments)?,
    })
}

pub fn event_list(palace: &Palace, arguments: &Arguments) -> Answer {
    let list = || -> Result<Value, QueryError> {
        let events = palace.events(&filter(arguments)?)?;
        let preview = arguments.flag("preview").unwrap_or(false);
        let shown: Vec<Value> = events.iter().map(|event| event_json(event, preview)).collect();
        let mut json = json!({"count": shown.len(), "events": shown});
        add_note(&mut json, arguments);
        Ok(json)
    };
    Answer::of(list())
}

/// Looks once: the session asks again when an event is appended, until the time is over.
pub fn event_wait(palace: &Palace, arguments: &Arguments) -> Answer {
    let look = || -> Result<Value, QueryError> {
        if arguments.integer("timeout_ms", 0) < 0 {
            return Err(InputError("timeout_ms must not be negative".into()).into());
        }
        let filter = EventFilter { newest_first: false, ..filter(arguments)? };
        let events = palace.events(&filter)?;
        let mut json = json!({"timed_out": events.is_empty(), "count": events.len(), "events": events});
        add_note(&mut json, arguments);
        Ok(json)
    };
    Answer::of(look())
}

fn add_note(json: &mut Value, arguments: &Arguments) {
    if arguments.filter_text("from_agent").is_some() && arguments.filter_text("writer").is_none() {
        json["note"] = json!(IDENTITY_NOTE);
    }
}

fn event_json(event: &Event, preview: bool) -> Value {
    let mut json = json!(event);
    if preview && event.body.chars().count() > PREVIEW_CHARS {
        json["body"] = json!(event.body.chars().take(PREVIEW_CHARS).collect::<String>());
        json["body_truncated"] = json!(true);
        json["body_length"] = json!(event.body.chars().count());
    }
    json
}

pub fn artifact_get(palace: &Palace, arguments: &Arguments) -> Answer {
    let get = || -> Result<Value, QueryError> {
        let id = routing(arguments, "artifact_id")?;
        Ok(match query::artifact(&palace.snapshot()?, &id)? {
            Some(artifact) => json!({"artifact": artifact}),
            None => json!({"error": format!("artifact {id:?} not found")}),
        })
    };
    Answer::of(get())
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
