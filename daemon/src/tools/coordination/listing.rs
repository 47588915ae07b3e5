//! Events as they are asked for: lists, and what a caller waits for.

use serde_json::{Value, json};

use crate::palace::error::{InputError, QueryError};
use crate::palace::events::query::EventFilter;
use crate::palace::events::{Event, rules};
use crate::palace::{Palace, names};
use crate::tools::{Answer, Arguments};

use super::{optional_routing, status};

/// Events of one answer when the caller names no limit.
const LIMIT_DEFAULT: i64 = 50;
/// Characters of a body in a preview.
const PREVIEW_CHARS: usize = 200;
/// How long to wait when the caller names no time.
pub const WAIT_MS_DEFAULT: usize = 60_000;

const IDENTITY_NOTE: &str = "from_agent is your identity and filters nothing here; filter by who wrote an event with \
writer=<agent>, and ask for your inbox with to_agent=<you>.";

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
