//! Rows of sound databases: tables of both schemas, and what the queue makes of them.

use rusqlite::params;

use super::super::{Backend, Model, UpstreamError};
use super::maker::{Maker, ROWS, Schema, unit};
use super::*;

const ADD: i64 = 0;
const UPDATE: i64 = 1;
const UPSERT: i64 = 2;
const DELETE: i64 = 3;

#[test]
fn both_schemas_are_read_with_every_kind_of_value() {
    for schema in [Schema::Legacy, Schema::Current] {
        let home = Home::new();
        let maker = Maker::new(&home, schema);
        maker.row(1, "a", "one", 1);
        maker.row(5, "b", "zwei — deux", 2);
        maker.mark(ROWS, 2);
        maker.queue(1, ADD, "a", Some(&unit(1)), "{}");
        maker.queue(2, ADD, "b", Some(&unit(2)), "{}");
        let sql = "INSERT INTO embedding_metadata(id, key, int_value, float_value) VALUES (5, ?1, ?2, ?3)";
        maker.conn.execute(sql, params!["chunk_index", 3, None::<f64>]).unwrap();
        maker.conn.execute(sql, params!["mtime", None::<i64>, 1.5]).unwrap();
        if schema == Schema::Current {
            let sql = "INSERT INTO embedding_metadata(id, key, bool_value) VALUES (5, 'is_sentinel', 1)";
            maker.conn.execute(sql, []).unwrap();
        }
        drop(maker);
        let palace = home.open();
        let rows = drawers(&palace);
        assert_eq!(texts(&rows), ["a=one", "b=zwei — deux"], "{schema:?}");
        assert_eq!(rows.iter().map(|row| row.cursor).collect::<Vec<_>>(), [1, 5]);
        let mut expect = vec![
            ("chunk_index".to_owned(), MetaValue::Integer(3)),
            ("mtime".to_owned(), MetaValue::Float(1.5)),
            ("wing".to_owned(), text("w")),
        ];
        if schema == Schema::Current {
            expect.insert(1, ("is_sentinel".to_owned(), MetaValue::Bool(true)));
        }
        assert_eq!(rows[1].metadata, expect);
        assert_eq!(rows[0].vector.as_deref(), Ok(&unit(1)[..]));
        assert_eq!(drawers_after(&palace, Some(1)), rows[1..]);
        let inventory = palace.inventory().unwrap();
        assert_eq!(inventory.backend, Backend::Chroma);
        assert_eq!(inventory.drawers.as_deref(), Some("mempalace_drawers"));
        assert_eq!(inventory.closets, None);
        assert_eq!(inventory.collections[0].row_count, 2);
        assert_eq!(inventory.collections[0].vectors.in_queue, 2);
        assert_eq!(inventory.notes, [""; 0]);
        assert_eq!(losses(&palace), [""; 0]);
        assert!(matches!(
            palace.each_row("no_such", None, &mut |_| ControlFlow::Break(())),
            Err(UpstreamError::NoCollection { .. })
        ));
    }
}

