//! Logs that grow, and logs that cannot be written: they are bounded, and no service depends on them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use palace_protocol::endpoint::{Address, DAEMON_DIR, EndpointRecord, LOG_DIR, LOG_FILE};
use palace_tests::manager::Running;
use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, Sandbox, daemon};
use serde_json::json;

use crate::sandbox;
use crate::users::{LIMITED, give};

/// What a log may hold, in bytes, and how many there may be.
const LEN_BYTES_MAX: u64 = 2 * 1024 * 1024;
const FILE_COUNT_MAX: usize = 5;
/// What a client says of its build, in bytes, which is logged.
const BUILD_LEN_BYTES: usize = 60_000;

fn log_dir(sandbox: &Sandbox) -> PathBuf {
    sandbox.palace().join(DAEMON_DIR).join(LOG_DIR)
}

/// Returns the lengths of all logs in bytes.
fn logs(sandbox: &Sandbox) -> Vec<u64> {
    let entries = std::fs::read_dir(log_dir(sandbox)).unwrap().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(LOG_FILE))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.metadata().unwrap().len())
        .collect()
}

/// Connects once, as a client whose build has a long name, and is welcomed: the daemon has logged it by then.
fn talkative(record: &EndpointRecord, build: &str) {
    let Address::Unix(socket) = &record.address else { unreachable!("this is Unix") };
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let hello = json!({"magic": "mempalaced", "protocol_min": 1, "protocol_max": 1, "token": record.token, "build": build,
                       "pid": 1, "role": {"control": {"program": "talkative"}}});
    stream.write_all(format!("{hello}\n").as_bytes()).unwrap();
    let mut welcome = String::new();
    BufReader::new(stream).read_line(&mut welcome).unwrap();
    assert!(welcome.contains("welcome"), "{welcome}");
}

fn serving(sandbox: &Sandbox) -> (Client, EndpointRecord) {
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "served");
    (host, daemon::ready(&sandbox.palace()))
}

#[test]
fn a_daemon_that_logs_much_keeps_five_logs_of_two_mebibytes() {
    let sandbox = sandbox();
    let (mut host, record) = serving(&sandbox);
    let build = "b".repeat(BUILD_LEN_BYTES);
    let enough = (FILE_COUNT_MAX as u64 + 2) * LEN_BYTES_MAX;
    for _ in 0..enough / BUILD_LEN_BYTES as u64 {
        talkative(&record, &build);
        let logs = logs(&sandbox);
        assert!(logs.len() <= FILE_COUNT_MAX && logs.iter().all(|len| *len <= LEN_BYTES_MAX), "{logs:?}");
    }
    assert_eq!(logs(&sandbox).len(), FILE_COUNT_MAX, "all of them were filled");
    assert_eq!(host.found("served"), ["served"]);
    let shown = sandbox.palacectl(&["logs"]).output().unwrap();
    assert!(shown.status.success() && shown.stdout.len() as u64 <= LEN_BYTES_MAX, "{:?}", shown.status);
    assert_eq!(sandbox.daemons(), [record.pid]);
}

/// Makes it impossible to move a log aside.
fn stand_in_the_way(sandbox: &Sandbox) {
    for number in 1..FILE_COUNT_MAX {
        std::fs::create_dir_all(log_dir(sandbox).join(format!("daemon.log.{number}/in the way"))).unwrap();
    }
}

/// A log that could not be moved aside grew for ever, and whoever followed it saw nothing more once it was emptied.
#[test]
fn a_log_that_cannot_be_moved_aside_is_bounded_all_the_same_and_followed() {
    let sandbox = sandbox();
    stand_in_the_way(&sandbox);
    let (mut host, record) = serving(&sandbox);
    let seen = sandbox.home().join("followed");
    let mut follow = sandbox.palacectl(&["logs", "--follow"]);
    follow.stdout(std::fs::File::create(&seen).unwrap());
    let _follower = Running::start(follow);
    let followed = |text: &str| {
        wait_until(text, SOON, || std::fs::read_to_string(&seen).is_ok_and(|seen| seen.contains(text)));
    };
    talkative(&record, "before");
    followed("before");
    let build = "b".repeat(BUILD_LEN_BYTES);
    let mut before = 0;
    let mut emptied_count = 0;
    for _ in 0..3 * LEN_BYTES_MAX / BUILD_LEN_BYTES as u64 {
        talkative(&record, &build);
        let logs = logs(&sandbox);
        assert!(logs.len() == 1 && logs[0] <= LEN_BYTES_MAX, "{logs:?}");
        if logs[0] < before {
            emptied_count += 1;
            let text = format!("emptied {emptied_count} times");
            talkative(&record, &text);
            followed(&text);
        }
        before = logs[0];
    }
    assert!(emptied_count > 0);
    assert_eq!(host.found("served"), ["served"]);
    assert_eq!(sandbox.daemons(), [record.pid]);
}

