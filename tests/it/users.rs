//! Other users at the socket, and limits that a user has run into.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use palace_protocol::endpoint::{Address, DAEMON_DIR, RECORD_FILE};
use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, Sandbox, daemon};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::{Value, json};

use crate::sandbox;

/// A user that has nothing to do with a palace.
const STRANGER: u32 = 65_534;
/// A user with no other processes, so that a limit of processes counts the test's alone.
pub const LIMITED: u32 = 61_234;

/// Only root can be several users.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        let _ = std::io::stderr().write_all(b"skipped: only root can be another user\n");
    }
    is_root
}

/// Does something as another user, on a thread of its own: on Linux each thread has its own identity.
fn as_stranger<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let stranger = scope.spawn(|| {
            let keep = libc::uid_t::MAX;
            // SAFETY: the system call changes nothing but the calling thread's user.
            let changed = unsafe { libc::syscall(libc::SYS_setresuid, keep, STRANGER, keep) };
            assert_eq!(changed, 0);
            act()
        });
        stranger.join().unwrap()
    })
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Who gets as far as the socket, because modes were changed, still is not served.
#[test]
fn a_daemon_refuses_the_process_of_another_user_whatever_it_knows() {
    let sandbox = sandbox();
    if !is_root() {
        return;
    }
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "for nobody else");
    let record = daemon::ready(&sandbox.palace());
    let Address::Unix(socket) = &record.address else { unreachable!("this is Unix") };
    for folder in [sandbox.home().to_path_buf(), sandbox.palace(), sandbox.palace().join(DAEMON_DIR)] {
        chmod(&folder, 0o755);
    }
    chmod(Path::new(socket), 0o777);
    let hello = json!({"magic": "mempalaced", "protocol_min": 1, "protocol_max": 1, "token": record.token,
                       "build": "0.1.0", "pid": 1, "role": {"control": {"program": "stranger"}}});
    let answer = as_stranger(|| {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // It may be closed before this.
        let _ = stream.write_all(format!("{hello}\n").as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    assert_eq!(answer, "", "a stranger is told nothing");
    wait_until("the refusal in the log", SOON, || {
        let log = std::fs::read_to_string(sandbox.palace().join(".daemon/log/daemon.log")).unwrap();
        log.contains(&format!("the peer is user {STRANGER}, the daemon runs as 0"))
    });
    assert_eq!(host.found("for nobody"), ["for nobody else"]);
}

/// A record that leads to another user's process: it learns nothing, the secret included.
#[test]
fn a_proxy_refuses_the_daemon_of_another_user_and_tells_it_nothing() {
    let sandbox = sandbox();
    if !is_root() {
        return;
    }
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "kept");
    let record = daemon::ready(&sandbox.palace());
    daemon::kill(record.pid);
    wait_until("the daemon's end", SOON, || sandbox.daemons().is_empty());
    let open = sandbox.home().join("open");
    std::fs::create_dir(&open).unwrap();
    chmod(&open, 0o777);
    chmod(sandbox.home(), 0o755);
    let socket = open.join("s.0badcafe");
    let listener = as_stranger(|| UnixListener::bind(&socket).unwrap());
    chmod(&socket, 0o777);
    let path = sandbox.palace().join(DAEMON_DIR).join(RECORD_FILE);
    let mut forged: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    forged["address"] = json!({"unix": socket});
    std::fs::write(&path, forged.to_string()).unwrap();

    let call = host.send_call("status", &json!({}));
    let answer = host.answer(&json!(call));
    let told = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(told.contains(&format!("runs as user {STRANGER}")), "{told}");
    let (mut heard, _) = listener.accept().unwrap();
    heard.set_read_timeout(Some(SOON)).unwrap();
    let mut bytes = Vec::new();
    heard.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"", "not a word");
    assert_eq!(sandbox.daemons(), [0; 0], "and nothing is started beside it");
    let control = sandbox.palacectl(&["status"]).output().unwrap();
    assert_eq!(control.status.code(), Some(4), "{control:?}");
}

/// Makes the sandbox, and programs that can be run from it, that user's.
pub fn give(sandbox: &Sandbox) -> [PathBuf; 2] {
    let own = |path: &Path| std::os::unix::fs::chown(path, Some(LIMITED), Some(LIMITED)).unwrap();
    chmod(sandbox.home(), 0o755);
    own(sandbox.home());
    std::fs::create_dir(sandbox.palace()).unwrap();
    own(&sandbox.palace());
    [&sandbox.programs().palace_mcp, &sandbox.programs().palaced].map(|program| {
        let copy = sandbox.home().join(program.file_name().unwrap());
        // Where it is built another user may not look; a second name costs nothing, on the same disk.
        std::fs::hard_link(program, &copy).or_else(|_| std::fs::copy(program, &copy).map(|_| ())).unwrap();
        copy
    })
}

/// At each number of processes something else cannot be started: a thread of the server's, the daemon, one of its threads.
#[test]
fn a_limit_of_processes_is_told_and_ends_no_server() {
    let sandbox = sandbox();
    if !is_root() {
        return;
    }
    let [palace_mcp, palaced] = give(&sandbox);
    let start = |limit: Option<u64>| {
        let mut command = sandbox.command(&palace_mcp);
        command.uid(LIMITED).gid(LIMITED).env("PALACE_DAEMON", &palaced);
        command.env("PALACE_TEST_RECOVERY_MS", "1500").arg("--palace").arg(sandbox.palace());
        if let Some(limit) = limit {
            // SAFETY: between fork and exec only the system call setrlimit is made.
            unsafe {
                command.pre_exec(move || {
                    let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
                    Ok(setrlimit(Resource::Nproc, limit)?)
                });
            }
        }
        let mut host = Client::start(&format!("{limit:?}"), command);
        host.initialize();
        host
    };
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for limit in 1..=12 {
        let mut host = start(Some(limit));
        let text = format!("filed with {limit} processes");
        let call = host.send_call("add_drawer", &json!({"wing": "wing", "room": "room", "content": text}));
        let answer = host.answer(&json!(call));
        if answer["result"]["isError"] == Value::Null {
            acknowledged.push(text);
        } else {
            refused += 1;
            let told = answer["result"]["content"][0]["text"].as_str().unwrap();
            assert!(told.contains("not available"), "{limit}: {told}");
            assert!(limit > 1 || told.contains("could not start its threads"), "{told}");
        }
        assert!(host.is_running(), "{limit}: it lives as long as its host");
        host.close_stdin();
        assert!(host.wait_exit(Duration::from_secs(10)).success(), "{limit}");
        for pid in sandbox.daemons() {
            daemon::kill(pid);
        }
        wait_until("no daemon", SOON, || sandbox.daemons().is_empty());
        // Each limit gets its chance: the memory of failures would answer for the next ones.
        let _ = std::fs::remove_file(sandbox.palace().join(DAEMON_DIR).join("starts.json"));
    }
    assert!(refused > 0, "some limits are too low for a daemon");
    let mut host = start(None);
    host.add("wing", "room", "without a limit");
    for text in &acknowledged {
        assert!(host.found(text).contains(text), "{text}");
    }
    let stored = host.call("status", &json!({}))["total_drawers"].as_u64().unwrap();
    assert!(stored > acknowledged.len() as u64, "{stored} of {}", acknowledged.len());
    assert_eq!(sandbox.daemons().len(), 1);
}
