//! How the same calls fare as a palace grows. One palace is filled in steps and measured at each.

use std::time::Instant;

use palace_tests::{Client, daemon};
use serde_json::json;

use crate::measure::{PATIENCE, add, folder_bytes, milliseconds, note, quantile, rollup, together, tool};
use crate::subject::{Ground, Subject};
use crate::table::Table;

/// Servers that fill the palace at once.
const FILLER_COUNT: usize = 32;

/// Measures at every size, which must be ascending.
pub fn all(subject: &Subject, sizes: &[usize], repeats: usize, table: &mut Table) {
    let ground = Ground::new();
    let mut stored = 0;
    for &size in sizes {
        let begun = Instant::now();
        fill(subject, &ground, stored, size);
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let rate = (size - stored) as f64 / begun.elapsed().as_secs_f64();
        table.add(subject.name, &format!("{size} drawers: filled from {stored}, per s"), rate);
        stored = size;
        at(subject, &ground, size, repeats, table);
    }
}

/// Files numbered drawers through several servers at once.
pub fn fill(subject: &Subject, ground: &Ground, from: usize, to: usize) {
    let fillers = if subject.has_daemon() { FILLER_COUNT.min(to - from) } else { 1 };
    let share = (to - from) / fillers;
    let mut hosts: Vec<Client> =
        (0..fillers).map(|number| subject.start(&format!("filler{number}"), ground)).collect();
    for host in &mut hosts {
        host.initialize();
    }
    let file = move |client: usize, call: usize, host: &mut Client| add(host, from + client * share + call);
    let (mut hosts, acknowledged, _) = together(hosts, file, share);
    let rest = (from + fillers * share..to).filter(|number| add(&mut hosts[0], *number)).count();
    assert_eq!(acknowledged + rest, to - from, "every write is acknowledged");
}

fn at(subject: &Subject, ground: &Ground, size: usize, repeats: usize, table: &mut Table) {
    let mut host = subject.start("reader", ground);
    host.initialize();
    let mut row = |what: &str, mut values: Vec<f64>, share: f64| {
        table.add(subject.name, &format!("{size} drawers: {what}"), quantile(&mut values, share));
    };
    let search = |number: usize| json!({"query": note(number * 13 + 7), "limit": 5});
    let filtered =
        |number: usize| json!({"query": note(number * 13 + 7), "limit": 5, "wing": "bench", "room": "room3"});
    let searches = timed(&mut host, "search", repeats, search);
    row("search, ms p50", searches.clone(), 0.5);
    row("search, ms p95", searches, 0.95);
    let short = |number: usize| json!({"query": format!("garden wall {number}"), "limit": 5});
    row("search of three words, ms p50", timed(&mut host, "search", repeats, short), 0.5);
    row("search in one room of seven, ms p50", timed(&mut host, "search", repeats, filtered), 0.5);
    row("status, ms p50", timed(&mut host, "status", repeats, |_| json!({})), 0.5);
    let page = |number: usize| json!({"limit": 20, "offset": number * size / repeats});
    row("list page, ms p50", timed(&mut host, "list_drawers", repeats, page), 0.5);
    #[expect(clippy::cast_precision_loss, reason = "files are far smaller than 2^53 bytes")]
    let megabytes = folder_bytes(&ground.palace()) as f64 / 1e6;
    row("palace on disk, MB", vec![megabytes], 0.5);
    if let Some(record) = daemon::record(&ground.palace()).filter(|_| subject.has_daemon()) {
        row("daemon RSS, MB", vec![rollup(record.pid, "Rss:")], 0.5);
        let (reads, searches) = restarts(&mut host, ground, 3);
        row("SIGKILL → next read answered, ms p50", reads, 0.5);
        row("SIGKILL → next search answered, ms p50", searches, 0.5);
    }
}

fn timed(
    host: &mut Client,
    name: &str,
    repeats: usize,
    arguments: impl Fn(usize) -> serde_json::Value,
) -> Vec<f64> {
    // The first call may load what the others share.
    (0..=repeats)
        .map(|number| {
            let begun = Instant::now();
            let answer = tool(host, name, &arguments(number));
            assert!(answer.is_ok_and(|answer| answer["result"].is_object()), "{name} is answered");
            milliseconds(begun)
        })
        .skip(1)
        .collect()
}

/// From the daemon's SIGKILL to the next answer on the same session, for a read and for a search.
pub fn restarts(host: &mut Client, ground: &Ground, repeats: usize) -> (Vec<f64>, Vec<f64>) {
    let mut after_kill = |name: &str, arguments: serde_json::Value| {
        daemon::kill(daemon::ready(&ground.palace()).pid);
        let begun = Instant::now();
        assert!(tool(host, name, &arguments).is_ok(), "{name} is answered within {PATIENCE:?}");
        milliseconds(begun)
    };
    (0..repeats)
        .map(|number| {
            let read = after_kill("status", json!({}));
            (read, after_kill("search", json!({"query": note(number), "limit": 5})))
        })
        .unzip()
}
