//! Filing several drawers and a diary entry at once.

use palace_protocol::limits::BULK_COUNT_MAX;
use serde_json::{Value, json};

use crate::palace::Palace;
use crate::palace::command::{Checkpoint, CheckpointItem, Checkpointed};
use crate::palace::error::{InputError, WriteError};

use super::drawers::{added_json, entry_json};
use super::search::{DUPLICATE_DEFAULT, match_json};
use super::{Answer, Arguments, Call, CallError, Caller, refused, write};

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
        Ok(Prepared { checkpoint, errors, diary_error }) => {
            let mut answer = write(palace, checkpoint, call, checkpoint_json);
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
    checkpoint: Checkpoint,
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
    let checkpoint = Checkpoint { items: prepared, diary: entry, dedup_threshold: threshold };
    Ok(Prepared { checkpoint, errors, diary_error })
}

fn checkpoint_json(made: &Checkpointed) -> Value {
    let Checkpointed { added, duplicates, diary } = made;
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
