//! Out of one palace and into another, and out again: the same bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::export::{self, Format};
use super::import;
use super::lines::{End, Header, Selection, Writer};
use crate::clock;
use crate::engine::embed::{Embedder, EmbedderSource};
use crate::engine::{Engine, EngineOptions};
use crate::ingest::job::{Finished, JobError, Progress};
use crate::palace::import::{ImportBatch, Imported};
use crate::palace::portable::PortableRow;
use crate::palace::{Palace, View};

/// An open palace and the folder it lives in, with room for exports beside it.
pub struct Ground {
    pub palace: Palace,
    folder: tempfile::TempDir,
}

impl Ground {
    pub fn new() -> Self {
        Self::with(Embedder::start(EmbedderSource::Hash).unwrap())
    }

    /// Returns a palace that can embed nothing.
    pub fn without_model() -> Self {
        let embedder = Embedder::start(EmbedderSource::Hash).unwrap();
        embedder.stop();
        Self::with(embedder)
    }

    fn with(embedder: Embedder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = EngineOptions { embedder_identity: embedder.identity(), ..EngineOptions::default() };
        let dir = folder.path().join("palace");
        std::fs::create_dir(&dir).unwrap();
        let (engine, reader) = Engine::open(&dir, options).unwrap();
        Self { palace: Palace::new(engine, reader, embedder, None, |_| {}), folder }
    }

    /// Returns a palace that holds one of everything.
    pub fn furnished() -> Self {
        let ground = Self::new();
        let first: Vec<Value> = rows().into_iter().rev().collect();
        ground.file(&first, records());
        ground
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self, rows: &[Value], records: Vec<Imported>) {
        let mut preparer = self.palace.preparer().unwrap();
        let rows = rows.iter().map(|row| {
            let row: PortableRow = serde_json::from_value(row.clone()).unwrap();
            let (row, _) = row.into_row().unwrap();
            let vector = self.palace.embed(&[&row.document]).unwrap().remove(0);
            preparer.prepare(row, vector).unwrap()
        });
        let note = Some(("import/before".to_owned(), json!("of another source")));
        let rows = rows.collect::<Vec<Arc<_>>>();
        let batch = ImportBatch { rows, records, note, ..ImportBatch::default() };
        self.palace.import(batch, &clock::now()).unwrap().wait().unwrap();
    }

    pub fn wanted(&self, name: &str, format: Format) -> export::Wanted {
        export::Wanted {
            target: self.path(name),
            format,
            selection: Selection::default(),
            vectors: true,
            overwrite: false,
            palace_dir: self.path("palace"),
        }
    }

    pub fn export(&self, wanted: &export::Wanted) -> Result<Finished, JobError> {
        export::run(&self.palace, wanted, &Progress::unwatched())
    }

    /// Exports everything and returns the bytes.
    pub fn exported(&self, name: &str, vectors: bool) -> String {
        let wanted = export::Wanted { vectors, ..self.wanted(name, Format::Jsonl) };
        self.export(&wanted).unwrap();
        std::fs::read_to_string(wanted.target).unwrap()
    }

    fn import(&self, source: &Path, change: impl FnOnce(&mut import::Wanted)) -> Result<Finished, JobError> {
        let mut wanted = import::Wanted {
            is_own: false,
            source: source.to_owned(),
            home: None,
            dry_run: false,
            scratch: self.path("scratch"),
            reports: self.path("palace").join("imports"),
        };
        change(&mut wanted);
        import::run(&self.palace, &wanted, &Progress::unwatched())
    }

    pub fn count(&self) -> u64 {
        self.palace.counts().unwrap().rows()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.palace.close().unwrap();
    }
}

/// Rows whose order is not that of their ids: two chunks, a diary entry, metadata of every type.
pub fn rows() -> Vec<Value> {
    vec![
        json!({"id": "d2_chunk_0", "document": "one half, ", "wing": "w", "room": "r", "source_file": "/s.md",
               "filed_at": "2026-01-02T09:00:00.000001", "parent_id": "d2"}),
        json!({"id": "d2_chunk_1", "document": "and the other\n", "wing": "w", "room": "r", "source_file": "/s.md",
               "filed_at": "2026-01-02T09:00:00.000001", "chunk_index": 1, "parent_id": "d2"}),
        json!({"id": "d1", "document": "# a \u{1F3DB}\tcolumn", "wing": "w", "room": "R", "filed_at": "2026-01-01",
               "metadata": {"added_by": "ada", "bool": false, "float": 2.0, "nan": {"float": "NaN"},
                            "integer": i64::MIN, "tiny": 1.7976931348623157e-300}}),
        json!({"id": "e1", "document": "what I saw", "wing": "wing_ada", "room": "diary",
               "filed_at": "2026-01-03T10:00:00", "metadata": {"agent": "ada", "topic": "sights"}}),
    ]
}

