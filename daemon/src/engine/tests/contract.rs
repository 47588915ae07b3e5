//! What the front promises, one promise a test.

use super::fixture::{commit, open, put, row, vector};
use crate::engine::{CommitError, IdempotencyKey, Op, OpenError, ReadError, Seq, Timestamp, Vector, View};

#[test]
fn a_committed_row_is_found_by_id_by_vector_and_by_word() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    put(&mut engine, row("a", "the cat sat"), vector(1));
    put(&mut engine, row("b", "dogs are running"), vector(2));

    let snapshot = reader.snapshot().unwrap();
    assert_eq!(snapshot.seq(), Seq(2));
    assert_eq!(snapshot.row("b").unwrap(), Some(row("b", "dogs are running")));
    assert_eq!(snapshot.row("c").unwrap(), None);

    let near = reader.nearest(&vector(2), 1, None).unwrap();
    assert_eq!(reader.resolve(&snapshot, near[0].row_key).unwrap().unwrap().id, "b");
    assert!(near[0].distance.abs() < 1e-3);

    let words = reader.lexical("run dog", 5, None);
    assert_eq!(words.len(), 1);
    assert_eq!(words[0].row_key, near[0].row_key);
    assert_eq!(reader.distances(&vector(2), &[words[0].row_key]).unwrap()[0], Some(near[0].distance));
}

#[test]
fn a_snapshot_does_not_move_and_hits_beyond_it_do_not_resolve() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    put(&mut engine, row("a", "old"), vector(1));
    let before = reader.snapshot().unwrap();
    put(&mut engine, row("b", "new"), vector(2));
    let hit = reader.nearest(&vector(2), 1, None).unwrap()[0];
    assert_eq!(reader.resolve(&before, hit.row_key).unwrap(), None);
    assert_eq!(before.counts().unwrap().rows(), 1);
    assert_eq!(reader.snapshot().unwrap().counts().unwrap().rows(), 2);
}

#[test]
fn a_dropped_transaction_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    put(&mut engine, row("a", "kept"), vector(1));
    let mut txn = engine.begin().unwrap();
    txn.apply(&Op::PutRow(row("b", "dropped"), Vector(vector(2)))).unwrap();
    txn.apply(&Op::DeleteRow { id: "a".to_owned() }).unwrap();
    txn.put_key(&IdempotencyKey([7; 16]), Timestamp(1), b"answer").unwrap();
    assert_eq!(txn.row("b").unwrap().unwrap().document, "dropped", "a transaction sees its own writes");
    assert_eq!(txn.row("a").unwrap(), None);
    drop(txn);

    let snapshot = reader.snapshot().unwrap();
    assert_eq!(snapshot.seq(), Seq(1));
    assert_eq!(snapshot.row("b").unwrap(), None);
    assert!(snapshot.row("a").unwrap().is_some());
    assert_eq!(snapshot.key_result(&IdempotencyKey([7; 16])).unwrap(), None);
    assert!(reader.lexical("dropped", 5, None).is_empty());
    assert_eq!(reader.lexical("kept", 5, None).len(), 1);
}

#[test]
fn a_refused_op_leaves_the_transaction_usable() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    put(&mut engine, row("a", "text"), vector(1));
    let mut txn = engine.begin().unwrap();
    let mut infinite = vector(2);
    infinite[3] = f32::INFINITY;
    for bad in [infinite, vec![0.0; 32], vec![0.5; 32], vec![1.0; 3]] {
        let refused = txn.apply(&Op::PutRow(row("bad", "text"), Vector(bad)));
        assert!(matches!(refused, Err(CommitError::BadVector { .. })));
    }
    let missing = txn.apply(&Op::PutMeta(row("nobody", "text")));
    assert!(matches!(missing, Err(CommitError::NoSuchRow { .. })));
    let changed = txn.apply(&Op::PutMeta(row("a", "another text")));
    assert!(matches!(changed, Err(CommitError::TextChanged { .. })));
    txn.apply(&Op::PutRow(row("good", "text"), Vector(vector(3)))).unwrap();
    txn.commit().unwrap();
    let snapshot = reader.snapshot().unwrap();
    assert_eq!(snapshot.counts().unwrap().rows(), 2);
    assert_eq!(snapshot.row("bad").unwrap(), None);
}

