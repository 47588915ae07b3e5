//! Every line that a host gets is a message of the revision it speaks, and every tool answers what its schema promises.
//!
//! One script calls everything in three sessions; what came back is checked here against the promises of `tools/list`,
//! and against MCP's own schemas when the environment names them (`tests/README.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use palace_protocol::catalogue;
use palace_tests::external::{client, optional};
use palace_tests::{Client, Sandbox};
use serde_json::{Value, json};

use crate::{parity, sandbox};

const STATELESS: &str = "2026-07-28";

/// The definition of a method's result in MCP's schemas.
fn definition(method: &str) -> &'static str {
    match method {
        "initialize" => "InitializeResult",
        "server/discover" => "DiscoverResult",
        "ping" => "EmptyResult",
        "tools/list" => "ListToolsResult",
        "tools/call" => "CallToolResult",
        "prompts/list" => "ListPromptsResult",
        "prompts/get" => "GetPromptResult",
        "resources/list" => "ListResourcesResult",
        "resources/templates/list" => "ListResourceTemplatesResult",
        "resources/read" => "ReadResourceResult",
        "completion/complete" => "CompleteResult",
        "subscriptions/listen" => "SubscriptionsListenResult",
        other => panic!("{other} has a definition"),
    }
}

/// A host that remembers what it asked, and whatever came back.
struct Speaker {
    host: Client,
    revision: &'static str,
    /// Method and tool by the request's id.
    asked: BTreeMap<u64, (String, Option<String>)>,
}

