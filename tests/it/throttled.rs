//! A machine that gives the daemon a tenth of a processor, with a cold palace and a crowd at the door: hosts hear from their
//! proxies at once, and from the daemon in the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, Sandbox, daemon};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::sandbox;

/// Hosts that start beside the one that is looked at.
const OTHER_COUNT: usize = 34;
/// How long the daemon runs, and how long it rests after that.
const RUNS: Duration = Duration::from_millis(2);
const RESTS: Duration = Duration::from_millis(18);
/// How long the crowd's first calls may take then.
const PATIENCE: Duration = Duration::from_secs(120);

/// Lets every daemon of the palace run for a tenth of the time, until told that it is over.
fn throttle(sandbox: &Sandbox, over: &AtomicBool) {
    let mut pids = sandbox.daemons();
    while !over.load(Ordering::SeqCst) {
        signal(&pids, Signal::CONT);
        last(Instant::now(), RUNS);
        signal(&pids, Signal::STOP);
        let rests = Instant::now();
        // A daemon that was started meanwhile is throttled from here on.
        pids = sandbox.daemons();
        last(rests, RESTS);
    }
    signal(&pids, Signal::CONT);
}

fn signal(pids: &[u32], signal: Signal) {
    for pid in pids {
        daemon::signal(*pid, signal);
    }
}

/// Lets a stretch of time come to its end.
fn last(begun: Instant, length: Duration) {
    while let Some(left) = length.checked_sub(begun.elapsed()) {
        std::thread::park_timeout(left);
    }
}

#[test]
fn a_crowd_before_a_throttled_daemon_is_heard_by_proxies_at_once_and_served_in_the_end() {
    let sandbox = sandbox();
    // The store stays closed until every host has its tools: the answers are the proxies' own.
    let mut first = sandbox.breaking_host("first", "daemon.opening=pause");
    first.initialize();
    wait_until("the opening", SOON, || sandbox.reached("daemon.opening"));
    let mut hosts: Vec<Client> =
        (0..OTHER_COUNT).map(|number| sandbox.host(&format!("host{number}"))).collect();
    hosts.push(first);
    for host in &mut hosts {
        assert!(host.initialize()["result"].is_object());
        let tools = host.request("tools/list", &json!({}));
        assert!(tools["result"]["tools"].as_array().is_some_and(|tools| tools.len() > 40), "{tools}");
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| throttle(&sandbox, &over));
        sandbox.release("daemon.opening");
        let calls: Vec<u64> =
            hosts.iter_mut().map(|host| host.send_call("search", &json!({"query": "anything"}))).collect();
        for (host, call) in hosts.iter_mut().zip(calls) {
            let answer = host.answer_within(&json!(call), PATIENCE);
            if answer.as_ref().is_ok_and(|answer| answer["result"]["isError"] == Value::Null) {
                continue;
            }
            over.store(true, Ordering::SeqCst);
            panic!("a throttled daemon's answer: {answer:?}");
        }
        over.store(true, Ordering::SeqCst);
    });
    assert_eq!(sandbox.daemons().len(), 1, "a slow start is no reason for another");
}
