//! Filing, reading, changing and removing drawers.

use palace_protocol::limits::BULK_COUNT_MAX;
use serde_json::{Map, Value, json};

use crate::palace::command::{Added, Change, CheckpointItem, Command, EntryWritten, Outcome};
use crate::palace::error::{InputError, WriteError};
use crate::palace::read::Drawer;
use crate::palace::{MetaValue, Palace, names};

use super::answer::{basename, preview};
use super::search::{DUPLICATE_DEFAULT, add_unreadable, filter, match_json};
use super::{Answer, Arguments, Call, CallError, Caller, refused, write};

/// Drawers of one page when the caller names no limit.
const PAGE_DEFAULT: usize = 20;
/// Characters of a drawer's text in a listing.
const PREVIEW_CHARS: usize = 200;

pub fn add_drawer(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let drawer = palace.new_drawer(
        arguments.required("wing"),
        arguments.required("room"),
        arguments.required("content"),
        arguments.text("source_file").unwrap_or_default(),
        arguments.filter_text("added_by").unwrap_or("mcp"),
        &call.at,
    );
    match drawer {
        Ok(drawer) => write(palace, Command::Add(drawer), call, |outcome| {
            let Outcome::Added(added) = outcome else { return unexpected(outcome) };
            added_json(added)
        }),
        Err(error) => refused(&error),
    }
}

fn added_json(added: &Added) -> Value {
    if added.existed {
        return json!({"success": true, "reason": "already_exists", "drawer_id": added.id});
    }
    let mut json = json!({
        "success": true, "drawer_id": added.id, "wing": added.wing, "room": added.room, "chunks": added.chunks,
    });
    if !added.chunk_ids.is_empty() {
        json["chunk_ids"] = json!(added.chunk_ids);
    }
    json
}

/// Returns what a diary write answers.
pub fn entry_json(entry: &EntryWritten) -> Value {
    let mut json = json!({
        "success": true, "entry_id": entry.id, "agent": entry.agent, "topic": entry.topic,
        "timestamp": entry.timestamp, "chunks": entry.chunks,
    });
    if !entry.chunk_ids.is_empty() {
        json["chunk_ids"] = json!(entry.chunk_ids);
    }
    json
}

/// Returns the answer to an outcome that its command cannot have; it shows the defect instead of hiding it.
pub fn unexpected(outcome: &Outcome) -> Value {
    json!({"success": false, "error": format!("internal error: unexpected outcome {outcome:?}")})
}

pub fn checkpoint(
    caller: &dyn Caller,
    palace: &Palace,
    arguments: &Arguments,
    call: Call,
) -> Result<Answer, CallError> {
    let prepared = prepare_checkpoint(caller, palace, arguments, &call);
    if caller.has_left() {
        return Err(CallError::cancelled());
    }
    Ok(match prepared {
        Ok(Prepared { command, errors, diary_error }) => {
            let mut answer = write(palace, command, call, checkpoint_json);
            if let Some(reported) = answer.json.get_mut("errors").and_then(Value::as_array_mut) {
                reported.extend(errors);
                if let Some(error) = diary_error {
                    answer.json["diary"] = json!({"success": false, "error": error.to_string()});
                }
            }
            answer
        }
        Err(WriteError::Input(error)) => Answer::ok(json!({"error": error.to_string()})),
        Err(error) => refused(&error),
    })
}

/// A checkpoint that can be submitted, and what of it cannot be.
struct Prepared {
    command: Command,
    /// Items that were refused, each with its index.
    errors: Vec<Value>,
    /// Why the diary's entry was refused.
    diary_error: Option<InputError>,
}