fn record(kind: &str, record: Value) -> Imported {
    serde_json::from_value(json!({"type": kind, "record": record})).unwrap()
}

/// One record of each type, and what is easily lost: an ended fact that was recorded twice.
pub fn records() -> Vec<Imported> {
    let fact = |id: &str, to: Value| {
        json!({"id": id, "subject": "ada", "predicate": "lives_in", "object": "rome", "valid_from": "2025-01-01",
               "valid_to": to, "confidence": 0.1, "extracted_at": "2026-01-01T00:00:00Z"})
    };
    let dynamics = json!({"created_at": "t", "strength": 1.3, "stability": 1.0, "last_activated": "t", "access_count": 2});
    let with = |mut record: Value, more: &Value| {
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record
    };
    let event = |id: &str, seq: u64| {
        json!({"id": id, "seq": seq, "origin_replica": "rep_a", "origin_seq": seq, "hlc": format!("{seq:013}-0-a"),
               "type": "note", "stream": "s", "room": "r", "from_agent": "ada", "artifact_ids": ["a1"],
               "body": "hello", "created_at": "2026-01-01T00:00:00Z", "metadata": {"z": 1, "a": [0.1, null]}})
    };
    vec![
        record("setting", json!({"name": "hooks", "value": {"silent_save": true, "desktop_toast": false}})),
        record("setting", json!({"name": "backup/last", "value": 1})),
        record("closet", json!({"source_file": "/s.md", "id": "c1", "card": {"document": "halves"}})),
        record("closet", json!({"source_file": "/other.md", "id": "c1", "card": {"document": "others"}})),
        record("event", event("late", 7)),
        record("event", event("early", 9)),
        record(
            "artifact",
            json!({"id": "a1", "kind": "note", "sha256": "x", "size_bytes": 1, "content": "x",
            "created_by": "ada", "created_at": "t", "origin_replica": "rep_a", "metadata": {}}),
        ),
        record(
            "hallway",
            with(
                json!({"id": "h", "wing": "w", "entity_a": "a", "entity_b": "b",
            "co_occurrence_count": 2, "rooms": ["r"], "label": "", "created_by": "miner"}),
                &dynamics,
            ),
        ),
        record(
            "tunnel",
            with(
                json!({"id": "t", "source": {"wing": "w", "room": "r"},
            "target": {"wing": "v", "room": "R", "drawer_id": "d1"}, "label": "l", "kind": "explicit"}),
                &dynamics,
            ),
        ),
        record("fact", fact("f2", json!("2025-06-01"))),
        record("fact", fact("f1", json!("2025-06-01"))),
        record("fact", fact("f3", Value::Null)),
        record("entity", json!({"id": "ada", "name": "Ada", "type": "person", "created_at": "t"})),
    ]
}

#[test]
fn an_export_comes_back_byte_for_byte() {
    for vectors in [true, false] {
        let (ground, other) = (Ground::furnished(), Ground::new());
        let first = ground.exported("first.jsonl", vectors);
        let finished = other.import(&ground.path("first.jsonl"), |_| {}).unwrap();
        assert_eq!(finished.report["proof"]["holds"], true, "{:#}", finished.report);
        assert_eq!(finished.report["proof"]["records"]["equal"], 12);
        let again = if vectors { 0 } else { 4 };
        assert_eq!(finished.report["rows"]["embedded_again"], again);
        assert_eq!(other.exported("second.jsonl", vectors), first);
        // Whoever embeds the same text with the same model has the same vectors.
        assert_eq!(other.exported("third.jsonl", true), ground.exported("whole.jsonl", true));
        let ids: Vec<String> = first
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(ids, ["e1", "d1", "d2_chunk_1", "d2_chunk_0"], "in the order of filing");
        assert!(!first.contains("import/before") && !first.contains("backup/last"));
        let repeated = other.import(&ground.path("first.jsonl"), |_| {}).unwrap();
        assert_eq!(
            (&repeated.report["rows"]["new"], &repeated.report["rows"]["same"]),
            (&json!(0), &json!(4))
        );
        assert_eq!(repeated.report["records"]["new"], 0);
    }
}

