//! Palaces moved out and in again by real programs: the same bytes, one state of the palace, and nothing half made.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use palace_tests::{Sandbox, daemon};

use crate::sandbox;

fn ctl(sandbox: &Sandbox, arguments: &[&str]) -> (i32, Value) {
    let output = sandbox.palacectl(arguments).arg("--json").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let json = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), json)
}

/// Exports and returns the bytes. The file is named relative to the home, where the command runs.
fn exported(sandbox: &Sandbox, name: &str, more: &[&str]) -> Vec<u8> {
    let (code, report) = ctl(sandbox, &[&["export", name], more].concat());
    assert_eq!(code, 0, "{report}");
    let bytes = std::fs::read(sandbox.home().join(name)).unwrap();
    assert_eq!(report["bytes"], bytes.len(), "{report}");
    bytes
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Files one of many things through a host.
fn furnish(sandbox: &Sandbox) {
    let mut host = sandbox.host("furnisher");
    host.initialize();
    for number in 0..20 {
        host.add("app", ["auth", "Notes"][number % 2], &format!("text number {number}"));
    }
    // A long one is stored in chunks.
    host.add("app", "auth", &"a long story about nothing in particular. ".repeat(200));
    host.call("diary_write", &json!({"agent_name": "ada", "entry": "I filed things"}));
    let fact =
        json!({"subject": "Ada", "predicate": "lives in", "object": "Rome", "valid_from": "2025-01-01"});
    host.call("kg_add", &fact);
    let tunnel =
        json!({"source_wing": "app", "source_room": "auth", "target_wing": "app", "target_room": "Notes"});
    host.call("create_tunnel", &tunnel);
    host.call(
        "event_append",
        &json!({"type": "note.made", "stream": "s", "room": "auth", "from_agent": "ada"}),
    );
}

#[test]
fn a_palace_that_moves_out_and_in_is_the_same_byte_for_byte() {
    let (first, second) = (sandbox(), sandbox());
    furnish(&first);
    let bytes = exported(&first, "one.jsonl", &[]);
    let types: Vec<Value> = lines(&bytes)[1..].iter().map(|line| line["type"].clone()).collect();
    for kind in ["row", "entity", "fact", "tunnel", "event", "end"] {
        assert!(types.contains(&json!(kind)), "{kind} is not in {types:?}");
    }
    let source = first.home().join("one.jsonl");
    let (code, report) = ctl(&second, &["import", source.to_str().unwrap()]);
    assert_eq!((code, &report["proof"]["holds"]), (0, &json!(true)), "{report}");
    assert!(exported(&second, "two.jsonl", &[]) == bytes, "the second export is the first");
    assert_eq!(ctl(&second, &["verify"]).0, 0);
    let mut host = second.host("reader");
    host.initialize();
    assert_eq!(host.found("text number 7")[0], "text number 7");
    let (code, error) = ctl(&first, &["export", "one.jsonl"]);
    assert!(code == 1 && error.to_string().contains("--overwrite"), "{error}");
    assert_eq!(exported(&first, "one.jsonl", &["--overwrite"]), bytes);
    let (code, report) = ctl(&first, &["export", "book", "--format", "markdown"]);
    assert_eq!((code, &report["drawers"]), (0, &json!(22)), "{report}");
    let index = std::fs::read_to_string(first.home().join("book/index.md")).unwrap();
    assert!(index.contains("(app/auth.md) | 11 |") && index.contains("(diary/ada.md) | 1 |"), "{index}");
}

#[test]
fn an_export_while_others_write_is_one_state_and_whole() {
    let (first, second) = (sandbox(), sandbox());
    furnish(&first);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut host = first.host("writer");
            host.initialize();
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                host.add("app", "busy", &format!("in between {number}"));
                number += 1;
            }
        });
        for round in 0..5 {
            let name = format!("{round}.jsonl");
            let found = lines(&exported(&first, &name, &["--wing", "app", "--room", "busy"]));
            // One writer: what one state holds is everything up to some number.
            let texts: Vec<String> =
                found.iter().filter_map(|line| line["document"].as_str().map(str::to_owned)).collect();
            let expect: Vec<String> = (0..texts.len()).map(|number| format!("in between {number}")).collect();
            assert_eq!(texts, expect);
        }
        let bytes = exported(&first, "all.jsonl", &["--no-vectors"]);
        stop.store(true, Ordering::Relaxed);
        let source = first.home().join("all.jsonl");
        let (code, report) = ctl(&second, &["import", source.to_str().unwrap()]);
        assert_eq!(code, 0, "{report}");
        assert!(exported(&second, "again.jsonl", &["--no-vectors"]) == bytes);
    });
}

