//! Waiting for events: it wakes at once, holds up nothing, and outlives the daemon it began with.

use palace_tests::daemon;
use palace_tests::wait::{SOON, wait_until};
use serde_json::{Value, json};

use crate::sandbox;

fn append(host: &mut palace_tests::client::Client, room: &str) -> Value {
    let event = json!({"type": "note.left", "stream": "project/x", "room": room, "from_agent": "ann"});
    let appended = host.call("event_append", &event);
    assert_eq!(appended["success"], true, "{appended}");
    appended["event"].clone()
}

fn waited(host: &mut palace_tests::client::Client, id: u64) -> Value {
    let answer = host.answer(&json!(id));
    serde_json::from_str(answer["result"]["content"][0]["text"].as_str().unwrap()).unwrap()
}

#[test]
fn a_waiting_call_is_answered_by_another_sessions_event_and_blocks_nothing() {
    let sandbox = sandbox();
    let (mut waiter, mut writer) = (sandbox.host("waiter"), sandbox.host("writer"));
    waiter.initialize();
    writer.initialize();
    let seen = append(&mut writer, "old");
    let wait = waiter.send_call(
        "event_wait",
        &json!({"since_event_id": seen["id"], "room": "new", "timeout_ms": 300_000}),
    );
    // The same session goes on: reads, writes, and an event that is not the one it waits for.
    waiter.add("wing", "room", "written while waiting");
    append(&mut waiter, "other");
    assert_eq!(waiter.call("status", &json!({}))["total_drawers"], 1);
    let expected = append(&mut writer, "new");
    let found = waited(&mut waiter, wait);
    assert_eq!((&found["timed_out"], &found["events"][0]["id"]), (&json!(false), &expected["id"]));
}

#[test]
fn a_wait_ends_with_its_time() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let found = host.call("event_wait", &json!({"timeout_ms": "1"}));
    assert_eq!((&found["timed_out"], &found["count"]), (&json!(true), &json!(0)));
}

#[test]
fn a_wait_goes_on_with_the_next_daemon_and_holds_up_no_end() {
    let sandbox = sandbox();
    let (mut waiter, mut writer) = (sandbox.host("waiter"), sandbox.host("writer"));
    waiter.initialize();
    writer.initialize();
    let seen = append(&mut writer, "first");
    let wait = waiter.send_call("event_wait", &json!({"since_event_id": seen["id"], "timeout_ms": 300_000}));
    waiter.add("wing", "room", "the wait was sent before this");
    let first = daemon::ready(&sandbox.palace()).pid;
    daemon::terminate(first);
    wait_until("the first daemon's end", SOON, || !daemon::of(&sandbox.palace()).contains(&first));
    let expected = append(&mut writer, "second");
    assert_eq!(waited(&mut waiter, wait)["events"][0]["id"], expected["id"]);
}

#[test]
fn whoever_waits_and_asks_for_progress_hears_that_time_goes_by() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let params = json!({
        "name": "mempalace_event_wait", "arguments": {"timeout_ms": 12_000}, "_meta": {"progressToken": "waiting"},
    });
    let id = host.send("tools/call", &params);
    let heard = host.other();
    assert_eq!(heard["params"]["progressToken"], "waiting");
    assert_eq!((&heard["params"]["progress"], &heard["params"]["total"]), (&json!(10.0), &json!(12.0)));
    assert_eq!(waited(&mut host, id)["timed_out"], true);
}