#[test]
fn an_export_that_is_not_whole_stores_nothing() {
    let (ground, other) = (Ground::furnished(), Ground::new());
    let text = ground.exported("whole.jsonl", true);
    let lines: Vec<&str> = text.lines().collect();
    let bad = ground.path("bad.jsonl");
    for (damaged, expect) in [
        (lines[..lines.len() - 1].join("\n") + "\n", "is truncated"),
        (text[..text.len() / 2].to_owned(), "is truncated"),
        (text.replacen("what I saw", "what I sow", 1), "was changed"),
        (text.replacen("\"wing\":\"w\"", "\"wing\" \"w\"", 1), "line 3: "),
        (text.replacen("{\"added_by\":", "{\"tags\":[],\"added_by\":", 1), "line 3: d1: metadata tags"),
        (text.replacen("\"id\":\"f1\"", "\"id\":\"f\\u0000\"", 1), "line 7: fact \"f\\0\": a zero byte"),
        (text.replacen("\"version\":1", "\"version\":2", 1), "use a newer one"),
        ("a shopping list\n".to_owned(), "is not an export"),
    ] {
        std::fs::write(&bad, damaged).unwrap();
        let error = other.import(&bad, |_| {}).unwrap_err().to_string();
        assert!(error.contains(expect) && error.ends_with("nothing was imported"), "{expect}: {error}");
    }
    assert_eq!(other.count(), 0);
    let empty = other.palace.snapshot().unwrap().seq();
    let dry = other.import(&ground.path("whole.jsonl"), |wanted| wanted.dry_run = true).unwrap();
    assert!(dry.message.starts_with("4 rows and 12 records would be imported, 0 embedded again"));
    assert_eq!(other.palace.snapshot().unwrap().seq(), empty);
}

/// Writes an export as another program might.
fn foreign(path: &Path, header: &Header, rows: &[Value], more: &str) -> End {
    let mut writer = Writer::begin(Vec::new(), header).unwrap();
    for row in rows {
        writer.row(&serde_json::from_value(row.clone()).unwrap()).unwrap();
    }
    let (out, mut end, _) = writer.finish().unwrap();
    let text = String::from_utf8(out).unwrap();
    let mut body: Vec<&str> = text.lines().collect();
    body.pop();
    let body = body.join("\n") + "\n" + more;
    end.records = more.lines().count() as u64;
    end.sha256 = crate::palace::ids::sha256_hex(body.as_bytes(), 64);
    let last = json!({"type": "end", "rows": end.rows, "records": end.records, "sha256": end.sha256});
    std::fs::write(path, format!("{body}{last}\n")).unwrap();
    end
}

#[test]
fn rows_of_another_model_are_embedded_and_what_is_unknown_is_noted() {
    let ground = Ground::new();
    let path = ground.path("foreign.jsonl");
    let header = Header {
        format: "mempalaced-export".into(),
        version: 1,
        embedder: Some("another model".into()),
        dimension: Some(384),
        vectors: true,
        selection: Selection::default(),
    };
    let more = "{\"type\":\"song\",\"record\":1}\n{\"type\":\"setting\",\"record\":{\"name\":\"scrub\",\"value\":1}}\n";
    foreign(&path, &header, &rows(), more);
    let finished = ground.import(&path, |_| {}).unwrap();
    let report = &finished.report;
    assert_eq!(
        (&report["proof"]["holds"], &report["rows"]["embedded_again"]),
        (&json!(true), &json!(4)),
        "{report:#}"
    );
    let notes = report["notes"].to_string();
    assert!(notes.contains("song") && notes.contains("another model"), "{notes}");
    assert_eq!(ground.palace.setting("scrub").unwrap(), None);
    assert_eq!(ground.count(), 4);
}

#[test]
fn rows_that_must_be_embedded_keep_their_place() {
    let (ground, other) = (Ground::furnished(), Ground::new());
    let whole = ground.exported("whole.jsonl", true);
    let header: Header = serde_json::from_str(whole.lines().next().unwrap()).unwrap();
    let mut rows: Vec<Value> =
        whole.lines().skip(1).take(4).map(|line| serde_json::from_str(line).unwrap()).collect();
    rows[0]["vector"] = Value::Null;
    rows[2]["vector"] = json!("AAAA");
    let path = ground.path("holes.jsonl");
    foreign(&path, &header, &rows, "");
    let finished = other.import(&path, |_| {}).unwrap();
    assert_eq!(finished.report["rows"]["embedded_again"], 2);
    let again = other.exported("again.jsonl", true);
    let body = |text: &str| text.lines().skip(1).take(4).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(body(&again), body(&whole));
}

#[test]
fn what_is_there_is_kept_and_the_proof_names_it() {
    let (ground, other) = (Ground::furnished(), Ground::new());
    ground.exported("whole.jsonl", true);
    let mut ours = rows();
    ours[2]["document"] = json!("another text under this id");
    let hooks =
        record("setting", json!({"name": "hooks", "value": {"silent_save": false, "desktop_toast": false}}));
    other.file(&ours[2..3], vec![hooks]);
    let report = other.import(&ground.path("whole.jsonl"), |_| {}).unwrap().report;
    assert_eq!(report["proof"]["holds"], true, "what is kept is told, and the source is no measure of it");
    assert_eq!((&report["proof"]["rows"], &report["proof"]["kept_as_here"]), (&json!(3), &json!(1)));
    assert_eq!(report["rows"]["kept_ours"], json!(["d1"]));
    assert_eq!(report["proof"]["records"]["kept_ours"], json!(["setting hooks"]));
    let kept = other.palace.drawer("d1").unwrap().unwrap();
    assert_eq!(kept.content, "another text under this id");
}