/// A log that may only be written at its end grew for ever.
#[test]
fn a_log_that_can_be_neither_moved_aside_nor_emptied_gets_no_line_more() {
    let sandbox = sandbox();
    stand_in_the_way(&sandbox);
    let mut host = sandbox.breaking_host("host", "daemon.journal.empty=error*");
    host.initialize();
    host.add("wing", "room", "served");
    let record = daemon::ready(&sandbox.palace());
    let build = "b".repeat(BUILD_LEN_BYTES);
    for _ in 0..2 * LEN_BYTES_MAX / BUILD_LEN_BYTES as u64 {
        talkative(&record, &build);
        let logs = logs(&sandbox);
        assert!(logs.len() == 1 && logs[0] <= LEN_BYTES_MAX, "{logs:?}");
    }
    assert!(sandbox.reached("daemon.journal.empty"));
    assert!(logs(&sandbox)[0] + 2 * BUILD_LEN_BYTES as u64 > LEN_BYTES_MAX, "what was there is kept");
    assert_eq!(host.found("served"), ["served"]);
    assert_eq!(sandbox.daemons(), [record.pid]);
}

/// A folder that may not be written holds no log; whoever starts the daemon says where its words go.
#[test]
fn a_log_folder_that_may_not_be_written_is_done_without() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = sandbox();
    let is_root = rustix::process::geteuid().is_root();
    // Root may write everywhere, so it is somebody else then.
    let mut command = if is_root {
        let [_, palaced] = give(&sandbox);
        let mut command = sandbox.command(&palaced);
        command.uid(LIMITED).gid(LIMITED).arg("--palace").arg(sandbox.palace());
        command
    } else {
        std::fs::create_dir(sandbox.palace()).unwrap();
        sandbox.palaced()
    };
    std::fs::create_dir_all(log_dir(&sandbox)).unwrap();
    for folder in [sandbox.palace().join(DAEMON_DIR), log_dir(&sandbox)] {
        if is_root {
            std::os::unix::fs::chown(&folder, Some(LIMITED), Some(LIMITED)).unwrap();
        }
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    std::fs::set_permissions(log_dir(&sandbox), std::fs::Permissions::from_mode(0o500)).unwrap();
    let mut serving = command.spawn().unwrap();
    let record = daemon::ready(&sandbox.palace());
    assert_eq!(record.pid, serving.id());
    assert_eq!(logs(&sandbox), [0; 0]);
    daemon::terminate(serving.id());
    assert!(serving.wait().unwrap().success(), "it ends in order without a log");
    std::fs::set_permissions(log_dir(&sandbox), std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// Nothing is started without a folder for logs: it is one of those the daemon makes for itself.
#[test]
fn a_file_in_the_place_of_the_log_folder_is_named_and_served_once_it_is_gone() {
    let sandbox = sandbox();
    std::fs::create_dir_all(log_dir(&sandbox).parent().unwrap()).unwrap();
    std::fs::write(log_dir(&sandbox), "a file").unwrap();
    let mut host = sandbox.host("host");
    host.initialize();
    let told = host.call("status", &json!({})).to_string();
    assert!(told.contains(".daemon/log is not a directory; move it away"), "{told}");
    assert_eq!(sandbox.daemons(), [0; 0]);
    std::fs::remove_file(log_dir(&sandbox)).unwrap();
    wait_until("an answer", SOON, || host.call("list_wings", &json!({}))["wings"].is_object());
    wait_until("a log", SOON, || logs(&sandbox).len() == 1);
}
