//! Filing, reading, changing and removing drawers.

use serde_json::{Map, Value, json};

use crate::palace::command::{Added, Change, Changed, Delete, EntryWritten};
use crate::palace::error::WriteError;
use crate::palace::read::Drawer;
use crate::palace::{MetaValue, Palace, names};

use super::answer::{basename, preview};
use super::search::{add_unreadable, filter};
use super::{Answer, Arguments, Call, refused, write};

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
        Ok(drawer) => write(palace, drawer, call, added_json),
        Err(error) => refused(&error),
    }
}

/// Returns what filing one drawer answers.
pub fn added_json(added: &Added) -> Value {
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
        Ok(Some(change)) => {
            let id = change.id.clone();
            write(palace, change, call, move |changed| match changed {
                Some(changed) => changed_json(&id, changed),
                None => json!({"success": false, "error": not_found(&id)}),
            })
        }
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

fn changed_json(id: &str, changed: &Changed) -> Value {
    let Changed { wing, room, chunk_ids, closets } = changed;
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
    let id = arguments.required("drawer_id").to_owned();
    let command = Delete { ids: vec![id.clone()], at: call.at.clone() };
    write(palace, command, call, move |results| match results.first().filter(|one| !one.rows.is_empty()) {
        Some(removed) => json!({
            "success": true, "drawer_id": removed.id, "deleted_ids": removed.rows,
            "chunks_deleted": removed.rows.len(), "closets_deleted": removed.closets,
        }),
        None => json!({"success": false, "error": not_found(&id)}),
    })
}
