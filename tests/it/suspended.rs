//! Daemons that are suspended: their sessions sit it out, newcomers wait at the door, even where the door is full, and
//! nobody replaces, ends or unlinks anything.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use palace_protocol::endpoint::{Address, DAEMON_DIR, EndpointRecord};
use palace_tests::wait::{wait_for, wait_until};
use palace_tests::{Askers, Client, daemon, rounds};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::sandbox;

/// Seconds for which a daemon is suspended under its sessions, and in the long mode.
const SUSPENDED_SECS: (usize, usize) = (3, 60);
/// How long an answer may take after a suspension.
const AFTERWARDS: Duration = Duration::from_secs(60);
/// Connections that a system keeps waiting at most, far above what it does.
const BACKLOG_COUNT_MAX: usize = 20_000;

#[test]
fn sessions_sit_out_a_long_suspension() {
    let sandbox = sandbox();
    let mut hosts: Vec<Client> = (0..8).map(|number| sandbox.host(&format!("host{number}"))).collect();
    for host in &mut hosts {
        host.initialize();
        host.add("wing", "room", &format!("of {} before", host.pid()));
    }
    let record = daemon::ready(&sandbox.palace());
    let pid = record.pid;
    let wait = hosts[0].send_call("event_wait", &json!({"since_event_id": null, "timeout_ms": 300_000}));
    daemon::signal(pid, Signal::STOP);
    let calls: Vec<[u64; 2]> = hosts
        .iter_mut()
        .map(|host| {
            let entry = json!({"agent_name": "ada", "entry": format!("of {} meanwhile", host.pid())});
            [host.send_call("diary_write", &entry), host.send_call("list_wings", &json!({}))]
        })
        .collect();
    let suspension = Duration::from_secs(rounds(SUSPENDED_SECS) as u64);
    assert!(hosts[0].answer_within(&json!(calls[0][0]), suspension).is_err(), "nobody answers for it");
    assert_eq!(sandbox.daemons(), [pid]);
    daemon::signal(pid, Signal::CONT);
    for (host, calls) in hosts.iter_mut().zip(calls) {
        for call in calls {
            let answer = host.answer_within(&json!(call), AFTERWARDS).unwrap();
            assert_eq!(answer["result"]["isError"], Value::Null, "{answer}");
        }
        assert_eq!(host.answered_twice(), [""; 0]);
    }
    let read = hosts[1].call("diary_read", &json!({"agent_name": "ada", "last_n": 100}));
    assert_eq!(read["entries"].as_array().map(Vec::len), Some(8), "each was written once: {read}");
    // The call that waited when it began waits on, and is woken.
    let event = json!({"type": "note.left", "stream": "project/x", "room": "room", "from_agent": "ann"});
    hosts[1].call("event_append", &event);
    assert_eq!(hosts[0].answer_within(&json!(wait), AFTERWARDS).unwrap()["result"]["isError"], Value::Null);
    assert_eq!(daemon::ready(&sandbox.palace()), record, "the same daemon serves on");
}

/// Connects until the system keeps no more connections waiting.
fn fill(record: &EndpointRecord) -> Vec<OwnedFd> {
    let Address::Unix(path) = &record.address else { unreachable!("this is Unix") };
    let address = SocketAddrUnix::new(path.as_str()).unwrap();
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let mut waiting = Vec::new();
    loop {
        let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        match connect(&stream, &address) {
            Ok(()) => waiting.push(stream),
            Err(full) => {
                assert_eq!(full, rustix::io::Errno::AGAIN, "after {} connections", waiting.len());
                return waiting;
            }
        }
        assert!(waiting.len() < BACKLOG_COUNT_MAX, "the system keeps any number of connections");
    }
}

/// Where no more connections fit a client gets another error than from a daemon that is dead, and takes it for neither.
#[test]
fn a_full_backlog_is_waited_for_and_taken_for_no_death() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let sandbox = sandbox();
    let mut first = sandbox.host("first");
    first.initialize();
    first.add("wing", "room", "before the flood");
    let record = daemon::ready(&sandbox.palace());
    let Address::Unix(path) = &record.address else { unreachable!("this is Unix") };
    let socket = std::fs::symlink_metadata(path).unwrap().ino();
    daemon::signal(record.pid, Signal::STOP);
    let flood = fill(&record);

    let mut hasty = sandbox.command(&sandbox.programs().palace_mcp);
    hasty.env("PALACE_TEST_RECOVERY_MS", "500").arg("--palace").arg(sandbox.palace());
    let mut hasty = Client::start("hasty", hasty);
    hasty.initialize();
    let told = hasty.call("status", &json!({})).to_string();
    assert!(told.contains(&format!("pid {} holds", record.pid)), "{told}");
    let mut late = Askers::start(&sandbox, 4);
    assert!(late.first_answer(Duration::from_secs(1)).is_err());
    assert_eq!(sandbox.daemons(), [record.pid], "nobody replaced or ended it");
    assert_eq!(std::fs::symlink_metadata(path).unwrap().ino(), socket, "nobody removed its socket");

    drop(flood);
    daemon::signal(record.pid, Signal::CONT);
    let _late = late.served(AFTERWARDS);
    wait_until("an answer for the hasty host", AFTERWARDS, || {
        let call = hasty.send_call("list_wings", &json!({}));
        hasty.answer(&json!(call))["result"]["isError"] == Value::Null
    });
    assert_eq!(daemon::ready(&sandbox.palace()), record);
}

