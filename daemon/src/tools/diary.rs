//! An agent's diary.

use serde_json::{Value, json};

use crate::palace::error::QueryError;
use crate::palace::{Palace, names};

use super::drawers::entry_json;
use super::search::add_unreadable;
use super::{Answer, Arguments, Call, refused, write};

/// Entries when the caller names no number.
const LAST_DEFAULT: usize = 10;

pub fn diary_write(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let entry =
        arguments.filter_text("entry").or_else(|| arguments.filter_text("content")).unwrap_or_default();
    let entry = palace.new_entry(
        arguments.required("agent_name"),
        entry,
        arguments.filter_text("topic").unwrap_or("general"),
        arguments.filter_text("wing"),
        &call.at,
    );
    match entry {
        Ok(entry) => write(palace, entry, call, entry_json),
        Err(error) => refused(&error),
    }
}

pub fn diary_read(palace: &Palace, arguments: &Arguments) -> Answer {
    match read(palace, arguments) {
        Ok(json) => Answer::ok(json),
        Err(error) => Answer::query_failed(&error),
    }
}

fn read(palace: &Palace, arguments: &Arguments) -> Result<Value, QueryError> {
    let agent = names::name(arguments.required("agent_name"), "agent_name")?.to_lowercase();
    let wing = arguments.filter_text("wing").map(|wing| names::name(wing, "wing")).transpose()?;
    let pages = palace.diary(&agent, wing.as_deref(), arguments.count("last_n", LAST_DEFAULT))?;
    if pages.total == 0 {
        let mut json = json!({"agent": agent, "entries": [], "message": "No diary entries yet."});
        add_unreadable(&mut json, &pages.unreadable);
        return Ok(json);
    }
    let entries: Vec<Value> = pages
        .entries
        .iter()
        .map(|entry| {
            json!({
                "date": entry.date, "timestamp": entry.timestamp, "topic": entry.topic, "content": entry.content,
            })
        })
        .collect();
    let mut json =
        json!({"agent": agent, "total": pages.total, "showing": entries.len(), "entries": entries});
    add_unreadable(&mut json, &pages.unreadable);
    Ok(json)
}
