//! Where a palace may be, and what is done when the ground moves under a daemon. Nobody is ever served by two.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use palace_protocol::endpoint::{Address, DAEMON_DIR, RECORD_FILE};
use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, Sandbox, daemon};
use serde_json::{Value, json};

use crate::sandbox;

/// Starts a proxy whose daemon looks after its place every second.
fn watchful(sandbox: &Sandbox, name: &str) -> Client {
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.env("PALACE_SELF_CHECK_SECS", "1").arg("--palace").arg(sandbox.palace());
    let mut host = Client::start(name, command);
    host.initialize();
    host
}

/// Returns the text of a failed call.
fn refusal(host: &mut Client) -> String {
    let id = host.send_call("status", &json!({}));
    let answer = host.answer(&json!(id));
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_removed_private_folder_never_leads_to_two_writers() {
    let sandbox = sandbox();
    let mut old = watchful(&sandbox, "old");
    old.add("wing", "room", "before the folder went");
    let first = daemon::ready(&sandbox.palace()).pid;
    std::fs::remove_dir_all(sandbox.palace().join(DAEMON_DIR)).unwrap();
    // The new daemon gets a new lock, but the store only once the old one has noticed.
    let mut new = watchful(&sandbox, "new");
    new.add("wing", "room", "of the new daemon");
    assert!(!sandbox.daemons().contains(&first), "the first one let go before the second one wrote");
    old.add("wing", "room", "of the old session");
    assert_eq!(new.call("status", &json!({}))["total_drawers"], 3);
    assert_eq!(sandbox.daemons().len(), 1);
}

#[test]
fn a_removed_record_lock_or_socket_ends_the_daemon_and_no_session() {
    let victims: [fn(&Path) -> std::path::PathBuf; 3] = [
        |folder| folder.join(RECORD_FILE),
        |folder| folder.join("writer.lock"),
        |folder| match daemon::record(folder.parent().unwrap()).unwrap().address {
            Address::Unix(path) => path.into(),
            Address::Pipe(_) => unreachable!("this is Unix"),
        },
    ];
    for victim in victims {
        let sandbox = sandbox();
        let mut host = watchful(&sandbox, "host");
        host.add("wing", "room", "kept");
        let first = daemon::ready(&sandbox.palace()).pid;
        let victim = victim(&sandbox.palace().join(DAEMON_DIR));
        std::fs::remove_file(&victim).unwrap();
        wait_until("the daemon's end", SOON, || !sandbox.daemons().contains(&first));
        assert_eq!(host.found("kept"), ["kept"], "{}", victim.display());
        assert_eq!(sandbox.daemons().len(), 1);
    }
}

#[test]
fn a_store_that_is_replaced_under_its_daemon_is_served_by_the_next_one() {
    let sandbox = sandbox();
    let mut host = watchful(&sandbox, "host");
    host.add("wing", "room", "in the copy");
    daemon::stop(&sandbox.palace());
    let (store, copy) = (sandbox.palace().join("palace.redb"), sandbox.home().join("copy.redb"));
    std::fs::copy(&store, &copy).unwrap();
    host.add("wing", "room", "after the copy");
    let first = daemon::ready(&sandbox.palace()).pid;
    std::fs::rename(&copy, &store).unwrap();
    wait_until("the daemon's end", SOON, || !sandbox.daemons().contains(&first));
    assert_eq!(host.call("status", &json!({}))["total_drawers"], 1);
    assert_eq!(host.found("in the copy"), ["in the copy"]);
}

#[test]
fn a_palace_that_was_moved_is_let_go_of() {
    let sandbox = sandbox();
    let mut host = watchful(&sandbox, "host");
    host.add("wing", "room", "moved with its palace");
    let first = daemon::ready(&sandbox.palace()).pid;
    drop(host);
    let moved = sandbox.home().join("moved");
    std::fs::rename(sandbox.palace(), &moved).unwrap();
    wait_until("the daemon's end", SOON, || !sandbox.daemons().contains(&first));
    assert!(!sandbox.palace().exists(), "nothing is made where it was");
    let mut host = sandbox.host_at("host", &moved);
    host.initialize();
    assert_eq!(host.found("moved"), ["moved with its palace"]);
    drop(host);
    daemon::stop(&moved);
}

/// Where its volume was mounted somebody else had begun a palace, the session went on in it, and what it wrote was gone once
/// the volume was back.
#[test]
fn a_session_does_not_follow_others_into_a_palace_that_is_not_its_own() {
    let sandbox = sandbox();
    let (palace, away) = (sandbox.palace(), sandbox.home().join("away"));
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "in its palace");
    daemon::stop(&palace);
    std::fs::rename(&palace, &away).unwrap();
    std::fs::create_dir(&palace).unwrap();
    let mut other = sandbox.host("other");
    other.initialize();
    other.add("wing", "room", "begun by somebody else");
    for _ in 0..2 {
        let id =
            host.send_call("add_drawer", &json!({"wing": "w", "room": "r", "content": "while it is away"}));
        let answer = host.answer(&json!(id));
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        assert!(answer.to_string().contains("another one than this session worked on"), "{answer}");
    }
    assert_eq!(other.call("status", &json!({}))["total_drawers"], 1);
    daemon::stop(&palace);
    std::fs::rename(&palace, sandbox.home().join("begun")).unwrap();
    std::fs::rename(&away, &palace).unwrap();
    assert_eq!(host.found("in its palace"), ["in its palace"], "at once");
    assert_eq!(host.call("status", &json!({}))["total_drawers"], 1);
    assert!(
        refusal(&mut other).contains("another one"),
        "this is not the palace that the other one worked on"
    );
    daemon::stop(&palace);
}

