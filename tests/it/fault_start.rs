//! Starts that are broken at every named point, and daemons that cannot be reached although they live.

use std::time::Duration;

use palace_protocol::endpoint::{DAEMON_DIR, RECORD_FILE, STARTS_FILE};
use palace_tests::wait::{SOON, wait_for, wait_until};
use palace_tests::{Askers, Client, daemon};
use serde_json::{Value, json};

use crate::sandbox;

/// Every point between a daemon's first instruction and an open store.
const DAEMON_POINTS: [&str; 7] = [
    "daemon.start",
    "daemon.locked",
    "daemon.listening",
    "daemon.named",
    "daemon.published",
    "daemon.ready",
    "daemon.opened",
];

#[test]
fn a_daemon_killed_while_it_starts_is_started_again() {
    for point in DAEMON_POINTS {
        let sandbox = sandbox();
        let mut host = sandbox.breaking_host("host", &format!("{point}=kill"));
        host.initialize();
        host.add("wing", "room", "stored all the same");
        assert!(sandbox.reached(point), "{point} acted");
        assert_eq!(sandbox.daemons().len(), 1, "{point}");
        let sockets = std::fs::read_dir(sandbox.palace().join(DAEMON_DIR)).unwrap().flatten();
        let sockets = sockets.filter(|entry| entry.file_name().to_string_lossy().starts_with("s.")).count();
        assert_eq!(sockets, 1, "{point}: no socket of the dead daemon is left");
    }
}

#[test]
fn a_starter_killed_in_the_middle_is_in_nobodys_way() {
    for point in ["starter.locked", "starter.spawned"] {
        let sandbox = sandbox();
        let mut first = sandbox.breaking_host("first", &format!("{point}=kill"));
        // It starts a daemon for the first of these, and may be killed before it has answered or read anything.
        let client = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "first", "version": "1"}});
        first.try_send("initialize", &client);
        first.try_send("tools/call", &json!({"name": "mempalace_status"}));
        wait_until("the starter's end", SOON, || sandbox.reached(point));
        let mut second = sandbox.host("second");
        second.initialize();
        second.add("wing", "room", "after the starter was killed");
        // Of two that were started one serves; the other one sees that, and goes.
        wait_until("the end of the one that came too late", SOON, || sandbox.daemons().len() == 1);
    }
}

#[test]
fn a_daemon_between_two_steps_is_waited_for_and_not_doubled() {
    for point in ["daemon.locked", "daemon.listening", "daemon.named", "daemon.ready", "daemon.opening"] {
        let sandbox = sandbox();
        let mut first = sandbox.breaking_host("first", &format!("{point}=pause"));
        first.initialize();
        wait_until("the daemon at its point", SOON, || sandbox.reached(point));
        let others = Askers::start(&sandbox, 8);
        assert_eq!(sandbox.daemons().len(), 1, "{point}");
        sandbox.release(point);
        let _others = others.served(SOON);
        assert_eq!(sandbox.daemons().len(), 1, "{point}");
    }
}

/// Returns how many starts were attempted in vain.
fn attempts(palace: &std::path::Path) -> Option<u64> {
    let memory = std::fs::read(palace.join(DAEMON_DIR).join(STARTS_FILE)).ok()?;
    serde_json::from_slice::<Value>(&memory).ok()?["attempts"].as_u64()
}

#[test]
fn a_daemon_that_always_crashes_is_soon_left_alone_and_tried_again_by_a_person() {
    let sandbox = sandbox();
    let mut hosts: Vec<Client> =
        (0..4).map(|number| sandbox.breaking_host(&format!("host{number}"), "daemon.opened=kill*")).collect();
    for host in &mut hosts {
        host.initialize();
        for _ in 0..5 {
            let id = host.send_call("status", &json!({}));
            let answer = host.answer(&json!(id));
            let text = answer["result"]["content"][0]["text"].as_str().unwrap().to_owned();
            assert!(text.contains("times in a row") && text.contains("palacectl start"), "{text}");
        }
    }
    // Twenty calls of four hosts: three attempts, and as many more as the growing pauses allowed meanwhile.
    let failed = attempts(&sandbox.palace()).expect("failed starts are remembered");
    assert!((3..=6).contains(&failed), "{failed} attempts");
    let doctor = sandbox.palacectl(&["doctor"]).output().unwrap();
    let told = String::from_utf8(doctor.stdout).unwrap();
    assert!(told.contains("in a row"), "{told}");

    let started = sandbox.palacectl(&["start"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    assert_eq!(attempts(&sandbox.palace()), None, "a success is the end of the memory");
    let mut next = sandbox.host("next");
    next.initialize();
    next.add("wing", "room", "works again");
}

/// It was forgotten as soon as the palace was open, and such a daemon was started as often as hosts called.
#[test]
fn a_daemon_that_opens_the_palace_and_crashes_over_it_is_left_alone_too() {
    let sandbox = sandbox();
    let mut command = sandbox.breaking(&sandbox.programs().palace_mcp, "tool.call=kill*");
    command.env("PALACE_SETTLED_SECS", "60").arg("--palace").arg(sandbox.palace());
    let mut host = Client::start("host", command);
    host.initialize();
    let mut told = String::new();
    for _ in 0..12 {
        let id = host.send_call("list_wings", &json!({}));
        told = host.answer(&json!(id))["result"]["content"][0]["text"].to_string();
    }
    assert!(told.contains("times in a row"), "{told}");
    let failed = attempts(&sandbox.palace()).expect("failed starts are remembered");
    assert!((3..=6).contains(&failed), "{failed} attempts");
    let doctor = sandbox.palacectl(&["doctor"]).output().unwrap();
    let told = String::from_utf8(doctor.stdout).unwrap();
    assert!(told.contains("crash") && told.contains("in a row did"), "{told}");
    drop(host);

    let start = || {
        let mut start = sandbox.palacectl(&["start"]);
        start.env("PALACE_SETTLED_SECS", "60");
        let started = start.output().unwrap();
        assert!(started.status.success(), "{started:?}");
    };
    start();
    assert_eq!(attempts(&sandbox.palace()), Some(failed + 1), "it has to serve for a while");
    daemon::stop(&sandbox.palace());
    assert_eq!(attempts(&sandbox.palace()), None, "an end in order is no failure");
}

#[test]
fn a_stopped_daemon_is_waited_for_and_never_replaced() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "before the pause");
    let pid = daemon::ready(&sandbox.palace()).pid;
    daemon::signal(pid, rustix::process::Signal::STOP);
    let attached = host.send_call("list_wings", &json!({}));
    let mut late = sandbox.host("late");
    late.initialize();
    let call = late.send_call("list_wings", &json!({}));
    assert!(late.answer_within(&json!(call), Duration::from_secs(2)).is_err(), "nobody answers for it");
    assert_eq!(sandbox.daemons(), [pid]);
    daemon::signal(pid, rustix::process::Signal::CONT);
    assert_eq!(late.answer(&json!(call))["result"]["isError"], Value::Null);
    assert_eq!(host.answer(&json!(attached))["result"]["isError"], Value::Null);
    assert_eq!(sandbox.daemons(), [pid]);
}

