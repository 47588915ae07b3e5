//! Crowds of proxies that read and write at once: everything acknowledged is there once, and neither a proxy nor the
//! daemon takes more than it should.

use palace_tests::{Client, daemon, rounds};
use serde_json::json;

use crate::sandbox;

/// Proxies of each crowd, and in the long mode: those of hosts in the field.
const CROWDS: [(usize, usize); 4] = [(4, 4), (9, 9), (37, 37), (0, 50)];
/// What each host does how often, and in the long mode.
const VISIT_COUNT: (usize, usize) = (6, 40);
/// Most memory of a proxy, in KiB.
const PROXY_KIB_MAX: u64 = 10 * 1_024;
/// Searches to get warm, and to watch.
const SEARCH_COUNT: [usize; 2] = [200, 1_000];
/// Drawers that are searched, and in the long mode.
const DRAWER_COUNT: (usize, usize) = (20, 400);

fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    rss.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Files, reads, searches, lists and deletes; returns the ids of what it left.
fn visit(host: &mut Client, number: usize) -> Vec<String> {
    let mut left = Vec::new();
    for visit in 0..rounds(VISIT_COUNT) {
        let text = format!("host {number} came by the {visit} time");
        let id = host.add("crowd", &format!("room{number}"), &text);
        assert_eq!(host.call("get_drawer", &json!({"drawer_id": id}))["content"], text.as_str());
        assert!(host.found(&text).contains(&text));
        host.call("list_drawers", &json!({"wing": "crowd", "limit": 20}));
        if visit % 3 == 2 {
            assert_eq!(host.call("delete_drawer", &json!({"drawer_id": id}))["success"], true);
        } else {
            left.push(id);
        }
    }
    left
}

#[test]
fn crowds_of_mixed_work_lose_and_double_nothing() {
    for count in CROWDS.map(rounds).into_iter().filter(|count| *count > 0) {
        let sandbox = sandbox();
        let workers: Vec<_> = (0..count)
            .map(|number| {
                let mut host = sandbox.host(&format!("host{number}"));
                std::thread::spawn(move || {
                    host.initialize();
                    let left = visit(&mut host, number);
                    (host, left)
                })
            })
            .collect();
        let (mut hosts, left): (Vec<Client>, Vec<Vec<String>>) =
            workers.into_iter().map(|worker| worker.join().unwrap()).unzip();
        let left = left.concat();
        for ids in left.chunks(500) {
            let read = hosts[0].call("get_drawers", &json!({"drawer_ids": ids}));
            assert_eq!((&read["count"], &read["errors"]), (&json!(ids.len()), &json!(0)), "{count} proxies");
        }
        let status = hosts[count - 1].call("status", &json!({}));
        assert_eq!(status["total_drawers"], left.len(), "{count} proxies");
        assert_eq!(sandbox.daemons().len(), 1, "{count} proxies");
        for host in &hosts {
            let rss = rss_kib(host.pid());
            assert!(rss < PROXY_KIB_MAX, "one of {count} proxies takes {rss} KiB");
        }
    }
}

/// A peer's servers grew with every search.
#[test]
fn a_thousand_searches_leave_the_daemon_as_large_as_it_was() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let drawer_count = rounds(DRAWER_COUNT);
    for number in 0..drawer_count {
        host.add("wing", "room", &format!("a text of the number {number} and its neighbours"));
    }
    let pid = daemon::ready(&sandbox.palace()).pid;
    let [warm, after] = SEARCH_COUNT.map(|count| {
        for number in 0..count {
            let query = json!({"query": format!("neighbours of {}", number % drawer_count), "limit": 5});
            assert!(!host.call("search", &query)["results"].as_array().is_some_and(Vec::is_empty));
        }
        rss_kib(pid)
    });
    assert!(after <= warm + warm / 10, "from {warm} to {after} KiB");
}
