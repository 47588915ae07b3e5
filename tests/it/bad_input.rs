//! Whatever a host writes gets the right answer, and the next request is served.

use palace_protocol::catalogue::{self, Parameter, Shape, Tool};
use palace_tests::Client;
use serde_json::{Map, Value, json};

use crate::sandbox;

fn serves(host: &mut Client) {
    assert!(host.request("ping", &json!({}))["result"].is_object());
}

#[test]
fn lines_that_are_no_messages() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let cases: [(&[u8], i64); 8] = [
        (b"hello", -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1", -32700),
        (b"\xff\xfe\x00\x01", -32700),
        (b"\0", -32700),
        (b"[]", -32600),
        (b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32600),
        (b"{\"jsonrpc\":\"1.0\",\"id\":\"old\",\"method\":\"ping\"}", -32600),
        (b"42", -32600),
    ];
    for (line, code) in cases {
        host.write(&[line, b"\n"].concat());
        let answer =
            if line.starts_with(b"{\"jsonrpc\":\"1.0\"") { host.answer(&json!("old")) } else { host.other() };
        assert_eq!(answer["error"]["code"], code, "{}", String::from_utf8_lossy(line));
        serves(&mut host);
    }
}

#[test]
fn a_text_with_what_is_no_character_is_stored_without_it() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    for (id, bytes) in [("half", br"\ud83d".as_slice()), ("raw", b"\xff")] {
        let head = format!(
            r#"{{"jsonrpc":"2.0","id":"{id}","method":"tools/call","params":{{"name":"mempalace_add_drawer","arguments":{{"wing":"w","room":"r","content":"{id} "#
        );
        host.write(&[head.as_bytes(), bytes, b" of it\"}}}\n"].concat());
        let added = palace_tests::client::tool_json(&host.answer(&json!(id)));
        assert_eq!(added["success"], true, "{added}");
        let read = host.call("get_drawer", &json!({"drawer_id": added["drawer_id"]}));
        assert_eq!(read["content"], format!("{id} \u{FFFD} of it"));
    }
}

#[test]
fn line_endings_marks_and_blank_lines_are_tolerated() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.write(b"\xEF\xBB\xBF{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\"}\r\n\r\n\n");
    assert!(host.answer(&json!("a"))["result"].is_object());
    host.write(b"{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"method\":\"ping\"}");
    host.close_stdin();
    assert!(host.answer(&json!("b"))["result"].is_object());
}

#[test]
fn a_line_of_twenty_megabytes_costs_its_sender_one_answer() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let mut line = br#"{"jsonrpc":"2.0","id":"big","method":"tools/call","params":{"x":""#.to_vec();
    line.resize(20 * 1024 * 1024, b'a');
    line.push(b'\n');
    host.write(&line);
    assert_eq!(host.answer(&json!("big"))["error"]["code"], -32600);
    host.add("wing", "room", "and on");
}

#[test]
fn unknown_methods_tools_and_parameters_are_named() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let code = |answer: &Value| answer["error"]["code"].as_i64();
    assert_eq!(code(&host.request("logging/setLevel", &json!({}))), Some(-32601));
    assert_eq!(code(&host.request("tools/call", &json!({"name": "nope", "arguments": {}}))), Some(-32601));
    assert_eq!(code(&host.request("tools/call", &json!({}))), Some(-32602));
    let cases = [
        ("search", json!({})),
        ("search", json!({"query": "q", "limit": "many"})),
        ("search", json!({"query": "q", "colour": "red"})),
        ("add_drawer", json!({"wing": "w", "room": "r"})),
        ("search", json!({"query": "q", "limit": null})),
    ];
    for (tool, arguments) in cases {
        let answer =
            host.request("tools/call", &json!({"name": format!("mempalace_{tool}"), "arguments": arguments}));
        assert_eq!(code(&answer), Some(-32602), "{tool} {arguments}: {answer}");
    }
    serves(&mut host);
}

#[test]
fn names_and_texts_that_break_a_rule_store_nothing() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let long = "x".repeat(100_001);
    let cases = [
        (json!({"wing": "../etc", "room": "r", "content": "c"}), "wing"),
        (json!({"wing": "w", "room": "a/b", "content": "c"}), "room"),
        (json!({"wing": "w\u{0}", "room": "r", "content": "c"}), "wing"),
        (json!({"wing": "w", "room": "r", "content": "a\u{0}b"}), "content"),
        (json!({"wing": "w", "room": "r", "content": "  "}), "content"),
        (json!({"wing": "w", "room": "r", "content": long}), "100000"),
        (json!({"wing": "x".repeat(129), "room": "r", "content": "c"}), "128"),
    ];
    for (arguments, named) in cases {
        let refused = host.call("add_drawer", &arguments);
        assert_eq!(refused["success"], false);
        assert!(refused["error"].as_str().unwrap().contains(named), "{refused}");
    }
    assert_eq!(host.call("status", &json!({}))["total_drawers"], 0);
    assert!(
        host.call("search", &json!({"query": "q", "since": "yesterday"}))["error"]
            .as_str()
            .unwrap()
            .contains("since")
    );
    assert!(host.call("get_drawer", &json!({"drawer_id": "nope"}))["error"].is_string());
}

