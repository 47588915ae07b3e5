//! Vectors: in the index, over it in the queue, put aside, damaged.

use std::fs;

use super::maker::{INDEX, Layout, Maker, ROWS, Schema, bytes, database, index, unit};
use super::*;

/// Returns a palace with rows a, b and c, of which the index has a and b.
fn palace_with_index(schema: Schema, layout: &Layout, vectors: &[(&str, &[f32])]) -> Home {
    let home = Home::new();
    let maker = Maker::new(&home, schema);
    for (number, id) in [(1, "a"), (2, "b"), (3, "c")] {
        maker.row(number, id, id, number);
    }
    maker.queue(3, 0, "c", Some(&unit(3)), "{}");
    maker.mark(ROWS, 3);
    maker.mark(INDEX, 2);
    index(&home.palace().join(INDEX), layout, vectors);
    home
}

fn vectors(home: &Home) -> Vec<Result<Vec<f32>, String>> {
    drawers(&home.open()).into_iter().map(|row| row.vector).collect()
}

fn sound() -> Home {
    palace_with_index(Schema::Current, &Layout::of(2), &[("a", &unit(1)), ("b", &unit(2))])
}

#[test]
fn index_and_queue_together_have_every_vector() {
    let home = sound();
    assert_eq!(vectors(&home), [Ok(unit(1).to_vec()), Ok(unit(2).to_vec()), Ok(unit(3).to_vec())]);
    let counts = home.open().inventory().unwrap().collections[0].vectors;
    assert_eq!((counts.in_index, counts.in_queue, counts.missing), (2, 1, 0));
}

#[test]
fn the_queue_counts_over_the_index() {
    let home = sound();
    let conn = rusqlite::Connection::open(database(&home)).unwrap();
    let topic = format!("persistent://default/default/{}", super::maker::COLLECTION);
    for (operation, id, vector) in [(1, "a", Some(unit(4))), (0, "b", Some(unit(5))), (3, "c", None)] {
        let sql = "INSERT INTO embeddings_queue(operation, topic, id, vector, encoding) VALUES (?1, ?2, ?3, ?4, 'FLOAT32')";
        conn.execute(sql, (operation, &topic, id, vector.map(|vector| bytes(&vector)))).unwrap();
    }
    drop(conn);
    // Adding what is there is void; and the row that is deleted has none to ask about.
    assert_eq!(vectors(&home), [Ok(unit(4).to_vec()), Ok(unit(2).to_vec())]);
}

#[test]
fn lengths_are_mended_or_refused_as_the_index_promises() {
    let long: Vec<f32> = unit(1).iter().map(|float| float * 3.0).collect();
    let vectors_of = |schema| {
        let home =
            palace_with_index(schema, &Layout::of(2), &[("a", &long), ("b", &[f32::NAN, 0.0, 0.0, 1.0])]);
        vectors(&home)
    };
    // An index of cosine distances has no vector of length three; one of another distance may.
    let current = vectors_of(Schema::Current);
    assert!(current[0].as_ref().unwrap_err().starts_with("the vector has length"), "{current:?}");
    assert!(current[1].as_ref().unwrap_err().contains("not finite"));
    let legacy = vectors_of(Schema::Legacy);
    let mended = legacy[0].as_ref().unwrap();
    assert!(mended.iter().zip(unit(1)).all(|(a, b)| (a - b).abs() < 1e-6), "{mended:?}");
    assert!(legacy[1].is_err());
}

#[test]
fn a_truncated_index_loses_only_what_is_cut_off() {
    let home = sound();
    let path = home.palace().join(INDEX).join("data_level0.bin");
    let elements = fs::read(&path).unwrap();
    fs::write(&path, &elements[..elements.len() - 1]).unwrap();
    let found = vectors(&home);
    assert_eq!(found[0], Err("the file of the index ends before its vector".to_owned()));
    assert_eq!(found[1..], [Ok(unit(2).to_vec()), Ok(unit(3).to_vec())]);
    let notes = home.open().inventory().unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("ends after 1 of 2 vectors")), "{notes:?}");
}