/// The directory of the palace is on the volume.
#[test]
fn a_palace_that_was_away_is_there_for_the_first_call() {
    let sandbox = sandbox();
    let (palace, away) = (sandbox.palace(), sandbox.home().join("away"));
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "on the volume");
    daemon::stop(&palace);
    std::fs::rename(&palace, &away).unwrap();
    for _ in 0..4 {
        let told = refusal(&mut host);
        assert!(told.contains("is its volume unmounted?"), "{told}");
    }
    assert!(!palace.exists(), "nothing is made where it was");
    std::fs::rename(&away, &palace).unwrap();
    assert_eq!(host.found("on the volume"), ["on the volume"]);
    daemon::stop(&palace);
}

/// Commands that ask for what is in a palace began one, found nothing in it and called that sound.
#[test]
fn commands_that_only_ask_begin_no_palace() {
    let sandbox = sandbox();
    let palace = sandbox.palace();
    std::fs::create_dir(&palace).unwrap();
    let target = sandbox.home().join("export.jsonl");
    let target = target.to_str().unwrap();
    for words in [
        &["verify"][..],
        &["search", "x"],
        &["export", target],
        &["backup"],
        &["compact"],
        &["removed"],
        &["undelete", "x"],
    ] {
        let asked = sandbox.palacectl(words).output().unwrap();
        let said = String::from_utf8_lossy(&asked.stderr);
        assert_eq!(asked.status.code(), Some(1), "{words:?}: {said}");
        assert!(
            said.contains("there is no palace in") && said.contains("palacectl start"),
            "{words:?}: {said}"
        );
    }
    assert_eq!(std::fs::read_dir(&palace).unwrap().count(), 0, "nothing was made");
    assert!(sandbox.palacectl(&["start"]).output().unwrap().status.success());
    assert!(sandbox.palacectl(&["verify"]).output().unwrap().status.success());
    daemon::stop(&palace);
}

#[test]
fn a_copied_palace_is_another_palace() {
    let sandbox = sandbox();
    let mut host = watchful(&sandbox, "host");
    host.add("wing", "room", "before the copy");
    daemon::stop(&sandbox.palace());
    let mut host = watchful(&sandbox, "host");
    host.call("status", &json!({}));
    let copy = sandbox.home().join("copy");
    let copied = Command::new("cp").arg("-a").arg(sandbox.palace()).arg(&copy).status().unwrap();
    assert!(copied.success());
    let mut other = sandbox.host_at("other", &copy);
    other.initialize();
    other.add("wing", "room", "only in the copy");
    assert_eq!(other.call("status", &json!({}))["total_drawers"], 2);
    assert_eq!(host.call("status", &json!({}))["total_drawers"], 1);
    drop(other);
    daemon::stop(&copy);
}