#[test]
fn a_selection_leaves_everything_else_out() {
    let sandbox = sandbox();
    furnish(&sandbox);
    let found = lines(&exported(&sandbox, "notes.jsonl", &["--room", "Notes", "--since", "2020-01-01"]));
    assert_eq!(found[0]["selection"], json!({"room": "Notes", "since": "2020-01-01T00:00:00"}));
    assert_eq!(found.len(), 12, "{found:?}");
    assert!(found[1..11].iter().all(|line| line["room"] == "Notes"));
    assert_eq!(
        exported(&sandbox, "none.jsonl", &["--before", "2020-01-01"]).iter().filter(|b| **b == b'\n').count(),
        2
    );
}

#[test]
fn a_damaged_export_is_refused_and_nothing_is_stored() {
    let (first, second) = (sandbox(), sandbox());
    furnish(&first);
    let bytes = exported(&first, "whole.jsonl", &[]);
    let text = String::from_utf8(bytes).unwrap();
    let bad = second.home().join("bad.jsonl");
    for (damaged, expect) in [
        (text[..text.len() / 2].to_owned(), "is truncated"),
        (text.replacen("text number 3", "text number 4", 1), "was changed"),
        (text.replacen("\"type\":\"fact\"", "\"type\" \"fact\"", 1), "line "),
    ] {
        std::fs::write(&bad, damaged).unwrap();
        let (code, error) = ctl(&second, &["import", bad.to_str().unwrap()]);
        assert!(code == 1 && error.to_string().contains(expect), "{expect}: {error}");
    }
    assert_eq!(ctl(&second, &["status"]).1["counts"]["drawers"], 0);
    std::fs::write(&bad, &text).unwrap();
    let (code, dry) = ctl(&second, &["import", "bad.jsonl", "--dry-run"]);
    assert_eq!((code, &dry["dry_run"]), (0, &json!(true)), "{dry}");
    assert_eq!(ctl(&second, &["status"]).1["counts"]["drawers"], 0);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name.contains("out"))
        .collect()
}

#[test]
fn a_killed_export_leaves_no_half_target() {
    for format in ["jsonl", "markdown"] {
        for point in ["export.written", "export.named"] {
            let sandbox = sandbox();
            let mut host = sandbox.breaking_host("host", &format!("{point}=kill"));
            host.initialize();
            host.add("wing", "room", "what is exported");
            let arguments = ["export", "out", "--format", format];
            let output = sandbox.palacectl(&arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{point}");
            assert!(sandbox.reached(point), "{point} acted");
            let left = names(sandbox.home());
            if point == "export.written" {
                assert_eq!(left, ["out.mempalaced-export.tmp"], "{format}: the name is not given");
                // The next one is made in the same place.
                let (code, report) = ctl(&sandbox, &arguments);
                assert_eq!(code, 0, "{report}");
            }
            assert_eq!(names(sandbox.home()), ["out"], "{format} {point}");
            let whole = sandbox.home().join(if format == "jsonl" { "out" } else { "out/wing/room.md" });
            assert!(std::fs::read_to_string(whole).unwrap().contains("what is exported"));
            assert_eq!(host.found("what is exported"), ["what is exported"]);
            daemon::stop(&sandbox.palace());
        }
    }
}

#[test]
fn an_import_that_is_killed_goes_on() {
    let (first, second) = (sandbox(), sandbox());
    furnish(&first);
    let bytes = exported(&first, "whole.jsonl", &[]);
    let source = first.home().join("whole.jsonl");
    let source = source.to_str().unwrap();
    let mut host = second.breaking_host("host", "import.stored=kill");
    host.initialize();
    host.call("status", &json!({}));
    let output = second.palacectl(&["import", source]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(second.reached("import.stored"));
    let (code, report) = ctl(&second, &["import", source, "--resume"]);
    assert_eq!((code, &report["proof"]["holds"]), (0, &json!(true)), "{report}");
    assert_eq!(report["rows"]["new"], 0, "rows were stored before the kill");
    assert!(exported(&second, "again.jsonl", &[]) == bytes);
}
