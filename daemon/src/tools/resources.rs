//! Resources and completions: what is behind an address, and names that begin as a person typed them.

use palace_protocol::limits::PAGE_COUNT_MAX;
use palace_protocol::resources::{Resource, parse, room_uri};
use serde_json::{Map, Value, json};

use crate::palace::error::QueryError;
use crate::palace::facts::query::entities_beginning;
use crate::palace::moment::Moment;
use crate::palace::{Counts, Palace};

use super::{Answer, Call, CallError, call};

/// Most names of one completion (MCP's limit).
pub const COMPLETION_COUNT_MAX: usize = 100;

/// What is behind an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Media type.
    pub mime: &'static str,
    /// The text.
    pub text: String,
}

/// Names that complete what was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// At most [`COMPLETION_COUNT_MAX`].
    pub values: Vec<String>,
    /// How many there are.
    pub total: usize,
}

/// Returns what is behind an address; `None` when nothing is. The overview tells of `trouble` with the service. Blocks.
///
/// # Errors
/// When the store cannot be read.
pub fn read(
    palace: &Palace,
    uri: &str,
    at: &Moment,
    trouble: Option<String>,
) -> Result<Option<Content>, CallError> {
    let Some(resource) = parse(uri) else { return Ok(None) };
    let (tool, arguments) = match resource {
        Resource::Overview => ("mempalace_status", json!({})),
        Resource::Taxonomy => ("mempalace_get_taxonomy", json!({})),
        Resource::Room { wing, room, after } => return room_page(palace, &wing, &room, after, at),
        Resource::Diary(agent) => ("mempalace_diary_read", json!({"agent_name": agent})),
        Resource::Drawer(id) => {
            let found = palace.drawer(&id).map_err(|error| CallError::failed(&error))?;
            return Ok(found.map(|drawer| Content { mime: "text/plain", text: drawer.content }));
        }
    };
    let answer = ask(palace, tool, &arguments, at, trouble)?;
    // An empty room or diary is nothing to attach.
    let is_empty = answer.json["total"] == 0 || answer.json.get("message").is_some();
    if answer.json.get("error").is_some() || (is_empty && tool != "mempalace_status") {
        return Ok(None);
    }
    Ok(Some(Content { mime: "application/json", text: answer.text() }))
}

fn ask(
    palace: &Palace,
    tool: &str,
    arguments: &Value,
    at: &Moment,
    trouble: Option<String>,
) -> Result<Answer, CallError> {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    call(
        palace,
        tool,
        arguments,
        Call { at: at.clone(), key: None, enqueued: None, read_only: true, trouble },
    )
}

/// Returns one page of a room, with the address of the next if there is one; nothing beyond the last drawer.
fn room_page(
    palace: &Palace,
    wing: &str,
    room: &str,
    after: usize,
    at: &Moment,
) -> Result<Option<Content>, CallError> {
    let arguments = json!({"wing": wing, "room": room, "limit": PAGE_COUNT_MAX, "offset": after});
    let mut answer = ask(palace, "mempalace_list_drawers", &arguments, at, None)?;
    if answer.json.get("error").is_some() || answer.json["count"] == 0 {
        return Ok(None);
    }
    let shown = after + answer.json["drawers"].as_array().map_or(0, Vec::len);
    if answer.json["total"].as_u64().is_some_and(|total| total > shown as u64) {
        answer.json["next"] = json!(room_uri(wing, room, shown));
    }
    Ok(Some(Content { mime: "application/json", text: answer.text() }))
}

/// Returns names that complete an argument of a prompt or of an address. Blocks.
///
/// # Errors
/// When the store cannot be read.
pub fn complete(
    palace: &Palace,
    argument: &str,
    typed: &str,
    chosen: &Map<String, Value>,
) -> Result<Completion, CallError> {
    let found = || -> Result<Vec<String>, QueryError> {
        Ok(match argument {
            "wing" => wings(&palace.counts()?),
            "room" => rooms(&palace.counts()?, chosen.get("wing").and_then(Value::as_str)),
            "agent" => palace.agents()?,
            "topic" | "entity" => entities_beginning(&palace.snapshot()?, typed, usize::MAX)?,
            _ => Vec::new(),
        })
    };
    let mut values = found().map_err(|error| CallError::failed(&error))?;
    let typed = typed.to_lowercase();
    values.retain(|value| value.to_lowercase().starts_with(&typed));
    values.sort();
    values.dedup();
    let total = values.len();
    values.truncate(COMPLETION_COUNT_MAX);
    Ok(Completion { values, total })
}

fn wings(counts: &Counts) -> Vec<String> {
    counts.wings.keys().cloned().collect()
}

fn rooms(counts: &Counts, wing: Option<&str>) -> Vec<String> {
    let in_wing = counts.wings.iter().filter(|(name, _)| wing.is_none_or(|wing| wing == name.as_str()));
    in_wing.flat_map(|(_, rooms)| rooms.keys().cloned()).collect()
}
