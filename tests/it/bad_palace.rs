//! Palaces that cannot be served: the reason reaches whoever asks, and nothing is replaced by something empty.

use std::process::Stdio;

use serde_json::{Value, json};

use palace_tests::{Client, daemon, limits};

use crate::sandbox;

/// Returns the text of a failed call.
fn refusal(host: &mut Client) -> String {
    let id = host.send_call("add_drawer", &json!({"wing": "w", "room": "r", "content": "c"}));
    let answer = host.answer(&json!(id));
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_file_in_place_of_the_directory() {
    let sandbox = sandbox();
    std::fs::write(sandbox.palace(), "I am a file").unwrap();
    let mut proxy = sandbox.command(&sandbox.programs().palace_mcp);
    let proxy = proxy.arg("--palace").arg(sandbox.palace()).stdin(Stdio::null()).output().unwrap();
    let daemon = sandbox.palaced().stdin(Stdio::null()).output().unwrap();
    for output in [proxy, daemon] {
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("is a file") && text.contains("--palace"), "{text}");
    }
    // Hosts hear it from the tools: few explain why a server ended.
    let mut host = sandbox.host("host");
    assert!(host.initialize()["result"].is_object());
    for _ in 0..2 {
        assert!(refusal(&mut host).contains("is a file"));
    }
    assert_eq!(std::fs::read_to_string(sandbox.palace()).unwrap(), "I am a file");
}

#[test]
fn a_directory_that_cannot_be_made() {
    let sandbox = sandbox();
    let mut proxy = sandbox.command(&sandbox.programs().palace_mcp);
    let output = proxy.args(["--palace", "/proc/no/palace"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("/proc/no/palace"));
}

#[test]
fn a_store_that_is_none_is_kept_and_named() {
    for bytes in [b"".as_slice(), b"this is not a database at all, but somebody may need it"] {
        let sandbox = sandbox();
        std::fs::create_dir(sandbox.palace()).unwrap();
        let store = sandbox.palace().join("palace.redb");
        std::fs::write(&store, bytes).unwrap();
        let mut host = sandbox.host("host");
        host.initialize();
        let text = refusal(&mut host);
        assert!(text.contains("palace.redb"), "{text}");
        assert_eq!(std::fs::read(&store).unwrap(), bytes);
    }
}

#[test]
fn a_store_that_stays_closed_is_told_by_its_reason_however_often_it_is_asked() {
    let sandbox = sandbox();
    std::fs::create_dir_all(sandbox.palace()).unwrap();
    std::fs::write(sandbox.palace().join("palace.redb"), "this is no store").unwrap();
    let mut hosts: Vec<Client> = (0..5).map(|number| sandbox.host(&format!("host{number}"))).collect();
    for host in &mut hosts {
        host.initialize();
        let text = refusal(host);
        assert!(text.contains("palace.redb") && !text.contains("without a word"), "{text}");
    }
}

#[test]
fn a_session_finds_the_daemon_that_somebody_else_started_after_a_repair() {
    let sandbox = sandbox();
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.env("PALACE_DAEMON", "/nonexistent/palaced").arg("--palace").arg(sandbox.palace());
    let mut host = Client::start("host", command);
    host.initialize();
    // Each failure makes the pause before the next attempt longer.
    for _ in 0..4 {
        assert!(refusal(&mut host).contains("/nonexistent/palaced"));
    }
    let mut repaired = sandbox.palaced().stdin(std::process::Stdio::null()).spawn().unwrap();
    daemon::ready(&sandbox.palace());
    host.add("wing", "room", "found at once");
    drop(host);
    daemon::stop(&sandbox.palace());
    repaired.wait().unwrap();
}

#[test]
fn a_daemon_that_is_not_installed() {
    let sandbox = sandbox();
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.env("PALACE_DAEMON", "/nonexistent/palaced").arg("--palace").arg(sandbox.palace());
    let mut host = Client::start("host", command);
    host.initialize();
    assert_eq!(
        host.request("tools/list", &json!({}))["result"]["tools"].as_array().map(Vec::len),
        Some(palace_protocol::catalogue::tools().len())
    );
    assert!(refusal(&mut host).contains("/nonexistent/palaced"));
    assert!(refusal(&mut host).contains("/nonexistent/palaced"));
}

#[test]
fn a_full_disk_refuses_the_write_and_keeps_the_rest() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let mut kept = vec![host.add("wing", "room", "before the disk is full")];
    daemon::stop(&sandbox.palace());
    let limit = std::fs::metadata(sandbox.palace().join("palace.redb")).unwrap().len() + 256 * 1024;
    let mut limited = sandbox.palaced();
    limits::files(&mut limited, limit);
    let mut child = limited.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    daemon::ready(&sandbox.palace());
    let refused = fill(&mut host, &mut kept);
    assert!(refused.contains("disk full") && refused.contains("nothing was stored"), "{refused}");
    assert_eq!(
        host.found("before the disk is full").first().map(String::as_str),
        Some("before the disk is full")
    );
    daemon::terminate(child.id());
    child.wait().unwrap();
    let read = host.call("get_drawers", &json!({"drawer_ids": &kept[..kept.len().min(500)]}));
    assert_eq!(read["errors"], 0);
    assert_eq!(host.call("status", &json!({}))["total_drawers"].as_u64(), Some(rows(&kept)));
}

