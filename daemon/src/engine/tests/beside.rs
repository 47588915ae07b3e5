//! Records beside the rows: order, ranges, one transaction with rows; and stores from before there were any.

use redb::Database;

use super::fixture::{commit, open, put, row, vector};
use crate::engine::store::codec::seal;
use crate::engine::store::tables;
use crate::engine::{Collection, MetaValue, Op, RecordRange, View, verify};

fn record(key: &str, value: &str) -> Op {
    Op::PutRecord { collection: Collection::Facts, key: key.into(), value: value.into() }
}

fn keys(view: &dyn View, range: &RecordRange) -> Vec<String> {
    let mut keys = Vec::new();
    view.records(Collection::Facts, range, &mut |key, _| {
        keys.push(String::from_utf8(key.to_vec()).unwrap());
        true
    })
    .unwrap();
    keys
}

#[test]
fn records_are_kept_in_the_order_of_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    let before = reader.snapshot().unwrap().seq();
    commit(&mut engine, &["b2", "a1", "b1", "c", "b3"].map(|key| record(key, "value")));
    let view = reader.snapshot().unwrap();
    assert_eq!(view.seq().0, before.0 + 1, "a change beside the rows is history too");
    assert_eq!(view.record_count(Collection::Facts).unwrap(), 5);
    assert_eq!(view.record(Collection::Facts, b"a1").unwrap().unwrap(), b"value");
    assert_eq!(view.record(Collection::Tunnels, b"a1").unwrap(), None);

    let under = |prefix: &str, after: Option<&str>, backwards| {
        let after = after.map(|after| after.as_bytes().to_vec());
        keys(&view, &RecordRange { prefix: prefix.into(), after, backwards })
    };
    assert_eq!(under("b", None, false), ["b1", "b2", "b3"]);
    assert_eq!(under("b", None, true), ["b3", "b2", "b1"]);
    assert_eq!(under("b", Some("b1"), false), ["b2", "b3"]);
    assert_eq!(under("b", Some("b3"), true), ["b2", "b1"]);
    assert_eq!(under("", Some("b3"), false), ["c"]);
    assert_eq!(under("b", Some("a"), false), ["b1", "b2", "b3"]);
    assert!(under("b", Some("a"), true).is_empty());
    assert!(under("b", Some("c"), false).is_empty());
    assert_eq!(under("b", Some("c"), true), ["b3", "b2", "b1"]);
}

#[test]
fn a_record_goes_with_the_transaction_of_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    let mut txn = engine.begin().unwrap();
    txn.apply(&record("k", "v")).unwrap();
    assert_eq!(txn.record(Collection::Facts, b"k").unwrap().unwrap(), b"v", "the transaction sees it");
    drop(txn);
    assert_eq!(reader.snapshot().unwrap().record(Collection::Facts, b"k").unwrap(), None);
    commit(&mut engine, &[record("k", "v")]);
    commit(&mut engine, &[Op::DeleteRecord { collection: Collection::Facts, key: b"k".to_vec() }]);
    assert_eq!(reader.snapshot().unwrap().record_count(Collection::Facts).unwrap(), 0);
    drop(engine);
}

#[test]
fn facets_follow_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    let mut dated = row("a", "one");
    dated.extra = vec![("date".into(), MetaValue::Text("2026-01-02".into()))];
    put(&mut engine, dated.clone(), vector(1));
    put(&mut engine, row("b", "two"), vector(2));
    put(&mut engine, row("c", "three"), vector(3));
    dated.room = "other".into();
    commit(&mut engine, &[Op::PutMeta(dated), Op::DeleteRow { id: "c".into() }]);
    let facets: Vec<(String, String, u64)> = reader
        .snapshot()
        .unwrap()
        .facets()
        .unwrap()
        .into_iter()
        .map(|facet| (facet.room, facet.date, facet.rows))
        .collect();
    assert_eq!(facets, [("other".into(), "2026-01-02".into(), 1), ("room".into(), String::new(), 1)]);
    assert!(verify(&reader).unwrap().is_sound());
}

#[test]
fn a_store_of_format_1_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    for at in 0..5 {
        put(&mut engine, row(&format!("row{at}"), "text"), vector(at));
    }
    drop(reader);
    engine.close().unwrap();
    make_format_1(&dir.path().join("palace.redb"));

    let (mut engine, reader) = open(dir.path());
    let view = reader.snapshot().unwrap();
    assert_eq!(view.meta().unwrap().format, 3);
    assert_eq!(view.facets().unwrap().iter().map(|facet| facet.rows).sum::<u64>(), 5);
    commit(&mut engine, &[record("k", "v")]);
    let report = verify(&reader).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
}

/// Takes away what format 2 added.
fn make_format_1(path: &std::path::Path) {
    let db = Database::open(path).unwrap();
    let txn = db.begin_write().unwrap();
    let kept = ["meta", "rows", "ids", "vectors", "by_wing", "by_source", "by_filed_at", "chunks", "counts"];
    let kept = kept.into_iter().chain(["log", "keys", "keys_by_time"]).collect::<Vec<_>>();
    for table in tables::all().filter(|table| !kept.contains(&table.name)) {
        assert!(txn.delete_table(table.definition()).unwrap());
    }
    let sealed = seal(tables::META.tag, b"format", &1_u32.to_le_bytes());
    txn.open_table(tables::META.definition()).unwrap().insert(&b"format"[..], sealed.as_slice()).unwrap();
    txn.commit().unwrap();
    db.close().unwrap();
}