#[test]
fn an_index_that_cannot_be_believed_is_not_read() {
    let two = Layout::of(2);
    let cases = [
        (Layout { version: 2, ..Layout::of(2) }, "the header of the index has version 2"),
        (
            Layout { element_count: 101, ..Layout::of(2) },
            "the header of the index is damaged: more elements than there is room for",
        ),
        (
            Layout { element_len: two.element_len + 4, ..Layout::of(2) },
            "the header of the index is damaged: place of the label",
        ),
        (
            Layout { element_len: u64::MAX, ..Layout::of(2) },
            "the header of the index is damaged: element size",
        ),
    ];
    for (layout, reason) in cases {
        let home = palace_with_index(Schema::Current, &layout, &[("a", &unit(1)), ("b", &unit(2))]);
        let found = vectors(&home);
        assert_eq!(found[0], Err(reason.to_owned()));
        assert_eq!(found[2], Ok(unit(3).to_vec()));
    }
    let home = sound();
    let table = home.palace().join(INDEX).join("index_metadata.pickle");
    fs::write(&table, b"\x80\x04cos\nsystem\n.").unwrap();
    assert!(vectors(&home)[0].as_ref().unwrap_err().contains("os.system"));
    fs::write(&table, b"").unwrap();
    assert!(vectors(&home)[0].is_err());
    fs::remove_file(home.palace().join(INDEX).join("header.bin")).unwrap();
    assert!(vectors(&home)[0].as_ref().unwrap_err().starts_with("header.bin cannot be read"));
}

#[test]
fn an_index_put_aside_counts_least() {
    let home = sound();
    let live = home.palace().join(INDEX);
    let aside = |name: &str| home.palace().join(format!("{INDEX}.{name}"));
    fs::rename(&live, aside("drift-20260101-000000")).unwrap();
    index(&aside("corrupt-20250101-000000"), &Layout::of(1), &[("a", &unit(9))]);
    assert_eq!(vectors(&home), [Ok(unit(1).to_vec()), Ok(unit(2).to_vec()), Ok(unit(3).to_vec())]);
    let notes = home.open().inventory().unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("put aside")), "{notes:?}");
    // The index that was begun anew has only what the queue still had.
    index(&live, &Layout::of(1), &[("a", &unit(8))]);
    assert_eq!(vectors(&home), [Ok(unit(8).to_vec()), Ok(unit(2).to_vec()), Ok(unit(3).to_vec())]);
    // One that was made empty has no table.
    fs::remove_file(live.join("index_metadata.pickle")).unwrap();
    assert_eq!(vectors(&home)[0], Ok(unit(1).to_vec()));
}

#[test]
fn a_vector_that_may_be_of_an_earlier_text_is_not_used() {
    let home = sound();
    let conn = rusqlite::Connection::open(database(&home)).unwrap();
    conn.execute("UPDATE embeddings SET seq_id = 7 WHERE embedding_id = 'b'", []).unwrap();
    let stale = Err("the vector that is left may be of an earlier text".to_owned());
    assert_eq!(vectors(&home), [Ok(unit(1).to_vec()), stale.clone(), Ok(unit(3).to_vec())]);
    // The change is in the queue and brings no vector, so the text is the same.
    let topic = format!("persistent://default/default/{}", super::maker::COLLECTION);
    let sql = "INSERT INTO embeddings_queue(seq_id, operation, topic, id) VALUES (7, 1, ?1, 'b')";
    conn.execute(sql, [&topic]).unwrap();
    assert_eq!(vectors(&home)[1], Ok(unit(2).to_vec()));
    // A mark that cannot be believed does no harm while there is a queue. Without one, nothing is certain.
    let poisoned = i64::from_be_bytes(*b"\x11\x11000003");
    conn.execute("UPDATE max_seq_id SET seq_id = ?1", [poisoned]).unwrap();
    assert_eq!(vectors(&home), [Ok(unit(1).to_vec()), Ok(unit(2).to_vec()), Ok(unit(3).to_vec())]);
    conn.execute("DELETE FROM embeddings_queue", []).unwrap();
    assert_eq!(vectors(&home)[..2], [stale.clone(), stale]);
}

#[test]
fn a_segment_name_cannot_lead_out_of_the_palace() {
    let home = sound();
    let outside = home.path().join("outside");
    index(&outside, &Layout::of(2), &[("a", &unit(1)), ("b", &unit(2))]);
    let conn = rusqlite::Connection::open(database(&home)).unwrap();
    let name = "../../outside";
    conn.execute("UPDATE segments SET id = ?1 WHERE scope = 'VECTOR'", [name]).unwrap();
    drop(conn);
    assert!(vectors(&home)[0].is_err());
}
