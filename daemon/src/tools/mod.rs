//! Arguments in, domain calls, JSON out: one file per family of tools.
//!
//! Result keys are those of MemPalace 3.11.0. A refusal of the domain is a result with an `error` key, as the peer
//! answers; only a call that does not fit the tool's schema is a JSON-RPC error. Calls block and run on threads that
//! may block.

mod answer;
mod arguments;
mod bulk;
mod checkpoint;
mod coordination;
mod diary;
mod drawers;
mod graph;
mod kg;
mod light;
mod maintenance;
mod overview;
pub mod resources;
mod search;

use std::time::Duration;

use palace_protocol::catalogue;
use palace_protocol::jsonrpc::{INTERNAL_TOOL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND};
use serde_json::{Map, Value};

use crate::palace::Palace;
use crate::palace::command::Command;
use crate::palace::error::{QueryError, WriteError};
use crate::palace::ids::sha256_hex;
use crate::palace::moment::Moment;
use crate::palace::writer::Submission;

pub use light::{Shown, refused as light_refused, resolve};

pub use answer::Answer;
pub use arguments::Arguments;
use arguments::Misfit;

/// What surrounds one call.
pub struct Call {
    /// When it was received.
    pub at: Moment,
    /// Name of the request that makes a write repeatable: 32 hex digits, or any text, which is then hashed.
    pub key: Option<String>,
    /// Called once the command is queued: from then on the next write of the same session may be queued.
    pub enqueued: Option<Box<dyn FnOnce() + Send>>,
    /// Whether tools that change the palace are refused.
    pub read_only: bool,
    /// What is wrong with the service, for those who ask how the palace is.
    pub trouble: Option<String>,
}

/// Who waits for a call that takes its time.
pub trait Caller {
    /// Tells whether nobody waits for the answer any more: what is not queued yet need not be.
    fn has_left(&self) -> bool;
    /// Hears how many of how many items, or changes, are done.
    fn hear(&self, done: usize, total: usize);
}

/// A caller that stays and hears nothing.
struct Patient;

impl Caller for Patient {
    fn has_left(&self) -> bool {
        false
    }

    fn hear(&self, _done: usize, _total: usize) {}
}

/// Why a call is a JSON-RPC error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// JSON-RPC code.
    pub code: i64,
    /// What is wrong, naming the parameter and the rule.
    pub message: String,
    /// What the peer tells beside it.
    pub data: Option<Value>,
}

/// The peer's code for a tool that a read-only session may not call.
const READ_ONLY: i64 = -32003;

impl CallError {
    fn failed(error: &QueryError) -> Self {
        let data = serde_json::json!({"error_class": "QueryError", "message": error.to_string()});
        Self { code: INTERNAL_TOOL_ERROR, message: error.to_string(), data: Some(data) }
    }

    /// The answer to a call that nobody waits for: nothing was changed.
    pub fn cancelled() -> Self {
        let message = "cancelled; nothing was changed".to_owned();
        Self { code: INTERNAL_TOOL_ERROR, message, data: None }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self { code: INVALID_PARAMS, message: message.into(), data: None }
    }
}

/// Runs one tool. Blocks until the answer is final: for a write, until it is committed.
///
/// # Errors
/// [`CallError`] when the tool is unknown or the arguments do not fit its schema.
pub fn call(
    palace: &Palace,
    name: &str,
    arguments: Map<String, Value>,
    call: Call,
) -> Result<Answer, CallError> {
    call_for(&Patient, palace, name, arguments, call)
}