#[test]
fn the_environment_of_a_host_does_not_choose_the_daemon() {
    let sandbox = sandbox();
    let elsewhere = sandbox.home().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let environments: [&[(&str, Option<&Path>)]; 5] = [
        &[],
        &[("XDG_RUNTIME_DIR", Some(&elsewhere)), ("XDG_DATA_HOME", Some(&elsewhere))],
        &[("TMPDIR", Some(&elsewhere)), ("TEMP", Some(&elsewhere))],
        &[("HOME", Some(&elsewhere)), ("USER", Some(Path::new("somebody")))],
        &[("HOME", None), ("PATH", None)],
    ];
    let mut hosts = Vec::new();
    for environment in environments {
        let mut command = sandbox.command(&sandbox.programs().palace_mcp);
        command.env("PALACE_PATH", sandbox.palace());
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut host = Client::start("host", command);
        host.initialize();
        host.add("wing", "room", &format!("under {environment:?}"));
        hosts.push(host);
    }
    assert_eq!(sandbox.daemons().len(), 1);
    assert_eq!(hosts[0].call("status", &json!({}))["total_drawers"], 5);
}

#[test]
fn a_private_folder_that_others_could_use_is_closed_or_refused() {
    let sandbox = sandbox();
    let folder = sandbox.palace().join(DAEMON_DIR);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "in private");
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    drop(host);
    daemon::stop(&sandbox.palace());

    let aside = sandbox.home().join("aside");
    std::fs::rename(&folder, &aside).unwrap();
    symlink(&aside, &folder).unwrap();
    let mut host = sandbox.host("host");
    host.initialize();
    assert!(refusal(&mut host).contains("is not a directory"));
    assert_eq!(sandbox.daemons(), [0; 0]);
}

/// The store and its indexes were readable by every user where the palace directory was.
#[test]
fn what_is_stored_is_its_owners_alone_in_a_palace_that_is_open() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.palace()).unwrap();
    std::fs::set_permissions(sandbox.palace(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = sandbox.command(Path::new("/bin/sh"));
    command.args(["-c", "umask 0; exec \"$0\" --palace \"$1\""]);
    command.arg(&sandbox.programs().palace_mcp).arg(sandbox.palace());
    let mut host = Client::start("host", command);
    host.initialize();
    host.add("wing", "room", "for nobody else");
    drop(host);
    daemon::stop(&sandbox.palace());
    let mut folders = vec![sandbox.palace()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            let mode = metadata.permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", entry.path().display());
            found.push(entry.file_name());
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    for name in ["palace.redb", ".derived"] {
        assert!(found.iter().any(|found| found == name), "{name} in {found:?}");
    }
}

#[test]
fn a_held_palace_is_waited_for_and_served_when_it_is_free() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "before the maintenance");
    daemon::stop(&sandbox.palace());
    // As an offline tool would hold it.
    let lock =
        std::fs::File::options().write(true).open(sandbox.palace().join(".daemon/writer.lock")).unwrap();
    lock.lock().unwrap();
    let output = sandbox.palacectl(&["start"]).env("PALACE_TEST_RECOVERY_MS", "500").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    // The daemon that ended is not named as the holder.
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let own = format!("pid {} (", std::process::id());
    assert!(told.contains(&own) || told.contains("an unknown process"), "{told}");
    let call = host.send_call("list_wings", &json!({}));
    assert!(host.answer_within(&json!(call), Duration::from_millis(500)).is_err());
    lock.unlock().unwrap();
    assert_eq!(host.answer(&json!(call))["result"]["isError"], Value::Null);
}

#[test]
fn unusual_names_of_palaces() {
    use std::os::unix::ffi::OsStringExt;
    let sandbox = sandbox();
    for name in ["with space", "ünïcödé 宮殿", "quote\"and'back\\slash", "-dash", "$HOME %h"] {
        let palace = sandbox.home().join(name);
        let mut host = sandbox.host_at("host", &palace);
        host.initialize();
        host.add("wing", "room", name);
        assert_eq!(daemon::ready(&palace).palace, std::fs::canonicalize(&palace).unwrap().to_str().unwrap());
        drop(host);
        daemon::stop(&palace);
    }
    let unwritable = sandbox.home().join(std::ffi::OsString::from_vec(b"not \xFF text".to_vec()));
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    let refused =
        command.arg("--palace").arg(&unwritable).stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not UTF-8"));
}

