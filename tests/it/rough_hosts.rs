//! Hosts that spawn too often, kill too early, and hand down what they should keep.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, daemon};
use serde_json::json;

use crate::sandbox;

/// Spawns of the loader that never stops.
const SPAWN_COUNT: u64 = 1_000;
/// Servers it leaves alive at most.
const ALIVE_COUNT_MAX: usize = 12;

#[test]
fn a_thousand_spawns_that_are_killed_leave_one_daemon_and_little_else() {
    use std::io::Write;
    let sandbox = sandbox();
    let mut alive: std::collections::VecDeque<Child> = std::collections::VecDeque::new();
    for number in 0..SPAWN_COUNT {
        let mut command = sandbox.command(&sandbox.programs().palace_mcp);
        command.arg("--palace").arg(sandbox.palace());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = command.spawn().unwrap();
        // It may be killed before it reads this.
        let _ = writeln!(
            server.stdin.as_mut().unwrap(),
            "{}\n{}",
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}),
            json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "mempalace_status"}})
        );
        alive.push_back(server);
        // Some live for twelve spawns, some for none: every age at which a server can be killed.
        let spared = usize::try_from(number * 7 % 13).unwrap().min(ALIVE_COUNT_MAX);
        while alive.len() > spared {
            let mut victim = alive.pop_front().unwrap();
            victim.kill().unwrap();
            victim.wait().unwrap();
        }
    }
    for mut server in alive {
        server.kill().unwrap();
        server.wait().unwrap();
    }
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "after a thousand spawns");
    assert_eq!(sandbox.daemons().len(), 1);
    let logs = sandbox.palace().join(".daemon/log");
    let log = std::fs::read_to_string(logs.join("daemon.log")).unwrap();
    assert_eq!(log.matches(" starts, pid ").count(), 1, "{log}");
    let bytes: u64 =
        std::fs::read_dir(logs).unwrap().flatten().map(|entry| entry.metadata().unwrap().len()).sum();
    assert!(bytes < 1_000_000, "{bytes} bytes of logs");
    let left = std::fs::read_dir(sandbox.palace().join(".daemon")).unwrap().count();
    assert!(left <= 8, "{left} files in the private folder");
}

#[test]
fn a_killed_process_group_does_not_take_the_daemon_along() {
    let sandbox = sandbox();
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.process_group(0).arg("--palace").arg(sandbox.palace());
    let mut host = Client::start("host", command);
    host.initialize();
    host.add("wing", "room", "before the group was killed");
    let serving = daemon::ready(&sandbox.palace());
    let group = rustix::process::Pid::from_raw(i32::try_from(host.pid()).unwrap()).unwrap();
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    host.wait_stdout_end(SOON);
    let mut next = sandbox.host("next");
    next.initialize();
    assert_eq!(next.found("before the group"), ["before the group was killed"]);
    assert_eq!(daemon::ready(&sandbox.palace()), serving);
}

#[test]
fn what_a_host_left_open_is_not_kept_open_by_the_daemon() {
    let sandbox = sandbox();
    // A pipe and a lock of the host's, inherited by its server because nobody marked them.
    let (reader, writer) = std::io::pipe().unwrap();
    let lock = std::fs::File::create(sandbox.home().join("lock of another tool")).unwrap();
    lock.lock().unwrap();
    let kept: [OwnedFd; 2] = [writer.into(), lock.into()];
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.arg("--palace").arg(sandbox.palace());
    let numbers = kept.each_ref().map(AsRawFd::as_raw_fd);
    // SAFETY: between fork and exec only the system call fcntl is made, on descriptors this test owns.
    unsafe {
        command.pre_exec(move || {
            for number in numbers {
                let descriptor = std::os::fd::BorrowedFd::borrow_raw(number);
                rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty())?;
            }
            // And once under a number that hosts with many files open reach.
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
            let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)?;
            let mut high = std::mem::ManuallyDrop::new(OwnedFd::from_raw_fd(2_000));
            rustix::io::dup2(std::os::fd::BorrowedFd::borrow_raw(numbers[0]), &mut high)?;
            Ok(())
        });
    }
    let mut host = Client::start("host", command);
    host.initialize();
    host.add("wing", "room", "text");
    drop(kept);
    host.close_stdin();
    assert!(host.wait_exit(SOON).success());
    assert_eq!(sandbox.daemons().len(), 1);
    // Nobody writes any more: the end of the pipe comes at once although the daemon lives.
    let (send, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || send.send(std::io::read_to_string(reader).map(|text| text.len())));
    assert_eq!(ended.recv_timeout(Duration::from_secs(10)).unwrap().unwrap(), 0);
    let lock = std::fs::File::open(sandbox.home().join("lock of another tool")).unwrap();
    lock.try_lock().expect("the daemon holds no lock of another tool");
}

