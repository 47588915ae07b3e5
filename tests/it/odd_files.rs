//! Something else where a file of ours should be: a FIFO, a socket, a link to nothing, a folder. Nothing waits for it,
//! nothing is written through it, and every call is answered.

use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use palace_protocol::endpoint::{
    CRASH_FILE, DAEMON_DIR, LOG_FILE, RECORD_FILE, START_ERROR_FILE, START_LOCK_FILE, STARTS_FILE,
    STDERR_FILE, WRITER_INFO_FILE, WRITER_LOCK_FILE,
};
use palace_protocol::service::SERVICE_FILE;
use palace_tests::wait::{SOON, wait_for, wait_until};
use palace_tests::{Client, Sandbox, daemon};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::sandbox;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Odd {
    Fifo,
    Socket,
    DanglingLink,
    Folder,
}

impl Odd {
    /// Returns what people call it, where no link is followed.
    fn name(self) -> &'static str {
        match self {
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::DanglingLink => "a link",
            Self::Folder => "a folder",
        }
    }
}

const EVERY_KIND: [Odd; 4] = [Odd::Fifo, Odd::Socket, Odd::DanglingLink, Odd::Folder];

/// Puts something odd at a path of a palace that nobody serves.
fn place(sandbox: &Sandbox, path: &Path, odd: Odd) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    match odd {
        Odd::Fifo => mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
        // The listener is gone at once, the socket stays.
        Odd::Socket => drop(UnixListener::bind(path).unwrap()),
        Odd::DanglingLink => symlink(nothing(sandbox), path).unwrap(),
        Odd::Folder => std::fs::create_dir(path).unwrap(),
    }
}

/// Where a dangling link leads.
fn nothing(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join("nothing")
}

fn host(sandbox: &Sandbox) -> Client {
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.env("PALACE_TEST_RECOVERY_MS", "8000").arg("--palace").arg(sandbox.palace());
    let mut host = Client::start("host", command);
    host.initialize();
    host
}

/// Asks for something that needs the daemon; returns what is said when there is none.
fn refusal(host: &mut Client) -> Option<String> {
    let call =
        host.send_call("add_drawer", &json!({"wing": "wing", "room": "room", "content": "all the same"}));
    let answer = host.answer(&json!(call));
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    (answer["result"]["isError"] != Value::Null).then_some(text)
}

/// Runs `palacectl` to its end.
fn control(sandbox: &Sandbox, arguments: &[&str]) {
    let mut command = sandbox.palacectl(arguments);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut running = command.spawn().unwrap();
    wait_for("palacectl's end", SOON, || running.try_wait().unwrap());
}

/// What is advice, or a hint, or a log, is in nobody's way whatever stands there.
#[test]
fn what_only_tells_something_is_done_without() {
    let daemon_dir = Path::new(DAEMON_DIR);
    let log_dir = daemon_dir.join("log");
    let files = [
        daemon_dir.join(RECORD_FILE),
        daemon_dir.join(STARTS_FILE),
        daemon_dir.join(START_ERROR_FILE),
        daemon_dir.join(WRITER_INFO_FILE),
        daemon_dir.join(CRASH_FILE),
        daemon_dir.join(SERVICE_FILE),
        log_dir.join(LOG_FILE),
        PathBuf::from("palaced.json"),
    ];
    for file in files {
        for odd in EVERY_KIND {
            // Nothing can be renamed over a folder: without a record nobody finds the daemon, which says so.
            if odd == Odd::Folder && file == daemon_dir.join(RECORD_FILE) {
                continue;
            }
            let sandbox = sandbox();
            place(&sandbox, &sandbox.palace().join(&file), odd);
            let mut host = host(&sandbox);
            assert_eq!(refusal(&mut host), None, "{odd:?} at {}", file.display());
            assert_eq!(sandbox.daemons().len(), 1, "{odd:?} at {}", file.display());
            assert!(!nothing(&sandbox).exists(), "{odd:?} at {}: a link was followed", file.display());
        }
    }
}

