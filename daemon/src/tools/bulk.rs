//! Many drawers in one call: read or removed by their ids, or by the source they came from.
//!
//! An id that is not found, or is none, is reported in its place; the others are answered. Whoever waits hears how far
//! it is.

use std::collections::VecDeque;

use palace_protocol::limits::BULK_COUNT_MAX;
use serde_json::{Value, json};

use crate::palace::command::{Delete, DeleteSource, Removed, SourceDeleted};
use crate::palace::error::InputError;
use crate::palace::read::SourceContent;
use crate::palace::{Palace, names};

use super::drawers::{drawer_json, not_found};
use super::{Answer, Arguments, Call, CallError, Caller, write_heard};

/// One id of a call: as it was given, and the id itself or why it is none.
struct Asked {
    given: Value,
    id: Result<String, String>,
}

impl Asked {
    fn error(&self, error: impl Into<String>) -> Value {
        json!({"drawer_id": self.given, "error": error.into()})
    }
}

fn asked(arguments: &Arguments) -> Result<Vec<Asked>, InputError> {
    let ids = arguments.each_text("drawer_ids");
    match ids.len() {
        0 => Err(InputError("drawer_ids must not be empty".into())),
        count if count > BULK_COUNT_MAX => {
            Err(InputError(format!("drawer_ids must hold at most {BULK_COUNT_MAX} ids, not {count}")))
        }
        _ => Ok(ids
            .into_iter()
            .map(|(given, id)| Asked { given: given.clone(), id: id.map(str::to_owned) })
            .collect()),
    }
}

pub fn get_drawers(caller: &dyn Caller, palace: &Palace, arguments: &Arguments) -> Result<Answer, CallError> {
    let asked = match asked(arguments) {
        Ok(asked) => asked,
        Err(error) => return Ok(Answer::ok(json!({"error": error.to_string()}))),
    };
    let mut results = Vec::with_capacity(asked.len());
    let mut errors = 0;
    for (done, one) in asked.iter().enumerate() {
        if caller.has_left() {
            return Err(CallError::cancelled());
        }
        caller.hear(done, asked.len());
        let error = match &one.id {
            Err(rule) => rule.clone(),
            Ok(id) => match palace.drawer(id) {
                Ok(Some(drawer)) => {
                    results.push(drawer_json(&drawer));
                    continue;
                }
                Ok(None) => not_found(id),
                Err(error) => error.to_string(),
            },
        };
        errors += 1;
        results.push(one.error(error));
    }
    Ok(Answer::ok(json!({"count": results.len(), "errors": errors, "results": results})))
}

pub fn delete_drawers(caller: &dyn Caller, palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let asked = match asked(arguments) {
        Ok(asked) => asked,
        Err(error) => return Answer::ok(json!({"error": error.to_string()})),
    };
    let ids = asked.iter().filter_map(|one| one.id.as_ref().ok().cloned()).collect();
    let command = Delete { ids, at: call.at.clone() };
    let count = asked.len();
    let mut hear = |done, total| caller.hear(done * count / total, count);
    write_heard(palace, command, call, move |deleted| deleted_json(&asked, deleted), &mut hear)
}

fn deleted_json(asked: &[Asked], deleted: &[Removed]) -> Value {
    let mut deleted: VecDeque<&Removed> = deleted.iter().collect();
    let mut errors = 0;
    let results: Vec<Value> = asked
        .iter()
        .map(|one| {
            let error = match &one.id {
                Err(rule) => rule.clone(),
                Ok(id) => match deleted.pop_front() {
                    Some(removed) if !removed.rows.is_empty() => {
                        return json!({
                            "drawer_id": id, "deleted_ids": removed.rows,
                            "chunks_deleted": removed.rows.len(), "closets_deleted": removed.closets,
                        });
                    }
                    Some(_) | None => not_found(id),
                },
            };
            errors += 1;
            one.error(error)
        })
        .collect();
    json!({"count": results.len(), "deleted": results.len() - errors, "errors": errors, "results": results})
}

pub fn delete_by_source(caller: &dyn Caller, palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let given = arguments.required("source_file");
    if given.trim().is_empty() {
        return Answer::ok(json!({"success": false, "error": "source_file must be a non-empty string"}));
    }
    let source_file = match names::source_file(given) {
        Ok(source_file) => source_file,
        Err(error) => return Answer::input_refused(&error),
    };
    if arguments.flag("dry_run").unwrap_or(true) {
        return Answer::of(palace.source(&source_file).map(|found| source_json(&source_file, &found)));
    }
    let shown = source_file.clone();
    let command = DeleteSource { source_file, at: call.at.clone() };
    let mut hear = |done, total| caller.hear(done, total);
    let render = move |deleted: &SourceDeleted| {
        json!({
            "success": true, "dry_run": false, "source_file": shown, "deleted": deleted.rows,
            "closets_deleted": deleted.closets,
        })
    };
    write_heard(palace, command, call, render, &mut hear)
}

fn source_json(source_file: &str, found: &SourceContent) -> Value {
    let sample: Vec<Value> =
        found.places.iter().map(|(wing, room)| json!({"wing": wing, "room": room})).collect();
    let hint = if found.rows == 0 {
        "No drawers match this source_file.".to_owned()
    } else {
        format!(
            "Nothing was deleted. Call again with dry_run=false to remove these {} rows and {} index cards.",
            found.rows, found.closets
        )
    };
    json!({
        "success": true, "dry_run": true, "source_file": source_file, "match_count": found.rows,
        "closet_match_count": found.closets, "sample": sample, "hint": hint,
    })
}
