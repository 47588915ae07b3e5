//! A palace that a service manager keeps: its socket starts the daemon, it is told how the daemon fares, and clients
//! start nothing by themselves.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use palace_protocol::endpoint::{Address, DAEMON_DIR, ManagedBy, RECORD_FILE};
use palace_protocol::service::{SERVICE_FILE, SERVICE_SOCKET};
use palace_tests::manager::{Listening, Notifications, Running, Systemctl};
use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Sandbox, daemon};
use serde_json::{Value, json};

use crate::sandbox;

fn run(mut command: Command) -> (i32, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

/// Installs the service in a sandbox whose `systemctl` agrees to everything and does nothing.
fn installed(sandbox: &Sandbox, arguments: &[&str]) -> Systemctl {
    let systemctl = Systemctl::that(sandbox, true);
    let (code, text) = run(systemctl.palacectl(sandbox, &[&["service", "install"], arguments].concat()));
    assert_eq!(code, 0, "{text}");
    assert!(service_file(sandbox).exists());
    systemctl
}

fn service_file(sandbox: &Sandbox) -> PathBuf {
    sandbox.palace().join(DAEMON_DIR).join(SERVICE_FILE)
}

fn socket_path(sandbox: &Sandbox) -> PathBuf {
    sandbox.palace().canonicalize().unwrap().join(DAEMON_DIR).join(SERVICE_SOCKET)
}

fn json_of(command: Command) -> (i32, Value) {
    let (code, text) = run(command);
    (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// Returns a program of systemd. Without it the reason for skipping is printed, unless `PALACE_TEST_SYSTEMD=required`
/// makes its absence a failure.
fn systemd(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    if found.is_none() {
        let required = std::env::var("PALACE_TEST_SYSTEMD").is_ok_and(|value| value == "required");
        assert!(!required, "{program} must be installed");
        let _ = writeln!(std::io::stderr(), "skipped: {program} is not installed; see tests/README.md");
    }
    found
}

#[test]
fn the_first_client_starts_the_daemon_through_systemds_socket() {
    let Some(activate) = systemd("systemd-socket-activate") else { return };
    let sandbox = sandbox();
    let systemctl = installed(&sandbox, &["--socket"]);
    let mut command = sandbox.command(&activate);
    command
        .arg("--listen")
        .arg(socket_path(&sandbox))
        .args(["--setenv", "PALACE_TEST_EMBEDDER=hash"])
        .arg(&sandbox.programs().palaced)
        .arg("--palace")
        .arg(sandbox.palace())
        .args(["--managed-by", "systemd"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut manager = Running::start(command);
    wait_until("systemd's socket", SOON, || socket_path(&sandbox).exists());
    // Asking how the palace fares starts nothing.
    let (code, stopped) = json_of(systemctl.palacectl(&sandbox, &["--json", "status"]));
    assert_eq!(
        (code, &stopped["state"], &stopped["service"]["listens"]),
        (1, &json!("stopped"), &json!(true))
    );
    assert_eq!(manager.0.try_wait().unwrap(), None);

    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "filed by whom the socket woke");
    assert_eq!(host.found("filed by whom the socket woke").len(), 1);
    let record = daemon::ready(&sandbox.palace());
    // systemd-socket-activate becomes the daemon: the very process that listened.
    assert_eq!((record.pid, record.managed_by), (manager.0.id(), ManagedBy::Systemd));
    assert_eq!(record.address, Address::Unix(socket_path(&sandbox).display().to_string()));
    let (code, status) = json_of(systemctl.palacectl(&sandbox, &["--json", "status"]));
    assert_eq!((code, &status["daemon"]["managed_by"]), (0, &json!("systemd")));

    daemon::terminate(record.pid);
    assert!(manager.wait_exit().success());
    assert!(socket_path(&sandbox).exists(), "the socket's name is systemd's");
    assert!(service_file(&sandbox).exists());
    assert!(!sandbox.palace().join(DAEMON_DIR).join(RECORD_FILE).exists());
}

#[test]
fn clients_that_connect_while_the_daemon_restarts_are_served() {
    const HOST_COUNT: usize = 4;
    let sandbox = sandbox();
    installed(&sandbox, &["--socket"]);
    let listening = Listening::on(&sandbox.palace());
    let mut first = listening.start_daemon(&sandbox);
    let mut old = sandbox.host("old");
    old.initialize();
    old.add("wing", "room", "before the restart");
    daemon::terminate(first.0.id());
    assert!(first.wait_exit().success());
    assert_eq!(sandbox.daemons(), Vec::<u32>::new());

    let mut hosts: Vec<_> = (0..HOST_COUNT).map(|number| sandbox.host(&format!("host {number}"))).collect();
    let ids: Vec<u64> = hosts
        .iter_mut()
        .map(|host| {
            host.initialize();
            host.send_call("search", &json!({"query": "before the restart", "max_distance": 0}))
        })
        .collect();
    let old_id =
        old.send_call("add_drawer", &json!({"wing": "wing", "room": "room", "content": "meanwhile"}));
    wait_until("connections that wait", SOON, || listening.connection_count() == HOST_COUNT + 1);
    assert_eq!(sandbox.daemons(), Vec::<u32>::new(), "nobody started a daemon but the manager");

    let second = listening.start_daemon(&sandbox);
    for (host, id) in hosts.iter_mut().zip(ids) {
        let found = palace_tests::client::tool_json(&host.answer(&json!(id)));
        assert_eq!(found["results"][0]["text"], "before the restart", "{found}");
    }
    let added = palace_tests::client::tool_json(&old.answer(&json!(old_id)));
    assert_eq!(added["success"], true, "{added}");
    assert_eq!(sandbox.daemons(), [second.0.id()]);
}

#[test]
fn a_client_is_sent_on_when_another_daemon_has_the_palace() {
    let sandbox = sandbox();
    let by_hand = Running::start(sandbox.palaced());
    daemon::ready(&sandbox.palace());
    let listening = Listening::on(&sandbox.palace());
    let mut waiting = UnixStream::connect(socket_path(&sandbox)).unwrap();
    let mut late = listening.start_daemon(&sandbox);
    assert_eq!(late.wait_exit().code(), Some(3));
    let mut answer = String::new();
    waiting.set_read_timeout(Some(SOON)).unwrap();
    waiting.read_to_string(&mut answer).unwrap();
    let pid = by_hand.0.id().to_string();
    assert!(answer.contains(r#""reason":"draining""#) && answer.contains(&pid), "{answer}");
}

#[test]
fn the_manager_is_told_how_the_daemon_fares() {
    let sandbox = sandbox();
    let notifications = Notifications::listen(&sandbox);
    let mut command = sandbox.palaced();
    command
        .args(["--managed-by", "systemd"])
        .env("NOTIFY_SOCKET", notifications.path())
        .env("WATCHDOG_USEC", "100000")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut daemon = Running::start(command);
    let ready = notifications.wait_line("READY=1");
    assert!(ready.lines().any(|line| line == format!("MAINPID={}", daemon.0.id())), "{ready}");
    assert!(sandbox.palace().join(DAEMON_DIR).join(RECORD_FILE).exists(), "ready means reachable");
    let palace = sandbox.palace().canonicalize().unwrap();
    notifications.wait_line(&format!("STATUS=serving {}", palace.display()));
    for _ in 0..3 {
        notifications.wait_line("WATCHDOG=1");
    }
    daemon::terminate(daemon.0.id());
    notifications.wait_line("STOPPING=1");
    assert!(daemon.wait_exit().success());
}

#[test]
fn a_stuck_loop_gives_no_signs_of_life() {
    let sandbox = sandbox();
    let notifications = Notifications::listen(&sandbox);
    // The loop stands still at the beginning of an orderly end.
    let mut command = sandbox.breaking(&sandbox.programs().palaced, "drain.begun=pause");
    command
        .arg("--palace")
        .arg(sandbox.palace())
        .args(["--managed-by", "systemd"])
        .env("NOTIFY_SOCKET", notifications.path())
        .env("WATCHDOG_USEC", "20000")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut daemon = Running::start(command);
    daemon::ready(&sandbox.palace());
    notifications.wait_line("WATCHDOG=1");
    daemon::terminate(daemon.0.id());
    wait_until("a loop that stands still", SOON, || sandbox.reached("drain.begun"));
    assert!(notifications.falls_silent(Duration::from_millis(200)));
    sandbox.release("drain.begun");
    notifications.wait_line("WATCHDOG=1");
    assert!(daemon.wait_exit().success());
}

#[test]
fn clients_never_start_the_daemon_of_a_kept_palace() {
    let sandbox = sandbox();
    let systemctl = installed(&sandbox, &["--socket"]);
    // Nobody listens: the unit failed, or was stopped.
    let mut host = sandbox.host("host");
    host.initialize();
    let answer = host.call("status", &json!({})).to_string();
    for part in ["systemd keeps", "systemctl --user status mempalaced-", "palacectl service status"] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    assert_eq!(sandbox.daemons(), Vec::<u32>::new());
    assert!(!sandbox.palace().join(DAEMON_DIR).join("writer.lock").exists(), "none was ever started");
    let (code, text) = run(systemctl.palacectl(&sandbox, &["service", "status"]));
    assert!(code == 0 && text.contains("running"), "what systemctl says is believed: {text}");

    // Out of reach of the manager, a person is told what to run; nothing is started or stopped behind its back.
    let out_of_reach = Systemctl::that(&sandbox, false);
    for (verb, told) in
        [("start", "restart mempalaced-"), ("stop", "stop mempalaced-"), ("restart", "restart mempalaced-")]
    {
        let (code, text) = run(out_of_reach.palacectl(&sandbox, &[verb]));
        let told = format!("systemctl --user {told}");
        assert!(
            code == 1 && text.contains(&told) && text.contains("Failed to connect to bus"),
            "{verb}: {text}"
        );
    }
    assert_eq!(sandbox.daemons(), Vec::<u32>::new());

    let (code, text) = run(systemctl.palacectl(&sandbox, &["service", "uninstall"]));
    assert!(code == 0 && !service_file(&sandbox).exists(), "{text}");
    wait_until("the palace to be the clients' again", SOON, || {
        host.call("status", &json!({}))["total_drawers"] == 0
    });
    assert_eq!(sandbox.daemons().len(), 1);
}

#[test]
fn a_crashed_service_is_left_to_its_manager() {
    let sandbox = sandbox();
    installed(&sandbox, &[]);
    let mut command = sandbox.palaced();
    command.args(["--managed-by", "systemd"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = Running::start(command);
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "before the crash");
    daemon::kill(first.0.id());
    first.wait_exit();
    let id = host.send_call("search", &json!({"query": "before the crash", "max_distance": 0}));
    // The manager is faster than the clients' patience.
    let mut command = sandbox.palaced();
    command.args(["--managed-by", "systemd"]).stdout(Stdio::null()).stderr(Stdio::null());
    let second = Running::start(command);
    let found = palace_tests::client::tool_json(&host.answer(&json!(id)));
    assert_eq!(found["results"][0]["text"], "before the crash", "{found}");
    assert_eq!(sandbox.daemons(), [second.0.id()]);
}

#[test]
fn a_restore_of_a_kept_palace_goes_through_its_manager() {
    let sandbox = sandbox();
    let systemctl = installed(&sandbox, &[]);
    let serve = || {
        let mut command = sandbox.palaced();
        command.args(["--managed-by", "systemd"]).stdout(Stdio::null()).stderr(Stdio::null());
        Running::start(command)
    };
    let mut first = serve();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "in the backup");
    let (code, backup) = json_of(systemctl.palacectl(&sandbox, &["--json", "backup"]));
    assert_eq!(code, 0, "{backup}");
    host.add("wing", "room", "after the backup");
    let file = backup["file"].as_str().unwrap();
    let is_start = |asked: &String| asked.contains(" start ");
    let (restored, second) = std::thread::scope(|scope| {
        let manager = scope.spawn(|| {
            wait_until("the manager to be asked", SOON, || systemctl.asked().iter().any(is_start));
            serve()
        });
        let restored = json_of(systemctl.palacectl(&sandbox, &["--json", "restore", file, "--yes"]));
        (restored, manager.join().unwrap())
    });
    assert_eq!((restored.0, &restored.1["restarted"]), (0, &json!(true)), "{restored:?}");
    let asked = systemctl.asked();
    let at = |word: &str| asked.iter().position(|asked| asked.contains(word));
    assert!(at(" stop ").is_some() && at(" stop ") < at(" start "), "{asked:?}");
    assert!(first.wait_exit().success());
    assert_eq!(host.call("status", &json!({}))["total_drawers"], 1);
    assert_eq!(sandbox.daemons(), [second.0.id()]);
}

#[test]
fn installing_takes_the_palace_over_and_uninstalling_gives_it_back() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "text");
    assert_eq!(sandbox.daemons().len(), 1);
    let systemctl = installed(&sandbox, &["--socket"]);
    // The daemon a client had started would hold the palace.
    assert_eq!(sandbox.daemons(), Vec::<u32>::new());
    let (_, status) = json_of(systemctl.palacectl(&sandbox, &["--json", "service", "status"]));
    assert_eq!(
        (&status["installed"], &status["socket"], &status["in_charge"]),
        (&json!(true), &json!(true), &json!(true))
    );
    let name = status["name"].as_str().unwrap().trim_end_matches(".service").to_owned();
    let asked = systemctl.asked();
    assert!(asked.contains(&format!("--user enable --now {name}.socket")), "{asked:?}");
    let folder = sandbox.home().join(".config/systemd/user");
    assert!(folder.join(format!("{name}.socket")).exists());

    // The other way of activation replaces this one, and the token stays.
    let token = |sandbox: &Sandbox| {
        let record: Value = serde_json::from_slice(&std::fs::read(service_file(sandbox)).unwrap()).unwrap();
        record["token"].clone()
    };
    let before = token(&sandbox);
    installed(&sandbox, &[]);
    assert_eq!(token(&sandbox), before);
    assert!(!folder.join(format!("{name}.socket")).exists());
    assert!(systemctl.asked().contains(&format!("--user enable --now {name}.service")));

    let (code, text) = run(systemctl.palacectl(&sandbox, &["service", "uninstall"]));
    assert!(code == 0 && !service_file(&sandbox).exists(), "{text}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    let (code, status) = json_of(systemctl.palacectl(&sandbox, &["--json", "service", "status"]));
    assert_eq!((code, &status["installed"]), (1, &json!(false)));
}

#[test]
fn without_a_manager_clients_go_on_starting_the_daemon() {
    let sandbox = sandbox();
    let systemctl = Systemctl::that(&sandbox, false);
    let (code, text) = run(systemctl.palacectl(&sandbox, &["service", "install", "--socket"]));
    assert!(code == 0 && text.contains("run this again in your login session"), "{text}");
    assert!(!service_file(&sandbox).exists());
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "text");
    assert_eq!(sandbox.daemons().len(), 1);
}

#[test]
fn systemd_understands_the_units_of_any_palace() {
    let Some(analyze) = systemd("systemd-analyze") else { return };
    let sandbox = sandbox();
    let systemctl = Systemctl::that(&sandbox, true);
    let palace = sandbox.home().join("50% of $HOME's \"best\" \\ place");
    let bin = sandbox.home().join("a $bin %h");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(&sandbox.programs().palaced, bin.join("palaced")).unwrap();
    let runtime = sandbox.home().join("runtime");
    std::fs::create_dir_all(&runtime).unwrap();
    for activation in [&["--socket"][..], &[]] {
        let arguments = [&["service", "install"], activation].concat();
        let mut command = systemctl.palacectl_of(&sandbox, &palace, &arguments);
        command.env("PALACE_DAEMON", bin.join("palaced")).env("XDG_RUNTIME_DIR", &runtime);
        let (code, text) = run(command);
        assert_eq!(code, 0, "{text}");
        let units: Vec<_> = std::fs::read_dir(sandbox.home().join(".config/systemd/user"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(units.len(), 1 + activation.len(), "{units:?}");
        let mut verify = sandbox.command(&analyze);
        verify.env("XDG_RUNTIME_DIR", &runtime).args(["--user", "verify"]).args(&units);
        let (code, text) = run(verify);
        assert_eq!((code, text.as_str()), (0, ""), "{units:?}");
    }
}
