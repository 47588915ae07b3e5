//! The little of JSON-RPC 2.0 that a relay must see: id, method, kind.
//!
//! An id is kept as the JSON text it was sent as, so `1`, `1.0` and `"1"` stay apart. What is relayed goes under an id of
//! the relay's own, in an envelope of its own making: whoever is behind it sees plain numbers and objects, whatever a host
//! writes, and parameters and results are the sender's own bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Invalid JSON was received.
pub const PARSE_ERROR: i64 = -32700;
/// The JSON is not a valid request object.
pub const INVALID_REQUEST: i64 = -32600;
/// The method does not exist.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters are wrong.
pub const INVALID_PARAMS: i64 = -32602;
/// A tool failed in a way that is not its caller's fault.
pub const INTERNAL_TOOL_ERROR: i64 = -32000;
/// The daemon could not be reached, or went away while the request ran; outside the range JSON-RPC reserves.
pub const DAEMON_UNAVAILABLE: i64 = 53001;

/// A request id as the JSON text its sender used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(String);

impl RequestId {
    /// Returns an id for a string, quoted and escaped as JSON.
    pub fn from_text(text: &str) -> Self {
        Self(Value::from(text).to_string())
    }

    /// Returns an id for a number.
    pub fn from_number(number: u64) -> Self {
        Self(number.to_string())
    }

    /// Returns the number if the id is a plain one.
    pub fn as_number(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// Returns the id as JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

/// What kind of message a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Has a method and an id: exactly one response is owed.
    Request,
    /// Has a method and no id.
    Notification,
    /// Has an id and a result or an error.
    Response,
}

/// The parts of a message a relay needs; everything else stays in the line.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// Request, notification or response.
    pub kind: Kind,
    /// The id of a request or response.
    pub id: Option<RequestId>,
    /// The method of a request or notification.
    pub method: Option<Cow<'a, str>>,
    /// The parameters, unparsed.
    pub params: Option<&'a RawValue>,
    /// Name and value of what a response carries: `result` or `error`, unparsed.
    pub outcome: Option<(&'static str, &'a RawValue)>,
}

/// Why a line is not a message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeekError {
    /// The line is not JSON (or not UTF-8).
    #[error("parse error: {0}")]
    NotJson(String),
    /// The line is a JSON array: batches left MCP with 2025-06-18.
    #[error("invalid request: batch arrays are not supported; send one message per line")]
    Batch,
    /// The JSON is not a JSON-RPC 2.0 message.
    #[error("invalid request: {reason}")]
    Invalid {
        /// The id, when one could be read.
        id: Option<RequestId>,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl PeekError {
    /// Returns the JSON-RPC error line that answers this line.
    pub fn answer(&self) -> String {
        match self {
            PeekError::NotJson(_) => error_line(None, PARSE_ERROR, &self.to_string(), None),
            PeekError::Batch => error_line(None, INVALID_REQUEST, &self.to_string(), None),
            PeekError::Invalid { id, .. } => {
                error_line(id.as_ref(), INVALID_REQUEST, &self.to_string(), None)
            }
        }
    }
}

#[derive(Deserialize)]
struct RawEnvelope<'a> {
    jsonrpc: Option<Value>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    method: Option<Value>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Keeps an explicit `null` apart from a missing member.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads the envelope of one line.
///
/// # Errors
/// [`PeekError`] says how to answer a line that is no message; its `answer` is the line to send back.
pub fn peek(line: &[u8]) -> Result<Envelope<'_>, PeekError> {
    let text = std::str::from_utf8(line).map_err(|error| PeekError::NotJson(error.to_string()))?;
    if text.trim_start().starts_with('[') {
        return match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => Err(PeekError::Batch),
            Err(error) => Err(PeekError::NotJson(error.to_string())),
        };
    }
    let raw: RawEnvelope<'_> = match serde_json::from_str(text) {
        Ok(raw) => raw,
        Err(error) if error.is_data() => {
            return Err(PeekError::Invalid {
                id: None,
                reason: "a message is a JSON object with unique members",
            });
        }
        Err(error) => return Err(PeekError::NotJson(error.to_string())),
    };
    let id = match raw.id.map(RawValue::get) {
        None => None,
        Some("null") => {
            return Err(PeekError::Invalid { id: None, reason: "id must be a string or a number" });
        }
        Some(text) if text.starts_with(['"', '-']) || text.starts_with(|c: char| c.is_ascii_digit()) => {
            Some(RequestId(text.to_owned()))
        }
        Some(_) => return Err(PeekError::Invalid { id: None, reason: "id must be a string or a number" }),
    };
    if raw.jsonrpc != Some(Value::from("2.0")) {
        return Err(PeekError::Invalid { id, reason: "jsonrpc must be \"2.0\"" });
    }
    let outcome = match (raw.result, raw.error) {
        (Some(result), _) => Some(("result", result)),
        (None, Some(error)) => Some(("error", error)),
        (None, None) => None,
    };
    let (kind, method) = match (raw.method, &id) {
        (Some(Value::String(method)), Some(_)) => (Kind::Request, Some(Cow::Owned(method))),
        (Some(Value::String(method)), None) => (Kind::Notification, Some(Cow::Owned(method))),
        (None, Some(_)) if outcome.is_some() => (Kind::Response, None),
        (Some(_), _) => return Err(PeekError::Invalid { id, reason: "method must be a string" }),
        (None, _) => return Err(PeekError::Invalid { id, reason: "method is missing" }),
    };
    Ok(Envelope { kind, id, method, params: raw.params, outcome })
}

