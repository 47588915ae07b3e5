//! The light profile over real processes: three tools, one line each; and what both profiles cost in tokens.

use palace_protocol::catalogue::{Profile, list_result};
use palace_protocol::mcp::instructions;
use palace_tests::Client;
use serde_json::{Value, json};
use tiktoken_rs::cl100k_base;

use crate::sandbox;

/// Tokens of `tools/list` that a host pays for at most.
const FULL_TOKENS_MAX: usize = 8_000;
const LIGHT_TOKENS_MAX: usize = 2_100;
const INSTRUCTIONS_TOKENS_MAX: usize = 200;

fn light(sandbox: &palace_tests::Sandbox, extra: &[&str]) -> Client {
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.arg("--palace").arg(sandbox.palace()).args(["--tools", "light"]).args(extra);
    let mut host = Client::start("light", command);
    host.initialize();
    host
}

fn run(host: &mut Client, tool: &str, arguments: &Value) -> Value {
    let answer = host.request("tools/call", &json!({"name": tool, "arguments": arguments}));
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    serde_json::from_str(text).unwrap()
}

#[test]
fn lines_do_what_the_full_profile_does() {
    let sandbox = sandbox();
    let mut host = light(&sandbox, &[]);
    let listed = host.request("tools/list", &json!({}));
    assert_eq!(listed["result"]["tools"].as_array().map(Vec::len), Some(3));
    for (room, text) in [("api", "the api answers within a second"), ("schema", "the schema has four tables")]
    {
        let added =
            run(&mut host, "palace_exec", &json!({"command": format!("ADD IN app/{room} \"{text}\"")}));
        assert_eq!(added["success"], true, "{added}");
    }
    run(&mut host, "palace_exec", &json!({"command": "TUNNEL CREATE app/api -> app/schema LABEL \"reads\""}));
    let found = run(&mut host, "palace_query", &json!({"query": "FIND \"api answers\" IN app LIMIT 2"}));
    assert_eq!(found["results"][0]["room"], "api", "{found}");
    assert!(found["relevance_confidence"].is_string() && found["results"][0]["recency_rank"].is_u64());
    assert_eq!(found["connected_tunnels"][0]["label"], "reads");
    // A hit is no crossing.
    assert_eq!(run(&mut host, "palace_query", &json!({"query": "TUNNELS"}))[0]["access_count"], 0);
    let event = "EVENT APPEND type:note.left stream:s room:r from:ann body:\"hello\"";
    assert_eq!(run(&mut host, "palace_coordinate", &json!({"command": event}))["success"], true);
    let inbox = run(&mut host, "palace_coordinate", &json!({"command": "EVENT LIST stream:s"}));
    assert_eq!(inbox["events"][0]["body"], "hello");
    let long = "x".repeat(300);
    let event = format!("EVENT APPEND type:note.left stream:s room:r from:ann to:bob body:\"{long}\"");
    assert_eq!(run(&mut host, "palace_coordinate", &json!({"command": event}))["success"], true);
    let inbox = run(&mut host, "palace_coordinate", &json!({"command": "INBOX bob"}));
    assert_eq!(
        (&inbox["events"][0]["body_truncated"], &inbox["events"][0]["body_length"]),
        (&json!(true), &json!(300))
    );
    run(&mut host, "palace_exec", &json!({"command": "ADD IN web/page \"a page with three links\""}));
    let taxonomy = |host: &mut Client, wing: &str| {
        run(host, "palace_query", &json!({"query": format!("TAXONOMY IN {wing}")}))["taxonomy"].clone()
    };
    assert_eq!(taxonomy(&mut host, "app"), json!({"app": {"api": 1, "schema": 1}}));
    assert_eq!(taxonomy(&mut host, "nowhere"), json!({}));
    let said = run(&mut host, "palace_exec", &json!({"command": "KG ADD Max loves table tennis"}));
    assert_eq!(said["fact"], "Max → loves → table tennis");
    let mistake = run(&mut host, "palace_query", &json!({"query": "KG STATS please"}));
    assert!(mistake["error"].as_str().unwrap().ends_with("         ^"), "{mistake}");
    let fields = json!({"target": "kg_query", "entity": "Max", "colour": "red"});
    let mistake = run(&mut host, "palace_query", &fields);
    assert_eq!(mistake["success"], false, "{mistake}");
    assert!(!mistake["error"].as_str().unwrap().contains("mempalace_"), "{mistake}");
    let refused = run(&mut host, "palace_query", &json!({"query": "FIND jwt", "since": "yesterday"}));
    assert!(refused["error"].is_string() && refused.get("status").is_none(), "{refused}");
    // The same palace, by the names of the full profile.
    let mut full = sandbox.host("full");
    full.initialize();
    assert_eq!(full.call("status", &json!({}))["total_drawers"], 3);
}

#[test]
fn a_read_only_light_session_changes_nothing() {
    let sandbox = sandbox();
    let mut host = light(&sandbox, &["--read-only"]);
    let append = json!({"command": "EVENT APPEND type:a.b stream:s room:r from:x"});
    let refused = host.request("tools/call", &json!({"name": "palace_coordinate", "arguments": append}));
    assert_eq!(refused["error"]["code"], -32003, "{refused}");
    let add = json!({"command": "ADD IN w/r \"text\""});
    let refused = host.request("tools/call", &json!({"name": "palace_exec", "arguments": add}));
    assert_eq!(refused["error"]["code"], -32003, "{refused}");
    assert_eq!(run(&mut host, "palace_query", &json!({"query": "STATUS"}))["total_drawers"], 0);
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the counts are what people ask for: cargo test tokens -- --nocapture"
)]
fn lists_and_instructions_cost_few_tokens() {
    let tokens = |text: &str| cl100k_base().unwrap().encode_ordinary(text).len();
    let full = tokens(&list_result(Profile::Full, false, false).to_string());
    let light = tokens(&list_result(Profile::Light, false, false).to_string());
    let instructions = [Profile::Full, Profile::Light].map(|profile| tokens(instructions(profile)));
    let instructions = instructions.into_iter().max().unwrap();
    println!("cl100k tokens: full {full}, light {light}, instructions {instructions}");
    assert!(full <= FULL_TOKENS_MAX, "full: {full}");
    assert!(light <= LIGHT_TOKENS_MAX, "light: {light}");
    assert!(instructions <= INSTRUCTIONS_TOKENS_MAX, "instructions: {instructions}");
}