#[test]
fn a_daemon_with_few_descriptors_serves_whom_it_can() {
    let sandbox = sandbox();
    let mut limited = sandbox.palaced();
    // SAFETY: between fork and exec only the system call setrlimit is made.
    unsafe {
        limited.pre_exec(|| {
            let limit = rustix::process::Rlimit { current: Some(40), maximum: Some(40) };
            Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?)
        });
    }
    let mut serving = limited.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    daemon::ready(&sandbox.palace());
    let mut first = sandbox.host("first");
    first.initialize();
    first.add("wing", "room", "of the first");
    // More hosts than it has descriptors: those that find no place wait at the door.
    let mut others: Vec<Client> = (0..40).map(|number| sandbox.host(&format!("other{number}"))).collect();
    let calls: Vec<u64> = others
        .iter_mut()
        .map(|host| {
            host.initialize();
            host.send_call("list_wings", &json!({}))
        })
        .collect();
    first.add("wing", "room", "still served");
    wait_until("a connection that could not be accepted", SOON, || {
        let log = std::fs::read_to_string(sandbox.palace().join(".daemon/log/daemon.log")).unwrap();
        log.contains("could not be accepted")
    });
    let mut served = 0;
    for (mut host, call) in others.into_iter().zip(calls) {
        // Each one that goes makes room for the next.
        served += usize::from(host.answer(&json!(call))["result"]["isError"].is_null());
    }
    assert_eq!(served, 40);
    assert!(serving.try_wait().unwrap().is_none(), "it did not end over it");
    daemon::terminate(serving.id());
    serving.wait().unwrap();
}

#[test]
fn a_program_that_is_none_is_named() {
    let sandbox = sandbox();
    let text = sandbox.home().join("palaced");
    std::fs::write(&text, "I am no program").unwrap();
    // What may not be run, and what the system hands to a shell that does not understand it.
    for (mode, reason) in [(0o600, "could not be started"), (0o700, "did not get ready")] {
        std::fs::set_permissions(&text, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let mut command = sandbox.command(&sandbox.programs().palace_mcp);
        command.env("PALACE_DAEMON", &text).arg("--palace").arg(sandbox.palace());
        let mut host = Client::start("host", command);
        host.initialize();
        let call = host.send_call("status", &json!({}));
        let answer = host.answer(&json!(call));
        let told = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(told.contains(reason) && told.contains(text.to_str().unwrap()), "{told}");
    }
}

/// A server that could start no thread, because a limit of processes was reached, ended with a panic.
#[test]
fn a_server_that_gets_no_threads_says_so_and_ends_in_order() {
    let sandbox = sandbox();
    let mut host = sandbox.breaking_host("host", "host.thread=error*");
    host.initialize();
    assert!(host.request("tools/list", &json!({}))["result"]["tools"].is_array());
    for _ in 0..2 {
        let told = host.call("status", &json!({})).to_string();
        assert!(told.contains("could not start its threads"), "{told}");
    }
    assert_eq!(sandbox.daemons(), [0; 0]);
    host.close_stdin();
    assert!(host.wait_exit(SOON).success());
    let mut host = sandbox.breaking_host("host", "host.thread=error*");
    host.initialize();
    daemon::terminate(host.pid());
    assert!(host.wait_exit(SOON).success());
}

/// Descriptors that are closed are given again: a lock or a socket would get the number of what everybody writes to.
#[test]
fn closed_standard_streams_are_nobodys_numbers() {
    let sandbox = sandbox();
    let mut shell = sandbox.command(std::path::Path::new("/bin/sh"));
    shell.args(["-c", "exec \"$0\" --palace \"$1\" <&- >&- 2>&-"]);
    let mut serving = shell.arg(&sandbox.programs().palaced).arg(sandbox.palace()).spawn().unwrap();
    let pid = daemon::ready(&sandbox.palace()).pid;
    assert_eq!(pid, serving.id());
    let leads_to = |number: u32| std::fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
    assert_eq!([0, 1, 2].map(leads_to), ["/dev/null"; 3].map(std::path::PathBuf::from));
    // And a server whose host closed its stderr.
    let mut shell = sandbox.command(std::path::Path::new("/bin/sh"));
    shell.args(["-c", "exec \"$0\" --palace \"$1\" 2>&-"]);
    shell.arg(&sandbox.programs().palace_mcp).arg(sandbox.palace());
    let mut host = Client::start("host", shell);
    host.initialize();
    host.add("wing", "room", "written to no lock");
    for lock in ["writer.lock", "start.lock"] {
        let text = std::fs::read(sandbox.palace().join(".daemon").join(lock)).unwrap_or_default();
        assert_eq!(text, b"", "{lock}");
    }
    daemon::terminate(pid);
    assert!(serving.wait().unwrap().success());
    assert_eq!(host.found("written to"), ["written to no lock"], "and one that it started itself serves it");
}

/// The starters' lock is the starter's: a daemon that kept it would be the last one that is ever started.
#[test]
fn a_daemon_keeps_no_lock_of_its_starters() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "text");
    let pid = daemon::ready(&sandbox.palace()).pid;
    let path = sandbox.palace().join(".daemon/start.lock");
    // The starter lives on and lets go of it as soon as the daemon is ready.
    wait_until("the starters' lock", SOON, || std::fs::File::open(&path).unwrap().try_lock().is_ok());
    let open: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter(|target| target.file_name() == path.file_name())
        .collect();
    assert!(open.is_empty(), "{open:?}");
}
