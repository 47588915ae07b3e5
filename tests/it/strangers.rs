//! Connections that are no proxies: garbage, wrong secrets, floods, silence. They are closed with a reason in the log,
//! and sessions beside them notice nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use palace_protocol::endpoint::{Address, EndpointRecord};
use palace_protocol::limits::{HELLO_LEN_BYTES_MAX, SESSION_COUNT_MAX};
use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, Sandbox, daemon};
use serde_json::{Value, json};

use crate::sandbox;

pub fn connect(record: &EndpointRecord) -> UnixStream {
    let Address::Unix(path) = &record.address else { unreachable!("this is Unix") };
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn hello(token: &str) -> String {
    let hello = json!({"magic": "mempalaced", "protocol_min": 1, "protocol_max": 1, "token": token, "build": "0.1.0",
                       "pid": 1, "role": {"control": {"program": "stranger"}}});
    format!("{hello}\n")
}

/// The hello of a host's proxy.
pub fn host_hello(token: &str) -> String {
    let role = json!({"mcp": {"profile": "full", "read_only": false}}).to_string();
    hello(token).replace(r#"{"control":{"program":"stranger"}}"#, &role)
}

/// Sends bytes and returns all that comes back until the daemon closes.
fn told(record: &EndpointRecord, bytes: &[u8]) -> String {
    let mut stream = connect(record);
    // The daemon may close before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

pub fn serving(sandbox: &Sandbox) -> (Client, EndpointRecord) {
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "untouched by strangers");
    let record = daemon::ready(&sandbox.palace());
    (host, record)
}

fn log(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.palace().join(".daemon/log/daemon.log")).unwrap()
}

#[test]
fn what_is_no_hello_is_refused_with_a_reason() {
    let sandbox = sandbox();
    let (mut host, record) = serving(&sandbox);
    let other_protocol = hello(&record.token)
        .replace("\"protocol_min\":1,\"protocol_max\":1", "\"protocol_min\":7,\"protocol_max\":9");
    let cases: [(Vec<u8>, &str); 9] = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "not a hello"),
        (b"\n".to_vec(), "not a hello"),
        (b"{}\n".to_vec(), "not a hello"),
        (vec![0xFF; 5_000], "no end"),
        (vec![b'x'; HELLO_LEN_BYTES_MAX * 4], "longer than"),
        (b"{\"magic\": \"mempal".to_vec(), "no end"),
        (hello("0000").into_bytes(), "token"),
        (hello(&"ab".repeat(32)).into_bytes(), "token"),
        (other_protocol.into_bytes(), "protocol 7 to 9"),
    ];
    for (bytes, reason) in cases {
        let answer = told(&record, &bytes);
        assert!(answer.contains(reason), "{reason}: {answer}");
        assert!(log(&sandbox).contains(reason), "{reason} is logged");
    }
    assert_eq!(host.found("untouched"), ["untouched by strangers"]);
    assert_eq!(daemon::ready(&sandbox.palace()), record);
}

#[test]
fn a_control_line_that_is_none_is_answered_and_costs_nothing() {
    let sandbox = sandbox();
    let (mut host, record) = serving(&sandbox);
    let lines = "nonsense\n{\"status\":7}\n\u{0}\n[]\n{\"stop\":{\"mode\":\"gently\"}}\n";
    let answer = told(&record, (hello(&record.token) + lines).as_bytes());
    assert_eq!(answer.matches("not a control request").count(), 5, "{answer}");
    assert_eq!(host.found("untouched"), ["untouched by strangers"]);
}

#[test]
fn silent_connections_are_closed_and_keep_nobody_out() {
    let sandbox = sandbox();
    let (mut host, record) = serving(&sandbox);
    let mut silent: Vec<UnixStream> = (0..300).map(|_| connect(&record)).collect();
    let mut late = sandbox.host("late");
    late.initialize();
    late.add("wing", "room", "filed beside three hundred");
    assert_eq!(host.found("beside three hundred").len(), 2);
    for stream in &mut silent {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("no hello within"), "{answer}");
    }
}

#[test]
fn a_flood_of_silent_connections_ends_nothing() {
    let sandbox = sandbox();
    let mut limited = sandbox.palaced();
    limited
        .args(["--self-check", "1"])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    // SAFETY: between fork and exec only the system call setrlimit is made.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut limited, || {
            let limit = rustix::process::Rlimit { current: Some(128), maximum: Some(128) };
            Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?)
        });
    }
    let mut serving = limited.spawn().unwrap();
    let record = daemon::ready(&sandbox.palace());
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "before the flood");
    let flood: Vec<UnixStream> = (0..150).map(|_| connect(&record)).collect();
    host.add("wing", "room", "in the middle of it");
    drop(flood);
    let mut late = sandbox.host("late");
    late.initialize();
    assert_eq!(late.call("status", &json!({}))["total_drawers"], 2);
    assert_eq!(daemon::ready(&sandbox.palace()), record, "the same daemon serves on");
    let log = log(&sandbox);
    assert!(log.matches("refused").count() <= 40, "{log}");
    drop((host, late));
    daemon::stop(&sandbox.palace());
    serving.wait().unwrap();
}