/// Tells whether this is root, and prints what nobody else can do.
fn is_root(what: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        let skipped = format!("skipped: only root can {what}\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes());
    }
    is_root
}

/// Gives a file to a user that is nobody here; only root can.
fn give_away(path: &Path) -> bool {
    if !is_root("give files away") {
        return false;
    }
    std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
    true
}

/// A write into a palace that was removed was acknowledged, and gone.
#[test]
fn a_write_into_a_palace_that_was_removed_is_refused() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "before the removal");
    let pid = daemon::ready(&sandbox.palace()).pid;
    std::fs::remove_dir_all(sandbox.palace()).unwrap();
    let id = host.send_call("add_drawer", &json!({"wing": "wing", "room": "room", "content": "after it"}));
    let told = host.answer(&json!(id)).to_string();
    assert!(told.contains("removed or replaced"), "{told}");
    wait_until("the daemon's end", SOON, || !Path::new(&format!("/proc/{pid}")).exists());
}

/// One command said that the palace is held, the next that it had failed, and `stop` that it had stopped it.
fn every_command_is_forbidden(sandbox: &Sandbox) {
    let json_of = |words: &str| {
        let words: Vec<&str> = ["--json"].into_iter().chain(words.split(' ')).collect();
        let output = sandbox.palacectl(&words).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{words:?}: {output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let told = json_of("status")["last_error"].clone();
    assert!(told.as_str().unwrap().contains("belongs to user 65534"), "{told}");
    let commands = [
        "start",
        "stop",
        "stop --force",
        "restart",
        "logs",
        "sessions",
        "search x",
        "verify",
        "import nothing",
        "export nothing",
        "jobs",
        "removed",
        "undelete x",
        "purge --yes",
        "compact",
        "backup",
        "backup list",
        "restore nothing",
        "repair",
        "service install",
        "service status",
        "service uninstall",
    ];
    for command in commands {
        assert_eq!(json_of(command)["error"], told, "{command}");
    }
}

/// What `sudo palacectl` left in a palace was called a sandbox.
#[test]
fn a_private_folder_of_another_user_is_named_and_how_it_is_given_back() {
    let sandbox = sandbox();
    let folder = sandbox.palace().join(".daemon");
    std::fs::create_dir_all(&folder).unwrap();
    if !give_away(&folder) {
        return;
    }
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    every_command_is_forbidden(&sandbox);
    let given_back = format!("chown -R 0 {}", sandbox.palace().display());
    for word in ["status", "doctor"] {
        let output = sandbox.palacectl(&[word]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(&given_back) && !text.contains("sandbox"), "{word}: {text}");
        assert_eq!(output.status.code(), Some(4), "{word}: {text}");
    }
}

#[test]
fn root_does_not_serve_another_users_palace() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.palace()).unwrap();
    if !give_away(&sandbox.palace()) {
        return;
    }
    let mut host = sandbox.host("host");
    host.initialize();
    let text = refusal(&mut host);
    assert!(text.contains("belongs to user 65534") && text.contains("--palace"), "{text}");
    assert!(!sandbox.palace().join("palace.redb").exists());
    assert_eq!(sandbox.palaced().output().unwrap().status.code(), Some(3));
    every_command_is_forbidden(&sandbox);
    let doctor = sandbox.palacectl(&["doctor"]).output().unwrap();
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        !doctor.contains("sandbox") && !doctor.contains("chown") && !doctor.contains("give the"),
        "{doctor}"
    );
    // `status` called it stopped, and `doctor` said that it starts with the first client.
    for word in ["status", "doctor"] {
        let output = sandbox.palacectl(&[word]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("belongs to user 65534"), "{word}: {text}");
        assert!(!text.contains("stopped") && !text.contains("starts with the first"), "{word}: {text}");
        assert_eq!(output.status.code(), Some(4), "{word}: {text}");
    }
}

