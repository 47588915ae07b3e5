//! Batches on their way into a palace: nothing of one is left out while the position goes past it.

use std::path::Path;

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
    let mut pipeline = Pipeline::new(&ground.palace, "import/x", Path::new("/source")).unwrap();
    pipeline.row(1, row("a"), Ok(vector())).unwrap();
    pipeline.row(2, row("b"), Err("it has none".to_owned())).unwrap();
    pipeline.row(3, row("c"), Ok(vector())).unwrap();
    for attempt in ["first", "second"] {
        assert!(pipeline.flush().is_err(), "{attempt}");
        assert_eq!(ground.count(), 0, "{attempt}: b would be behind the position and never be read again");
    }
    assert_eq!(ground.palace.setting("import/x").unwrap(), None);
}

#[test]
fn rows_that_are_embedded_stand_in_their_place() {
    let ground = Ground::new();
    let mut pipeline = Pipeline::new(&ground.palace, "import/x", Path::new("/source")).unwrap();
    for (cursor, id) in ["a", "b", "c"].into_iter().enumerate() {
        let vector = if id == "b" { Err("it has none".to_owned()) } else { Ok(vector()) };
        pipeline.row(cursor as i64, row(id), vector).unwrap();
    }
    let sums = pipeline.finish().unwrap();
    assert_eq!((sums.outcome.rows_new, sums.embedded, ground.count()), (3, 1, 3));
    assert_eq!(sums.embedded_ids, ["b: it has none"]);
    let position = ground.palace.setting("import/x").unwrap().unwrap();
    assert_eq!(position["complete"], true);
}

#[test]
fn a_failed_batch_does_not_deny_those_before_it() {
    let ground = Ground::new();
    let mut pipeline = Pipeline::new(&ground.palace, "import/x", Path::new("/source")).unwrap();
    let full = WriteError::DiskFull("no room".to_owned());
    assert_eq!(pipeline.not_stored(&full), JobError::of(&full));
    pipeline.row(1, row("a"), Ok(vector())).unwrap();
    pipeline.flush().unwrap();
    let told = pipeline.not_stored(&full).to_string();
    assert!(told.contains("1 rows and records before it are stored") && told.contains("--resume"), "{told}");
}