/// The same for a caller that may leave, and that hears of progress. A write that is queued is carried out.
///
/// # Errors
/// As [`call`], and when the caller left before anything was queued.
pub fn call_for(
    caller: &dyn Caller,
    palace: &Palace,
    name: &str,
    arguments: Map<String, Value>,
    call: Call,
) -> Result<Answer, CallError> {
    if caller.has_left() {
        return Err(CallError::cancelled());
    }
    let tool = catalogue::tool(name).filter(|_| !light::is_light(name));
    let Some(tool) = tool else {
        return Err(CallError {
            code: METHOD_NOT_FOUND,
            message: format!("Unknown tool: {name}"),
            data: None,
        });
    };
    let asks = name == "mempalace_hook_settings" && arguments.values().all(Value::is_null);
    if call.read_only && !tool.class.is_for_readers() && !asks {
        return Err(CallError {
            code: READ_ONLY,
            message: format!("{name} changes the palace, and this call may change nothing"),
            data: Some(serde_json::json!({"tool": name})),
        });
    }
    let arguments = match Arguments::check(tool, arguments) {
        Ok(arguments) => arguments,
        Err(Misfit::Call(error)) => return Err(error),
        Err(Misfit::Refused(rule)) if name == "mempalace_search" => return Ok(search::refused(&rule)),
        Err(Misfit::Refused(rule)) => return Ok(Answer::misfit(tool, &rule)),
    };
    match name {
        "mempalace_status" => Ok(overview::status(palace, &call)),
        "mempalace_list_wings" => Ok(overview::list_wings(palace)),
        "mempalace_list_rooms" => Ok(overview::list_rooms(palace, &arguments)),
        "mempalace_get_taxonomy" => Ok(overview::get_taxonomy(palace)),
        "mempalace_search" => Ok(search::search(palace, &arguments)),
        "mempalace_check_duplicate" => Ok(search::check_duplicate(palace, &arguments)),
        "mempalace_add_drawer" => Ok(drawers::add_drawer(palace, &arguments, call)),
        "mempalace_checkpoint" => checkpoint::checkpoint(caller, palace, &arguments, call),
        "mempalace_get_drawer" => Ok(drawers::get_drawer(palace, &arguments)),
        "mempalace_get_drawers" => bulk::get_drawers(caller, palace, &arguments),
        "mempalace_list_drawers" => Ok(drawers::list_drawers(palace, &arguments)),
        "mempalace_update_drawer" => Ok(drawers::update_drawer(palace, &arguments, call)),
        "mempalace_delete_drawer" => Ok(drawers::delete_drawer(palace, &arguments, call)),
        "mempalace_delete_drawers" => Ok(bulk::delete_drawers(caller, palace, &arguments, call)),
        "mempalace_delete_by_source" => Ok(bulk::delete_by_source(caller, palace, &arguments, call)),
        "mempalace_get_aaak_spec" => Ok(overview::get_aaak_spec()),
        "mempalace_kg_query" => Ok(kg::kg_query(palace, &arguments, &call)),
        "mempalace_kg_add" => kg::kg_add(palace, &arguments, call),
        "mempalace_kg_invalidate" => kg::kg_invalidate(palace, &arguments, call),
        "mempalace_kg_supersede" => kg::kg_supersede(palace, &arguments, call),
        "mempalace_kg_timeline" => Ok(kg::kg_timeline(palace, &arguments)),
        "mempalace_kg_stats" => Ok(kg::kg_stats(palace)),
        "mempalace_traverse" => Ok(graph::traverse(palace, &arguments)),
        "mempalace_find_tunnels" => Ok(graph::find_tunnels(palace, &arguments)),
        "mempalace_graph_stats" => Ok(graph::graph_stats(palace)),
        "mempalace_create_tunnel" => Ok(graph::create_tunnel(palace, &arguments, call)),
        "mempalace_list_tunnels" => Ok(graph::list_tunnels(palace, &arguments)),
        "mempalace_delete_tunnel" => Ok(graph::delete_tunnel(palace, &arguments, call)),
        "mempalace_follow_tunnels" => Ok(graph::follow_tunnels(palace, &arguments, call)),
        "mempalace_list_hallways" => Ok(graph::list_hallways(palace, &arguments)),
        "mempalace_delete_hallway" => Ok(graph::delete_hallway(palace, &arguments, call)),
        "mempalace_event_append" => Ok(coordination::event_append(palace, &arguments, call)),
        "mempalace_task_create" => Ok(coordination::task_create(palace, &arguments, call)),
        "mempalace_event_list" => Ok(coordination::event_list(palace, &arguments)),
        "mempalace_event_wait" => Ok(coordination::event_wait(palace, &arguments)),
        "mempalace_event_ack" => Ok(coordination::event_ack(palace, &arguments, call)),
        "mempalace_artifact_put" => Ok(coordination::artifact_put(palace, &arguments, call)),
        "mempalace_artifact_get" => Ok(coordination::artifact_get(palace, &arguments)),
        "mempalace_patch_submit" => Ok(coordination::patch_submit(palace, &arguments, call)),
        "mempalace_mesh_peers" => Ok(coordination::mesh_peers(palace)),
        "mempalace_hook_settings" => Ok(maintenance::hook_settings(palace, &arguments, call)),
        "mempalace_memories_filed_away" => Ok(maintenance::memories_filed_away(palace, call)),
        "mempalace_diary_write" => Ok(diary::diary_write(palace, &arguments, call)),
        "mempalace_diary_read" => Ok(diary::diary_read(palace, &arguments)),
        "mempalace_reconnect" => Ok(maintenance::reconnect(palace)),
        _ => unreachable!("every tool of the catalogue is dispatched; a test compares the two"),
    }
}

