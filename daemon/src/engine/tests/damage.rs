//! Store files that are not what they should be. The answer is an error, never an empty store and
//! never wrong text.

use std::fs;
use std::io;
use std::path::Path;

use redb::ReadableDatabase;

use super::fixture::{Numbers, damage_row, flip, open, options, put, row, tamper, vector};
use crate::engine::store::tables;
use crate::engine::{
    Collection, CommitError, Engine, EngineOptions, Filter, Op, OpenError, ReadError, View, verify,
};

fn store(dir: &Path) {
    let (mut engine, reader) = open(dir);
    for n in 0..60 {
        put(&mut engine, row(&format!("id{n:02}"), &format!("text {n} {}", "x".repeat(500))), vector(n));
    }
    engine.close().unwrap();
    drop(reader);
    fs::remove_dir_all(dir.join(".derived")).unwrap();
}

fn unchecked() -> EngineOptions {
    EngineOptions { integrity_check_max_bytes: 0, ..options() }
}

#[test]
fn a_file_that_is_no_store_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("palace.redb");
    let mut numbers = Numbers(3);
    let garbage: Vec<u8> = (0..40_000).map(|_| numbers.next() as u8).collect();
    for content in [Vec::new(), b"SQLite format 3\0".to_vec(), garbage] {
        fs::write(&path, &content).unwrap();
        let refused = Engine::open(dir.path(), options());
        assert!(matches!(refused, Err(OpenError::NotAStore { .. } | OpenError::Damaged { .. })));
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    fs::remove_file(&path).unwrap();
    redb::Database::create(&path).unwrap();
    assert!(matches!(Engine::open(dir.path(), options()), Err(OpenError::NotAStore { .. })));
}

#[test]
fn a_leftover_of_an_interrupted_creation_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("palace.redb.new"), b"half").unwrap();
    let (_engine, reader) = open(dir.path());
    assert_eq!(reader.snapshot().unwrap().counts().unwrap().rows(), 0);
    assert!(!dir.path().join("palace.redb.new").exists());
}

#[test]
fn a_newer_format_is_refused_by_number() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    tamper(dir.path(), |txn| {
        let sealed = crate::engine::store::codec::seal(tables::META.tag, b"format", &9u32.to_le_bytes());
        txn.open_table(tables::META.definition()).unwrap().insert(&b"format"[..], &sealed[..]).unwrap();
    });
    let refused = Engine::open(dir.path(), options());
    assert!(matches!(refused, Err(OpenError::NewerFormat { found: 9, supported: 3, .. })));
}

#[test]
fn one_damaged_row_costs_that_row_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    flip(dir.path(), &tables::ROWS, &5u64.to_be_bytes(), 40);
    let (mut engine, reader) = open(dir.path());
    let snapshot = reader.snapshot().unwrap();
    let Err(ReadError::Damaged { table: "rows", key, .. }) = snapshot.row("id04") else { panic!() };
    assert_eq!(key, "id04");
    assert_eq!(snapshot.row("id05").unwrap().unwrap().id, "id05");
    let walked: Vec<bool> = snapshot.all_rows().unwrap().map(|row| row.is_ok()).collect();
    assert_eq!((walked.len(), walked.iter().filter(|sound| !**sound).count()), (60, 1));

    let report = verify(&reader).unwrap();
    assert!(report.problems.iter().any(|problem| problem.drawer.as_deref() == Some("id04")), "{report:?}");
    let mut txn = engine.begin().unwrap();
    let refused = txn.apply(&Op::DeleteRow { id: "id04".to_owned() });
    assert!(matches!(refused, Err(CommitError::RowDamaged { .. })));
    txn.apply(&Op::DeleteRow { id: "id05".to_owned() }).unwrap();
    txn.commit().unwrap();
    let saved = reader.save_snapshots();
    assert!(saved.is_err(), "an index that lacks a row must not be saved: {saved:?}");
}

#[test]
fn searches_and_listings_go_on_without_a_damaged_row() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    damage_row(dir.path(), 5);
    let (_engine, reader) = open(dir.path());
    let page = reader.snapshot().unwrap().page(&Filter::default(), 0, 60).unwrap();
    assert_eq!((page.rows.len(), page.total), (59, 60));
    assert_eq!(page.unreadable.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["id04"]);

    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    for n in 0..3 {
        put(&mut engine, row(&format!("id{n}"), "text"), vector(n));
    }
    engine.close().unwrap();
    drop(reader);
    flip(dir.path(), &tables::VECTORS, &2u64.to_be_bytes(), 20);
    let (_engine, reader) = open(dir.path());
    let (near, damaged) = reader.nearest_readable(&vector(1), 3, None).unwrap();
    assert_eq!(near.len(), 2);
    let named = |error: ReadError| error.into_damaged_row().unwrap().id;
    assert_eq!(damaged.into_iter().map(named).collect::<Vec<_>>(), ["id1"]);
    assert!(matches!(reader.nearest(&vector(1), 3, None), Err(ReadError::Damaged { .. })));
}

