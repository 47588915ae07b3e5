//! The measurements, in the order of the table.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use palace_tests::{Client, daemon};
use serde_json::json;

use crate::Options;
use crate::subject::{Ground, Subject};
use crate::table::Table;

/// Longest wait for one answer.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Measures everything for one subject.
pub fn all(subject: &Subject, options: &Options, table: &mut Table) {
    if let Some(source) = &options.moving {
        crate::moving::all(subject, source, table);
        return;
    }
    if let Some(size) = options.tools {
        let repeats = if options.quick { 30 } else { 100 };
        crate::tools::all(subject, size, options.records, repeats, table);
        return;
    }
    let repeats = if options.quick { 5 } else { 15 };
    starts(subject, repeats, table);
    work(subject, options, table);
    let sizes: Vec<usize> = options
        .sizes
        .iter()
        .copied()
        .filter(|size| subject.has_daemon() || *size <= options.drawers)
        .collect();
    crate::sizes::all(subject, &sizes, if options.quick { 20 } else { 100 }, table);
    for clients in [1, 4, 8, 32] {
        throughput(subject, clients, if options.quick { 8 } else { 40 } * 4 / clients.min(4), table);
    }
}

/// Returns the time since `since`.
pub fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

/// Returns the value below which `share` of the values lie.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = ((values.len() as f64 - 1.0) * share).round() as usize;
    values[at]
}

/// Returns a sentence that no other number gives.
pub fn note(number: usize) -> String {
    let topics =
        ["the garden wall", "a sailing trip", "the tax form", "compiler errors", "grandmother's recipe"];
    let verbs = ["was postponed because of", "reminds everyone of", "got settled after", "cost more than"];
    format!(
        "Note {number}: {} {} {} in week {}; the details are with case {}.",
        topics[number % 5],
        verbs[number / 5 % 4],
        topics[(number / 20 + 2) % 5],
        number % 53,
        number * 7919 % 10_007
    )
}

/// Calls a tool.
///
/// # Errors
/// When no answer comes in time.
pub fn tool(
    host: &mut Client,
    name: &str,
    arguments: &serde_json::Value,
) -> Result<serde_json::Value, String> {
    let id = host.send_call(name, arguments);
    host.answer_within(&json!(id), PATIENCE)
}

/// Tells whether an add was acknowledged.
pub fn add(host: &mut Client, number: usize) -> bool {
    let arguments = json!({"wing": "bench", "room": format!("room{}", number % 7), "content": note(number)});
    match tool(host, "add_drawer", &arguments) {
        Ok(answer) if answer["result"].is_object() => {
            palace_tests::client::tool_json(&answer)["success"] == true
        }
        Ok(_) | Err(_) => false,
    }
}

/// From spawn to an answered `initialize`, with and without a running server beside it.
fn starts(subject: &Subject, repeats: usize, table: &mut Table) {
    let mut cold = Vec::new();
    for _ in 0..repeats {
        let ground = Ground::new();
        let begun = Instant::now();
        subject.start("cold", &ground).initialize();
        cold.push(milliseconds(begun));
    }
    let ground = Ground::new();
    let mut beside = subject.start("beside", &ground);
    beside.initialize();
    add(&mut beside, 0);
    let mut warm = Vec::new();
    for _ in 0..repeats * 2 {
        let begun = Instant::now();
        subject.start("warm", &ground).initialize();
        warm.push(milliseconds(begun));
    }
    table.add(subject.name, "spawn → initialize, nothing running, ms p50", quantile(&mut cold, 0.5));
    table.add(subject.name, "spawn → initialize, nothing running, ms p95", quantile(&mut cold, 0.95));
    table.add(subject.name, "spawn → initialize, one running, ms p50", quantile(&mut warm, 0.5));
    table.add(subject.name, "spawn → initialize, one running, ms p95", quantile(&mut warm, 0.95));
}

/// One client: first calls, latencies, memory, size, and recovery from a kill.
fn work(subject: &Subject, options: &Options, table: &mut Table) {
    let ground = Ground::new();
    let begun = Instant::now();
    let mut host = subject.start("work", &ground);
    host.initialize();
    add(&mut host, 0);
    table.add(subject.name, "spawn → first write acknowledged, nothing running, ms", milliseconds(begun));
    let mut adds: Vec<f64> = (1..options.drawers)
        .map(|number| {
            let begun = Instant::now();
            assert!(add(&mut host, number), "write {number} of a single client is acknowledged");
            milliseconds(begun)
        })
        .collect();
    table.add(subject.name, "add_drawer, 1 client, ms p50", quantile(&mut adds, 0.5));
    table.add(subject.name, "add_drawer, 1 client, ms p95", quantile(&mut adds, 0.95));
    let mut searches = Vec::new();
    for number in 0..if options.quick { 40 } else { 200 } {
        let query = json!({"query": note(number * 13), "limit": 5});
        let begun = Instant::now();
        let answer = tool(&mut host, "search", &query);
        searches.push(milliseconds(begun));
        assert!(answer.is_ok_and(|answer| answer["result"].is_object()));
    }
    let row = |what: &str| format!("search, 1 client, {} drawers, ms {what}", options.drawers);
    table.add(subject.name, &row("p50"), quantile(&mut searches, 0.5));
    table.add(subject.name, &row("p95"), quantile(&mut searches, 0.95));
    memory(subject, &host, &ground, table);
    #[expect(clippy::cast_precision_loss, reason = "files are far smaller than 2^53 bytes")]
    let megabytes = folder_bytes(&ground.palace()) as f64 / 1e6;
    table.add(subject.name, &format!("palace on disk, {} drawers, MB", options.drawers), megabytes);
    if subject.has_daemon() {
        recovery(subject, &mut host, &ground, if options.quick { 3 } else { 9 }, table);
    }
}

