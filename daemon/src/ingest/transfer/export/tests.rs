//! Where exports go, what a selection lets through, and how Markdown looks.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::*;
use crate::ingest::transfer::tests::Ground;

fn names(ground: &Ground) -> Vec<String> {
    let entries = fs::read_dir(ground.path("")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn nothing_is_lost_by_an_export_and_nothing_half_made_is_left() {
    let ground = Ground::furnished();
    let mut wanted = ground.wanted("e.jsonl", Format::Jsonl);
    let refused = |wanted: &Wanted, expect: &str| {
        let error = ground.export(wanted).unwrap_err().to_string();
        assert!(error.contains(expect), "{expect:?} is not in {error:?}");
    };
    fs::write(ground.path("e.jsonl.mempalaced-export.tmp"), "left by a killed daemon").unwrap();
    ground.export(&wanted).unwrap();
    assert_eq!(names(&ground), ["e.jsonl", "palace"]);
    let first = fs::read(&wanted.target).unwrap();
    refused(&wanted, "it is there already");
    fs::write(&wanted.target, "old").unwrap();
    wanted.overwrite = true;
    ground.export(&wanted).unwrap();
    assert_eq!(fs::read(&wanted.target).unwrap(), first);
    #[cfg(unix)]
    {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&wanted.target).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    wanted.target = ground.path("palace").join("palace.redb");
    refused(&wanted, "inside the palace's own directory");
    wanted.target = ground.path("palace");
    refused(&wanted, "is no file");
    wanted.target = ground.path("none").join("e.jsonl");
    refused(&wanted, "its folder does not exist");
    wanted.target = "e.jsonl".into();
    refused(&wanted, "must be absolute");
    wanted.target = ground.path("full").join("e.jsonl");
    wanted.selection.since = Some("yesterday".into());
    refused(&wanted, "since must be an ISO date");
    wanted.selection = Selection {
        since: Some("2026-01-02".into()),
        before: Some("2026-01-01".into()),
        ..Selection::default()
    };
    refused(&wanted, "must be earlier");
    assert_eq!(names(&ground), ["e.jsonl", "palace"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    let ground = Ground::furnished();
    let wanted = ground.wanted("e.jsonl", Format::Jsonl);
    // What is written through this link finds no room.
    let target = Target::prepare(&wanted).unwrap();
    std::os::unix::fs::symlink("/dev/full", target.tmp()).unwrap();
    let full = fs::OpenOptions::new().write(true).open(target.tmp()).unwrap();
    let error = std::io::Write::write_all(&mut &full, b"x").unwrap_err();
    let error = target.failed(&error).to_string();
    assert!(error.contains("e.jsonl") && error.contains("free some room"), "{error}");
    drop(target);
    assert_eq!(names(&ground), ["palace"]);
}

#[test]
fn an_export_that_is_stopped_leaves_nothing() {
    for format in [Format::Jsonl, Format::Markdown] {
        let ground = std::sync::Arc::new(Ground::furnished());
        let board = crate::ingest::job::Board::default();
        let wanted = ground.wanted("stopped", format);
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (working, ended) = (std::sync::Arc::clone(&ground), std::sync::mpsc::channel());
        let work = move |progress: &Progress| {
            gate.recv().unwrap();
            run(&working.palace, &wanted, progress)
        };
        let id = board.begin("export", work, move || ended.0.send(()).unwrap()).unwrap();
        board.cancel(id);
        go.send(()).unwrap();
        ended.1.recv().unwrap();
        assert_eq!(board.all()[0].state, crate::ingest::job::State::Cancelled);
        assert_eq!(names(&ground), ["palace"], "{format:?}");
    }
}

#[test]
fn a_selection_has_its_rows_and_their_cards() {
    let ground = Ground::furnished();
    let exported = |name: &str, selection: Selection| -> Vec<Value> {
        let wanted = Wanted { selection, ..ground.wanted(name, Format::Jsonl) };
        ground.export(&wanted).unwrap();
        let text = fs::read_to_string(wanted.target).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let room = Selection { wing: Some("w".into()), room: Some("r".into()), ..Selection::default() };
    let lines = exported("room.jsonl", room);
    assert_eq!(lines[0]["selection"], json!({"wing": "w", "room": "r"}));
    let types: Vec<&str> = lines[1..].iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["row", "row", "closet", "end"]);
    assert_eq!(lines[3]["record"]["source_file"], "/s.md");
    let late = Selection { since: Some("2026-01-02T12:00:00Z".into()), ..Selection::default() };
    let lines = exported("late.jsonl", late);
    assert_eq!(lines[0]["selection"], json!({"since": "2026-01-02T12:00:00"}));
    assert_eq!((lines.len(), &lines[1]["id"]), (3, &json!("e1")));
}

/// Returns the text of each file by its path.
fn tree(ground: &Ground, name: &str) -> BTreeMap<String, String> {
    let root = ground.path(name);
    let mut dirs = vec![root.clone()];
    let mut files = BTreeMap::new();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    files
}

#[test]
fn markdown_is_read_by_people() {
    let ground = Ground::furnished();
    let more = [("d3", "diary", "a b"), ("d4", "index.md", "a/b")].map(|(id, wing, room)| {
        json!({"id": id, "document": id, "wing": wing, "room": room, "filed_at": "2026-02-01"})
    });
    ground.file(&more, Vec::new());
    let finished = ground.export(&ground.wanted("book", Format::Markdown)).unwrap();
    assert_eq!((&finished.report["drawers"], &finished.report["files"]), (&json!(5), &json!(7)));
    let files = tree(&ground, "book");
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "diary-2/a b.md",
            "diary/ada.md",
            "index.md",
            "index.md-2/a-b.md",
            "knowledge-graph.md",
            "w/R.md",
            "w/r-2.md"
        ]
    );
    let room = "# w / r\n\n---\n\n## 2026-01-02 09:00:00\n\n- id: `d2`\n- source: `/s.md`\n\none half, and the other\n\n";
    assert_eq!(files["w/r-2.md"], room);
    assert!(files["diary/ada.md"].contains("- agent: `ada`\n- wing: `wing_ada`\n\nwhat I saw\n"));
    let graph = &files["knowledge-graph.md"];
    for part in
        ["## Ada (person)", "- lives in **rome**, since 2025-01-01, until 2025-06-01", "- w / r – v / R: l"]
    {
        assert!(graph.contains(part), "{part} is not in\n{graph}");
    }
    let index = &files["index.md"];
    for part in ["| w | [r](w/r-2.md) | 1 |", "| [ada](diary/ada.md) | 1 |", "(diary-2/a%20b.md)"] {
        assert!(index.contains(part), "{part} is not in\n{index}");
    }
    let again = ground.export(&ground.wanted("book", Format::Markdown)).unwrap_err().to_string();
    assert!(again.contains("is not empty"), "{again}");
    fs::create_dir(ground.path("empty")).unwrap();
    let one = Selection { wing: Some("w".into()), before: Some("2026-01-02".into()), ..Selection::default() };
    ground.export(&Wanted { selection: one, ..ground.wanted("empty", Format::Markdown) }).unwrap();
    let files = tree(&ground, "empty");
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), ["index.md", "w/R.md"]);
    assert!(files["index.md"].contains("Wing: w\n\nFiled before: 2026-01-02"));
}