/// Returns a response line (without newline) that carries a result.
pub fn result_line(id: &RequestId, result: &Value) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.as_json())
}

/// Returns a response line (without newline) that carries an error; a missing id is `null`, as JSON-RPC asks.
pub fn error_line(id: Option<&RequestId>, code: i64, message: &str, data: Option<Value>) -> String {
    let mut error = json!({"code": code, "message": message});
    if let Some(data) = data {
        error["data"] = data;
    }
    let id = id.map_or("null", RequestId::as_json);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}

/// Returns a request line (without newline).
pub fn request_line(id: &RequestId, method: &str, params: &Value) -> String {
    let method = Value::from(method);
    format!(r#"{{"jsonrpc":"2.0","id":{},"method":{method},"params":{params}}}"#, id.as_json())
}

/// Returns a notification line (without newline); `params` may be `Value::Null` for none.
pub fn notification_line(method: &str, params: &Value) -> String {
    let method = Value::from(method);
    if params.is_null() {
        format!(r#"{{"jsonrpc":"2.0","method":{method}}}"#)
    } else {
        format!(r#"{{"jsonrpc":"2.0","method":{method},"params":{params}}}"#)
    }
}

/// Returns a response line (without newline) with what another response carried.
pub fn outcome_line(id: &RequestId, (name, outcome): (&str, &RawValue)) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"{name}":{}}}"#, id.as_json(), outcome.get())
}

