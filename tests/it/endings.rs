//! How a server ends: soon, quietly, and without holding on to its host's pipes.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::json;

use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Sandbox, daemon};

use crate::sandbox;

/// Above what is promised (1.5 s), because machines are shared, and far below every other limit of a server's.
const END: Duration = Duration::from_secs(5);
/// What a host waits for a server's end before it kills it; the quickest of a few ends keeps to it on any machine.
const PATIENCE: Duration = Duration::from_secs(2);

#[test]
fn the_end_of_stdin_ends_the_server_after_its_answers() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "first");
    let id = host.send_call("add_drawer", &json!({"wing": "wing", "room": "room", "content": "last words"}));
    host.close_stdin();
    let answer = host.answer(&json!(id));
    assert_eq!(palace_tests::client::tool_json(&answer)["success"], true);
    assert!(host.wait_exit(END).success());
    // The daemon lives on and holds nothing of the host's.
    host.wait_stdout_end(END);
    assert_eq!(sandbox.daemons().len(), 1);
}

#[test]
fn a_signal_ends_the_server() {
    use rustix::process::Signal;
    let sandbox = sandbox();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut host = sandbox.host("host");
        host.initialize();
        host.add("wing", "room", &format!("before {signal:?}"));
        daemon::signal(host.pid(), signal);
        assert!(host.wait_exit(END).success(), "{signal:?}");
        host.wait_stdout_end(END);
        assert_eq!(sandbox.daemons().len(), 1, "{signal:?}");
    }
}

#[test]
fn a_host_that_stops_reading_ends_the_server() {
    use std::io::{BufRead, BufReader, Write};
    let sandbox = sandbox();
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.arg("--palace").arg(sandbox.palace());
    let mut child =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdin.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n").unwrap();
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    // The server learns of the closed pipe by writing to it.
    let _ = stdin.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n");
    let status = palace_tests::wait::wait_for("the server's end", END, || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

#[test]
fn a_killed_server_leaves_no_pipe_open() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "text");
    host.kill();
    host.wait_stdout_end(END);
    assert_eq!(sandbox.daemons().len(), 1);
}