impl Speaker {
    fn start(sandbox: &Sandbox, revision: &'static str) -> Self {
        let mut host = sandbox.host(revision);
        host.record();
        let mut speaker = Self { host, revision, asked: BTreeMap::new() };
        if revision == STATELESS {
            speaker.ask("server/discover", json!({}));
        } else {
            let info = json!({"name": "speaker", "version": "1"});
            let params = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": info});
            let answer = speaker.ask("initialize", params);
            assert_eq!(answer["result"]["protocolVersion"], revision);
            speaker.host.write(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
            speaker.ask("ping", json!({}));
        }
        speaker
    }

    fn send(&mut self, method: &str, mut params: Value) -> u64 {
        if self.revision == STATELESS {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(STATELESS);
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
            params["_meta"]["io.modelcontextprotocol/clientInfo"] =
                json!({"name": "speaker", "version": "1"});
        }
        let tool = params["name"].as_str().map(str::to_owned);
        let id = self.host.send(method, &params);
        self.asked.insert(id, (method.to_owned(), tool));
        id
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        self.host.answer(&json!(id))
    }

    /// Calls every tool as the parity script does, and every other method, well and badly.
    fn say_everything(&mut self) {
        let mut answers = BTreeMap::new();
        for step in parity::steps() {
            let call = step["call"].as_str().unwrap();
            let arguments = parity::filled(&step["with"], &answers);
            let answer =
                self.ask("tools/call", json!({"name": format!("mempalace_{call}"), "arguments": arguments}));
            if let (Some(name), Some(text)) =
                (step["as"].as_str(), answer["result"]["content"][0]["text"].as_str())
            {
                answers.insert(name.to_owned(), serde_json::from_str(text).unwrap());
            }
        }
        let items: Vec<Value> = (0..40)
            .map(|number| json!({"wing": "w", "room": "many rooms", "content": format!("passage number {number}")}))
            .collect();
        let arguments = json!({"items": items, "dedup_threshold": 2});
        let params = json!({"name": "mempalace_checkpoint", "arguments": arguments, "_meta": {"progressToken": "steps"}});
        self.ask("tools/call", params);
        for method in ["tools/list", "prompts/list", "resources/list", "resources/templates/list"] {
            self.ask(method, json!({}));
            self.ask(method, json!({"cursor": "nowhere"}));
        }
        self.ask("prompts/get", json!({"name": "recall", "arguments": {"topic": "logins"}}));
        self.ask("prompts/get", json!({"name": "none"}));
        for uri in
            ["palace://overview", "palace://taxonomy", "palace://room/w/many%20rooms", "palace://drawer/none"]
        {
            self.ask("resources/read", json!({ "uri": uri }));
        }
        let reference = json!({"type": "ref/prompt", "name": "recall"});
        self.ask("completion/complete", json!({"ref": reference, "argument": {"name": "wing", "value": ""}}));
        self.ask("tools/call", json!({"name": "mempalace_search", "arguments": []}));
        self.ask("no/such/method", json!({}));
        if self.revision == STATELESS {
            self.send("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
        }
    }

    /// Ends the session and returns what came, each message with what it is to be checked against.
    fn heard(mut self, promised: &BTreeMap<String, Value>) -> Vec<Value> {
        self.host.close_stdin();
        self.host.wait_stdout_end(palace_tests::wait::SOON);
        let lines = self.host.recorded();
        let entry = |message: Value| {
            let Some((method, tool)) = message["id"].as_u64().and_then(|id| self.asked.get(&id)) else {
                return json!({"revision": self.revision, "message": message});
            };
            // A method that is not there has no result.
            let definition = message.get("result").map(|_| definition(method));
            let promised = tool.as_ref().and_then(|tool| promised.get(tool));
            json!({
                "revision": self.revision, "message": message, "definition": definition, "promised": promised,
            })
        };
        lines.into_iter().map(entry).collect()
    }
}

/// Returns how a tool's structured content breaks its promise, if it does: types of keys, and keys that are always there.
fn broken_promise(entry: &Value) -> Option<String> {
    let (result, promised) = (entry["message"].get("result")?, entry["promised"].as_object()?);
    if result["isError"] == true {
        return (!result["structuredContent"].is_null())
            .then(|| "a failure has structured content".to_owned());
    }
    let content = result["structuredContent"].as_object()?;
    let required = promised.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let missing = required.iter().find(|key| !content.contains_key(key.as_str().unwrap()));
    let ill_typed = content.iter().find(|(key, value)| {
        let kind = &promised["properties"][key.as_str()]["type"];
        let fits = |kind: &Value| match kind.as_str().unwrap() {
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            other => panic!("a type {other}"),
        };
        match kind {
            Value::Null => false,
            Value::Array(kinds) => !kinds.iter().any(fits),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => !fits(kind),
        }
    });
    match (missing, ill_typed) {
        (Some(key), _) => Some(format!("{key} is missing in {content:?}")),
        (None, Some((key, value))) => Some(format!("{key} is {value}")),
        (None, None) => None,
    }
}

fn heard_in_every_revision() -> Vec<Value> {
    let listed = catalogue::listed(catalogue::Profile::Full, false);
    let promised: BTreeMap<String, Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| (tool["name"].as_str().unwrap().to_owned(), tool["outputSchema"].clone()))
        .collect();
    let mut heard = Vec::new();
    for revision in ["2025-06-18", "2025-11-25", STATELESS] {
        let sandbox = sandbox();
        let mut speaker = Speaker::start(&sandbox, revision);
        speaker.say_everything();
        let answered: BTreeSet<String> =
            speaker.asked.values().filter_map(|(_, tool)| tool.clone()).collect();
        assert!(promised.keys().all(|tool| answered.contains(tool)), "every tool is called");
        heard.extend(speaker.heard(&promised));
    }
    heard
}

#[test]
fn every_line_is_a_message_of_its_revision() {
    let heard = heard_in_every_revision();
    let broken: Vec<String> = heard
        .iter()
        .filter_map(|entry| Some(format!("{}: {}", entry["message"]["id"], broken_promise(entry)?)))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let of_method = |revision: &str, method: &str| {
        heard
            .iter()
            .filter(|entry| entry["revision"] == revision && entry["message"]["method"] == method)
            .map(|entry| entry["message"]["params"].clone())
            .collect::<Vec<_>>()
    };
    for revision in ["2025-06-18", STATELESS] {
        let steps = of_method(revision, "notifications/progress");
        assert!(!steps.is_empty() && steps.iter().all(|step| step["progressToken"] == "steps"), "{steps:?}");
        let counts: Vec<f64> = steps.iter().map(|step| step["progress"].as_f64().unwrap()).collect();
        assert!(counts.windows(2).all(|pair| pair[0] < pair[1]), "{counts:?}");
    }
    assert_eq!(of_method(STATELESS, "notifications/subscriptions/acknowledged").len(), 1);
    let ended = heard.iter().filter(|entry| entry["definition"] == "SubscriptionsListenResult");
    assert_eq!(ended.count(), 1, "a subscription is answered when the session ends");
    check_with_the_official_schemas(&heard);
}

fn check_with_the_official_schemas(heard: &[Value]) {
    let Some(python) = client("PALACE_TEST_PYTHON", "a Python with the package jsonschema") else { return };
    let Some(schemas) = optional("PALACE_TEST_SCHEMAS", "a folder of MCP's schemas") else { return };
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    let mut file = std::fs::File::create(&record).unwrap();
    for entry in heard {
        writeln!(file, "{entry}").unwrap();
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schema/check.py");
    let output = checked(&python, &script, &schemas, &record);
    let count: usize = String::from_utf8_lossy(&output).trim().parse().unwrap();
    assert!(count > heard.len(), "{count} checks of {} messages", heard.len());
}

fn checked(python: &Path, script: &Path, schemas: &Path, record: &Path) -> Vec<u8> {
    let output = std::process::Command::new(python).arg(script).arg(schemas).arg(record).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
