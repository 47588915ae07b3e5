//! Palaces whose rows are in one table.

use rusqlite::{Connection, params};

use super::super::{Backend, Model};
use super::maker::{bytes, unit};
use super::*;

fn make(home: &Home) -> Connection {
    let conn = Connection::open(home.palace().join("sqlite_exact.sqlite3")).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
         CREATE TABLE collections(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, dimension INTEGER,
             created_at TEXT NOT NULL);
         CREATE TABLE documents(collection_id INTEGER NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL,
             metadata_json TEXT NOT NULL, embedding BLOB NOT NULL, dim INTEGER NOT NULL, created_at TEXT NOT NULL,
             updated_at TEXT NOT NULL,
             wing TEXT GENERATED ALWAYS AS (json_extract(metadata_json, '$.wing')) VIRTUAL,
             PRIMARY KEY(collection_id, id));
         INSERT INTO collections(name, dimension, created_at) VALUES ('mempalace_drawers', 4, ''),
             ('mempalace_closets', NULL, '');",
    )
    .unwrap();
    for (collection, id, json, vector) in [
        (1, "b", r#"{"wing":"w","n":1,"x":0.5,"yes":true,"nothing":null}"#, bytes(&unit(1))),
        (1, "a", "{}", bytes(&[0.0, 2.0, 0.0, 0.0])),
        (2, "c", "[]", bytes(&[0.0; 4])),
    ] {
        let sql =
            "INSERT INTO documents(collection_id, id, document, metadata_json, embedding, dim, created_at,
            updated_at) VALUES (?1, ?2, ?3, ?4, ?5, 4, '', '')";
        conn.execute(sql, params![collection, id, format!("text {id}"), json, vector]).unwrap();
    }
    conn
}

#[test]
fn the_table_is_read_with_what_is_in_its_log() {
    let home = Home::new();
    let conn = make(&home);
    // The writer is still there, so nothing has been moved from the log into the file.
    let palace = home.open();
    let rows = drawers(&palace);
    drop(conn);
    assert_eq!(texts(&rows), ["b=text b", "a=text a"]);
    let expect = [
        ("n".to_owned(), MetaValue::Integer(1)),
        ("wing".to_owned(), text("w")),
        ("x".to_owned(), MetaValue::Float(0.5)),
        ("yes".to_owned(), MetaValue::Bool(true)),
    ];
    assert_eq!(rows[0].metadata, expect);
    assert_eq!(rows[0].vector.as_deref(), Ok(&unit(1)[..]));
    assert_eq!(rows[1].vector.as_deref(), Ok(&[0.0, 1.0, 0.0, 0.0][..]));
    assert_eq!(drawers_after(&palace, Some(rows[0].cursor)), rows[1..]);
    let mut closets = Vec::new();
    palace
        .each_row("mempalace_closets", None, &mut |row| {
            closets.push(row);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(closets[0].vector, Err("the vector has length 0".to_owned()));
    assert_eq!(losses(&palace), ["Metadata c"]);
    let inventory = palace.inventory().unwrap();
    assert_eq!(inventory.backend, Backend::SqliteExact);
    assert_eq!(inventory.collections.iter().map(|c| c.row_count).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(inventory.closets.as_deref(), Some("mempalace_closets"));
}

#[test]
fn its_own_record_of_the_model_counts() {
    let home = Home::new();
    let conn = make(&home);
    conn.execute("INSERT INTO meta VALUES ('embedder_model:mempalace_drawers', 'openai-compat')", [])
        .unwrap();
    drop(conn);
    let palace = home.open();
    assert!(drawers(&palace)[0].vector.is_err());
    let collections = palace.inventory().unwrap().collections;
    assert_eq!(collections[0].model, Model::Other("openai-compat".to_owned()));
    assert_eq!(collections[1].model, Model::Minilm);
}