/// Returns a request line (without newline) for whoever is behind a relay: with an id of the relay's, and with
/// `params._meta[key] = value` for every entry given. Every other parameter is the sender's own text.
///
/// # Errors
/// Says why parameters cannot be relayed: they, or their `_meta`, are no objects, or hold text that is no JSON to every
/// reader.
pub fn relayed_line(
    id: &RequestId,
    method: &str,
    params: Option<&RawValue>,
    entries: &[(&str, Value)],
) -> Result<String, String> {
    let method = Value::from(method);
    let mut members: BTreeMap<String, Box<RawValue>> = match params.map(RawValue::get) {
        None | Some("null") => BTreeMap::new(),
        Some(text) => serde_json::from_str(text).map_err(|_| "params must be an object".to_owned())?,
    };
    if let Some(text) = members.get("_meta").map(|meta| meta.get().to_owned()) {
        let mut meta: Map<String, Value> = match text.as_str() {
            "null" => Map::new(),
            text => serde_json::from_str(text).map_err(|_| "params._meta must be an object".to_owned())?,
        };
        meta.extend(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        members.insert("_meta".to_owned(), raw(&Value::Object(meta)));
    } else if !entries.is_empty() {
        let meta: Map<String, Value> =
            entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        members.insert("_meta".to_owned(), raw(&Value::Object(meta)));
    }
    let params = serde_json::to_string(&members).expect("a map of JSON texts is JSON");
    Ok(format!(r#"{{"jsonrpc":"2.0","id":{},"method":{method},"params":{params}}}"#, id.as_json()))
}

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("a JSON value is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(line: &str) -> Result<Kind, PeekError> {
        peek(line.as_bytes()).map(|envelope| envelope.kind)
    }

    #[test]
    fn messages_are_told_apart() {
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), Ok(Kind::Request));
        assert_eq!(kind(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#), Ok(Kind::Notification));
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#), Ok(Kind::Response));
    }

    #[test]
    fn ids_keep_their_spelling() {
        for id in ["1", "-7", "\"1\"", "\"a\\u0062\"", "1.0"] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            assert_eq!(peek(line.as_bytes()).unwrap().id.unwrap().as_json(), id);
        }
    }

    #[test]
    fn what_is_no_message_has_its_answer() {
        let code = |line: &[u8]| {
            let answer: Value = serde_json::from_str(&peek(line).unwrap_err().answer()).unwrap();
            answer["error"]["code"].as_i64().unwrap()
        };
        assert_eq!(code(b"hello"), PARSE_ERROR);
        assert_eq!(code(b"{\"jsonrpc\":\"2.0\""), PARSE_ERROR);
        assert_eq!(code(b"\xff\xfe"), PARSE_ERROR);
        assert_eq!(code(b"[]"), INVALID_REQUEST);
        assert_eq!(code(b"[1"), PARSE_ERROR);
        assert_eq!(code(b"7"), INVALID_REQUEST);
        assert_eq!(code(br#"{"jsonrpc":"1.0","id":1,"method":"x"}"#), INVALID_REQUEST);
        assert_eq!(code(br#"{"jsonrpc":"2.0","id":null,"method":"x"}"#), INVALID_REQUEST);
        assert_eq!(code(br#"{"jsonrpc":"2.0","id":{},"method":"x"}"#), INVALID_REQUEST);
        assert_eq!(code(br#"{"jsonrpc":"2.0","id":1}"#), INVALID_REQUEST);
        assert_eq!(code(br#"{"jsonrpc":"2.0","id":1,"method":3}"#), INVALID_REQUEST);
    }

    #[test]
    fn a_relayed_request_is_plain() {
        let relayed = |params: &str, entries: &[(&str, Value)]| {
            let line =
                format!(r#"{{"jsonrpc":"2.0","id":"\u0061","method":"tools/call","params":{params}}}"#);
            let envelope = peek(line.as_bytes()).unwrap();
            relayed_line(&RequestId::from_number(7), "tools/call", envelope.params, entries)
        };
        let entry = &[("k", json!("v"))];
        let line =
            relayed(r#"{"name":"x","arguments":{"n":1.00},"_meta":{"progressToken":5}}"#, entry).unwrap();
        assert!(line.contains("1.00"), "arguments are the sender's own text: {line}");
        let message: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["id"], 7);
        assert_eq!(message["params"]["_meta"], json!({"progressToken": 5, "k": "v"}));
        for empty in [r#"{"name":"x","_meta":null}"#, r#"{"name":"x"}"#] {
            let message: Value = serde_json::from_str(&relayed(empty, entry).unwrap()).unwrap();
            assert_eq!(message["params"]["_meta"], json!({"k": "v"}), "{empty}");
        }
        for bad in ["[]", "7", r#"{"_meta":[]}"#, r#"{"_meta":7}"#] {
            assert!(relayed(bad, entry).is_err(), "{bad}");
            assert!(relayed(bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_outcome_goes_on_as_it_came() {
        let line = br#"{"jsonrpc":"2.0","id":7,"result":{"a" : 1.00}}"#;
        let outcome = peek(line).unwrap().outcome.unwrap();
        let id = RequestId::from_text("a");
        assert_eq!(outcome_line(&id, outcome), r#"{"jsonrpc":"2.0","id":"a","result":{"a" : 1.00}}"#);
    }
}