fn memory(subject: &Subject, host: &Client, ground: &Ground, table: &mut Table) {
    let server = "server per host";
    table.add(subject.name, &format!("{server}, RSS MB"), rollup(host.pid(), "Rss:"));
    table.add(subject.name, &format!("{server}, PSS MB"), rollup(host.pid(), "Pss:"));
    if let Some(record) = daemon::record(&ground.palace()).filter(|_| subject.has_daemon()) {
        table.add(subject.name, "daemon, once per palace, model loaded, RSS MB", rollup(record.pid, "Rss:"));
    }
}

/// Returns a field of the process's memory, in MB.
pub fn rollup(pid: u32, field: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0");
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap_or(0.0) / 1_024.0
}

/// Returns the bytes of all files below a folder.
pub fn folder_bytes(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => folder_bytes(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

/// From SIGKILL of the daemon to the next answered read and write of the same session.
fn recovery(subject: &Subject, host: &mut Client, ground: &Ground, repeats: usize, table: &mut Table) {
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for number in 0..repeats {
        daemon::kill(daemon::ready(&ground.palace()).pid);
        let begun = Instant::now();
        assert!(tool(host, "status", &json!({})).is_ok());
        reads.push(milliseconds(begun));
        assert!(add(host, 1_000_000 + number));
        daemon::kill(daemon::ready(&ground.palace()).pid);
        let begun = Instant::now();
        assert!(add(host, 2_000_000 + number));
        writes.push(milliseconds(begun));
    }
    table.add(subject.name, "SIGKILL of the daemon → next read answered, ms p50", quantile(&mut reads, 0.5));
    table.add(
        subject.name,
        "SIGKILL of the daemon → next write acknowledged, ms p50",
        quantile(&mut writes, 0.5),
    );
}

/// Several servers on one palace, each with a client that waits for every answer.
fn throughput(subject: &Subject, clients: usize, calls: usize, table: &mut Table) {
    let ground = Ground::new();
    let mut hosts: Vec<Client> = (0..clients)
        .map(|number| {
            let mut host = subject.start(&format!("client{number}"), &ground);
            host.initialize();
            host
        })
        .collect();
    add(&mut hosts[0], 0);
    let (hosts, acknowledged, seconds) =
        together(hosts, move |client, call, host| add(host, 10_000 + client * calls + call), calls);
    let all = clients * calls;
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let (acknowledged_count, all_count) = (acknowledged as f64, all as f64);
    table.add(
        subject.name,
        &format!("writes acknowledged, {clients} clients, per s"),
        acknowledged_count / seconds,
    );
    table.add(
        subject.name,
        &format!("writes refused, {clients} clients, of {all}"),
        all_count - acknowledged_count,
    );
    let (_, answered, seconds) = together(
        hosts,
        move |client, call, host| {
            tool(host, "search", &json!({"query": note(client * calls + call), "limit": 5})).is_ok()
        },
        calls,
    );
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let answered = answered as f64;
    table.add(subject.name, &format!("searches, {clients} clients, per s"), answered / seconds);
}

/// Runs calls of all hosts at once; returns the hosts, how many calls succeeded, and the seconds it took.
pub fn together(
    hosts: Vec<Client>,
    work: impl Fn(usize, usize, &mut Client) -> bool + Send + Sync + 'static,
    calls: usize,
) -> (Vec<Client>, usize, f64) {
    let work = Arc::new(work);
    let barrier = Arc::new(Barrier::new(hosts.len() + 1));
    let threads: Vec<_> = hosts
        .into_iter()
        .enumerate()
        .map(|(client, mut host)| {
            let (work, barrier) = (Arc::clone(&work), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                let succeeded = (0..calls).filter(|call| work(client, *call, &mut host)).count();
                (host, succeeded)
            })
        })
        .collect();
    barrier.wait();
    let begun = Instant::now();
    let results: Vec<(Client, usize)> =
        threads.into_iter().map(|thread| thread.join().expect("a client's thread ends")).collect();
    let seconds = begun.elapsed().as_secs_f64();
    let succeeded = results.iter().map(|(_, succeeded)| succeeded).sum();
    (results.into_iter().map(|(host, _)| host).collect(), succeeded, seconds)
}
