//! After the storm: the proxies that lived through it work undisturbed, none of them is replaced, and neither their memory
//! and descriptors nor the daemon's grow.

use std::time::{Duration, Instant};

use palace_tests::wait::SOON;
use palace_tests::{Client, Sandbox, daemon};
use serde_json::json;

use crate::say;

/// Growth over what was there after warm-up that is still called flat, in percent.
const GROWTH_PERCENT_MAX: u64 = 10;
/// Most of the store that the daemon keeps in memory, in KiB.
const PAGE_CACHE_KIB_MAX: u64 = 64 * 1_024;
/// Most memory of a proxy, in KiB.
const PROXY_KIB_MAX: u64 = 10 * 1_024;

#[derive(Clone, Copy, Debug)]
struct Size {
    rss_kib: u64,
    descriptors: u64,
}

/// Works for `length`, a third of it to warm up; returns what grew, and what was not answered once.
pub fn run(sandbox: &Sandbox, mut hosts: Vec<Client>, length: Duration) -> Vec<String> {
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
    for host in &mut hosts {
        if !host.is_running() {
            problems.push(format!("proxy {} ended although its host lives", host.pid()));
        }
        host.close_stdin();
        host.wait_stdout_end(SOON);
        let twice = host.answered_twice();
        problems
            .extend(twice.iter().map(|id| format!("request {id} of pid {} was answered twice", host.pid())));
    }
    if daemon::ready(&sandbox.palace()).pid != daemon {
        problems.push("the daemon changed although nobody touched it".to_owned());
    }
    for (pid, (before, after)) in pids.iter().zip(before.iter().zip(&after)) {
        let cached = if *pid == daemon { cached } else { 0 };
        let memory = before.rss_kib + cached + before.rss_kib * GROWTH_PERCENT_MAX / 100;
        let descriptors = before.descriptors + (before.descriptors * GROWTH_PERCENT_MAX / 100).max(1);
        if after.rss_kib > memory || after.descriptors > descriptors {
            problems.push(format!("process {pid} grew from {before:?} to {after:?}"));
        }
        if *pid != daemon && after.rss_kib > PROXY_KIB_MAX {
            problems.push(format!("proxy {pid} takes {} KiB, more than {PROXY_KIB_MAX}", after.rss_kib));
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
