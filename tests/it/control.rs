//! `palacectl` against real daemons: what it says, as text and JSON, and its exit codes.

use serde_json::{Value, json};

use palace_tests::{Sandbox, daemon};

use crate::sandbox;

/// Runs a command and returns its exit code and what it printed.
fn run(sandbox: &Sandbox, arguments: &[&str]) -> (i32, String) {
    let output = sandbox.palacectl(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

fn json(sandbox: &Sandbox, arguments: &[&str]) -> (i32, Value) {
    let (code, text) = run(sandbox, &[arguments, &["--json"]].concat());
    (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}")))
}

#[test]
fn status_tells_who_is_connected_and_how_the_palace_fares() {
    let sandbox = sandbox();
    let (code, stopped) = json(&sandbox, &["status"]);
    assert_eq!((code, &stopped["state"], &stopped["daemon"]), (1, &json!("stopped"), &Value::Null));
    let (mut desktop, mut editor) = (sandbox.host("desktop"), sandbox.host("editor"));
    for host in [&mut desktop, &mut editor] {
        host.initialize();
        host.call("status", &json!({}));
    }
    desktop.add("wing", "room", "a text");
    let (code, status) = json(&sandbox, &["status"]);
    assert_eq!(code, 0, "{status}");
    assert_eq!(status["state"], "ready");
    assert_eq!(json!(sandbox.daemons()), json!([status["daemon"]["pid"]]));
    assert_eq!((&status["counts"]["drawers"], &status["counts"]["vectors"]), (&json!(1), &json!(1)));
    assert_eq!((&status["writer"]["commands"], &status["embedder"]["loaded"]), (&json!(1), &json!(1)));
    let hosts: Vec<&str> = status["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|session| session["host"].as_str())
        .collect();
    assert!(hosts.contains(&"desktop") && hosts.contains(&"editor"), "{hosts:?}");
    let (code, text) = run(&sandbox, &["sessions"]);
    assert!(code == 0 && text.contains("desktop") && text.contains("editor"), "{text}");
}

#[test]
fn a_search_starts_the_daemon_and_finds_what_hosts_filed() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "the spare key is under the third flower pot");
    drop(host);
    daemon::stop(&sandbox.palace());
    let (code, text) = run(&sandbox, &["search", "spare key"]);
    assert!(code == 0 && text.contains("third flower pot"), "{text}");
    assert_eq!(sandbox.daemons().len(), 1);
    let (code, text) = run(&sandbox, &["verify"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(&sandbox, &["doctor"]);
    assert_eq!(code, 0, "{text}");
}

/// Newer versions of MemPalace keep their palace where no first start of ours looks.
#[test]
fn a_palace_of_mempalace_beside_an_empty_one_is_named() {
    let sandbox = sandbox();
    let theirs = sandbox.home().join(".config/mempalace/palace");
    std::fs::create_dir_all(&theirs).unwrap();
    std::fs::write(theirs.join("chroma.sqlite3"), "not looked into").unwrap();
    let asked = |arguments: &[&str]| {
        let output = sandbox.command(&sandbox.programs().palacectl).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let import = format!("`palacectl import {}` moves it in", theirs.display());
    for command in ["status", "doctor"] {
        let text = asked(&[command]);
        assert!(text.contains(&import) && text.contains("a palace of MemPalace stands in"), "{text}");
        let (_, elsewhere) = run(&sandbox, &[command]);
        assert!(!elsewhere.contains("palacectl import"), "{elsewhere}");
    }
    let ours = sandbox.home().join(".mempalace/palace");
    let mut host = sandbox.host_at("host", &ours);
    host.initialize();
    host.call("status", &json!({}));
    assert!(asked(&["status"]).contains(&import) && asked(&["doctor"]).contains(&import));
    let status: Value = serde_json::from_str(&asked(&["status", "--json"])).unwrap();
    assert_eq!(status["unimported"], json!(theirs));
    host.add("wing", "room", "a text");
    assert!(!asked(&["status"]).contains("palacectl import"));
    drop(host);
    daemon::stop(&ours);
    assert!(!asked(&["doctor"]).contains("palacectl import"), "a store that nobody serves may hold anything");
}

/// Every `palacectl search` of a script started a broken daemon again, past the pauses that hosts keep.
#[test]
fn a_search_is_no_reason_to_insist_on_a_start() {
    let sandbox = sandbox();
    assert_eq!(run(&sandbox, &["start"]).0, 0);
    assert_eq!(run(&sandbox, &["stop"]).0, 0);
    let folder = sandbox.palace().join(".daemon");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let failures = json!({"attempts": 9, "last_at": now, "reason": "the disk is on fire"});
    std::fs::write(folder.join("starts.json"), failures.to_string()).unwrap();
    for command in [&["search", "anything"][..], &["verify"]] {
        let (code, text) = run(&sandbox, command);
        assert!(code == 1 && text.contains("the disk is on fire"), "{code} {text}");
    }
    assert_eq!(run(&sandbox, &["start"]).0, 0);
    assert_eq!(run(&sandbox, &["verify"]).0, 0);
}

#[test]
fn a_restart_breaks_no_session() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "before");
    let first = daemon::ready(&sandbox.palace());
    assert_eq!(run(&sandbox, &["restart"]).0, 0);
    let second = daemon::ready(&sandbox.palace());
    assert_ne!(first.generation, second.generation);
    host.add("wing", "room", "after");
    assert_eq!(host.call("status", &json!({}))["total_drawers"], 2);
}

#[test]
fn stopped_means_stopped_until_somebody_asks() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "text");
    assert_eq!(run(&sandbox, &["stop"]).0, 0);
    assert_eq!(sandbox.daemons(), Vec::<u32>::new());
    assert_eq!(json(&sandbox, &["status"]).0, 1);
    // A ping is answered by the proxy; it is no reason to start a daemon.
    host.request("ping", &json!({}));
    assert_eq!(sandbox.daemons(), Vec::<u32>::new());
    assert_eq!(host.found("text"), ["text"]);
    assert_eq!(sandbox.daemons().len(), 1);
}