/// Checks and embeds every item; a bad item is reported in its place, the others are filed. Stops when the caller leaves.
fn prepare_checkpoint(
    caller: &dyn Caller,
    palace: &Palace,
    arguments: &Arguments,
    call: &Call,
) -> Result<Prepared, WriteError> {
    let threshold = arguments.number("dedup_threshold", DUPLICATE_DEFAULT);
    let items = arguments.value("items").and_then(Value::as_array).ok_or_else(|| {
        WriteError::Input(InputError("items must be a list of {wing, room, content} objects".into()))
    })?;
    if items.len() > BULK_COUNT_MAX {
        let message = format!("items must hold at most {BULK_COUNT_MAX} objects, not {}", items.len());
        return Err(InputError(message).into());
    }
    let diary = arguments.value("diary");
    let member = |object: &Value, key: &str| {
        object.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty()).map(str::to_owned)
    };
    let added_by = arguments
        .filter_text("added_by")
        .map(str::to_owned)
        .or_else(|| diary.and_then(|diary| member(diary, "agent_name")))
        .unwrap_or_else(|| "checkpoint".to_owned());
    let mut prepared: Vec<CheckpointItem> = Vec::new();
    let mut errors = Vec::new();
    for (done, item) in items.iter().enumerate() {
        if caller.has_left() {
            break;
        }
        caller.hear(done, items.len());
        let (Some(wing), Some(room), Some(content)) =
            (member(item, "wing"), member(item, "room"), member(item, "content"))
        else {
            let error = "wing, room, content must be non-empty strings";
            errors.push(json!({"index": done, "item": item, "error": error}));
            continue;
        };
        match palace.new_drawer(&wing, &room, &content, "", &added_by, &call.at) {
            Ok(drawer) => prepared.push(palace.checkpoint_item(drawer, threshold)?),
            Err(WriteError::Input(error)) => {
                errors.push(json!({"index": done, "success": false, "error": error.to_string()}));
            }
            Err(error) => return Err(error),
        }
    }
    let (mut entry, mut diary_error) = (None, None);
    if let Some(diary) = diary {
        match member(diary, "entry").or_else(|| member(diary, "content")) {
            None => errors.push(json!({"diary": diary, "error": "diary entry must be a non-empty string"})),
            Some(text) => {
                // A name that is given must be one; only a missing one has a stand-in.
                let agent = match diary.get("agent_name") {
                    None => "cursor-ide",
                    Some(name) => name.as_str().unwrap_or_default(),
                };
                let topic = member(diary, "topic").unwrap_or_else(|| "session-checkpoint".to_owned());
                match palace.new_entry(agent, &text, &topic, member(diary, "wing").as_deref(), &call.at) {
                    Ok(written) => entry = Some(written),
                    Err(WriteError::Input(error)) => diary_error = Some(error),
                    Err(error) => return Err(error),
                }
            }
        }
    }
    let command = Command::Checkpoint(Palace::checkpoint(prepared, entry, threshold));
    Ok(Prepared { command, errors, diary_error })
}

fn checkpoint_json(outcome: &Outcome) -> Value {
    let Outcome::Checkpointed { added, duplicates, diary } = outcome else { return unexpected(outcome) };
    let added: Vec<Value> = added.iter().map(added_json).collect();
    let duplicates: Vec<Value> = duplicates
        .iter()
        .map(|(room, matches)| json!({"room": room, "matches": matches.iter().map(match_json).collect::<Vec<_>>()}))
        .collect();
    let mut json = json!({"added": added, "duplicates": duplicates, "errors": []});
    if let Some(diary) = diary {
        json["diary"] = entry_json(diary);
    }
    json
}

pub fn get_drawer(palace: &Palace, arguments: &Arguments) -> Answer {
    let id = arguments.required("drawer_id");
    match palace.drawer(id) {
        Ok(Some(drawer)) => Answer::ok(drawer_json(&drawer)),
        Ok(None) => Answer::ok(json!({"error": not_found(id)})),
        Err(error) => Answer::query_failed(&error),
    }
}

/// Says that no drawer has an id.
pub fn not_found(id: &str) -> String {
    format!("Drawer not found: {id}")
}

/// Returns a whole drawer as the peer shows it.
pub fn drawer_json(drawer: &Drawer) -> Value {
    let mut json = json!({
        "drawer_id": drawer.id, "content": drawer.content,
        "wing": drawer.head.wing, "room": drawer.head.room, "metadata": metadata(drawer),
    });
    add_chunks(&mut json, drawer);
    json
}

fn add_chunks(json: &mut Value, drawer: &Drawer) {
    if !drawer.chunk_ids.is_empty() {
        json["chunks"] = json!(drawer.chunk_ids.len());
        json["chunk_ids"] = json!(drawer.chunk_ids);
    }
}