/// A start on a full disk was answered with advice about file systems.
#[test]
fn a_disk_that_is_full_at_the_start_is_named() {
    let sandbox = sandbox();
    let mut limited = sandbox.palaced();
    // Enough for records and logs, too little for a store.
    limits::files(&mut limited, 64 * 1024);
    let output = limited.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("free space") && told.contains("palace.redb"), "{told}");
    assert_eq!(output.status.code(), Some(1), "{told}");
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "after space was freed");
}

/// Files large texts until one is refused; returns the refusal.
fn fill(host: &mut Client, kept: &mut Vec<String>) -> String {
    for number in 0..10_000 {
        let content = format!("number {number} ") + &"filler ".repeat(100);
        let answer: Value =
            host.call("add_drawer", &json!({"wing": "wing", "room": "fill", "content": content}));
        match answer["drawer_id"].as_str() {
            Some(id) => kept.push(id.to_owned()),
            None => return answer["error"].as_str().unwrap().to_owned(),
        }
    }
    panic!("the disk never filled up");
}

fn rows(kept: &[String]) -> u64 {
    u64::try_from(kept.len()).unwrap()
}

/// Writes the format number the way `daemon/DESIGN.md` describes a record: version, payload, checksum.
fn write_format(store: &std::path::Path, format: u32) {
    const META_TAG: u64 = 1;
    const KEY: &[u8] = b"format";
    let mut record = vec![1];
    record.extend_from_slice(&format.to_le_bytes());
    let mut hasher = xxhash_rust::xxh3::Xxh3::with_seed(META_TAG);
    hasher.update(&(KEY.len() as u64).to_le_bytes());
    hasher.update(KEY);
    hasher.update(&record);
    record.extend_from_slice(&hasher.digest().to_le_bytes());

    let database = redb::Database::open(store).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&[u8], &[u8]>::new("meta");
    transaction.open_table(meta).unwrap().insert(KEY, record.as_slice()).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_palace_of_a_newer_format_is_refused_with_both_numbers_and_kept() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "written before the format changed");
    daemon::stop(&sandbox.palace());
    let store = sandbox.palace().join("palace.redb");
    write_format(&store, 7);
    let text = refusal(&mut host);
    assert!(text.contains("format 7") && text.contains("format 3"), "{text}");
    assert!(text.contains("newer") && text.contains(&store.display().to_string()), "{text}");
    drop(host);
    daemon::stop(&sandbox.palace());
    let daemon = sandbox.palaced().stdin(Stdio::null()).output().unwrap();
    assert_eq!(daemon.status.code(), Some(1));
    assert!(String::from_utf8(daemon.stderr).unwrap().contains("format 7"));

    write_format(&store, 1);
    let mut next = sandbox.host("next");
    next.initialize();
    assert_eq!(next.found("written before").len(), 1);
}
