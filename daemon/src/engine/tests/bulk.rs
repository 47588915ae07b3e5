//! Rows put together are rows put one by one.

use super::fixture::{DIMENSION, open, row, vector};
use crate::engine::{MetaValue, Op, Preparer, Row, StoredVector, Vector, View, verify};

fn rows() -> Vec<(Row, Vec<f32>)> {
    (0..40u64)
        .map(|n| {
            let mut row = row(&format!("id{n:02}"), &format!("the text of number {n}"));
            row.wing = format!("wing{}", n % 3);
            row.room = format!("room{}", n % 2);
            if n % 5 == 0 {
                row.parent_id = Some(format!("parent{}", n % 2));
                row.chunk_index = n as u32;
            }
            row.extra = vec![("hall".to_owned(), MetaValue::Text(format!("hall{}", n % 4)))];
            (row, vector(n))
        })
        .collect()
}

#[test]
fn what_is_put_together_equals_what_is_put_one_by_one() {
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut single, single_reader) = open(left.path());
    let (mut bulk, bulk_reader) = open(right.path());
    let mut txn = single.begin().unwrap();
    for (row, vector) in rows() {
        txn.apply(&Op::PutRow(row, Vector(vector))).unwrap();
    }
    txn.commit().unwrap();
    let mut txn = bulk.begin().unwrap();
    let ops: Vec<Op> = rows()
        .into_iter()
        .map(|(row, vector)| {
            let stored = StoredVector::encode(&vector).unwrap();
            Op::PutNew(Preparer::new(DIMENSION).prepare(row, stored).unwrap())
        })
        .collect();
    txn.apply_all(&ops).unwrap();
    txn.commit().unwrap();

    let (single, bulk) = (single_reader.snapshot().unwrap(), bulk_reader.snapshot().unwrap());
    assert_eq!(single.counts().unwrap(), bulk.counts().unwrap());
    assert_eq!(single.facets().unwrap(), bulk.facets().unwrap());
    for (row, _) in rows() {
        assert_eq!(bulk.row(&row.id).unwrap(), Some(row.clone()));
        assert_eq!(single.stored_vector(&row.id).unwrap(), bulk.stored_vector(&row.id).unwrap());
    }
    let report = verify(&bulk_reader).unwrap();
    assert!(report.is_sound() && report.self_searches == 40, "{report:?}");
    assert_eq!(bulk_reader.lexical("number", 50, None).len(), 40);
}

#[test]
fn a_stored_vector_goes_from_store_to_store_unchanged() {
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut first, first_reader) = open(left.path());
    let (mut second, second_reader) = open(right.path());
    for n in 0..20 {
        super::fixture::put(&mut first, row(&format!("id{n}"), "text"), vector(n));
    }
    let snapshot = first_reader.snapshot().unwrap();
    for n in 0..20 {
        let id = format!("id{n}");
        let stored = snapshot.stored_vector(&id).unwrap().unwrap();
        super::fixture::commit(&mut second, &[Op::PutStored(row(&id, "text"), stored)]);
    }
    let copied = second_reader.snapshot().unwrap();
    for n in 0..20 {
        let id = format!("id{n}");
        assert_eq!(snapshot.stored_vector(&id).unwrap(), copied.stored_vector(&id).unwrap());
    }
}

#[test]
fn bytes_that_are_no_unit_vector_are_refused() {
    let of = |vector: &[f32]| {
        StoredVector::from_bytes(
            vector.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect(),
        )
    };
    for (what, stored) in [
        ("short", of(&vector(1)[1..])),
        ("long", of(&[1.0; DIMENSION])),
        ("empty", StoredVector::from_bytes(Vec::new())),
        ("not finite", of(&[f32::NAN; DIMENSION])),
    ] {
        assert!(Preparer::new(DIMENSION).prepare(row("a", "text"), stored).is_err(), "{what}");
    }
    assert_eq!(StoredVector::encode(&[0.0; DIMENSION]), None);
    assert_eq!(StoredVector::encode(&[f32::INFINITY; DIMENSION]), None);
    assert!(StoredVector::encode(&[3.0; DIMENSION]).is_some());
}
