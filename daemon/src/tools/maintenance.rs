//! Looking after the service itself.

use serde_json::{Value, json};

use crate::palace::Palace;
use crate::palace::command::Command;
use crate::palace::error::QueryError;
use crate::palace::settings::{self, CheckpointNote, HookSettings, SetHooks, TakeNote};

use super::{Answer, Arguments, Call, write};

/// Proves that the store answers. There is nothing to reconnect: one process owns it and every session shares it.
pub fn reconnect(palace: &Palace) -> Answer {
    match palace.counts() {
        Ok(counts) => Answer::ok(json!({
            "success": true,
            "message": "The palace is served by one daemon; nothing had to be reconnected.",
            "drawers": counts.rows(),
            "vector_disabled": false,
            "vector_disabled_reason": "",
        })),
        Err(error) => {
            let mut answer = Answer::query_failed(&error);
            answer.json["success"] = json!(false);
            answer
        }
    }
}

pub fn hook_settings(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let (silent_save, desktop_toast) = (arguments.flag("silent_save"), arguments.flag("desktop_toast"));
    if silent_save.is_none() && desktop_toast.is_none() {
        let look = || -> Result<Value, QueryError> {
            Ok(json!({"success": true, "settings": settings::hooks(&palace.snapshot()?)?}))
        };
        return Answer::of(look());
    }
    let python = |value| if value { "True" } else { "False" };
    let given = [("silent_save", silent_save), ("desktop_toast", desktop_toast)];
    let given = given.iter().filter_map(|(name, value)| Some(format!("{name} → {}", python((*value)?))));
    let updated: Vec<String> = given.collect();
    let command = SetHooks { silent_save, desktop_toast };
    write(
        palace,
        command,
        call,
        move |settings: &HookSettings| json!({"success": true, "settings": settings, "updated": updated}),
    )
}

/// Tells what a hook filed, once; a session that may change nothing leaves it to be told again.
pub fn memories_filed_away(palace: &Palace, call: Call) -> Answer {
    if call.read_only {
        let look = || -> Result<Value, QueryError> {
            let (_, note) = TakeNote.decide(&palace.snapshot()?)?;
            Ok(note_json(&note))
        };
        return Answer::of(look());
    }
    write(palace, TakeNote, call, note_json)
}

fn note_json(note: &Option<CheckpointNote>) -> Value {
    match note {
        Some(note) => json!({
            "status": "ok", "message": format!("✦ {} messages tucked into drawers", note.messages),
            "count": note.messages, "timestamp": note.at,
        }),
        None => json!({
            "status": "quiet", "message": "No recent journal entry", "count": 0, "timestamp": null,
        }),
    }
}