/// In the pause after a failure the glance at a suspended daemon had no limit, and every later call hung.
#[test]
fn calls_to_a_stopped_daemon_are_answered_again_and_again() {
    let sandbox = sandbox();
    let mut first = sandbox.host("first");
    first.initialize();
    first.add("wing", "room", "before the pause");
    let pid = daemon::ready(&sandbox.palace()).pid;
    daemon::signal(pid, rustix::process::Signal::STOP);
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.env("PALACE_TEST_RECOVERY_MS", "500").arg("--palace").arg(sandbox.palace());
    let mut late = Client::start("late", command);
    late.initialize();
    for _ in 0..3 {
        let call = late.send_call("list_wings", &json!({}));
        assert_eq!(late.answer(&json!(call))["result"]["isError"], true);
    }
    daemon::signal(pid, rustix::process::Signal::CONT);
    wait_until("an answer of the daemon", SOON, || {
        let call = late.send_call("list_wings", &json!({}));
        late.answer(&json!(call))["result"]["isError"] == Value::Null
    });
    assert_eq!(sandbox.daemons(), [pid]);
}

#[test]
fn a_record_that_is_none_or_names_another_is_not_believed() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "kept");
    drop(host);
    daemon::stop(&sandbox.palace());
    // A long-lived process that has nothing to do with a palace.
    let mut stranger = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let path = sandbox.palace().join(DAEMON_DIR).join(RECORD_FILE);
    let record = |palace: &str, pid: u32, boot: &str| {
        json!({"v": 1, "generation": "0badcafe", "address": {"unix": format!("{palace}/.daemon/s.0badcafe")},
               "token": "00", "pid": pid, "started_at": 1, "boot_id": boot, "palace": palace,
               "protocol_min": 1, "protocol_max": 1, "build": "0.0.1", "managed_by": "auto", "state": "ready"})
        .to_string()
    };
    let palace = std::fs::canonicalize(sandbox.palace()).unwrap().display().to_string();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned();
    let records = [
        String::new(),
        "{\"v\": 1, \"gener".to_owned(),
        "[]".to_owned(),
        record("/somewhere/else", stranger.id(), &boot),
        record(&palace, stranger.id(), "another boot"),
        record(&palace, stranger.id(), &boot),
    ];
    for record in records {
        std::fs::write(&path, &record).unwrap();
        let mut host = sandbox.host("host");
        host.initialize();
        assert_eq!(host.found("kept"), ["kept"], "{record}");
        assert_eq!(sandbox.daemons().len(), 1);
        drop(host);
        daemon::stop(&sandbox.palace());
        assert!(stranger.try_wait().unwrap().is_none(), "a process is never ended for being named");
    }
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_signal_ends_a_daemon_that_is_still_opening_its_store() {
    let sandbox = sandbox();
    let mut opening = sandbox.breaking(&sandbox.programs().palaced, "daemon.opening=pause");
    let mut opening = opening.arg("--palace").arg(sandbox.palace()).spawn().unwrap();
    wait_until("the opening", SOON, || sandbox.reached("daemon.opening"));
    daemon::terminate(opening.id());
    let status = wait_for("the daemon's end", SOON, || opening.try_wait().unwrap());
    assert!(status.success(), "{status}");
    assert_eq!(daemon::record(&sandbox.palace()), None);
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "the next daemon opens it");
}

#[test]
fn a_glance_at_the_lock_of_a_killed_daemon_is_no_rival() {
    let sandbox = sandbox();
    let mut first = sandbox.palaced().spawn().unwrap();
    daemon::ready(&sandbox.palace());
    first.kill().unwrap();
    first.wait().unwrap();
    // The dead daemon's record still says that it serves, while somebody asks whether the lock is held.
    let lock =
        std::fs::File::options().write(true).open(sandbox.palace().join(".daemon/writer.lock")).unwrap();
    lock.lock().unwrap();
    let mut second = sandbox.palaced().spawn().unwrap();
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_millis(300) {
        assert_eq!(second.try_wait().unwrap(), None, "it waits");
        std::thread::yield_now();
    }
    drop(lock);
    wait_until("the second daemon", SOON, || {
        daemon::record(&sandbox.palace()).is_some_and(|record| record.pid == second.id())
    });
    daemon::stop(&sandbox.palace());
    second.wait().unwrap();
}
