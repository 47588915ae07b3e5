//! One script on our tools, compared with what MemPalace 3.11.0 answered to it: `tests/parity/record.py` records shapes
//! and plain values. Every key the peer answers must be there with the same type, and the same value where it is stored;
//! more keys are allowed.

use std::collections::BTreeMap;

use palace_tests::Client;
use serde_json::{Map, Value};

use crate::sandbox;

const SCRIPT: &str = include_str!("../parity/script.json");
const RECORDED: &str = include_str!("../parity/recorded.json");

/// Where we answer otherwise, and why.
struct Difference {
    tool: &'static str,
    /// A parameter that the call must have; empty for any call.
    given: &'static str,
    /// The place.
    path: &'static str,
    why: &'static str,
}

const fn differs(
    tool: &'static str,
    given: &'static str,
    path: &'static str,
    why: &'static str,
) -> Difference {
    Difference { tool, given, path, why }
}

const DIFFERENCES: [Difference; 9] = [
    differs(
        "status",
        "",
        "/result/library_versions",
        "no libraries are replaced under a running daemon; builds make way",
    ),
    differs(
        "status",
        "",
        "/result/sqlite_integrity",
        "there is no SQLite; `palacectl verify` checks the store",
    ),
    differs("status", "", "/result/updates", "nothing asks for updates"),
    differs(
        "mesh_peers",
        "",
        "/result/self",
        "events are not exchanged: there is no profile to advertise, and no name",
    ),
    differs("mesh_peers", "", "/result/origin_profiles", "as above"),
    differs("mesh_peers", "", "/result/estate_source", "as above: the daemon itself answers"),
    differs("mesh_peers", "", "/result/sync_interval_s", "as above: nothing is synchronised"),
    differs(
        "search",
        "before",
        "/result/total_before_filter",
        "filters narrow before candidates are counted",
    ),
    differs(
        "search",
        "candidate_strategy",
        "/result/total_before_filter",
        "words and meaning are always searched together",
    ),
];

impl Difference {
    /// Tells whether this is the difference: a place is meant with all that stands below it.
    fn explains(&self, call: &str, arguments: &Value, difference: &str) -> bool {
        assert!(!self.why.is_empty());
        let is_given = self.given.is_empty() || arguments.get(self.given).is_some();
        let (place, _) = difference.split_once(": ").expect("a place and what differs");
        let is_there =
            place.strip_prefix(self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.tool == call && is_given && is_there
    }
}

/// Returns the script's steps.
pub fn steps() -> Vec<Value> {
    serde_json::from_str(SCRIPT).unwrap()
}

/// Returns arguments with `$name.path` replaced by what an earlier answer held there.
pub fn filled(value: &Value, answers: &BTreeMap<String, Value>) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, item)| (name.clone(), filled(item, answers)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(|item| filled(item, answers)).collect(),
        Value::String(text) if text == "$long" => {
            "A sentence that is repeated until the drawer is long. ".repeat(40).into()
        }
        Value::String(text) => match text.strip_prefix('$') {
            Some(path) => {
                let (name, path) = path.split_once('.').expect("a name and a path");
                path.split('.').fold(&answers[name], |found, part| &found[part]).clone()
            }
            None => value.clone(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Adds each place where `ours` does not have what `recorded` has.
fn compare(recorded: &Value, ours: &Value, path: &str, differing: &mut Vec<String>) {
    let mut differ = |what: String| differing.push(format!("{path}: {what}"));
    match (recorded, ours) {
        (Value::Object(wanted), Value::Object(found)) => {
            for (name, wanted) in wanted {
                match found.get(name) {
                    Some(found) => compare(wanted, found, &format!("{path}/{name}"), differing),
                    None => differing.push(format!("{path}/{name}: missing")),
                }
            }
        }
        (Value::Array(wanted), Value::Array(found)) => {
            if wanted.len() != found.len() {
                differ(format!("{} entries instead of {}", found.len(), wanted.len()));
                return;
            }
            for (index, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                compare(wanted, found, &format!("{path}/{index}"), differing);
            }
        }
        (Value::String(wanted), Value::String(_)) if wanted == "<text>" => {}
        (Value::String(wanted), Value::Number(_)) if wanted == "<number>" => {}
        _ if recorded == ours => {}
        _ => differ(format!("{ours} instead of {recorded}")),
    }
}

fn answer(host: &mut Client, call: &str, arguments: &Value) -> Value {
    let params = serde_json::json!({"name": format!("mempalace_{call}"), "arguments": arguments});
    let message = host.request("tools/call", &params);
    match message.get("error") {
        Some(error) => {
            serde_json::json!({"code": error["code"], "data": error.get("data").cloned().unwrap_or_else(|| Map::new().into())})
        }
        None => {
            let text = message["result"]["content"][0]["text"].as_str().expect("a text block");
            serde_json::json!({"result": serde_json::from_str::<Value>(text).expect("JSON")})
        }
    }
}

#[test]
fn the_script_is_answered_as_the_peer_answers_it() {
    let steps = steps();
    let recorded: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    assert_eq!(steps.len(), recorded.len());
    let sandbox = sandbox();
    let mut host = sandbox.host("parity");
    host.initialize();
    let mut answers = BTreeMap::new();
    let mut differing = Vec::new();
    let mut used = [0; DIFFERENCES.len()];
    for (number, (step, recorded)) in steps.iter().zip(&recorded).enumerate() {
        let call = step["call"].as_str().unwrap();
        let ours = answer(&mut host, call, &filled(&step["with"], &answers));
        if let Some(name) = step["as"].as_str() {
            answers.insert(name.to_owned(), ours["result"].clone());
        }
        let mut found = Vec::new();
        compare(recorded, &ours, "", &mut found);
        found.retain(|found| {
            let mut explained = false;
            for (difference, uses) in DIFFERENCES.iter().zip(&mut used) {
                let explains = difference.explains(call, &step["with"], found);
                *uses += usize::from(explains);
                explained |= explains;
            }
            !explained
        });
        differing.extend(found.into_iter().map(|difference| format!("{number} {call} {difference}")));
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    let idle = DIFFERENCES.iter().zip(used).filter(|(_, uses)| *uses == 0);
    let idle: Vec<String> =
        idle.map(|(difference, _)| format!("{} {}", difference.tool, difference.path)).collect();
    assert!(idle.is_empty(), "no difference any more: {}", idle.join(", "));
}
