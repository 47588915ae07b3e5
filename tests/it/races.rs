//! Many proxies at the same instant on a cold palace: one daemon, every time.

use std::sync::{Arc, Barrier};

use serde_json::json;

use crate::sandbox;

const ROUND_COUNT: usize = 20;

fn check(proxy_count: usize) {
    for round in 0..ROUND_COUNT {
        let sandbox = Arc::new(sandbox());
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
    check(2);
}

#[test]
fn eight_proxies_start_one_daemon() {
    check(8);
}

#[test]
fn thirty_two_proxies_start_one_daemon() {
    check(32);
}