#[test]
fn a_host_that_reads_nothing_cannot_keep_its_server_alive() {
    use std::io::Write;
    let sandbox = sandbox();
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.arg("--palace").arg(sandbox.palace());
    let mut child =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Many answers that nobody reads fill the pipe; then the host hangs up.
    let lists = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n".repeat(40);
    stdin.write_all(lists.as_bytes()).unwrap();
    drop(stdin);
    let status = palace_tests::wait::wait_for("the server's end", END, || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

#[test]
fn a_daemon_without_clients_ends_when_its_time_is_over() {
    let sandbox = sandbox();
    let mut daemon = sandbox.palaced().args(["--idle-timeout", "1"]).spawn().unwrap();
    daemon::ready(&sandbox.palace());
    let status = palace_tests::wait::wait_for("the idle daemon's end", END, || daemon.try_wait().unwrap());
    assert!(status.success(), "{status}");
    assert_eq!(daemon::record(&sandbox.palace()), None);
}

#[test]
fn a_server_whose_host_died_ends_although_its_stdin_stays_open() {
    let sandbox = sandbox();
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.arg("--palace").arg(sandbox.palace());
    let mut server =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    // Another child of the dead host holds the one end; the other went with the host.
    let _stdin = server.stdin.take().unwrap();
    drop(server.stdout.take());
    let status = palace_tests::wait::wait_for("the server's end", END, || server.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

#[test]
fn a_launcher_may_end_before_its_host() {
    let sandbox = sandbox();
    let mut launcher = sandbox.command(std::path::Path::new("/bin/sh"));
    launcher.args(["-c", "exec 3<&0; \"$0\" --palace \"$1\" <&3 3<&- & exit 0"]);
    launcher.arg(&sandbox.programs().palace_mcp).arg(sandbox.palace());
    let mut host = palace_tests::Client::start("host", launcher);
    host.initialize();
    host.add("wing", "room", "before the launcher's end");
    assert!(host.wait_exit(END).success(), "the launcher has ended");
    // Longer than any look at parents or pipes.
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_millis(2_500) {
        assert!(host.request("ping", &serde_json::json!({}))["result"].is_object());
    }
    host.add("wing", "room", "after it");
    host.close_stdin();
    host.wait_stdout_end(END);
}

#[test]
fn a_host_that_filled_its_pipe_and_hung_up_ends_its_server() {
    use std::io::Write;
    let sandbox = sandbox();
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.arg("--palace").arg(sandbox.palace());
    let mut child =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Until nothing more is taken: the answers are not read, so in the end the requests are not either.
    rustix::io::ioctl_fionbio(&stdin, true).unwrap();
    let ping = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n";
    let mut full = || {
        let mut is_full = true;
        while stdin.write_all(ping).is_ok() {
            is_full = false;
        }
        is_full
    };
    let mut refusals = 0;
    palace_tests::wait::wait_until("a full pipe", END, || {
        refusals = if full() { refusals + 1 } else { 0 };
        refusals > 50
    });
    drop(stdin);
    let status = palace_tests::wait::wait_for("the server's end", END, || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

/// What is promised counts for a server that has nothing to give back: its daemon is suspended and answers nothing.
#[test]
fn a_server_that_waits_in_vain_ends_soon_after_its_host_hung_up() {
    let sandbox = sandbox();
    let mut first = sandbox.host("first");
    first.initialize();
    first.add("wing", "room", "before the silence");
    let pid = daemon::ready(&sandbox.palace()).pid;
    let attached = sandbox.host("attached");
    let cold = sandbox.host("cold");
    let mut ends = Vec::new();
    for (mut host, is_attached) in [(attached, true), (first, true), (cold, false)] {
        host.initialize();
        if is_attached {
            host.call("list_wings", &json!({}));
        }
        daemon::signal(pid, rustix::process::Signal::STOP);
        let (read, write) = (host.send_call("status", &json!({})), host.send_call("list_wings", &json!({})));
        let begun = Instant::now();
        host.close_stdin();
        assert!(host.wait_exit(END).success());
        host.wait_stdout_end(END);
        ends.push(begun.elapsed());
        for call in [read, write] {
            assert!(
                host.answer_within(&json!(call), Duration::ZERO).is_err(),
                "nobody answered for the daemon"
            );
        }
        daemon::signal(pid, rustix::process::Signal::CONT);
    }
    assert_eq!(sandbox.daemons(), [pid]);
    assert!(ends.iter().min().is_some_and(|end| *end < PATIENCE), "{ends:?}");
}

/// Starts a server with three pipes; what comes out of two of them is read to its end elsewhere.
fn piped(sandbox: &Sandbox, failpoints: &str) -> (Child, ChildStdin, Receiver<&'static str>) {
    let mut command = sandbox.breaking(&sandbox.programs().palace_mcp, failpoints);
    command.arg("--palace").arg(sandbox.palace());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = command.spawn().unwrap();
    let mut stdin = server.stdin.take().unwrap();
    let (send, ended) = channel();
    let streams: [(&str, Box<dyn Read + Send>); 2] = [
        ("stdout", Box::new(server.stdout.take().unwrap())),
        ("stderr", Box::new(server.stderr.take().unwrap())),
    ];
    for (name, mut stream) in streams {
        let send = send.clone();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            let _ = send.send(name);
        });
    }
    let client = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "h", "version": "1"}});
    writeln!(stdin, "{}", json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}))
        .unwrap();
    (server, stdin, ended)
}

/// Hosts read to the end of what a server says before they take it for ended.
#[test]
fn every_pipe_ends_with_the_server_while_the_daemon_it_started_lives() {
    // The daemon serves, or has only been started: it holds nothing of the host's at any time.
    for failpoints in ["unused=pause", "daemon.start=pause", "daemon.published=pause"] {
        for is_killed in [true, false] {
            let sandbox = sandbox();
            let (mut server, mut stdin, ended) = piped(&sandbox, failpoints);
            wait_until("the daemon", SOON, || match failpoints.split_once('=') {
                Some(("unused", _)) => daemon::record(&sandbox.palace()).is_some(),
                Some((point, _)) => sandbox.reached(point),
                None => false,
            });
            let daemons = sandbox.daemons();
            if is_killed {
                server.kill().unwrap();
            } else {
                daemon::terminate(server.id());
            }
            let mut names = [ended.recv_timeout(END).unwrap(), ended.recv_timeout(END).unwrap()];
            names.sort_unstable();
            assert_eq!(names, ["stderr", "stdout"]);
            wait_until("nobody to read from the host", END, || stdin.write_all(b"\n").is_err());
            assert_eq!((sandbox.daemons(), daemons.len()), (daemons, 1), "{failpoints}: it lives on");
            server.wait().unwrap();
        }
    }
}