#[test]
fn an_answer_too_large_for_hosts_is_an_error_and_not_silence() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    // Each quote is escaped twice on its way.
    let id = host.add("wing", "room", &"\"".repeat(100_000));
    let answer = host.call("get_drawers", &json!({"drawer_ids": vec![id.as_str(); 60]}));
    assert!(answer["error"].as_str().unwrap().contains("fewer drawers"), "{answer}");
    let fits = host.call("get_drawers", &json!({"drawer_ids": vec![id.as_str(); 5]}));
    assert_eq!(fits["count"], 5);
    // Structured content is escaped once: it may be whole where the text cannot.
    let params = json!({"name": "mempalace_get_drawers", "arguments": {"drawer_ids": vec![id.as_str(); 40]}});
    let result = host.request("tools/call", &params)["result"].clone();
    let content = &result["structuredContent"]["results"][39]["content"];
    assert_eq!(content.as_str().map(str::len), Some(100_000));
    assert!(result["content"][0]["text"].as_str().unwrap().contains("left_out"));
    let largest = "+ \"x\" y\n".repeat(4 * 1024 * 1024 / 9);
    let put = host.call("artifact_put", &json!({"kind": "patch", "content": largest, "created_by": "ann"}));
    let got = host.call("artifact_get", &json!({"artifact_id": put["artifact"]["id"]}));
    assert!(got["artifact"]["content"] == largest.as_str(), "the largest artifact comes back whole");
}

#[test]
fn a_full_house_says_when_to_come_back() {
    let sandbox = sandbox();
    let (mut host, record) = serving(&sandbox);
    let guests: Vec<BufReader<UnixStream>> = (0..SESSION_COUNT_MAX)
        .map(|_| {
            let mut stream = connect(&record);
            stream.write_all(host_hello(&record.token).as_bytes()).unwrap();
            BufReader::new(stream)
        })
        .collect();
    let mut answers: Vec<Value> = Vec::new();
    let mut guests: Vec<_> = guests
        .into_iter()
        .map(|mut guest| {
            let mut line = String::new();
            guest.read_line(&mut line).unwrap();
            answers.push(serde_json::from_str(&line).unwrap());
            guest
        })
        .collect();
    // The host is one of them.
    let refused: Vec<&Value> = answers.iter().filter(|answer| answer["refusal"].is_object()).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["refusal"]["reason"], "full");
    assert!(refused[0]["refusal"]["retry_ms"].is_u64());
    assert_eq!(host.found("untouched"), ["untouched by strangers"]);
    // A host that comes now waits, and is served when somebody leaves.
    let mut late = sandbox.host("late");
    late.initialize();
    let call = late.send_call("status", &json!({}));
    assert!(late.answer_within(&json!(call), Duration::from_millis(300)).is_err());
    guests.truncate(10);
    assert_eq!(late.answer(&json!(call))["result"]["isError"], Value::Null);
}

/// Control connections counted against the limit of sessions, and a host that was turned away heard that nobody answers.
#[test]
fn a_full_house_can_be_asked_and_ended() {
    let sandbox = sandbox();
    let (host, record) = serving(&sandbox);
    let _guests: Vec<UnixStream> = (0..SESSION_COUNT_MAX)
        .map(|_| {
            let mut stream = connect(&record);
            stream.write_all(host_hello(&record.token).as_bytes()).unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            stream
        })
        .collect();
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.env("PALACE_TEST_RECOVERY_MS", "1000").arg("--palace").arg(sandbox.palace());
    let mut late = Client::start("late", command);
    late.initialize();
    let told = late.call("status", &json!({})).to_string();
    assert!(told.contains("too many sessions"), "{told}");
    let run = |arguments: &[&str]| {
        let output = sandbox.palacectl(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(run(&["status"]).0, Some(0));
    let (code, told) = run(&["doctor"]);
    assert!(code == Some(1) && told.contains("the next one is turned away"), "{told}");
    drop((host, late));
    let (code, told) = run(&["stop"]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(sandbox.daemons(), [0; 0]);
}

/// Terminals obey what they are shown, and people look at logs.
#[test]
fn what_a_stranger_calls_itself_is_escaped_in_the_log() {
    let sandbox = sandbox();
    let (_host, record) = serving(&sandbox);
    let hello = hello(&record.token).replace("\"0.1.0\"", "\"\\u001b[2J\\u009b1m\\u202eevil\"");
    told(&record, hello.as_bytes());
    let log = log(&sandbox);
    assert!(log.contains("evil"), "{log}");
    assert!(
        log.chars().all(|letter| letter == '\n' || !letter.is_control() && letter != '\u{202e}'),
        "{log:?}"
    );
}

#[test]
fn no_text_of_a_memory_is_in_any_log() {
    let sandbox = sandbox();
    let (mut host, _) = serving(&sandbox);
    let secret = "xyzzy-plugh-4711";
    host.add("wing", "room", &format!("my secret is {secret}"));
    host.found(secret);
    host.call("add_drawer", &json!({"wing": secret, "room": "..", "content": secret}));
    host.call("diary_write", &json!({"agent_name": "ada", "entry": secret}));
    host.write(
        format!("{{\"jsonrpc\":\"2.0\",\"id\":99,\"method\":\"{secret}\",\"params\":{{}}}}\n").as_bytes(),
    );
    host.write(format!("{secret} is no JSON\n").as_bytes());
    host.call("status", &json!({}));
    let mut crashing = sandbox.breaking_host("crashing", "tool.call=panic");
    drop(host);
    daemon::stop(&sandbox.palace());
    crashing.initialize();
    crashing.send_call("search", &json!({"query": secret}));
    wait_until("the panic", SOON, || sandbox.reached("tool.call"));
    drop(crashing);
    daemon::stop(&sandbox.palace());
    for entry in std::fs::read_dir(sandbox.palace().join(".daemon/log")).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        assert!(!text.contains(secret), "{}: {text}", entry.path().display());
    }
}