#[test]
fn metadata_moves_without_touching_the_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    put(&mut engine, row("a", "some words"), vector(1));
    let mut moved = row("a", "some words");
    moved.wing = "elsewhere".to_owned();
    commit(&mut engine, &[Op::PutMeta(moved.clone())]);
    let snapshot = reader.snapshot().unwrap();
    assert_eq!(snapshot.row("a").unwrap(), Some(moved));
    let counts = snapshot.counts().unwrap();
    assert_eq!(counts.wings.keys().collect::<Vec<_>>(), ["elsewhere"]);
    assert_eq!(reader.nearest(&vector(1), 1, None).unwrap().len(), 1);
    assert_eq!(reader.lexical("words", 1, None).len(), 1);
}

#[test]
fn answers_are_remembered_until_they_are_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    let key = |n: u8| IdempotencyKey([n; 16]);
    let mut txn = engine.begin().unwrap();
    for n in 0..10u8 {
        txn.put_key(&key(n), Timestamp(i64::from(n) - 5), &[n]).unwrap();
    }
    // Answering again moves the key in time: it must be pruned at its new time only.
    txn.put_key(&key(0), Timestamp(100), b"again").unwrap();
    assert_eq!(txn.key_result(&key(3)).unwrap(), Some(vec![3]));
    assert_eq!(txn.commit().unwrap(), Seq(0), "keys alone are no history");

    let mut txn = engine.begin().unwrap();
    assert_eq!(txn.prune_keys(Timestamp(0), 2).unwrap(), 2);
    assert_eq!(txn.prune_keys(Timestamp(0), 100).unwrap(), 2);
    assert_eq!(txn.prune_keys(Timestamp(0), 100).unwrap(), 0);
    txn.commit().unwrap();
    let snapshot = reader.snapshot().unwrap();
    let left: Vec<u8> = (0..10).filter(|n| snapshot.key_result(&key(*n)).unwrap().is_some()).collect();
    assert_eq!(left, [0, 5, 6, 7, 8, 9]);
    assert_eq!(snapshot.key_result(&key(0)).unwrap().as_deref(), Some(&b"again"[..]));
}

#[test]
fn one_store_is_opened_once_and_only_with_its_own_model() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, reader) = open(dir.path());
    let uuid = reader.snapshot().unwrap().meta().unwrap().database_uuid;
    let second = crate::engine::Engine::open(dir.path(), super::fixture::options());
    assert!(matches!(second, Err(OpenError::Locked { .. })));
    engine.close().unwrap();
    assert!(matches!(reader.snapshot(), Err(ReadError::NeedsReopen)));
    drop(reader);

    let mut other = super::fixture::options();
    other.embedder_identity = "another-model".to_owned();
    let refused = crate::engine::Engine::open(dir.path(), other);
    assert!(matches!(refused, Err(OpenError::EmbedderMismatch { .. })));
    let (_engine, reader) = open(dir.path());
    let info = reader.snapshot().unwrap().meta().unwrap();
    assert_eq!((info.database_uuid, info.created_at), (uuid, Timestamp(1_700_000_000_000)));
}

#[test]
fn a_query_that_cannot_be_compared_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    put(&mut engine, row("a", "text"), vector(1));
    for bad in [vec![0.0; 32], vec![f32::NAN; 32], vec![1.0; 5]] {
        assert!(matches!(reader.nearest(&bad, 3, None), Err(ReadError::BadQuery { .. })));
    }
    assert_eq!(reader.nearest(&vector(1), usize::MAX, None).unwrap().len(), 1);
    assert!(reader.nearest(&vector(1), 0, None).unwrap().is_empty());
}
