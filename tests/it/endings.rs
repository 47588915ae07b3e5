//! How a server ends: soon, quietly, and without holding on to its host's pipes.

use std::time::Duration;

use serde_json::json;

use palace_tests::daemon;

use crate::sandbox;

/// Far above what is promised (1.5 s), because this is no timing test.
const END: Duration = Duration::from_secs(10);

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
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "text");
    daemon::terminate(host.pid());
    assert!(host.wait_exit(END).success());
    host.wait_stdout_end(END);
    assert_eq!(sandbox.daemons().len(), 1);
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
