//! One daemon makes way for another: idle ends that meet a client, and builds of different versions.

use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, Sandbox, daemon};
use serde_json::json;

use crate::sandbox;

#[test]
fn a_client_that_comes_as_the_idle_time_ends_keeps_the_daemon() {
    let sandbox = sandbox();
    let mut command = sandbox.breaking(&sandbox.programs().palaced, "drain.idle=pause");
    command.args(["--idle-timeout", "1", "--palace"]).arg(sandbox.palace());
    let mut serving = command.stdin(std::process::Stdio::null()).spawn().unwrap();
    wait_until("the end of the idle time", SOON, || sandbox.reached("drain.idle"));
    let mut host = sandbox.host("host");
    host.initialize();
    let call =
        host.send_call("add_drawer", &json!({"wing": "wing", "room": "room", "content": "just in time"}));
    // The connection stands in the socket's queue when the daemon goes on.
    wait_until("the connection", SOON, || connected(host.pid()));
    sandbox.release("drain.idle");
    assert_eq!(host.answer(&json!(call))["result"]["isError"], serde_json::Value::Null);
    assert_eq!(sandbox.daemons(), [serving.id()], "the same daemon serves");
    drop(host);
    assert!(serving.wait().unwrap().success(), "without clients it ends after all");
}

/// Tells whether a process has a connected Unix socket.
fn connected(pid: u32) -> bool {
    let sockets = std::fs::read_to_string(format!("/proc/{pid}/net/unix")).unwrap_or_default();
    let own: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter_map(|target| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .collect();
    // Field 6 is the state, 3 is connected; field 7 is the inode (proc(5)).
    sockets.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(5) == Some(&"03") && fields.get(6).is_some_and(|inode| own.iter().any(|own| own == inode))
    })
}

/// Starts a proxy that says it is of a version, as do the daemons it starts.
fn of_version(sandbox: &Sandbox, version: &str, cooldown: &str) -> Client {
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.env("PALACE_TEST_BUILD", version).env("PALACE_UPGRADE_COOLDOWN_SECS", cooldown);
    let mut host = Client::start(version, {
        command.arg("--palace").arg(sandbox.palace());
        command
    });
    host.initialize();
    host
}

#[test]
fn a_newer_build_takes_over_without_a_session_noticing() {
    let sandbox = sandbox();
    let mut old = of_version(&sandbox, "0.9.0", "0");
    old.add("wing", "room", "under the old build");
    assert_eq!(daemon::ready(&sandbox.palace()).build, "0.9.0");
    let mut new = of_version(&sandbox, "0.10.0", "0");
    new.add("wing", "room", "of the new build");
    wait_until("the new build's daemon", SOON, || {
        daemon::record(&sandbox.palace()).is_some_and(|record| record.build == "0.10.0")
    });
    old.add("wing", "room", "of the old build, under the new one");
    let serving = daemon::ready(&sandbox.palace());
    assert_eq!(old.call("status", &json!({}))["total_drawers"], 3);
    // An older build attaches and asks nothing.
    let mut older = of_version(&sandbox, "0.8.0", "0");
    older.add("wing", "room", "of a still older build");
    assert_eq!(daemon::ready(&sandbox.palace()), serving);
    assert_eq!(sandbox.daemons(), [serving.pid]);
}

/// Hosts of both builds write all the while; a host thinks between two calls, so that the daemon is idle at times.
#[test]
fn a_hand_over_under_load_loses_no_answer() {
    const THOUGHT_COUNT: usize = 30;
    let sandbox = sandbox();
    let mut hosts: Vec<Client> = (0..3).map(|_| of_version(&sandbox, "0.9.0", "0")).collect();
    hosts[0].add("wing", "room", "under the old build");
    let old = daemon::ready(&sandbox.palace());
    assert_eq!(old.build, "0.9.0");
    hosts.extend((0..2).map(|_| of_version(&sandbox, "0.10.0", "0")));
    let over = std::sync::atomic::AtomicBool::new(false);
    let acknowledged: Vec<String> = std::thread::scope(|scope| {
        let writers: Vec<_> = hosts
            .iter_mut()
            .enumerate()
            .map(|(number, host)| {
                let over = &over;
                scope.spawn(move || {
                    let mut texts = Vec::new();
                    while !over.load(std::sync::atomic::Ordering::SeqCst) {
                        let text = format!("host {number}, write {}", texts.len());
                        host.add("wing", "load", &text);
                        texts.push(text);
                        for _ in 0..THOUGHT_COUNT {
                            host.request("ping", &json!({}));
                        }
                    }
                    texts
                })
            })
            .collect();
        let taken_over = || daemon::record(&sandbox.palace()).is_some_and(|record| record.build == "0.10.0");
        let begun = std::time::Instant::now();
        while !taken_over() && begun.elapsed() < SOON {
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    wait_until("the new build's daemon", SOON, || {
        daemon::record(&sandbox.palace()).is_some_and(|record| record.build == "0.10.0")
    });
    let total = hosts[0].call("status", &json!({}))["total_drawers"].as_u64();
    assert_eq!(total, Some(acknowledged.len() as u64 + 1), "each acknowledged write is there once");
    // The sessions of the old build go on with the new daemon.
    for host in &mut hosts {
        assert_eq!(host.found("under the old")[0], "under the old build");
        host.add("wing", "load", &format!("afterwards {}", host.pid()));
    }
    assert_ne!(daemon::ready(&sandbox.palace()).pid, old.pid);
    assert_eq!(sandbox.daemons().len(), 1);
}

#[test]
fn builds_of_different_versions_do_not_take_turns() {
    let sandbox = sandbox();
    let mut first = of_version(&sandbox, "0.9.0", "3600");
    first.add("wing", "room", "of the first");
    let serving = daemon::ready(&sandbox.palace());
    let mut newer: Vec<Client> =
        ["0.10.0", "0.11.0"].iter().map(|version| of_version(&sandbox, version, "3600")).collect();
    for host in &mut newer {
        host.add("wing", "room", &format!("of {}", host.pid()));
    }
    let log = sandbox.palace().join(".daemon/log/daemon.log");
    // Both have asked and were told to ask later: four sessions, two of them for the question.
    wait_until("both questions", SOON, || {
        std::fs::read_to_string(&log).unwrap().matches(": control, ").count() == 2
    });
    assert_eq!(daemon::ready(&sandbox.palace()), serving, "a daemon that has just started stays");
}
