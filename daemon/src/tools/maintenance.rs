//! Looking after the service itself.

use serde_json::json;

use crate::palace::Palace;

use super::Answer;

/// Proves that the store answers. There is nothing to reconnect: one process owns it and every session shares it.
pub fn reconnect(palace: &Palace) -> Answer {
    match palace.counts() {
        Ok(counts) => Answer::ok(json!({
            "success": true,
            "message": "The palace is served by one daemon; nothing had to be reconnected.",
            "drawers": counts.rows(),
            "vector_disabled": false,
            "vector_disabled_reason": null,
        })),
        Err(error) => {
            let mut answer = Answer::query_failed(&error);
            answer.json["success"] = json!(false);
            answer
        }
    }
}