#[test]
fn a_missing_index_entry_is_found_by_verify() {
    for table in [&tables::IDS, &tables::VECTORS, &tables::BY_WING, &tables::BY_SOURCE, &tables::BY_FILED_AT]
    {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path());
        tamper(dir.path(), |txn| {
            txn.open_table(table.definition()).unwrap().pop_first().unwrap().unwrap();
        });
        let (_engine, reader) = open(dir.path());
        let report = verify(&reader).unwrap();
        assert!(report.problems.iter().any(|problem| problem.table == table.name), "{}", table.name);
    }
}

/// Overwrites a page at a time of a store whose pages are not checked at open: redb may panic, may
/// err, may give wrong bytes. We may err; what we do give is right.
#[test]
fn overwritten_pages_give_errors_or_the_truth() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let path = dir.path().join("palace.redb");
    let sound = fs::read(&path).unwrap();
    let mut numbers = Numbers(11);
    let (mut refused, mut errors) = (0, 0);
    for round in 0..40 {
        let mut bytes = sound.clone();
        let page = 1 + numbers.next() as usize % (bytes.len() / 4096 - 1);
        match round % 3 {
            0 => bytes[page * 4096..][..4096].fill(0),
            1 => bytes[page * 4096..][..4096].iter_mut().for_each(|byte| *byte = numbers.next() as u8),
            _ => bytes[page * 4096 + numbers.next() as usize % 4096] ^= 16,
        }
        fs::write(&path, &bytes).unwrap();
        let Ok((_engine, reader)) = Engine::open(dir.path(), unchecked()) else {
            refused += 1;
            continue;
        };
        let Ok(snapshot) = reader.snapshot() else { continue };
        for n in 0..60 {
            match snapshot.row(&format!("id{n:02}")) {
                Ok(Some(row)) => assert!(row.document.starts_with(&format!("text {n} "))),
                // A flipped bit in a key can hide an id from its lookup; verify finds that.
                Ok(None) => assert!(!verify(&reader).is_ok_and(|report| report.is_sound())),
                Err(_) => errors += 1,
            }
        }
    }
    assert!(refused + errors > 0, "the damage never hit anything");
    for page in [2, 5, 8] {
        let mut bytes = sound.clone();
        bytes[page * 4096..][..4096].fill(0);
        fs::write(&path, &bytes).unwrap();
        if let Ok((_engine, reader)) = Engine::open(dir.path(), options()) {
            assert!(verify(&reader).unwrap().is_sound(), "a checked store opened although damaged");
        }
    }
}

/// A page that points behind the end of the file was reported as the disk's refusal.
#[test]
fn a_reference_behind_the_end_of_the_file_is_damage() {
    let error = crate::engine::error::Fault::from(redb::Error::Io(io::ErrorKind::UnexpectedEof.into()));
    let opened = error.opening("palace.redb".into());
    assert!(matches!(opened, OpenError::Damaged { .. }), "{opened}");
}

/// redb panicked when a transaction was dropped that had met a damaged page, and took the writer with it.
#[test]
fn a_transaction_that_cannot_even_be_dropped_costs_a_reopening() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let sound = fs::read(dir.path().join("palace.redb")).unwrap();
    super::decay::be_quiet();
    let (mut refused, mut spoiled) = (0, 0);
    let pages = sound.len() / 4096;
    for page in 1..pages.min(12) {
        for from in (1..pages).step_by(3) {
            let mut bytes = sound.clone();
            bytes.copy_within(from * 4096..(from + 1) * 4096, page * 4096);
            let disk = super::power::Disk::new(bytes, u64::MAX);
            let Ok((mut engine, reader)) = Engine::open_over(disk, dir.path(), unchecked()) else { continue };
            for n in 0..2 {
                let Ok(mut txn) = engine.begin() else { continue };
                let put = Op::PutRow(row(&format!("new{n}"), "text"), vector(n).into());
                refused += u32::from(txn.apply(&put).and_then(|()| txn.commit()).is_err());
            }
            if reader.shared.handle.is_spoiled() {
                spoiled += 1;
                assert!(matches!(engine.begin(), Err(CommitError::NeedsReopen)));
            }
        }
    }
    assert!(refused > 0 && spoiled > 0, "{refused} writes were refused, {spoiled} transactions ended badly");
}

