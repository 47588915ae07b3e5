//! Batches on their way into a palace: nothing of one is left out.

use super::*;
use crate::ingest::transfer::tests::Ground;

fn row(id: &str) -> Row {
    let text = || "w".to_owned();
    Row { id: id.to_owned(), document: format!("text of {id}"), wing: text(), room: text(), ..Row::default() }
}

fn vector() -> StoredVector {
    let mut vector = vec![0.0; 384];
    vector[0] = 1.0;
    StoredVector::encode(&vector).unwrap()
}

#[test]
fn rows_that_cannot_be_embedded_hold_up_those_around_them() {
    let ground = Ground::without_model();
    let mut pipeline = Pipeline::new(&ground.palace).unwrap();
    pipeline.row(row("a"), Ok(vector())).unwrap();
    pipeline.row(row("b"), Err("it has none".to_owned())).unwrap();
    pipeline.row(row("c"), Ok(vector())).unwrap();
    for attempt in ["first", "second"] {
        assert!(pipeline.flush().is_err(), "{attempt}");
        assert_eq!(ground.count(), 0, "{attempt}: b would be left out");
    }
}

#[test]
fn rows_that_are_embedded_stand_in_their_place() {
    let ground = Ground::new();
    let mut pipeline = Pipeline::new(&ground.palace).unwrap();
    for id in ["a", "b", "c"] {
        let vector = if id == "b" { Err("it has none".to_owned()) } else { Ok(vector()) };
        pipeline.row(row(id), vector).unwrap();
    }
    let sums = pipeline.finish().unwrap();
    assert_eq!((sums.outcome.rows_new, sums.embedded, ground.count()), (3, 1, 3));
    assert_eq!(sums.embedded_ids, ["b: it has none"]);
}

#[test]
fn a_failed_batch_does_not_deny_those_before_it() {
    let ground = Ground::new();
    let mut pipeline = Pipeline::new(&ground.palace).unwrap();
    let full = WriteError::DiskFull("no room".to_owned());
    assert_eq!(pipeline.not_stored(&full), JobError::of(&full));
    pipeline.row(row("a"), Ok(vector())).unwrap();
    pipeline.flush().unwrap();
    let told = pipeline.not_stored(&full).to_string();
    assert!(told.contains("1 rows and records before it are stored") && told.contains("goes on"), "{told}");
}

#[test]
fn what_is_there_is_neither_made_ready_nor_embedded_again() {
    let ground = Ground::new();
    let import = |ids: &[&str]| {
        let mut pipeline = Pipeline::new(&ground.palace).unwrap();
        for id in ids {
            pipeline.row(row(id), Err("it has none".to_owned())).unwrap();
        }
        pipeline.finish().unwrap()
    };
    assert_eq!(import(&["a", "b"]).embedded, 2);
    let again = import(&["a", "b", "c"]);
    assert_eq!((again.outcome.rows_same, again.outcome.rows_new, again.embedded), (2, 1, 1));
    assert_eq!(again.there_before.len(), 2);
}

#[test]
fn a_changed_drawer_is_remembered_from_batch_to_batch() {
    let ground = Ground::new();
    let chunk = |number: u32, text: &str| Row {
        id: format!("d_chunk_{number}"),
        parent_id: Some("d".to_owned()),
        chunk_index: number,
        document: text.to_owned(),
        ..row("")
    };
    let mut pipeline = Pipeline::new(&ground.palace).unwrap();
    pipeline.row(chunk(0, "ours"), Ok(vector())).unwrap();
    pipeline.finish().unwrap();
    let mut pipeline = Pipeline::new(&ground.palace).unwrap();
    pipeline.row(chunk(0, "theirs"), Ok(vector())).unwrap();
    pipeline.flush().unwrap();
    pipeline.row(chunk(1, "theirs"), Ok(vector())).unwrap();
    let sums = pipeline.finish().unwrap();
    let kept = sums.kept();
    assert_eq!(kept.rows.len(), 2, "{:?}", kept.rows);
    assert_eq!(ground.count(), 1);
}
