//! A palace under a real systemd: woken by its socket, started again after a crash or when its loop is stuck, given up
//! after too many failures, and brought back by a person.

use std::io::Write;
use std::process::{Command, Stdio};

use palace_protocol::endpoint::{DAEMON_DIR, ManagedBy};
use palace_protocol::service::SERVICE_SOCKET;
use palace_tests::user_manager::UserManager;
use palace_tests::wait::{SOON, wait_for, wait_until};
use palace_tests::{Client, Sandbox, daemon};
use serde_json::{Value, json};

use crate::sandbox;

struct Kept {
    // Dropped before the sandbox that holds its files.
    manager: UserManager,
    sandbox: Sandbox,
    name: String,
}

impl Kept {
    /// Installs the service of a new palace; `None` where no systemd can be had.
    fn installed(arguments: &[&str]) -> Option<Self> {
        let sandbox = sandbox();
        let manager = match UserManager::start(&sandbox) {
            Ok(manager) => manager,
            Err(why) => {
                let _ = writeln!(std::io::stderr(), "skipped: no systemd of our own: {why}");
                return None;
            }
        };
        let mut kept = Self { manager, sandbox, name: String::new() };
        let installed = kept.palacectl(&[&["--json", "service", "install"], arguments].concat());
        assert_eq!(installed.0, 0, "{}", installed.1);
        let installed: Value = serde_json::from_str(&installed.1).unwrap();
        assert_eq!(installed["running"], true, "{installed}");
        kept.name = installed["name"].as_str().unwrap().trim_end_matches(".service").to_owned();
        Some(kept)
    }

    fn palacectl(&self, arguments: &[&str]) -> (i32, String) {
        let mut command: Command = self.manager.within(self.sandbox.palacectl(arguments));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text)
    }

    fn host(&self, name: &str) -> Client {
        let mut host = self.sandbox.host(name);
        host.initialize();
        host
    }

    fn state(&self, kind: &str) -> String {
        self.manager.state(&self.sandbox, &format!("{}.{kind}", self.name))
    }

    /// Returns the one daemon, which systemd knows as its own.
    fn daemon(&self) -> u32 {
        let record = daemon::ready(&self.sandbox.palace());
        assert_eq!((self.sandbox.daemons(), record.managed_by), (vec![record.pid], ManagedBy::Systemd));
        let service = format!("{}.service", self.name);
        let main = self.manager.tell(&self.sandbox, &["show", "--property", "MainPID", "--value", &service]);
        assert_eq!(main, record.pid.to_string());
        record.pid
    }
}