/// The indexes and the rows they are made of are compared one by one.
#[test]
fn an_index_that_knows_other_words_or_vectors_is_found_by_verify() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    for n in 0..300 {
        put(&mut engine, row(&format!("id{n:03}"), &format!("text number {n}")), vector(n));
    }
    assert!(verify(&reader).unwrap().is_sound());
    {
        let mut derived = reader.shared.derived.write();
        let other = crate::engine::store::records::encode_vector(&vector(5000));
        let other = crate::engine::derived::prepare_vector(&other, super::fixture::DIMENSION).unwrap();
        derived.vectors.put(crate::engine::RowKey(8), &other);
        derived.text.put(crate::engine::RowKey(9), &crate::engine::text::vocabulary::terms("text number 9"));
    }
    let report = verify(&reader).unwrap();
    let found = |index: &str, id: &str| {
        report.problems.iter().any(|found| found.table == index && found.drawer.as_deref() == Some(id))
    };
    assert!(found("vector index", "id007") && found("text index", "id008"), "{report:?}");
    assert_eq!(report.problems.len(), 2, "{report:?}");
}

#[test]
fn a_missing_chunk_is_a_notice_and_a_removal_without_its_time_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    for n in 0..4 {
        let mut chunk = row(&format!("d_{n}"), &format!("chunk {n}"));
        (chunk.parent_id, chunk.chunk_index) = (Some("d".to_owned()), n);
        put(&mut engine, chunk, vector(u64::from(n)));
    }
    assert_eq!(verify(&reader).unwrap().notices, []);
    super::fixture::commit(&mut engine, &[Op::DeleteRow { id: "d_1".to_owned() }]);
    let report = verify(&reader).unwrap();
    assert!(report.is_sound() && report.notices.len() == 1, "{report:?}");
    assert_eq!(report.notices[0].drawer.as_deref(), Some("d"));
    let key = [b"d\0".as_slice(), &7u64.to_be_bytes()].concat();
    let put = Op::PutRecord { collection: Collection::Removed, key, value: b"{}".to_vec() };
    super::fixture::commit(&mut engine, &[put]);
    let report = verify(&reader).unwrap();
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert_eq!(report.problems[0].table, "removed");
}

#[test]
fn disk_full_and_a_spoiled_handle_are_recognised() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge] {
        let error = CommitError::Io(io::Error::from(kind));
        assert!(error.is_disk_full() && error.needs_reopen());
    }
    assert!(!CommitError::Io(io::Error::from(io::ErrorKind::PermissionDenied)).is_disk_full());
    assert!(CommitError::NeedsReopen.needs_reopen());
    assert!(!CommitError::Poisoned.needs_reopen());
}

#[test]
fn a_snapshot_holds_up_a_reopening_and_both_come_through() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    put(&mut engine, row("a", "text"), vector(1));
    let snapshot = reader.snapshot().unwrap();
    std::thread::scope(|scope| {
        let reopening = scope.spawn(|| engine.reopen());
        // Searches of a thread that holds a snapshot go on while the exchange waits for it.
        let hit = reader.nearest(&vector(1), 1, None).unwrap()[0];
        assert_eq!(reader.resolve(&snapshot, hit.row_key).unwrap().unwrap().id, "a");
        drop(snapshot);
        reopening.join().unwrap().unwrap();
    });
    put(&mut engine, row("b", "text"), vector(2));
    assert_eq!(reader.snapshot().unwrap().counts().unwrap().rows(), 2);
    let db_is_ours = redb::Database::open(dir.path().join("palace.redb"));
    assert!(db_is_ours.is_err_and(|error| matches!(error, redb::DatabaseError::DatabaseAlreadyOpen)));
}

#[test]
fn the_file_can_be_read_by_plain_redb() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let db = redb::Database::open(dir.path().join("palace.redb")).unwrap();
    let names = db.begin_read().unwrap().list_tables().unwrap().count();
    assert_eq!(names, tables::all().count());
}

/// The log only saves a rebuild: without it everything is still there.
#[test]
fn a_damaged_entry_of_the_log_costs_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (mut engine, _reader) = open(dir.path());
        put(&mut engine, row("a", "first text"), vector(1));
        engine.save_snapshots().unwrap();
        put(&mut engine, row("b", "second text"), vector(2));
    }
    flip(dir.path(), &tables::LOG, &2u64.to_be_bytes(), 3);
    let (_engine, reader) = open(dir.path());
    assert_eq!(reader.lexical("text", 5, None).len(), 2);
    let report = verify(&reader).unwrap();
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert_eq!(report.problems[0].table, "log");
}