/// Returns a queue in which everything happens, the first three changes of which the tables have.
fn eventful(maker: &Maker) {
    maker.queue(1, ADD, "kept", Some(&unit(1)), r#"{"chroma:document":"old","wing":"w"}"#);
    maker.queue(2, ADD, "gone", Some(&unit(2)), r#"{"chroma:document":"gone"}"#);
    maker.queue(3, DELETE, "gone", None, "");
    maker.queue(4, UPDATE, "kept", None, r#"{"chroma:document":"new","wing":null,"room":"r"}"#);
    maker.queue(5, ADD, "kept", None, r#"{"chroma:document":"void"}"#);
    maker.queue(6, UPSERT, "fresh", Some(&[0.0, 0.0, 0.0, 2.0]), r#"{"chroma:document":"fresh","n":7}"#);
    maker.queue(7, UPDATE, "nobody", None, r#"{"chroma:document":"nobody"}"#);
    maker.queue(8, ADD, "brief", Some(&unit(3)), r#"{"chroma:document":"brief"}"#);
    maker.queue(9, DELETE, "brief", None, "");
    maker.queue(10, UPSERT, "fresh", None, r#"{"n":8}"#);
}

#[test]
fn changes_the_tables_do_not_have_yet_are_applied() {
    let home = Home::new();
    let maker = Maker::new(&home, Schema::Current);
    maker.row(1, "kept", "old", 1);
    eventful(&maker);
    maker.mark(ROWS, 3);
    drop(maker);
    let palace = home.open();
    let rows = drawers(&palace);
    assert_eq!(texts(&rows), ["kept=new", "fresh=fresh"]);
    assert_eq!(rows[0].metadata, [("room".to_owned(), text("r"))]);
    assert_eq!(rows[1].metadata, [("n".to_owned(), MetaValue::Integer(8))]);
    assert_eq!(rows[1].vector.as_deref(), Ok(&[0.0, 0.0, 0.0, 1.0][..]));
    assert_eq!(drawers_after(&palace, Some(rows[0].cursor)), rows[1..]);
    assert_eq!(losses(&palace), [""; 0]);
}

#[test]
fn marks_that_cannot_be_believed_do_not_hide_changes() {
    // As another program left them when it took eight bytes of text for a number; and as they are after the queue
    // began to count anew.
    for mark in [i64::from_be_bytes(*b"\x11\x11000003"), 999] {
        let home = Home::new();
        let maker = Maker::new(&home, Schema::Current);
        maker.row(1, "kept", "old", 1);
        eventful(&maker);
        maker.mark(ROWS, mark);
        drop(maker);
        let palace = home.open();
        assert_eq!(texts(&drawers(&palace)), ["kept=new", "fresh=fresh"], "{mark}");
        assert_eq!(palace.inventory().unwrap().notes.len(), 1);
    }
}

#[test]
fn changes_the_tables_have_are_not_applied_again() {
    let home = Home::new();
    let maker = Maker::new(&home, Schema::Current);
    maker.row(1, "kept", "new", 4);
    eventful(&maker);
    // Deleted by hand, so the queue knows nothing of it.
    maker.queue(11, ADD, "by hand", Some(&unit(4)), r#"{"chroma:document":"by hand"}"#);
    maker.row(2, "fresh", "changed by hand", 10);
    maker.mark(ROWS, 11);
    drop(maker);
    assert_eq!(texts(&drawers(&home.open())), ["kept=new", "fresh=changed by hand"]);
}

#[test]
fn a_text_the_tables_lack_comes_from_the_queue() {
    let home = Home::new();
    let maker = Maker::new(&home, Schema::Current);
    maker.row(1, "a", "one", 1);
    maker.row(2, "b", "two", 2);
    maker.conn.execute("DELETE FROM embedding_metadata WHERE key = 'chroma:document'", []).unwrap();
    maker.queue(1, ADD, "a", Some(&unit(1)), r#"{"chroma:document":"queued","wing":"other"}"#);
    maker.mark(ROWS, 2);
    drop(maker);
    let palace = home.open();
    let rows = drawers(&palace);
    assert_eq!(texts(&rows), ["a=queued", "b=-"]);
    assert_eq!(rows[0].metadata, [("wing".to_owned(), text("w"))]);
    // The tables are sound: that a row has no text is how it is.
    assert_eq!(losses(&palace), [""; 0]);
}

#[test]
fn reading_goes_on_where_it_stopped_across_batches() {
    let home = Home::new();
    let maker = Maker::new(&home, Schema::Current);
    maker.conn.execute_batch("BEGIN").unwrap();
    for number in 1..=1500 {
        maker.row(number, &format!("d{number}"), "text", number);
    }
    for seq in 1501..=1510 {
        maker.queue(seq, ADD, &format!("q{seq}"), None, r#"{"chroma:document":"text"}"#);
    }
    maker.mark(ROWS, 1500);
    maker.conn.execute_batch("COMMIT").unwrap();
    drop(maker);
    let palace = home.open();
    let all = drawers(&palace);
    assert_eq!(all.len(), 1510);
    assert!(all.windows(2).all(|pair| pair[0].cursor < pair[1].cursor));
    let mut pieces: Vec<SourceRow> = Vec::new();
    loop {
        let after = pieces.last().map(|row| row.cursor);
        let mut taken = 0;
        let mut take = |row: SourceRow| {
            pieces.push(row);
            taken += 1;
            if taken == 97 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        palace.each_row("mempalace_drawers", after, &mut take).unwrap();
        if taken == 0 {
            break;
        }
    }
    assert_eq!(pieces, all);
}

#[test]
fn vectors_of_another_model_are_not_used() {
    let home = Home::new();
    let maker = Maker::new(&home, Schema::Current);
    maker.row(1, "a", "one", 1);
    maker.queue(1, ADD, "a", Some(&unit(1)), "{}");
    drop(maker);
    let record = |name: &str| {
        let json = format!(r#"{{"mempalace_drawers":{{"model_name":"{name}","dimension":4}}}}"#);
        home.write("palace/mempalace_embedder.json", json);
        home.open()
    };
    assert!(drawers(&record("all-MiniLM-L6-v2"))[0].vector.is_ok());
    let palace = record("embeddinggemma");
    let reason = "embedded with another model, embeddinggemma".to_owned();
    assert_eq!(drawers(&palace)[0].vector, Err(reason));
    let collections = palace.inventory().unwrap().collections;
    assert_eq!(collections[0].model, Model::Other("embeddinggemma".to_owned()));
    assert_eq!((collections[0].row_count, collections[0].vectors.missing), (1, 1));
}
