//! The daemon is broken at every named point of a write. The host sees one answer, and the write is there once.

use serde_json::json;

use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, daemon};

use crate::sandbox;

/// Every point between the arrival of a write and the last byte of its answer, and how the daemon breaks there.
const POINTS: [&str; 8] = [
    "tool.call=kill",
    "write.queued=kill",
    "write.applied=kill",
    "write.logged=kill",
    "write.committed=kill",
    "write.visible=kill",
    "tool.called=kill",
    "answer.torn=error@2",
];

/// Counts the drawers whose text is exactly this.
fn copies(host: &mut Client, text: &str) -> usize {
    host.found(text).iter().filter(|found| found.as_str() == text).count()
}

#[test]
fn a_write_is_stored_once_wherever_the_daemon_is_killed() {
    for point in POINTS {
        let sandbox = sandbox();
        let mut host = sandbox.breaking_host("host", point);
        host.initialize();
        let id = host.add("wing", "room", "written through a crash");
        assert!(sandbox.reached(point.split('=').next().unwrap()), "{point} acted");
        assert_eq!(copies(&mut host, "written through a crash"), 1, "{point}");
        assert_eq!(host.call("status", &json!({}))["total_drawers"], 1, "{point}");
        assert_eq!(host.call("get_drawer", &json!({"drawer_id": id}))["content"], "written through a crash");
        assert_eq!(sandbox.daemons().len(), 1, "{point}");
    }
}

#[test]
fn a_repeated_write_gets_the_answer_of_the_first() {
    // An entry's id holds the time: a second execution would make a second one.
    for point in ["write.visible=kill", "answer.torn=error@2"] {
        let sandbox = sandbox();
        let mut host = sandbox.breaking_host("host", point);
        host.initialize();
        let written = host.call("diary_write", &json!({"agent_name": "ada", "entry": "I saw a crash"}));
        assert_eq!(written["success"], true, "{point}: {written}");
        let read = host.call("diary_read", &json!({"agent_name": "ada"}));
        assert_eq!(read["entries"].as_array().map(Vec::len), Some(1), "{point}: {read}");
        assert_eq!(host.call("status", &json!({}))["total_drawers"], 1, "{point}");
    }
}

/// The host heard that the palace was not available, wrote again, and the write was there twice.
#[test]
fn a_write_without_an_answer_is_in_doubt_and_its_repetition_is_stored_once() {
    let sandbox = sandbox();
    let program = sandbox.home().join("palaced");
    let install = || std::os::unix::fs::symlink(&sandbox.programs().palaced, &program).unwrap();
    install();
    let mut command = sandbox.breaking(&sandbox.programs().palace_mcp, "write.committed=kill");
    command.env("PALACE_DAEMON", &program).arg("--palace").arg(sandbox.palace());
    let mut host = Client::start("host", command);
    host.initialize();
    host.call("status", &json!({}));
    std::fs::remove_file(&program).unwrap();
    let entry = json!({"agent_name": "ada", "entry": "I may have been written"});
    let id = host.send_call("diary_write", &entry);
    let answer = host.answer(&json!(id));
    assert!(sandbox.reached("write.committed"));
    let reason = &answer["result"]["_meta"]["io.github.mempalaced/error"]["reason"];
    assert_eq!(reason, "outcome_unknown", "{answer}");
    install();
    wait_until("the next daemon", SOON, || {
        let id = host.send_call("diary_write", &entry);
        host.answer(&json!(id))["result"]["isError"].is_null()
    });
    let read = host.call("diary_read", &json!({"agent_name": "ada"}));
    assert_eq!(read["entries"].as_array().map(Vec::len), Some(1), "{read}");
    // Once it is answered, the same text is a new entry.
    host.call("diary_write", &entry);
    let read = host.call("diary_read", &json!({"agent_name": "ada"}));
    assert_eq!(read["entries"].as_array().map(Vec::len), Some(2), "{read}");
}

#[test]
fn a_panic_in_a_tool_costs_its_call_alone() {
    let sandbox = sandbox();
    let mut other = sandbox.breaking_host("other", "tool.call=panic@2");
    other.initialize();
    other.add("wing", "room", "before the panic");
    let pid = daemon::ready(&sandbox.palace()).pid;
    let mut host = sandbox.host("host");
    host.initialize();
    let id = host.send_call("list_wings", &json!({}));
    let answer = host.answer(&json!(id));
    assert_eq!(answer["error"]["data"]["error_class"], "panic", "{answer}");
    assert_eq!(host.call("list_wings", &json!({}))["wings"]["wing"], 1);
    assert_eq!(copies(&mut other, "before the panic"), 1);
    assert_eq!(daemon::ready(&sandbox.palace()).pid, pid, "the daemon went on");
}

#[test]
fn a_panic_in_the_writer_ends_the_daemon_and_loses_nothing() {
    let sandbox = sandbox();
    let mut host = sandbox.breaking_host("host", "write.applied=panic@3");
    host.initialize();
    for number in 0..5 {
        host.add("wing", "room", &format!("write {number}"));
    }
    assert!(sandbox.reached("write.applied"));
    assert_eq!(host.call("status", &json!({}))["total_drawers"], 5);
}

#[test]
fn a_request_that_kills_every_daemon_is_tried_twice_and_told() {
    let sandbox = sandbox();
    let mut bystander = sandbox.host("bystander");
    bystander.initialize();
    bystander.add("wing", "room", "of the bystander");
    daemon::stop(&sandbox.palace());
    let mut host = sandbox.breaking_host("host", "tool.call=kill*");
    host.initialize();
    let id = host.send_call("list_wings", &json!({}));
    let answer = host.answer(&json!(id));
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("ended twice") && text.contains("palacectl doctor"), "{text}");
    // The daemons of a host without failpoints pass.
    assert_eq!(copies(&mut bystander, "of the bystander"), 1);
}
