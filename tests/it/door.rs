//! Clients at a door that is not open yet: a daemon that has not published itself, a socket nobody listens on yet, starts
//! that hang. Nobody concludes that a daemon is dead, nothing is unlinked, and no crowd of daemons is started.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use palace_protocol::endpoint::{Address, DAEMON_DIR, RECORD_FILE, STARTS_FILE};
use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Askers, Client, Sandbox, daemon};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use serde_json::{Value, json};

use crate::sandbox;

/// Leaves what a killed daemon leaves: its record and its socket.
fn killed(sandbox: &Sandbox) -> PathBuf {
    let mut host = sandbox.host("before");
    host.initialize();
    host.add("wing", "room", "of the killed daemon");
    let record = daemon::ready(&sandbox.palace());
    daemon::kill(record.pid);
    wait_until("the daemon's end", SOON, || sandbox.daemons().is_empty());
    match record.address {
        Address::Unix(path) => path.into(),
        Address::Pipe(_) => unreachable!("this is Unix"),
    }
}

fn starts(sandbox: &Sandbox) -> usize {
    let log = std::fs::read_to_string(sandbox.palace().join(".daemon/log/daemon.log")).unwrap();
    log.matches(" starts, pid ").count()
}

/// The daemon was started by nobody here, so no starter's lock keeps the clients away; the record is its predecessor's.
#[test]
fn clients_between_binding_and_publication_wait_for_that_daemon() {
    for point in ["daemon.locked", "daemon.listening", "daemon.named", "daemon.published"] {
        let sandbox = sandbox();
        killed(&sandbox);
        let mut serving = sandbox.breaking(&sandbox.programs().palaced, &format!("{point}=pause"));
        let mut serving = serving.arg("--palace").arg(sandbox.palace()).spawn().unwrap();
        wait_until("the daemon at its point", SOON, || sandbox.reached(point));
        let sockets = || -> Vec<(String, u64)> {
            let entries = std::fs::read_dir(sandbox.palace().join(DAEMON_DIR)).unwrap().flatten();
            let entries = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("s."));
            entries
                .map(|entry| (entry.path().display().to_string(), entry.metadata().unwrap().ino()))
                .collect()
        };
        let bound = sockets();
        let mut askers = Askers::start(&sandbox, 8);
        let early = askers.first_answer(Duration::from_millis(700));
        assert!(early.is_err(), "{point}: {early:?}");
        assert_eq!(sandbox.daemons(), [serving.id()], "{point}: nobody starts another");
        assert_eq!(sockets(), bound, "{point}: nobody removes or adds a socket");
        sandbox.release(point);
        let mut hosts = askers.served(SOON);
        assert_eq!(hosts[0].found("of the killed"), ["of the killed daemon"]);
        assert_eq!((sandbox.daemons(), starts(&sandbox)), (vec![serving.id()], 2), "{point}");
        drop(hosts);
        daemon::terminate(serving.id());
        serving.wait().unwrap();
    }
}

/// Between bind and listen a socket refuses like one whose daemon is dead. Ours listens before it has its name; whoever
/// holds the lock and does it otherwise is waited for as well.
#[test]
fn a_socket_that_is_not_listened_on_yet_is_not_taken_for_a_dead_one() {
    let sandbox = sandbox();
    let path = killed(&sandbox);
    std::fs::remove_file(&path).unwrap();
    let lock = sandbox.palace().join(".daemon/writer.lock");
    let lock = std::fs::File::options().write(true).open(lock).unwrap();
    lock.lock().unwrap();
    // The record must name a process that lives, as that of a starting daemon does.
    let record = sandbox.palace().join(DAEMON_DIR).join(RECORD_FILE);
    let mut text: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    text["pid"] = json!(std::process::id());
    std::fs::write(&record, text.to_string()).unwrap();
    let bound = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&bound, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    let inode = std::fs::symlink_metadata(&path).unwrap().ino();
    let attempts = sandbox.palace().join(DAEMON_DIR).join(STARTS_FILE);
    let mut askers = Askers::start(&sandbox, 4);
    assert!(askers.first_answer(Duration::from_millis(700)).is_err());
    assert_eq!((sandbox.daemons(), attempts.exists()), (Vec::new(), false), "no start was tried");
    assert_eq!(std::fs::symlink_metadata(&path).unwrap().ino(), inode, "nobody removed it");
    // It listens, and ends without a word, as a daemon does that is killed then.
    listen(&bound, 16).unwrap();
    drop(bound);
    drop(lock);
    let _hosts = askers.served(SOON);
    assert_eq!((sandbox.daemons().len(), starts(&sandbox)), (1, 2));
}

/// Daemons that hang before they have a lock could be started again by everybody who waited in vain for one.
#[test]
fn starts_that_hang_are_few_however_many_wait() {
    let sandbox = sandbox();
    let hosts: Vec<Client> = (0..8)
        .map(|number| {
            let mut command = sandbox.breaking(&sandbox.programs().palace_mcp, "daemon.start=pause*");
            command.env("PALACE_TEST_RECOVERY_MS", "600").arg("--palace").arg(sandbox.palace());
            let mut host = Client::start(&format!("host{number}"), command);
            host.initialize();
            host
        })
        .collect();
    std::thread::scope(|scope| {
        for mut host in hosts {
            scope.spawn(move || {
                for _ in 0..4 {
                    let call = host.send_call("status", &json!({}));
                    let answer = host.answer(&json!(call));
                    assert_eq!(answer["result"]["isError"], true, "nobody serves: {answer}");
                }
            });
        }
    });
    // Thirty-two calls waited in vain; each start that hung was given up by its starter alone, and counts as a failure.
    let hung = sandbox.daemons().len();
    assert!((1..=5).contains(&hung), "{hung} daemons were started");
    sandbox.release("daemon.start");
    wait_until("one daemon", SOON, || sandbox.daemons().len() == 1);
    let mut host = sandbox.host("late");
    host.initialize();
    host.add("wing", "room", "when it goes on");
    assert_eq!(sandbox.daemons().len(), 1);
}