/// Returns a text that fits a parameter as far as it can without anything being stored.
fn fitting(parameter: &Parameter) -> Value {
    match (parameter.name, &parameter.shape) {
        ("base_commit", _) => json!("abcdef1"),
        ("kind", _) => json!("note"),
        ("type", _) => json!("a.b"),
        (_, Shape::TextList | Shape::EachText) => json!(["x"]),
        (_, Shape::Objects(_)) => json!([]),
        (_, Shape::Object(_)) => json!({}),
        (_, Shape::Integer { .. } | Shape::Clamped { .. } | Shape::Number) => json!(1),
        (_, Shape::Boolean | Shape::Guard) => json!(true),
        (_, Shape::OneOf(words)) => json!(words[0]),
        (_, Shape::Text | Shape::LongText | Shape::TextUpTo(_)) => json!("x"),
    }
}

fn required_of(tool: &Tool) -> Map<String, Value> {
    let fitting = |parameter: &Parameter| (parameter.name.to_owned(), fitting(parameter));
    let wanted = |parameter: &&Parameter| parameter.required || parameter.name == "entry";
    tool.parameters.iter().filter(wanted).map(fitting).collect()
}

const NAMES: &str =
    "wing room agent_name topic predicate wing_a wing_b source_wing source_room target_wing target_room";
const DATES: &str = "since before as_of valid_from valid_to ended at since_created_at";

fn is_one_of(name: &str, names: &str) -> bool {
    names.split(' ').any(|known| known == name)
}

/// Longest text of a parameter that has a limit of its own, in bytes of ASCII.
fn len_max(tool: &Tool, parameter: &Parameter) -> Option<usize> {
    match (tool.name, parameter.name, &parameter.shape) {
        (_, "goal" | "done" | "body", Shape::LongText) => Some(256 * 1024),
        ("mempalace_artifact_put" | "mempalace_patch_submit", "content", _) => Some(4 * 1024 * 1024),
        (_, "content" | "entry", Shape::LongText) => Some(100_000),
        // What is searched for is cut, and why one searches is not kept.
        (_, _, Shape::LongText | Shape::TextUpTo(_)) => None,
        (_, _, Shape::Text) => Some(4_096),
        _ => None,
    }
}

/// Returns values of one parameter that are to be refused, each with what the refusal must name.
fn bad_values(tool: &Tool, parameter: &Parameter) -> Vec<(Value, &'static str)> {
    let mut bad = Vec::new();
    let in_events = tool.parameters.iter().any(|other| matches!(other.name, "stream" | "from_agent"));
    let is_text = matches!(parameter.shape, Shape::Text | Shape::LongText | Shape::TextUpTo(_));
    if is_text {
        bad.extend(
            [5.into(), true.into(), json!(["x"]), json!({"x": 1})].map(|value| (value, "must be a string")),
        );
    }
    if let Some(len) = len_max(tool, parameter) {
        bad.push((json!("x".repeat(len + 1)), ""));
        bad.push((json!("a\u{0}b"), ""));
    }
    if is_one_of(parameter.name, NAMES) && !in_events {
        bad.extend(["../x", "a/b", "a\\b", ".."].map(|value| (json!(value), "path characters")));
        bad.extend(
            ["a\nb", "a\tb", "a\u{2028}b", "a\u{A0}b"].map(|value| (json!(value), "invalid characters")),
        );
    }
    if is_one_of(parameter.name, DATES) {
        bad.extend(["yesterday", "2026-02-30", "01/02/2026"].map(|value| (json!(value), "ISO")));
    }
    match (parameter.name, &parameter.shape) {
        (_, Shape::TextList) => {
            bad.extend([json!("x"), json!({"a": 1}), json!([5])].map(|value| (value, "list of strings")));
            bad.push((json!(["a\u{0}b"]), "null bytes"));
        }
        (_, Shape::EachText) => {
            bad.extend([json!("x"), json!({"a": 1}), json!(5)].map(|value| (value, "list of strings")));
            bad.push((json!([5]), "must hold strings"));
            bad.push((json!(["a\u{0}b"]), "null bytes"));
            bad.push((json!(["x".repeat(4_097)]), "4096"));
        }
        (_, Shape::Objects(members)) => {
            bad.extend([json!("x"), json!({})].map(|value| (value, "must be a list")));
            bad.extend(bad_members(tool, members).into_iter().map(|(item, rule)| (json!([item]), rule)));
            bad.extend(
                [json!(["x"]), json!([5]), json!([{}])].map(|value| (value, "must be non-empty strings")),
            );
        }
        (_, Shape::Object(members)) if !members.is_empty() => bad.extend(bad_members(tool, members)),
        ("metadata", _) => bad.extend([json!("x"), json!([])].map(|value| (value, "must be an object"))),
        (_, Shape::Boolean) => {
            bad.extend([json!(5), json!("x"), json!([])].map(|value| (value, "true or false")))
        }
        (_, Shape::Guard) => {
            bad.extend([json!(0), json!([]), json!({})].map(|value| (value, "true or false")))
        }
        (_, Shape::OneOf(_)) => bad.extend([json!("x"), json!(5)].map(|value| (value, "one of"))),
        ("direction" | "order", _) => bad.push((json!("up"), "")),
        ("status", _) => bad.push((json!("done"), "open")),
        ("type", _) => bad.push((json!("Not A Type"), "lowercase")),
        ("kind", _) => bad.push((json!("picture"), "patch")),
        _ => {}
    }
    bad
}