#[test]
fn what_must_be_a_file_is_named_and_served_once_it_is_gone() {
    let daemon_dir = Path::new(DAEMON_DIR);
    let files = [
        daemon_dir.join(RECORD_FILE),
        daemon_dir.join(START_LOCK_FILE),
        daemon_dir.join(WRITER_LOCK_FILE),
        daemon_dir.join("log").join(STDERR_FILE),
    ];
    for file in files {
        for odd in EVERY_KIND {
            if odd != Odd::Folder && file == daemon_dir.join(RECORD_FILE) {
                continue;
            }
            let sandbox = sandbox();
            let path = sandbox.palace().join(&file);
            place(&sandbox, &path, odd);
            let mut first = host(&sandbox);
            let told =
                refusal(&mut first).unwrap_or_else(|| panic!("{odd:?} at {} was used", file.display()));
            let name =
                if file == daemon_dir.join(RECORD_FILE) { "endpoint record" } else { file.to_str().unwrap() };
            assert!(told.contains(name), "{odd:?} at {}: {told}", file.display());
            let tail = ["file system with locks", "directory must be writable"]
                .iter()
                .find(|tail| told.contains(*tail));
            let is_called = told.contains(odd.name()) && told.contains("move it away");
            let is_record = file == daemon_dir.join(RECORD_FILE);
            assert!(is_record || is_called && tail.is_none(), "{odd:?} at {}: {told}", file.display());
            wait_until("no daemon", SOON, || sandbox.daemons().is_empty());
            assert!(!nothing(&sandbox).exists(), "{odd:?} at {}: a link was followed", file.display());
            control(&sandbox, &["status"]);
            control(&sandbox, &["doctor"]);
            control(&sandbox, &["logs"]);
            let found = std::fs::symlink_metadata(&path).unwrap().file_type();
            let is_odd = found.is_fifo() || found.is_socket() || found.is_symlink() || found.is_dir();
            assert!(is_odd, "nobody removed it");
            if odd == Odd::Folder { std::fs::remove_dir(&path) } else { std::fs::remove_file(&path) }
                .unwrap();
            control(&sandbox, &["start"]);
            assert_eq!(refusal(&mut host(&sandbox)), None, "{odd:?} at {}", file.display());
        }
    }
}

/// A FIFO in the place of the store was an empty file, a link to an unmounted volume just not there.
#[test]
fn what_stands_in_the_place_of_the_store_is_named_and_nothing_is_made_of_it() {
    for odd in EVERY_KIND {
        let sandbox = sandbox();
        let store = sandbox.palace().join("palace.redb");
        place(&sandbox, &store, odd);
        let mut first = host(&sandbox);
        let told = refusal(&mut first).unwrap_or_else(|| panic!("{odd:?} was used as a store"));
        for part in ["palace.redb cannot be opened", odd.name(), "moved away", "palacectl restore"] {
            assert!(told.contains(part), "{odd:?}: {part} in {told}");
        }
        wait_until("no daemon", SOON, || sandbox.daemons().is_empty());
        let doctor = sandbox.palacectl(&["doctor"]).output().unwrap();
        let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(doctor.contains(&format!("palace.redb: {}", odd.name())), "{odd:?}: {doctor}");
        let repair = sandbox.palacectl(&["repair", "--yes"]).output().unwrap();
        assert!(!repair.status.success(), "{odd:?}: {repair:?}");
        let repair = String::from_utf8_lossy(&repair.stderr).into_owned();
        assert!(repair.contains(odd.name()) && repair.contains("moved away"), "{odd:?}: {repair}");
        assert!(!nothing(&sandbox).exists(), "{odd:?}: a link was followed");
        if odd == Odd::Folder { std::fs::remove_dir(&store) } else { std::fs::remove_file(&store) }.unwrap();
        control(&sandbox, &["start"]);
        assert_eq!(refusal(&mut host(&sandbox)), None, "{odd:?}");
    }
}

