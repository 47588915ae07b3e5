//! A tool's answer: one JSON object, and whether the caller should see it as a failure.

use palace_protocol::catalogue::{Tool, ToolClass};
use serde_json::{Value, json};

use crate::palace::error::{InputError, QueryError, WriteError};

/// What a tool answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The result object.
    pub json: Value,
    /// Whether MCP's `isError` is set: the service failed, not the request.
    pub is_error: bool,
}

impl Answer {
    /// Returns an answer in the ordinary case, refusals of the domain included.
    pub fn ok(json: Value) -> Self {
        Self { json, is_error: false }
    }

    /// Returns the answer that was stored with a write, as JSON text.
    pub fn stored(text: &str) -> Self {
        Self::ok(serde_json::from_str(text).unwrap_or_else(|_| json!({"success": true})))
    }

    /// Returns the answer to a question, answered or failed.
    pub fn of(asked: Result<Value, QueryError>) -> Self {
        asked.map_or_else(|error| Self::query_failed(&error), Self::ok)
    }

    /// Returns the answer to a write whose arguments break a rule.
    pub fn input_refused(error: &InputError) -> Self {
        Self::ok(json!({"success": false, "error": error.to_string()}))
    }

    /// Returns the answer to arguments of which one breaks a rule.
    pub fn misfit(tool: &Tool, rule: &str) -> Self {
        Self::ok(match tool.class {
            ToolClass::Read | ToolClass::RecordedRead => json!({"error": rule}),
            ToolClass::KeyedWrite => json!({"success": false, "error": rule}),
        })
    }

    /// Returns the answer to a question that failed.
    pub fn query_failed(error: &QueryError) -> Self {
        let is_error = !matches!(error, QueryError::Input(_));
        Self { json: json!({"error": error.to_string()}), is_error }
    }

    /// Returns the answer to a write of which nothing was stored.
    pub fn write_refused(error: &WriteError) -> Self {
        let is_error = !matches!(error, WriteError::Input(_));
        Self { json: json!({"success": false, "error": error.to_string()}), is_error }
    }

    /// Returns the text block: the JSON as the peer prints it.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(&self.json).expect("JSON values can be printed")
    }
}

/// Rounds to so many decimals, as the peer shows scores.
pub fn rounded(value: f32, decimals: i32) -> Value {
    let scale = 10_f64.powi(decimals);
    json!((f64::from(value) * scale).round() / scale)
}

/// Returns the first `count` characters, with an ellipsis when something was cut.
pub fn preview(text: &str, count: usize) -> String {
    match text.char_indices().nth(count) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// Returns the last component of a path, whichever system wrote it.
pub fn basename(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}