/// Returns objects of which one member is to be refused, each with what the refusal must name.
fn bad_members(tool: &Tool, members: &'static [Parameter]) -> Vec<(Value, &'static str)> {
    let sound: Map<String, Value> =
        members.iter().map(|member| (member.name.to_owned(), fitting(member))).collect();
    let mut bad = Vec::new();
    for member in members {
        for (value, rule) in bad_values(tool, member) {
            // Whatever is no text is as good as missing: the name of the member is said, or what stands in for it is used.
            let is_missing = !value.is_string();
            if is_missing && matches!(member.name, "topic" | "wing") && !member.required {
                continue;
            }
            let mut object = sound.clone();
            object.insert(member.name.to_owned(), value);
            bad.push((Value::Object(object), if is_missing { member.name } else { rule }));
        }
    }
    bad
}

/// Returns everything an answer calls an error, at the top and beside what was done.
fn errors_of(answer: &Value, found: &mut Vec<String>) {
    match answer {
        Value::Object(object) => {
            found.extend(object.get("error").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| errors_of(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| errors_of(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Every tool, every parameter, everything that does not fit: an error that names it, and nothing is stored.
#[test]
fn no_tool_takes_what_does_not_fit() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let mut wrong = Vec::new();
    for tool in catalogue::tools() {
        let call = |host: &mut Client, arguments: &Map<String, Value>| {
            host.request("tools/call", &json!({"name": tool.name, "arguments": arguments}))
        };
        let base = required_of(tool);
        let mut expect_invalid = |host: &mut Client, arguments: Map<String, Value>, named: &str| {
            let answer = call(host, &arguments);
            let message = answer["error"]["message"].as_str().unwrap_or_default();
            if answer["error"]["code"] != -32602 || !message.contains(named) {
                wrong.push(format!("{} {named}: {answer}", tool.name));
            }
        };
        let mut unknown = base.clone();
        unknown.insert("colour".to_owned(), json!("red"));
        expect_invalid(&mut host, unknown, "'colour'");
        for parameter in tool.parameters {
            if base.contains_key(parameter.name) {
                let mut without = base.clone();
                without.shift_remove(parameter.name);
                expect_invalid(&mut host, without, parameter.name);
            }
            if parameter.is_number() {
                for value in [json!("x"), json!([1]), json!({}), Value::Null] {
                    let mut arguments = base.clone();
                    arguments.insert(parameter.name.to_owned(), value);
                    expect_invalid(&mut host, arguments, parameter.name);
                }
            }
        }
        for parameter in tool.parameters {
            for (value, rule) in bad_values(tool, parameter) {
                let mut arguments = base.clone();
                if parameter.name == "content" {
                    arguments.shift_remove("entry");
                }
                arguments.insert(parameter.name.to_owned(), value.clone());
                let answer = call(&mut host, &arguments);
                let json: Value = answer["result"]["content"][0]["text"]
                    .as_str()
                    .and_then(|text| serde_json::from_str(text).ok())
                    .unwrap_or_default();
                let mut errors = Vec::new();
                errors_of(&json, &mut errors);
                let has_members = |shape: &Shape| {
                    matches!(shape, Shape::Objects(_))
                        || matches!(shape, Shape::Object(members) if !members.is_empty())
                };
                // What is wrong inside is told by the member's name. A goal is refused as part of the body it becomes;
                // an entry may come as content.
                let told = errors.iter().any(|error| {
                    let named = error.contains(parameter.name)
                        || has_members(&parameter.shape)
                        || (matches!(parameter.name, "goal" | "done") && error.contains("body"))
                        || (tool.name == "mempalace_diary_write" && error.contains("entry"));
                    named && error.contains(rule)
                });
                if !told {
                    let shown: String = value.to_string().chars().take(40).collect();
                    wrong.push(format!("{} {}={shown}: {answer}", tool.name, parameter.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(host.call("status", &json!({}))["total_drawers"], 0);
    assert_eq!(host.call("kg_stats", &json!({}))["entities"], 0);
    assert_eq!(host.call("list_tunnels", &json!({})), json!([]));
    assert_eq!(host.call("event_list", &json!({}))["count"], 0);
    assert_eq!(host.call("hook_settings", &json!({}))["settings"]["silent_save"], true);
    // Nothing at all was written, half or whole.
    let output = sandbox.palacectl(&["status", "--json"]).output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["writer"]["commands"], 0, "{status}");
}

/// Ids that may be of anything: the peer does not look for it either.
const FREE_IDS: [&str; 3] = ["correlation_id", "source_drawer_id", "target_drawer_id"];

#[test]
fn unknown_ids_are_told_apart_from_mistakes() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let event = json!({
        "type": "a.b", "stream": "s", "room": "r", "from_agent": "x", "artifact_ids": ["nope"],
    });
    let since = json!({"since_event_id": "nope"});
    let before = json!({"before_event_id": "nope"});
    let unknown = |name: &str| json!({ "error": format!("{name} \"nope\" not found") });
    let (not_since, not_before) = (unknown("since_event_id"), unknown("before_event_id"));
    let cases = [
        ("event_append", event, json!({"success": false})),
        ("event_list", since.clone(), not_since.clone()),
        ("event_list", before, not_before),
        ("event_wait", since, not_since),
        ("get_drawer", json!({"drawer_id": "nope"}), json!({"error": "Drawer not found: nope"})),
        ("delete_drawer", json!({"drawer_id": "nope"}), json!({"success": false})),
        ("update_drawer", json!({"drawer_id": "nope", "room": "r"}), json!({"success": false})),
        ("get_drawers", json!({"drawer_ids": ["nope"]}), json!({"errors": 1, "count": 1})),
        ("delete_drawers", json!({"drawer_ids": ["nope"]}), json!({"errors": 1, "deleted": 0})),
        ("delete_by_source", json!({"source_file": "/nope", "dry_run": false}), json!({"deleted": 0})),
        ("delete_tunnel", json!({"tunnel_id": "nope"}), json!({"deleted": "nope", "existed": false})),
        ("delete_hallway", json!({"hallway_id": "nope"}), json!({"deleted": false})),
        ("artifact_get", json!({"artifact_id": "nope"}), json!({"error": "artifact \"nope\" not found"})),
        ("event_ack", json!({"event_id": "nope", "from_agent": "x"}), json!({"success": false})),
        ("traverse", json!({"start_room": "nope"}), json!({"error": "Room 'nope' not found"})),
    ];
    for tool in catalogue::tools() {
        let names = tool.parameters.iter().map(|parameter| parameter.name);
        for id in names.filter(|name| name.ends_with("_id") || name.ends_with("_ids")) {
            let short = tool.name.trim_start_matches("mempalace_");
            let is_asked = cases.iter().any(|(name, given, _)| *name == short && given.get(id).is_some());
            assert!(is_asked || FREE_IDS.contains(&id), "{short} {id}");
        }
    }
    for (tool, arguments, expect) in cases {
        let answer = host.call(tool, &arguments);
        for (key, value) in expect.as_object().unwrap() {
            assert_eq!(&answer[key], value, "{tool}: {answer}");
        }
    }
}

#[test]
fn an_id_in_use_is_refused_and_its_first_request_answered() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    // Both lines arrive before a daemon can have answered the first: there is none yet.
    let call = |text: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"same","method":"tools/call","params":{{"name":"mempalace_add_drawer","arguments":{{"wing":"w","room":"r","content":"{text}"}}}}}}"#
        )
    };
    let sandbox_is_cold = sandbox.daemons().is_empty();
    host.write(format!("{}\n{}\n", call("one"), call("two")).as_bytes());
    let mut answer = || host.answer_within(&json!("same"), palace_tests::wait::SOON).unwrap();
    let (first, second) = (answer(), answer());
    let (refused, answered) = if first["error"].is_object() { (first, second) } else { (second, first) };
    assert!(sandbox_is_cold || refused["error"].is_object());
    assert_eq!(refused["error"]["code"], -32600);
    assert_eq!(palace_tests::client::tool_json(&answered)["success"], true);
}