#[test]
fn the_socket_wakes_the_daemon_and_keeps_clients_over_a_restart() {
    let Some(kept) = Kept::installed(&["--socket"]) else { return };
    assert_eq!((kept.state("socket"), kept.state("service")), ("active".into(), "inactive".into()));
    assert_eq!(kept.palacectl(&["status"]).0, 1);
    assert_eq!(kept.sandbox.daemons(), Vec::<u32>::new(), "asking starts nothing");
    let mut host = kept.host("host");
    host.add("wing", "room", "a text");
    let first = kept.daemon();
    let service = format!("{}.service", kept.name);
    let said = kept.manager.tell(&kept.sandbox, &["show", "--property", "StatusText", "--value", &service]);
    assert!(said.starts_with("serving "), "{said}");

    // Half of the clients are there before the restart, half come in the middle of it.
    let mut hosts: Vec<Client> = (0..4).map(|number| kept.host(&format!("before {number}"))).collect();
    let restarting = kept.manager.tell(&kept.sandbox, &["restart", "--no-block", &service]);
    assert_eq!(restarting, "");
    hosts.extend((0..4).map(|number| kept.host(&format!("amid {number}"))));
    let ids: Vec<u64> = hosts
        .iter_mut()
        .map(|host| host.send_call("search", &json!({"query": "a text", "max_distance": 0})))
        .collect();
    for (host, id) in hosts.iter_mut().zip(ids) {
        let found = palace_tests::client::tool_json(&host.answer(&json!(id)));
        assert_eq!(found["results"][0]["text"], "a text", "{found}");
    }
    wait_until("the restart", SOON, || {
        daemon::record(&kept.sandbox.palace()).is_some_and(|record| record.pid != first)
    });
    assert_ne!(kept.daemon(), first);

    // What was stopped stays stopped, and says how to go on.
    assert_eq!(kept.palacectl(&["stop"]).0, 0);
    assert_eq!(kept.sandbox.daemons(), Vec::<u32>::new());
    assert!(!kept.sandbox.palace().join(DAEMON_DIR).join(SERVICE_SOCKET).exists());
    let answer = host.call("status", &json!({})).to_string();
    assert!(answer.contains("palacectl start"), "{answer}");
    assert_eq!(kept.sandbox.daemons(), Vec::<u32>::new());
    let (code, text) = kept.palacectl(&["start"]);
    assert!(code == 0 && text.contains("started by systemd"), "{text}");
    let second = kept.daemon();
    let (code, text) = kept.palacectl(&["restart"]);
    assert!(code == 0 && text.contains("restarted by systemd"), "{text}");
    assert_ne!(kept.daemon(), second);

    // A cleaner removed the socket's name: systemd listens where nobody finds it, until a person asks.
    std::fs::remove_file(kept.sandbox.palace().join(DAEMON_DIR).join(SERVICE_SOCKET)).unwrap();
    let (code, text) = kept.palacectl(&["restart"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(host.found("a text"), ["a text"]);
    kept.daemon();

    let (code, text) = kept.palacectl(&["service", "uninstall"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(kept.sandbox.daemons(), Vec::<u32>::new());
    let mut host = kept.host("afterwards");
    assert_eq!(host.found("a text"), ["a text"]);
    assert_eq!(daemon::ready(&kept.sandbox.palace()).managed_by, ManagedBy::Auto);
}

#[test]
fn a_crashed_or_stuck_daemon_is_started_again_and_given_up_at_last() {
    let Some(kept) = Kept::installed(&["--socket"]) else { return };
    let folder = kept.sandbox.home().join(format!(".config/systemd/user/{}.service.d", kept.name));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("short.conf"), "[Service]\nWatchdogSec=1\nLimitCORE=0\n").unwrap();
    kept.manager.tell(&kept.sandbox, &["daemon-reload"]);
    let mut host = kept.host("host");
    host.add("wing", "room", "a text");
    let first = kept.daemon();
    // Stopped, it gives no more signs of life; systemd ends it and starts the next one.
    stop_in_its_tracks(first);
    assert_eq!(host.found("a text"), ["a text"]);
    let mut last = kept.daemon();
    assert_ne!(last, first);
    let service = format!("{}.service", kept.name);
    let result = kept.manager.tell(&kept.sandbox, &["show", "--property", "NRestarts", "--value", &service]);
    assert_eq!(result, "1");

    // Five starts in a minute are enough.
    while kept.state("service") != "failed" {
        daemon::kill(last);
        last = wait_for("the next daemon, or the end of trying", SOON, || {
            match kept.state("service").as_str() {
                "failed" => Some(last),
                _ => kept.sandbox.daemons().first().copied().filter(|pid| *pid != last),
            }
        });
    }
    wait_until("the socket to be given up too", SOON, || kept.state("socket") == "failed");
    let answer = host.call("status", &json!({})).to_string();
    assert!(answer.contains(&format!("systemctl --user status {service}")), "{answer}");
    assert_eq!(kept.sandbox.daemons(), Vec::<u32>::new());
    // A person who asks is not held to the limit.
    let (code, text) = kept.palacectl(&["start"]);
    assert_eq!(code, 0, "{text}");
    kept.daemon();
    wait_until("the host to notice", SOON, || host.found("a text") == ["a text"]);
}

fn stop_in_its_tracks(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
}

/// At login the volume may not be there yet; an empty palace was made in the directory it is mounted on.
#[test]
fn nothing_is_started_in_the_empty_directory_of_an_unmounted_palace() {
    for arguments in [&[][..], &["--socket"]] {
        let Some(kept) = Kept::installed(arguments) else { return };
        let mut host = kept.host("host");
        host.add("wing", "room", "on the volume");
        assert_eq!(kept.palacectl(&["stop"]).0, 0);
        let (palace, away) = (kept.sandbox.palace(), kept.sandbox.home().join("away"));
        std::fs::rename(&palace, &away).unwrap();
        std::fs::create_dir(&palace).unwrap();
        let unit = if arguments.is_empty() { "service" } else { "socket" };
        let refused = kept.manager.refusal(&kept.sandbox, &["start", &format!("{}.{unit}", kept.name)]);
        assert!(refused.contains("Assertion failed"), "{refused}");
        let told = host.call("status", &json!({})).to_string();
        assert!(told.contains("is its volume unmounted?"), "{told}");
        assert_eq!(kept.sandbox.daemons(), Vec::<u32>::new());
        let left: Vec<_> = std::fs::read_dir(&palace).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "{left:?}");

        std::fs::remove_dir(&palace).unwrap();
        std::fs::rename(&away, &palace).unwrap();
        let (code, text) = kept.palacectl(&["start"]);
        assert!(code == 0 && text.contains("started by systemd"), "{text}");
        assert_eq!(host.found("on the volume"), ["on the volume"]);
        kept.daemon();
    }
}
