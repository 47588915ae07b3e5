//! After the storm: the same hosts work undisturbed, and neither memory nor descriptors of daemon and proxies grow.

use std::time::{Duration, Instant};

use palace_tests::{Client, Sandbox, daemon};
use serde_json::json;

use crate::say;

/// Growth over what was there after warm-up that is still called flat, in percent.
const GROWTH_PERCENT_MAX: u64 = 10;
/// Most of the store that the daemon keeps in memory, in KiB.
const PAGE_CACHE_KIB_MAX: u64 = 64 * 1_024;
/// Growth of memory that is never called a leak, in KiB: a page here and there.
const GROWTH_KIB_FREE: u64 = 2_048;

#[derive(Clone, Copy, Debug)]
struct Size {
    rss_kib: u64,
    descriptors: u64,
}

/// Works for `length`, a third of it to warm up; returns what grew.
pub fn run(sandbox: &Sandbox, host_count: usize, length: Duration) -> Vec<String> {
    let mut hosts: Vec<Client> = (0..host_count)
        .map(|number| {
            let mut host = sandbox.host(&format!("steady{number}"));
            host.initialize();
            host
        })
        .collect();
    let calls = work(&mut hosts, length / 3);
    let daemon = daemon::ready(&sandbox.palace()).pid;
    let pids: Vec<u32> = std::iter::once(daemon).chain(hosts.iter().map(Client::pid)).collect();
    let before: Vec<Size> = pids.iter().map(|pid| size(*pid)).collect();
    let stored_before = stored_kib(sandbox);
    let more = work(&mut hosts, length * 2 / 3);
    // Each write leaves its answer for a day; what the store grows by may stand in its page cache.
    let cached = stored_kib(sandbox) - stored_before;
    let after: Vec<Size> = pids.iter().map(|pid| size(*pid)).collect();
    say(&format!(
        "steady: {calls} calls to warm up, {more} more; store + {cached} KiB; daemon {} → {} KiB, {} → {} descriptors; first proxy {} → {} KiB",
        before[0].rss_kib,
        after[0].rss_kib,
        before[0].descriptors,
        after[0].descriptors,
        before[1].rss_kib,
        after[1].rss_kib
    ));
    let mut problems = Vec::new();
    if daemon::ready(&sandbox.palace()).pid != daemon {
        problems.push("the daemon changed although nobody touched it".to_owned());
    }
    for (pid, (before, after)) in pids.iter().zip(before.iter().zip(&after)) {
        let cached = if *pid == daemon { cached } else { 0 };
        let memory =
            before.rss_kib + cached + (before.rss_kib * GROWTH_PERCENT_MAX / 100).max(GROWTH_KIB_FREE);
        let descriptors = before.descriptors + (before.descriptors * GROWTH_PERCENT_MAX / 100).max(1);
        if after.rss_kib > memory || after.descriptors > descriptors {
            problems.push(format!("process {pid} grew from {before:?} to {after:?}"));
        }
    }
    problems
}

/// Returns how much of the store the daemon may keep in memory.
fn stored_kib(sandbox: &Sandbox) -> u64 {
    let len = std::fs::metadata(sandbox.palace().join("palace.redb")).map_or(0, |found| found.len());
    (len / 1_024).min(PAGE_CACHE_KIB_MAX)
}

/// Lets every host file, read, search and delete the same few drawers, so that the palace keeps its size.
fn work(hosts: &mut [Client], length: Duration) -> u64 {
    std::thread::scope(|scope| {
        let workers: Vec<_> = hosts
            .iter_mut()
            .enumerate()
            .map(|(number, host)| {
                scope.spawn(move || {
                    let begun = Instant::now();
                    let mut calls = 0;
                    while begun.elapsed() < length {
                        let text = format!("host {number} comes by, visit {}", calls % 40);
                        let id = host.add("steady", "room", &text);
                        host.call("search", &json!({"query": text, "limit": 5}));
                        host.call("status", &json!({}));
                        host.call("delete_drawer", &json!({"drawer_id": id}));
                        calls += 4;
                    }
                    calls
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a steady host is always answered")).sum()
    })
}

fn size(pid: u32) -> Size {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let descriptors =
        std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64);
    Size { rss_kib: rss.trim().trim_end_matches("kB").trim().parse().unwrap_or_default(), descriptors }
}
