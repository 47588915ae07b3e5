//! A clock that is set while daemon and hosts work: nothing is lost, and whoever asks is told.

use std::io::Write;

use palace_tests::clock::Clock;
use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, Sandbox, daemon};
use serde_json::json;

use crate::sandbox;

const DAY_SECS: i64 = 24 * 60 * 60;

fn host(sandbox: &Sandbox, clock: &Clock, name: &str) -> Client {
    let mut host = Client::start(name, clock.command(sandbox, &sandbox.programs().palace_mcp));
    host.initialize();
    host
}

fn told(sandbox: &Sandbox, clock: &Clock, word: &str) -> String {
    let mut command = clock.command(sandbox, &sandbox.programs().palacectl);
    let output = command.arg(word).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_clock_that_is_set_under_daemon_and_hosts_loses_no_write_and_is_named() {
    let sandbox = sandbox();
    let clock = match Clock::new(&sandbox) {
        Ok(clock) => clock,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "skipped: no clock can be made: {why}");
            return;
        }
    };
    let mut hosts = [host(&sandbox, &clock, "first"), host(&sandbox, &clock, "second")];
    let mut count = 0;
    let mut file = |hosts: &mut [Client], when: &str| {
        for (number, host) in hosts.iter_mut().enumerate() {
            host.add("wing", "room", &format!("host {number} {when}"));
            let entry = json!({"agent_name": format!("agent {number}"), "entry": format!("entry {when}")});
            assert_eq!(host.call("diary_write", &entry)["success"], true, "{when}");
            count += 2;
        }
        assert_eq!(hosts[0].call("status", &json!({}))["total_drawers"], count, "{when}");
        let [found, ..] = &hosts[1].found(&format!("host 0 {when}"))[..] else {
            panic!("{when}: nothing found")
        };
        assert_eq!(*found, format!("host 0 {when}"));
    };
    file(&mut hosts, "before");
    let first = daemon::ready(&sandbox.palace()).pid;
    assert!(!told(&sandbox, &clock, "doctor").contains("it was set"), "nothing is wrong yet");

    for (seconds, when, way) in
        [(-DAY_SECS, "a day ago", "set back by"), (DAY_SECS, "tomorrow", "set forward by")]
    {
        clock.set(seconds);
        file(&mut hosts, when);
        let doctor = told(&sandbox, &clock, "doctor");
        assert!(doctor.contains(way), "{doctor}");
        assert_eq!(sandbox.daemons(), [first], "{when}: it serves on");
    }
    // The next daemon begins before the last one did; what it crashed over comes again, once.
    clock.set(-DAY_SECS);
    let call = hosts[0].send_call("diary_write", &json!({"agent_name": "ada", "entry": "over a crash"}));
    daemon::kill(first);
    let answer = hosts[0].answer(&json!(call));
    assert_eq!(palace_tests::client::tool_json(&answer)["success"], true, "{answer}");
    let read = hosts[1].call("diary_read", &json!({"agent_name": "ada"}));
    assert_eq!(read["entries"].as_array().map(Vec::len), Some(1), "{read}");
    wait_until("the second daemon alone", SOON, || sandbox.daemons().len() == 1);
    count += 1;
    let status = hosts[1].call("status", &json!({}));
    assert_eq!(status["total_drawers"], count, "{status}");
    for number in 0..2 {
        let read = hosts[1].call("diary_read", &json!({"agent_name": format!("agent {number}")}));
        assert_eq!(read["entries"].as_array().map(Vec::len), Some(3), "{read}");
    }
    let mut verify = clock.command(&sandbox, &sandbox.programs().palacectl);
    let verified = verify.arg("verify").output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}