/// It first waited ten seconds for a welcome, then the whole time for a daemon, and named only the second.
#[test]
fn start_waits_for_a_suspended_daemon_as_long_as_it_says() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "acknowledged");
    let pid = daemon::ready(&sandbox.palace()).pid;
    daemon::signal(pid, rustix::process::Signal::STOP);
    let begun = std::time::Instant::now();
    let started = sandbox.palacectl(&["start"]).env("PALACE_TEST_RECOVERY_MS", "2000").output().unwrap();
    let took = begun.elapsed();
    daemon::signal(pid, rustix::process::Signal::CONT);
    let told = String::from_utf8_lossy(&started.stderr);
    assert!(told.contains("tried for 2 s") && told.contains(&format!("pid {pid}")), "{told}");
    assert_eq!(started.status.code(), Some(3), "{told}");
    assert!((2..8).contains(&took.as_secs()), "{took:?}");
    assert_eq!(sandbox.daemons(), [pid]);
}

/// Only the program's name was looked at, so that the daemon of another palace that got the number could be killed.
#[test]
fn force_ends_a_suspended_daemon_and_nothing_that_only_has_its_number() {
    let (sandbox, neighbour) = (crate::sandbox(), crate::sandbox());
    let mut hosts = [sandbox.host("host"), neighbour.host("neighbour")];
    for host in &mut hosts {
        host.initialize();
        host.add("wing", "room", "acknowledged");
    }
    let pid = daemon::ready(&sandbox.palace()).pid;
    let other = daemon::ready(&neighbour.palace());
    daemon::signal(pid, rustix::process::Signal::STOP);
    let path = sandbox.palace().join(".daemon/endpoint.json");
    let own: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert!(own["start_ticks"].is_u64(), "{own}");
    let strangers = [
        (json!(pid), json!(1), "began at another time"),
        (json!(other.pid), json!(other.start_ticks), "daemon of another palace"),
        (json!(std::process::id()), Value::Null, "the program"),
    ];
    for (number, ticks, found) in strangers {
        let mut record = own.clone();
        (record["pid"], record["start_ticks"]) = (number, ticks);
        std::fs::write(&path, record.to_string()).unwrap();
        let (code, text) = run(&sandbox, &["stop", "--force"]);
        assert!(code == 3 && text.contains(found), "{code} {text}");
        assert_eq!((sandbox.daemons(), neighbour.daemons()), (vec![pid], vec![other.pid]));
    }
    std::fs::write(&path, own.to_string()).unwrap();
    let (code, text) = run(&sandbox, &["stop", "--force"]);
    assert!(code == 0 && text.contains("was killed"), "{code} {text}");
    assert_eq!(sandbox.daemons(), [0; 0]);
    assert_eq!(hosts[0].found("acknowledged"), ["acknowledged"]);
    let status = json(&sandbox, &["status"]).1;
    assert_eq!(
        (&status["last_crash"]["pid"], &status["last_crash"]["rebooted"]),
        (&json!(pid), &json!(false))
    );
    assert_eq!(status["lock"]["pid"], status["daemon"]["pid"]);
    assert!(status["palace"]["filesystem"].is_string() && status["daemon"]["dies_with_host"] == false);
}

#[test]
fn wrong_use_is_told_apart_from_failure() {
    let sandbox = sandbox();
    assert_eq!(run(&sandbox, &["frobnicate"]).0, 2);
    for command in ["status", "stop", "logs", "sessions", "doctor"] {
        let (code, text) = run(&sandbox, &[command]);
        assert!(!sandbox.palace().exists(), "{command} ended with {code} and made the palace: {text}");
    }
    assert_eq!(run(&sandbox, &["doctor"]).0, 0);
    std::fs::write(sandbox.palace(), "a file").unwrap();
    assert_eq!(json(&sandbox, &["status"]).0, 2);
    let (code, text) = run(&sandbox, &["start"]);
    assert!(code == 1 && text.contains("is a file"), "{code} {text}");
}
