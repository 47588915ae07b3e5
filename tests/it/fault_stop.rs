//! Clients that arrive while a daemon ends, and ends that are broken off.

use std::time::Duration;

use palace_protocol::mcp::{CLIENT_CAPABILITIES_META_KEY, MODERN_VERSION, PROTOCOL_VERSION_META_KEY};
use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, daemon};
use serde_json::{Value, json};

use crate::sandbox;

/// Every step from the decision to end to the last removed file.
const STEPS: [&str; 6] =
    ["drain.begun", "drain.calls_done", "drain.deaf", "drain.closing", "drain.closed", "drain.withdrawn"];

#[test]
fn who_comes_at_any_step_of_the_end_is_served() {
    for step in STEPS {
        let sandbox = sandbox();
        let mut old = sandbox.breaking_host("old", &format!("{step}=pause"));
        old.initialize();
        old.add("wing", "room", "of the old daemon");
        let pid = daemon::ready(&sandbox.palace()).pid;
        daemon::terminate(pid);
        wait_until("the daemon at its step", SOON, || sandbox.reached(step));

        let mut new = sandbox.host("new");
        new.initialize();
        let added =
            new.send_call("add_drawer", &json!({"wing": "wing", "room": "room", "content": "of the new"}));
        let read = old.send_call("status", &json!({}));
        sandbox.release(step);
        assert_eq!(new.answer(&json!(added))["result"]["isError"], Value::Null, "{step}");
        assert_eq!(old.answer(&json!(read))["result"]["isError"], Value::Null, "{step}");
        assert_eq!(new.call("status", &json!({}))["total_drawers"], 2, "{step}");
        wait_until("the old daemon's end", SOON, || !sandbox.daemons().contains(&pid));
        assert_eq!(sandbox.daemons().len(), 1, "{step}");
    }
}

#[test]
fn an_end_that_is_broken_off_leaves_a_whole_palace() {
    let steps = STEPS.into_iter().chain(["snapshot.written", "snapshot.moved", "snapshot.named"]);
    for step in steps {
        let sandbox = sandbox();
        // The first end makes saved indexes, so that the second has some to replace.
        let mut host = sandbox.host("host");
        host.initialize();
        host.add("wing", "room", "the first");
        daemon::stop(&sandbox.palace());
        drop(host);
        let mut host = sandbox.breaking_host("host", &format!("{step}=kill"));
        host.initialize();
        host.add("wing", "room", "the second");
        let pid = daemon::ready(&sandbox.palace()).pid;
        daemon::terminate(pid);
        wait_until("the daemon's end", SOON, || !sandbox.daemons().contains(&pid));
        assert!(sandbox.reached(step), "{step} acted");
        for text in ["the first", "the second"] {
            assert!(host.found(text).contains(&text.to_owned()), "{step}: {text}");
        }
        let verified = sandbox.palacectl(&["verify"]).output().unwrap();
        assert!(verified.status.success(), "{step}: {verified:?}");
    }
}

#[test]
fn restarts_under_load_lose_no_answer_and_break_no_session() {
    let sandbox = sandbox();
    let mut hosts: Vec<Client> = (0..6).map(|number| sandbox.host(&format!("host{number}"))).collect();
    for host in &mut hosts {
        host.initialize();
    }
    std::thread::scope(|scope| {
        for (number, host) in hosts.iter_mut().enumerate() {
            scope.spawn(move || {
                for call in 0..60 {
                    host.add("wing", &format!("room{number}"), &format!("host {number} call {call}"));
                    if call % 5 == 0 {
                        host.call("status", &json!({}));
                    }
                }
            });
        }
        for _ in 0..10 {
            let restarted = sandbox.palacectl(&["restart"]).output().unwrap();
            assert!(restarted.status.success(), "{restarted:?}");
        }
    });
    assert_eq!(hosts[0].call("status", &json!({}))["total_drawers"], 360);
    assert_eq!(sandbox.daemons().len(), 1);
}

/// A long poll, an open subscription and half a request are there when the daemon ends.
#[test]
fn what_is_open_when_a_daemon_ends_outlives_it() {
    for step in STEPS {
        let sandbox = sandbox();
        let mut host = sandbox.breaking_host("host", &format!("{step}=pause"));
        host.initialize();
        let event =
            |room: &str| json!({"type": "note.left", "stream": "s", "room": room, "from_agent": "ann"});
        let seen = host.call("event_append", &event("old"))["event"]["id"].clone();
        let arguments = json!({"since_event_id": seen, "room": "new", "timeout_ms": 300_000});
        let wait = host.send_call("event_wait", &arguments);
        let mut stateless = sandbox.host("stateless");
        let meta = json!({PROTOCOL_VERSION_META_KEY: MODERN_VERSION, CLIENT_CAPABILITIES_META_KEY: {}});
        let wanted = json!({"_meta": meta, "notifications": {"toolsListChanged": true}});
        let subscription = stateless.send("subscriptions/listen", &wanted);
        assert_eq!(stateless.other()["method"], "notifications/subscriptions/acknowledged");
        let write = json!({"jsonrpc": "2.0", "id": "half", "method": "tools/call", "params": {"name": "mempalace_add_drawer",
                           "arguments": {"wing": "wing", "room": "room", "content": "written in two halves"}}});
        let line = format!("{write}\n");
        let (beginning, rest) = line.split_at(line.len() / 2);
        host.write(beginning.as_bytes());
        let pid = daemon::ready(&sandbox.palace()).pid;
        daemon::terminate(pid);
        wait_until("the daemon at its step", SOON, || sandbox.reached(step));
        sandbox.release(step);
        wait_until("the daemon's end", SOON, || !sandbox.daemons().contains(&pid));
        host.write(rest.as_bytes());
        assert_eq!(host.answer(&json!("half"))["result"]["isError"], Value::Null, "{step}");
        assert_eq!(host.found("two halves"), ["written in two halves"], "{step}");
        host.call("event_append", &event("new"));
        let woken = palace_tests::client::tool_json(&host.answer(&json!(wait)));
        assert_eq!(woken["timed_out"], false, "{step}: {woken}");
        assert!(
            stateless.answer_within(&json!(subscription), Duration::ZERO).is_err(),
            "{step}: it is still open"
        );
        stateless.close_stdin();
        assert!(stateless.answer(&json!(subscription))["result"].is_object(), "{step}: it ends in order");
    }
}
