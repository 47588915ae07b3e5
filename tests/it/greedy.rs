//! Sessions and connections that take more than their share: those that ask and do not read, and those that come again and
//! again. The daemon grows by little, and whoever is beside them is served as before.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use palace_protocol::endpoint::EndpointRecord;
use palace_tests::daemon;
use palace_tests::wait::{SOON, wait_until};
use serde_json::{Value, json};

use crate::sandbox;
use crate::strangers::{connect, host_hello, serving};

#[test]
fn a_host_that_does_not_read_stalls_nobody() {
    let sandbox = sandbox();
    let (mut host, record) = serving(&sandbox);
    for number in 0..40 {
        host.add("wing", "long", &format!("{number} {}", "a long text ".repeat(4_000)));
    }
    // Hundreds of large answers that nobody takes fill the pipe, the proxy and the socket.
    let mut lazy = sandbox.command(&sandbox.programs().palace_mcp);
    lazy.arg("--palace").arg(sandbox.palace());
    lazy.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut lazy = lazy.spawn().unwrap();
    let mut stdin = lazy.stdin.take().unwrap();
    for id in 0..200 {
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
                          "params": {"name": "mempalace_search", "arguments": {"query": "a long text", "limit": 40}}});
        writeln!(stdin, "{call}").unwrap();
    }
    wait_until("the lazy host's calls", SOON, || {
        let status = sandbox.palacectl(&["sessions", "--json"]).output().unwrap();
        String::from_utf8_lossy(&status.stdout).contains(&lazy.id().to_string())
    });
    for number in 0..20 {
        host.add("wing", "room", &format!("beside a lazy host {number}"));
    }
    assert!(host.call("list_wings", &json!({}))["wings"]["wing"].as_u64().is_some_and(|rows| rows > 60));
    assert_eq!(daemon::ready(&sandbox.palace()), record);
    lazy.kill().unwrap();
    lazy.wait().unwrap();
}

/// Sixty-four places of five seconds each: those who came again at once kept every new host out.
#[test]
fn silent_clients_that_come_again_and_again_delay_nobody() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let sandbox = sandbox();
    let (host, record) = serving(&sandbox);
    let ended = std::sync::Arc::new(AtomicBool::new(false));
    let (stop, again) = (std::sync::Arc::clone(&ended), record.clone());
    let (told, hears) = std::sync::mpsc::channel();
    let crowd = std::thread::spawn(move || {
        let come = || {
            let stream = connect(&again);
            stream.set_nonblocking(true).unwrap();
            stream
        };
        let mut silent: Vec<UnixStream> = (0..300).map(|_| come()).collect();
        told.send(()).unwrap();
        let mut count = 0;
        while !stop.load(Ordering::SeqCst) {
            for stream in &mut silent {
                let closed =
                    stream.read(&mut [0; 512]).is_ok_and(|len| len == 0 || stream.read(&mut [0; 1]).is_ok());
                if closed {
                    *stream = come();
                    count += 1;
                }
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        count
    });
    hears.recv_timeout(SOON).unwrap();
    let begun = std::time::Instant::now();
    for number in 0..4 {
        let mut late = sandbox.host("late");
        late.initialize();
        late.add("wing", "room", &format!("filed in a crowd, {number}"));
    }
    let taken = begun.elapsed();
    ended.store(true, Ordering::SeqCst);
    let reconnected = crowd.join().unwrap();
    assert!(taken < Duration::from_secs(8), "four sessions took {taken:?} to begin");
    assert!(reconnected > 100, "{reconnected} came again");
    assert_eq!(daemon::ready(&sandbox.palace()), record);
    drop(host);
}

/// Opens a session that is no proxy's.
fn raw_session(record: &EndpointRecord) -> UnixStream {
    let mut stream = connect(record);
    stream.write_all(host_hello(&record.token).as_bytes()).unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte).unwrap();
        line.extend_from_slice(&byte);
    }
    assert!(String::from_utf8_lossy(&line).contains("welcome"), "{line:?}");
    let introduction = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}});
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    stream.write_all(format!("{introduction}\n{initialized}\n").as_bytes()).unwrap();
    stream
}

fn rss_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    rss.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// One session made the daemon take gigabytes, and the others wait for half a minute.
#[test]
fn a_session_that_asks_and_does_not_read_grows_nothing_and_stalls_nobody() {
    let sandbox = sandbox();
    let (mut host, record) = serving(&sandbox);
    let ids: Vec<String> = (0..15)
        .map(|number| host.add("wing", "long", &format!("{number} {}", "a long text ".repeat(8_000))))
        .collect();
    let ids = vec![ids; 2].concat();
    let large = json!({"name": "mempalace_get_drawers", "arguments": {"drawer_ids": ids}});
    let before = rss_bytes(record.pid);
    let asking: Vec<_> = [("tools/list", json!({}), 17_600), ("tools/call", large, 150)]
        .into_iter()
        .map(|(method, params, count)| {
            let mut stream = raw_session(&record);
            let second = stream.try_clone().unwrap();
            let thread = std::thread::spawn(move || {
                for id in 1..=count {
                    let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
                    // The daemon stops reading; the test closes the connection.
                    if stream.write_all(format!("{line}\n").as_bytes()).is_err() {
                        return;
                    }
                }
            });
            (second, thread)
        })
        .collect();
    let mut slowest = Duration::ZERO;
    let mut highest = 0;
    for number in 0..100 {
        let begun = std::time::Instant::now();
        host.add("wing", "room", &format!("beside those who do not read {number}"));
        slowest = slowest.max(begun.elapsed());
        highest = highest.max(rss_bytes(record.pid));
    }
    let grown = highest.saturating_sub(before) >> 20;
    assert!(grown < 200, "the daemon grew by {grown} MiB");
    assert!(slowest < Duration::from_secs(5), "a call took {slowest:?}");
    for (stream, thread) in asking {
        stream.shutdown(std::net::Shutdown::Both).unwrap();
        thread.join().unwrap();
    }
    assert_eq!(daemon::ready(&sandbox.palace()), record);
}

/// A session that reads in the end gets every answer.
#[test]
fn what_a_session_asked_too_fast_is_answered_when_it_reads() {
    let sandbox = sandbox();
    let (_host, record) = serving(&sandbox);
    let mut stream = raw_session(&record);
    let waits =
        json!({"name": "mempalace_event_wait", "arguments": {"since_event_id": null, "timeout_ms": 60_000}});
    let mut asked = String::new();
    // Calls that wait keep no work out.
    for id in 1..=100 {
        asked +=
            &format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": waits}));
    }
    for id in 1_001..=1_500 {
        asked += &format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": "tools/list"}));
    }
    let mut writing = stream.try_clone().unwrap();
    let asking = std::thread::spawn(move || writing.write_all(asked.as_bytes()).unwrap());
    let mut lines = BufReader::new(&mut stream).lines().map_while(Result::ok);
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < 500 {
        let line: Value = serde_json::from_str(&lines.next().expect("an answer comes in time")).unwrap();
        answered.extend(line["id"].as_u64().filter(|id| *id > 1_000));
    }
    asking.join().unwrap();
}