#[test]
fn another_user_is_told_so_and_starts_nothing() {
    let sandbox = sandbox();
    if !is_root("become another user") {
        return;
    }
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "of the owner");
    for path in [sandbox.home().to_path_buf(), sandbox.palace()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Where the programs are built another user may not look.
    let program = sandbox.home().join("palace-mcp");
    std::fs::copy(&sandbox.programs().palace_mcp, &program).unwrap();
    let mut command = sandbox.command(&program);
    command.uid(65_534).gid(65_534).arg("--palace").arg(sandbox.palace());
    let mut stranger = Client::start("stranger", command);
    stranger.initialize();
    let text = refusal(&mut stranger);
    assert!(text.contains("belongs to user 0") && !text.contains("sandbox"), "{text}");
    assert_eq!(sandbox.daemons().len(), 1);
    assert_eq!(host.found("of the owner"), ["of the owner"]);
}

#[test]
fn a_network_file_system_is_refused_until_a_person_allows_it() {
    let sandbox = sandbox();
    let mut host = sandbox.breaking_host("host", "daemon.filesystem=error*");
    host.initialize();
    let text = refusal(&mut host);
    assert!(text.contains("network file system (nfs)") && text.contains("--allow-network-fs"), "{text}");
    assert!(!sandbox.palace().join("palace.redb").exists());
    let mut command = sandbox.breaking(&sandbox.programs().palace_mcp, "daemon.filesystem=error*");
    command.env("PALACE_ALLOW_NETWORK_FS", "1").arg("--palace").arg(sandbox.palace());
    let mut host = Client::start("host", command);
    host.initialize();
    host.add("wing", "room", "on a disk of many");
}

#[test]
fn a_folder_that_holds_no_sockets_is_no_obstacle() {
    let sandbox = sandbox();
    let mut host = sandbox.breaking_host("host", "daemon.bind=error*");
    host.initialize();
    host.add("wing", "room", "through another folder");
    let socket = |record: Address| match record {
        Address::Unix(path) => std::path::PathBuf::from(path),
        Address::Pipe(_) => unreachable!("this is Unix"),
    };
    let record = daemon::ready(&sandbox.palace());
    let first = socket(record.address);
    assert!(!first.starts_with(sandbox.palace()), "{}", first.display());
    let folder = std::fs::metadata(first.parent().unwrap()).unwrap();
    assert_eq!(folder.permissions().mode() & 0o077, 0);
    daemon::kill(record.pid);
    assert_eq!(host.found("through another"), ["through another folder"]);
    assert!(!first.exists(), "a successor removes what a killed daemon left");
    let second = socket(daemon::ready(&sandbox.palace()).address);
    drop(host);
    daemon::stop(&sandbox.palace());
    assert!(!second.exists(), "an orderly end leaves nothing");
}

/// A daemon that a sandboxed host started lived in that sandbox, for every other host too.
#[test]
fn a_sandboxed_host_starts_no_daemon_for_others() {
    let sandbox = sandbox();
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.arg("--palace").arg(sandbox.palace());
    palace_tests::seccomp::forbid_connect(&mut command);
    let mut boxed = Client::start("boxed", command);
    boxed.initialize();
    let text = refusal(&mut boxed);
    assert!(text.contains("sandbox") && !text.contains("another user"), "{text}");
    assert_eq!(sandbox.daemons(), [0; 0]);
    assert!(!sandbox.palace().join(DAEMON_DIR).join("starts.json").exists(), "no start was tried");
    let mut command = sandbox.palacectl(&["start"]);
    palace_tests::seccomp::forbid_connect(&mut command);
    assert_eq!(command.output().unwrap().status.code(), Some(4));
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "outside of the sandbox");
}

#[test]
fn a_sandboxed_host_is_told_and_starts_nothing() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "outside of the sandbox");
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.arg("--palace").arg(sandbox.palace());
    palace_tests::seccomp::forbid_connect(&mut command);
    let mut boxed = Client::start("boxed", command);
    boxed.initialize();
    let text = refusal(&mut boxed);
    assert!(text.contains("sandbox") && text.contains("allow Unix sockets"), "{text}");
    assert_eq!(sandbox.daemons().len(), 1);
    let wings: Value = host.call("list_wings", &json!({}));
    assert_eq!(wings["wings"]["wing"], 1);
}