/// Tells whether a tool may be asked again until its answer is not `timed_out`.
pub fn waits(name: &str) -> bool {
    name == "mempalace_event_wait"
}

/// Tells whether a tool appends to the event stream.
pub fn appends_events(name: &str) -> bool {
    matches!(
        name,
        "mempalace_event_append" | "mempalace_task_create" | "mempalace_event_ack" | "mempalace_patch_submit"
    )
}

/// Returns how long a tool that waits is to wait. Arguments that do not fit are refused by the call itself.
pub fn patience(name: &str, arguments: &Map<String, Value>) -> Duration {
    let checked = catalogue::tool(name).and_then(|tool| Arguments::check(tool, arguments.clone()).ok());
    let ms = checked.map_or(0, |arguments| arguments.count("timeout_ms", coordination::WAIT_MS_DEFAULT));
    Duration::from_millis(ms as u64)
}

/// Queues a command, waits for its commit and returns what `render` makes of the outcome.
fn write<C: Command>(
    palace: &Palace,
    command: C,
    call: Call,
    render: impl Fn(&C::Outcome) -> Value + Send + 'static,
) -> Answer {
    write_heard(palace, command, call, render, &mut |_, _| {})
}

/// The same; `hear` is given how many of how many changes are made.
fn write_heard<C: Command>(
    palace: &Palace,
    command: C,
    call: Call,
    render: impl Fn(&C::Outcome) -> Value + Send + 'static,
    hear: &mut dyn FnMut(usize, usize),
) -> Answer {
    let key = call.key.as_deref().map(key);
    let submission = Submission::new(command, key, call.at.utc, move |outcome| render(outcome).to_string());
    let receipt = palace.submit(submission);
    if let Some(enqueued) = call.enqueued {
        enqueued();
    }
    match receipt.and_then(|receipt| receipt.wait_hearing(hear)) {
        Ok(text) => Answer::stored(&text),
        Err(error) => refused(&error),
    }
}

/// Returns the answer to a write that stored nothing.
fn refused(error: &WriteError) -> Answer {
    Answer::write_refused(error)
}

fn key(text: &str) -> crate::palace::IdempotencyKey {
    let hex = if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        text.to_owned()
    } else {
        sha256_hex(text.as_bytes(), 32)
    };
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let digit =
            |at: usize| char::from(pair[at]).to_digit(16).expect("the text was checked to be hex digits");
        *byte = u8::try_from(digit(0) * 16 + digit(1)).expect("two hex digits are one byte");
    }
    crate::palace::IdempotencyKey(bytes)
}

#[cfg(test)]
mod tests;