/// Such a lock was held by "an unknown process", and a palace that nothing can start was just stopped.
#[test]
fn what_no_daemon_can_get_past_is_no_palace_at_rest() {
    for lock in [START_LOCK_FILE, WRITER_LOCK_FILE] {
        for odd in EVERY_KIND {
            let sandbox = sandbox();
            place(&sandbox, &sandbox.palace().join(DAEMON_DIR).join(lock), odd);
            let status = sandbox.palacectl(&["status"]).output().unwrap();
            let told = String::from_utf8_lossy(&status.stdout).into_owned();
            for part in ["unusable", lock, odd.name(), "move it away"] {
                assert!(told.contains(part), "{odd:?} at {lock}: {part} in {told}");
            }
            assert!(!told.contains("holds the palace") && !told.contains("stopped"), "{odd:?}: {told}");
            assert_eq!(status.status.code(), Some(2), "{odd:?} at {lock}: {told}");
            let doctor = sandbox.palacectl(&["doctor"]).output().unwrap();
            let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
            assert!(doctor.status.code() == Some(1) && told.contains("move it away"), "{told}");
            assert!(!told.contains("it starts with the first client"), "{told}");
        }
    }
}

/// A restore took a link whose volume was not mounted for no store, and replaced it without being told to.
#[test]
fn a_restore_does_not_replace_a_link_that_leads_to_nothing() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "on another disk");
    let backup = sandbox.palacectl(&["backup"]).output().unwrap();
    assert!(backup.status.success(), "{backup:?}");
    drop(host);
    daemon::stop(&sandbox.palace());
    let (store, volume) = (sandbox.palace().join("palace.redb"), sandbox.home().join("volume"));
    std::fs::create_dir(&volume).unwrap();
    std::fs::rename(&store, volume.join("palace.redb")).unwrap();
    symlink(volume.join("palace.redb"), &store).unwrap();
    let unmounted = sandbox.home().join("unmounted");
    std::fs::rename(&volume, &unmounted).unwrap();
    let backups = sandbox.palace().join("backups");
    for yes in [None, Some("--yes")] {
        let mut command = sandbox.palacectl(&["restore"]);
        let restored = command.arg(&backups).args(yes).output().unwrap();
        let told = String::from_utf8_lossy(&restored.stderr).into_owned();
        assert_eq!(restored.status.code(), Some(1), "{told}");
        assert!(told.contains("a link that leads to nothing") && told.contains("unmounted"), "{told}");
        assert_eq!(std::fs::read_link(&store).unwrap(), volume.join("palace.redb"));
    }
    std::fs::rename(&unmounted, &volume).unwrap();
    let mut host = sandbox.host("host");
    host.initialize();
    assert_eq!(host.found("another disk"), ["on another disk"]);
}

/// A palace serves without its settings, and says why they do not hold.
#[test]
fn what_stands_in_the_place_of_the_settings_is_named() {
    for odd in EVERY_KIND {
        let sandbox = sandbox();
        place(&sandbox, &sandbox.palace().join("palaced.json"), odd);
        assert_eq!(refusal(&mut host(&sandbox)), None, "{odd:?}");
        for word in ["status", "doctor"] {
            let told = sandbox.palacectl(&[word]).output().unwrap();
            let told = String::from_utf8_lossy(&told.stdout).into_owned();
            assert!(told.contains("palaced.json") && told.contains(odd.name()), "{odd:?}, {word}: {told}");
            assert!(told.contains("move it away"), "{odd:?}, {word}: {told}");
        }
    }
}

/// A crashed daemon's leftovers, and what somebody else may have put beside them.
#[test]
fn what_stands_where_sockets_stand_is_in_nobodys_way() {
    let sandbox = sandbox();
    let folder = sandbox.palace().join(DAEMON_DIR);
    let stands =
        [("s.0badcafe", Odd::Fifo), ("s.0badcafe.tmp", Odd::Socket), ("s.deadbeef", Odd::DanglingLink)];
    for (name, odd) in stands {
        place(&sandbox, &folder.join(name), odd);
    }
    std::fs::write(folder.join("s.12345678"), "a file").unwrap();
    place(&sandbox, &folder.join("s.87654321"), Odd::Folder);
    if rustix::process::geteuid().is_root() {
        place(&sandbox, &folder.join("s.00000000"), Odd::Socket);
        std::os::unix::fs::chown(folder.join("s.00000000"), Some(65_534), Some(65_534)).unwrap();
    }
    let mut host = host(&sandbox);
    assert_eq!(refusal(&mut host), None);
    let record = daemon::ready(&sandbox.palace());
    let left: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("s."))
        .collect();
    let own = format!("s.{}", record.generation);
    assert!(left.iter().all(|name| *name == own || name == "s.87654321"), "{left:?}");
    assert!(left.contains(&own), "{left:?}");
}
