//! Whatever a host writes gets the right answer, and the next request is served.

use serde_json::{Value, json};

use palace_tests::Client;

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
        (b"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}", -32600),
        (b"42", -32600),
    ];
    for (line, code) in cases {
        host.write(&[line, b"\n"].concat());
        let answer =
            if line.starts_with(b"{\"jsonrpc\":\"1.0\"") { host.answer(&json!(1)) } else { host.other() };
        assert_eq!(answer["error"]["code"], code, "{}", String::from_utf8_lossy(line));
        serves(&mut host);
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
        ("search", json!({"query": 7})),
        ("search", json!({"query": "q", "limit": "many"})),
        ("search", json!({"query": "q", "colour": "red"})),
        ("add_drawer", json!({"wing": "w", "room": "r"})),
        ("get_drawer", json!({"drawer_id": null})),
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
    let first = host.answer(&json!("same"));
    let second = host.answer(&json!("same"));
    let (refused, answered) = if first["error"].is_object() { (first, second) } else { (second, first) };
    assert!(sandbox_is_cold || refused["error"].is_object());
    assert_eq!(refused["error"]["code"], -32600);
    assert_eq!(palace_tests::client::tool_json(&answered)["success"], true);
}
