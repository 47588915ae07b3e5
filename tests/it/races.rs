//! Many proxies at the same instant on a cold palace: one daemon, every time.

use std::sync::{Arc, Barrier};

use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, Sandbox, daemon};
use serde_json::{Value, json};

use crate::sandbox;

const ROUND_COUNT: usize = 20;
/// Rounds of the crowds that hosts in the field start, and in the long mode.
const FIELD_ROUND_COUNT: (usize, usize) = (20, 50);
/// Rounds of the largest crowd, and in the long mode.
const CROWD_ROUND_COUNT: (usize, usize) = (50, 200);

fn check(proxy_count: usize, round_count: usize, prepare: impl Fn(&Sandbox)) {
    for round in 0..round_count {
        let sandbox = sandbox();
        prepare(&sandbox);
        let sandbox = Arc::new(sandbox);
        let barrier = Arc::new(Barrier::new(proxy_count));
        let starters: Vec<_> = (0..proxy_count)
            .map(|number| {
                let (sandbox, barrier) = (Arc::clone(&sandbox), Arc::clone(&barrier));
                std::thread::spawn(move || {
                    barrier.wait();
                    let mut host = sandbox.host(&format!("host-{number}"));
                    assert!(host.initialize()["result"].is_object());
                    let id = host.add("wing", "race", &format!("text of host {number}"));
                    (host, id)
                })
            })
            .collect();
        let mut hosts: Vec<_> = starters.into_iter().map(|starter| starter.join().unwrap()).collect();
        assert_eq!(sandbox.daemons().len(), 1, "round {round} with {proxy_count} proxies");
        let ids: Vec<String> = hosts.iter().map(|(_, id)| id.clone()).collect();
        for at in [0, proxy_count - 1] {
            let host = &mut hosts[at].0;
            let read = host.call("get_drawers", &json!({"drawer_ids": ids}));
            assert_eq!((&read["count"], &read["errors"]), (&json!(proxy_count), &json!(0)));
        }
    }
}

#[test]
fn two_proxies_start_one_daemon() {
    check(2, ROUND_COUNT, |_| {});
}

#[test]
fn four_proxies_start_one_daemon() {
    check(4, palace_tests::rounds(FIELD_ROUND_COUNT), |_| {});
}

#[test]
fn eight_proxies_start_one_daemon() {
    check(8, ROUND_COUNT, |_| {});
}

#[test]
fn thirty_two_proxies_start_one_daemon() {
    check(32, palace_tests::rounds(FIELD_ROUND_COUNT), |_| {});
}

#[test]
fn sixty_four_proxies_start_one_daemon() {
    check(64, palace_tests::rounds(CROWD_ROUND_COUNT), |_| {});
}

#[test]
fn proxies_that_find_what_a_killed_daemon_left_start_one_daemon() {
    check(8, ROUND_COUNT, |sandbox| {
        let mut host = sandbox.host("first");
        host.initialize();
        host.call("status", &json!({}));
        daemon::kill(daemon::ready(&sandbox.palace()).pid);
        wait_until("the daemon's end", SOON, || sandbox.daemons().is_empty());
    });
}

#[test]
fn a_crowd_that_loses_its_daemon_starts_one() {
    let sandbox = sandbox();
    let mut hosts: Vec<Client> = (0..100).map(|number| sandbox.host(&format!("host-{number}"))).collect();
    for host in &mut hosts {
        host.initialize();
        host.call("list_wings", &json!({}));
    }
    for round in 0..3 {
        daemon::kill(daemon::ready(&sandbox.palace()).pid);
        let calls: Vec<u64> = hosts.iter_mut().map(|host| host.send_call("list_wings", &json!({}))).collect();
        for (host, call) in hosts.iter_mut().zip(calls) {
            assert_eq!(host.answer(&json!(call))["result"]["isError"], Value::Null, "round {round}");
        }
        assert_eq!(sandbox.daemons().len(), 1);
    }
    let log = std::fs::read_to_string(sandbox.palace().join(".daemon/log/daemon.log")).unwrap();
    assert_eq!(log.matches(" starts, pid ").count(), 4, "one start, and one after each kill");
}
