//! Hosts that introduce themselves late, twice, in another order, or not at all: each request has one answer, the session
//! works, and the daemon sees one session.

use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, Sandbox};
use serde_json::{Value, json};

use crate::sandbox;

fn host(sandbox: &Sandbox) -> Client {
    let mut host = sandbox.host("host");
    host.record();
    host
}

fn introduce(host: &mut Client, name: &str) -> u64 {
    let client = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": name, "version": "1"}});
    host.send("initialize", &client)
}

const INITIALIZED: &[u8] = b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n";

/// Looks at everything that reached the host: one answer for each id from 1 on, and nothing else.
fn answered_once_each(host: &mut Client, what: &str) {
    // Behind everything before it.
    host.call("status", &json!({}));
    let lines = host.recorded();
    let mut ids: Vec<u64> = lines.iter().map(|line| line["id"].as_u64().unwrap_or_default()).collect();
    ids.sort_unstable();
    let count = ids.len() as u64;
    assert_eq!(ids, (1..=count).collect::<Vec<u64>>(), "{what}: {lines:?}");
    assert!(lines.iter().all(|line| line["result"].is_object()), "{what}: {lines:?}");
}

fn file(host: &mut Client, text: &str) -> u64 {
    host.send_call("add_drawer", &json!({"wing": "wing", "room": "room", "content": text}))
}

/// Sends something and returns the ids of its requests.
type Order = fn(&mut Client) -> Vec<u64>;

#[test]
fn whatever_the_order_of_handshakes_each_request_has_one_answer() {
    let orders: [(&str, Order); 6] = [
        ("no introduction at all", |host| {
            vec![
                host.send("tools/list", &json!({})),
                file(host, "without one"),
                host.send("ping", &json!({})),
            ]
        }),
        ("a call before the introduction", |host| {
            let early = file(host, "early");
            let introduced = introduce(host, "late");
            host.write(INITIALIZED);
            vec![early, introduced, file(host, "behind it")]
        }),
        ("notifications/initialized first, and again", |host| {
            host.write(INITIALIZED);
            let introduced = introduce(host, "host");
            host.write(INITIALIZED);
            host.write(INITIALIZED);
            vec![introduced, file(host, "once")]
        }),
        ("two introductions with a call between them", |host| {
            let first = introduce(host, "first");
            let between = file(host, "between");
            let second = introduce(host, "second");
            host.write(INITIALIZED);
            vec![first, between, second, file(host, "behind both")]
        }),
        ("an introduction that is never completed", |host| {
            vec![introduce(host, "host"), file(host, "at once"), host.send("prompts/list", &json!({}))]
        }),
        ("discovery before and behind", |host| {
            let before = host.send("server/discover", &json!({}));
            let introduced = introduce(host, "host");
            host.write(INITIALIZED);
            vec![before, introduced, file(host, "discovered"), host.send("server/discover", &json!({}))]
        }),
    ];
    let sandbox = sandbox();
    let mut filed = 0;
    for (what, order) in orders {
        let mut host = host(&sandbox);
        let ids = order(&mut host);
        for id in ids {
            let answer = host.answer(&json!(id));
            let is_write = answer["result"]["content"][0]["text"]
                .as_str()
                .is_some_and(|text| text.contains("drawer_id"));
            assert_eq!(answer["result"]["isError"], Value::Null, "{what}: {answer}");
            filed += u64::from(is_write);
        }
        answered_once_each(&mut host, what);
        assert_eq!(
            host.call("status", &json!({}))["total_drawers"],
            filed,
            "{what}: each write was applied once"
        );
        // That of the order before may be about to close.
        wait_until("one session", SOON, || {
            let sessions = sandbox.palacectl(&["--json", "sessions"]).output().unwrap();
            let sessions: Value = serde_json::from_slice(&sessions.stdout).unwrap();
            sessions.as_array().is_some_and(|sessions| sessions.len() == 1)
        });
    }
    assert_eq!(filed, 8);
    assert_eq!(sandbox.daemons().len(), 1);
}