/// Returns a drawer's metadata under the peer's keys; the source file is shown by its name alone.
fn metadata(drawer: &Drawer) -> Value {
    let row = &drawer.head;
    let mut map: Map<String, Value> = row
        .extra
        .iter()
        .map(|(key, value)| {
            let value = match value {
                MetaValue::Text(text) => json!(text),
                MetaValue::Integer(number) => json!(number),
                MetaValue::Float(number) => json!(number),
                MetaValue::Bool(flag) => json!(flag),
            };
            (key.clone(), value)
        })
        .collect();
    map.insert("wing".into(), json!(row.wing));
    map.insert("room".into(), json!(row.room));
    map.insert("source_file".into(), json!(basename(&row.source_file)));
    map.insert("filed_at".into(), json!(row.filed_at));
    map.insert("chunk_index".into(), json!(row.chunk_index));
    if let Some(parent) = &row.parent_id {
        map.insert("parent_drawer_id".into(), json!(parent));
    }
    if !drawer.chunk_ids.is_empty() {
        map.insert("chunks".into(), json!(drawer.chunk_ids.len()));
        map.insert("chunk_ids".into(), json!(drawer.chunk_ids));
    }
    map.sort_keys();
    Value::Object(map)
}

pub fn list_drawers(palace: &Palace, arguments: &Arguments) -> Answer {
    let filter = match filter(arguments) {
        Ok(filter) => filter,
        Err(error) => return Answer::query_failed(&error.into()),
    };
    let limit = arguments.count("limit", PAGE_DEFAULT);
    let offset = arguments.count("offset", 0);
    match palace.page(&filter, offset, limit) {
        Ok(page) => {
            let drawers: Vec<Value> = page
                .drawers
                .iter()
                .map(|drawer| {
                    let mut json = json!({
                        "drawer_id": drawer.id, "wing": drawer.head.wing, "room": drawer.head.room,
                        "content_preview": preview(&drawer.content, PREVIEW_CHARS), "metadata": metadata(drawer),
                    });
                    add_chunks(&mut json, drawer);
                    json
                })
                .collect();
            let mut json = json!({
                "count": drawers.len(), "total": page.total, "offset": offset, "limit": limit, "drawers": drawers,
            });
            add_unreadable(&mut json, &page.unreadable);
            Answer::ok(json)
        }
        Err(error) => Answer::query_failed(&error),
    }
}

pub fn update_drawer(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    match change(palace, arguments, &call) {
        Ok(Some(change)) => write(palace, Command::Update(change), call, updated_json),
        Ok(None) => {
            Answer::ok(json!({"success": true, "drawer_id": arguments.required("drawer_id"), "noop": true}))
        }
        Err(error) => refused(&error),
    }
}

fn change(palace: &Palace, arguments: &Arguments, call: &Call) -> Result<Option<Change>, WriteError> {
    let name = |field| arguments.text(field).map(|value| names::name(value, field)).transpose();
    let (wing, room) = (name("wing")?, name("room")?);
    let pieces = match arguments.text("content") {
        Some(content) => Some(palace.pieces(names::content(content, "content")?)?),
        None => None,
    };
    let empty = wing.is_none() && room.is_none() && pieces.is_none();
    let id = arguments.required("drawer_id").to_owned();
    Ok((!empty).then(|| Change { id, pieces, wing, room, at: call.at.clone() }))
}

fn updated_json(outcome: &Outcome) -> Value {
    if let Outcome::NotFound { id } = outcome {
        return json!({"success": false, "error": not_found(id)});
    }
    let Outcome::Updated { id, wing, room, chunk_ids, closets } = outcome else { return unexpected(outcome) };
    let mut json = json!({
        "success": true, "drawer_id": id, "wing": wing, "room": room, "closets_deleted": closets,
    });
    if !chunk_ids.is_empty() {
        json["chunks"] = json!(chunk_ids.len());
        json["chunk_ids"] = json!(chunk_ids);
    }
    json
}

pub fn delete_drawer(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let ids = vec![arguments.required("drawer_id").to_owned()];
    let at = call.at.clone();
    write(palace, Command::Delete { ids, at }, call, |outcome| {
        let Outcome::Deleted(results) = outcome else { return unexpected(outcome) };
        match results.first() {
            Some(removed) if removed.rows.is_empty() => {
                json!({"success": false, "error": not_found(&removed.id)})
            }
            Some(removed) => json!({
                "success": true, "drawer_id": removed.id, "deleted_ids": removed.rows,
                "chunks_deleted": removed.rows.len(), "closets_deleted": removed.closets,
            }),
            None => unexpected(outcome),
        }
    })
}