/// Its folder was taken away meanwhile, and another daemon waits for the store: it must not write beside that one.
#[test]
fn a_daemon_that_wakes_up_replaced_lets_go_before_the_next_one_writes() {
    let sandbox = sandbox();
    let watchful = |name: &str| {
        let mut command = sandbox.command(&sandbox.programs().palace_mcp);
        command.env("PALACE_SELF_CHECK_SECS", "1").arg("--palace").arg(sandbox.palace());
        let mut host = Client::start(name, command);
        host.initialize();
        host
    };
    let mut old = watchful("old");
    old.add("wing", "room", "before the suspension");
    let first = daemon::ready(&sandbox.palace()).pid;
    daemon::signal(first, Signal::STOP);
    let diary = |text: &str| json!({"agent_name": "ada", "entry": text});
    let late = old.send_call("diary_write", &diary("given to the suspended one"));
    std::fs::remove_dir_all(sandbox.palace().join(DAEMON_DIR)).unwrap();
    let mut new = watchful("new");
    let early = new.send_call("diary_write", &diary("given to the next one"));
    let second = wait_for("the next daemon", AFTERWARDS, || {
        daemon::record(&sandbox.palace()).map(|record| record.pid).filter(|pid| *pid != first)
    });
    assert!(
        new.answer_within(&json!(early), Duration::from_millis(500)).is_err(),
        "the store is the first one's"
    );
    daemon::signal(first, Signal::CONT);
    for (host, call) in [(&mut old, late), (&mut new, early)] {
        let answer = host.answer_within(&json!(call), AFTERWARDS).unwrap();
        assert_eq!(answer["result"]["isError"], Value::Null, "{answer}");
    }
    wait_until("the first daemon's end", AFTERWARDS, || !sandbox.daemons().contains(&first));
    let read = old.call("diary_read", &json!({"agent_name": "ada"}));
    assert_eq!(read["entries"].as_array().map(Vec::len), Some(2), "each was written once: {read}");
    assert_eq!(sandbox.daemons(), [second]);
    let verified = sandbox.palacectl(&["verify"]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

/// Its store was put back from a copy meanwhile, and another daemon serves that one: what the first one acknowledged went
/// into a file without a name.
#[test]
fn a_daemon_that_wakes_up_with_its_store_replaced_acknowledges_nothing() {
    let sandbox = sandbox();
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    // Its own look at the palace comes too late to help.
    command.env("PALACE_SELF_CHECK_SECS", "3600").arg("--palace").arg(sandbox.palace());
    let mut old = Client::start("old", command);
    old.initialize();
    old.add("wing", "room", "before the suspension");
    let palace = sandbox.palace();
    let first = daemon::ready(&palace).pid;
    // Once it has looked; the first look comes at once.
    old.call("list_wings", &json!({}));
    daemon::signal(first, Signal::STOP);
    let late =
        old.send_call("diary_write", &json!({"agent_name": "ada", "entry": "given to the suspended one"}));
    std::fs::copy(palace.join("palace.redb"), palace.join("copy")).unwrap();
    std::fs::rename(palace.join("copy"), palace.join("palace.redb")).unwrap();
    std::fs::remove_dir_all(palace.join(DAEMON_DIR)).unwrap();
    let mut new = sandbox.host("new");
    new.initialize();
    new.add("wing", "room", "given to the next one");
    let second = daemon::ready(&palace).pid;
    assert_ne!(second, first);
    daemon::signal(first, Signal::CONT);
    let answer = old.answer_within(&json!(late), AFTERWARDS).unwrap();
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(answer.to_string().contains("removed or replaced"), "{answer}");
    wait_until("the first daemon's end", AFTERWARDS, || !sandbox.daemons().contains(&first));
    // Its host goes on with the other one.
    let written = old.call("diary_write", &json!({"agent_name": "ada", "entry": "written again"}));
    assert_eq!(written["success"], true, "{written}");
    let read = new.call("diary_read", &json!({"agent_name": "ada"}));
    assert_eq!(read["entries"].as_array().map(Vec::len), Some(1), "{read}");
    assert_eq!(sandbox.daemons(), [second]);
}
