//! What stands beside the rows.

use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::maker::{Maker, Schema};
use super::*;

const GRAPH: &str = "
    CREATE TABLE entities(id TEXT PRIMARY KEY, name TEXT NOT NULL, type TEXT, properties TEXT, created_at TEXT);
    CREATE TABLE triples(id TEXT PRIMARY KEY, subject TEXT, predicate TEXT, object TEXT, valid_from TEXT,
        valid_to TEXT, confidence REAL, extracted_at TEXT);
";

fn graph(dir: &Path, sql: &str) {
    let conn = Connection::open(dir.join("knowledge_graph.sqlite3")).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    conn.execute_batch(GRAPH).unwrap();
    conn.execute_batch(sql).unwrap();
}

fn all(each: impl FnOnce(&mut dyn FnMut(Map<String, Value>) -> ControlFlow<()>)) -> Vec<Value> {
    let mut all = Vec::new();
    each(&mut |record| {
        all.push(Value::Object(record));
        ControlFlow::Continue(())
    });
    all
}

#[test]
fn both_files_of_the_knowledge_graph_are_merged() {
    let home = Home::new();
    drop(Maker::new(&home, Schema::Current));
    let insert = |id: &str, object: &str, at: &str| {
        format!("INSERT INTO triples VALUES ('{id}', 'max', 'likes', '{object}', NULL, NULL, 1.0, '{at}');")
    };
    let entity = |at: &str| format!("INSERT INTO entities VALUES ('max', 'Max', 'person', '{{}}', '{at}');");
    graph(
        &home.palace(),
        &[
            insert("t1", "tea", "2026-01-01T10:00:00"),
            insert("t2", "old", "2026-01-02 10:00:00"),
            entity("2026-01-01 00:00:00"),
        ]
        .concat(),
    );
    graph(
        &home.path().join(".mempalace"),
        &[
            insert("t1", "tea", "2026-01-01T10:00:00"),
            insert("t2", "new", "2026-01-02T11:00:00"),
            insert("t0", "milk", "2026-01-03 10:00:00"),
            insert("t9", "tea", "2026-01-04 10:00:00"),
            entity("2026-01-01 00:00:00"),
        ]
        .concat(),
    );
    let palace = home.open();
    let facts = all(|visit| palace.each_fact(visit).unwrap());
    let told: Vec<(&str, &str)> =
        facts.iter().map(|fact| (fact["id"].as_str().unwrap(), fact["object"].as_str().unwrap())).collect();
    assert_eq!(told, [("t1", "tea"), ("t2", "new"), ("t0", "milk")]);
    assert_eq!(facts[0]["confidence"], json!(1.0));
    assert_eq!(facts[0]["valid_to"], Value::Null);
    assert_eq!(all(|visit| palace.each_entity(visit).unwrap()).len(), 1);
    let inventory = palace.inventory().unwrap();
    assert_eq!((inventory.fact_count, inventory.entity_count), (3, 1));
    let notes = &inventory.notes;
    assert!(notes.len() == 2 && notes[0].starts_with("\"t2\" of triples"), "{notes:?}");
    // The same fact under another id, as the id contains the time.
    assert!(notes[1].starts_with("1 of triples"), "{notes:?}");
}

#[test]
fn the_log_is_read_in_order_of_arrival() {
    let home = Home::new();
    drop(Maker::new(&home, Schema::Current));
    let conn = Connection::open(home.palace().join("logstream.sqlite3")).unwrap();
    conn.execute_batch(
        r#"CREATE TABLE events(id TEXT PRIMARY KEY, type TEXT, body TEXT, metadata_json TEXT);
           CREATE TABLE artifacts(id TEXT PRIMARY KEY, kind TEXT, content TEXT);
           CREATE TABLE event_artifacts(event_id TEXT, artifact_id TEXT, PRIMARY KEY(event_id, artifact_id));
           INSERT INTO events VALUES ('evt_2', 'a.b', 'first', '{"k":1}'), ('evt_1', 'a.c', 'second', '{}');
           INSERT INTO artifacts VALUES ('art_1', 'note', 'text');
           INSERT INTO event_artifacts VALUES ('evt_1', 'art_1');"#,
    )
    .unwrap();
    drop(conn);
    let palace = home.open();
    let events = all(|visit| palace.each_event(visit).unwrap());
    assert_eq!(
        events[0],
        json!({"id": "evt_2", "type": "a.b", "body": "first", "metadata_json": "{\"k\":1}", "artifact_ids": []})
    );
    assert_eq!(events[1]["artifact_ids"], json!(["art_1"]));
    assert_eq!(
        all(|visit| palace.each_artifact(visit).unwrap()),
        [json!({"id": "art_1", "kind": "note", "content": "text"})]
    );
    let inventory = palace.inventory().unwrap();
    assert_eq!((inventory.event_count, inventory.artifact_count), (2, 1));
}

#[test]
fn links_and_small_files_are_handed_on_as_they_are() {
    let home = Home::new();
    drop(Maker::new(&home, Schema::Current));
    home.write("tunnels.json", r#"[{"id":"t"}]"#);
    home.write("hallways.json", r#"{"schema_version":1,"hallways":[{"id":"h1"},{"id":"h2"}]}"#);
    home.write("palace/replica.json", "{}");
    home.write("config.json", r#"{"collection_name":"mine"}"#);
    home.write("hook_state/s2_last_save", "30");
    home.write("hook_state/s1_last_save", "15");
    home.write("hook_state/hook.log", "noise");
    home.write("../.config/mempalace/config.json", "{}");
    home.write("../.config/mempalace/identity.txt", "I am");
    let palace = home.open();
    assert_eq!(palace.tunnels(), [json!({"id": "t"})]);
    assert_eq!(palace.hallways().len(), 2);
    let inventory = palace.inventory().unwrap();
    assert_eq!(
        inventory.files,
        ["replica.json", "config.json", "hook_state/s1_last_save", "hook_state/s2_last_save", "identity.txt"]
    );
    assert_eq!(palace.files()[2].bytes, b"15");
    assert!(inventory.notes.iter().any(|note| note.contains("differs from")), "{:?}", inventory.notes);
}

#[test]
fn side_files_that_cannot_be_read_are_told_and_keep_nothing_from_being_read() {
    let home = Home::new();
    let maker = Maker::new(&home, Schema::Current);
    maker.row(1, "a", "one", 1);
    drop(maker);
    home.write("tunnels.json", "[{");
    home.write("hallways.json", r#"{"schema_version":1}"#);
    home.write(
        "knowledge_graph.sqlite3",
        "this is no database, and long enough to be taken for one: ".repeat(20),
    );
    home.write("palace/mempalace_embedder.json", "{{");
    std::fs::create_dir_all(home.palace().join("logstream.sqlite3")).unwrap();
    std::fs::create_dir_all(home.path().join(".mempalace/identity.txt")).unwrap();
    let palace = home.open();
    assert_eq!(texts(&drawers(&palace)), ["a=one"]);
    let lost = losses(&palace);
    for name in
        ["tunnels.json", "hallways.json", "knowledge_graph.sqlite3", "logstream.sqlite3", "identity.txt"]
    {
        assert!(lost.iter().any(|loss| loss.starts_with("File ") && loss.ends_with(name)), "{name} {lost:?}");
    }
    assert_eq!(palace.inventory().unwrap().notes.len(), 1);
}
