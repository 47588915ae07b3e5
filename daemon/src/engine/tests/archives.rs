//! A store written out and made again is the same store; anything less is refused.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::fixture::{commit, open, options, put, row, vector};
use crate::engine::archive::{Archive, ArchiveError, RestoreError, Summary, replace_store, restore};
use crate::engine::{
    Collection, Op, Reader, RecordRange, Row, Seq, Snapshot, StoredVector, Timestamp, View, verify,
};

fn write(reader: &Reader, since: Option<Seq>, path: &Path) -> Result<Summary, ArchiveError> {
    let file = File::create(path).unwrap();
    let (file, summary) =
        reader.snapshot().unwrap().archive(since, Timestamp(5), path, file, &mut |_| true)?;
    file.sync_all().unwrap();
    Ok(summary)
}

/// Rows with vectors, records and the position in history.
type Content = (Vec<(Row, Option<StoredVector>)>, Vec<(Vec<u8>, Vec<u8>)>, Seq);

/// Everything of a store that an archive must carry.
fn content(snapshot: &Snapshot) -> Content {
    let rows = snapshot.all_rows().unwrap().map(|row| row.unwrap());
    let rows = rows.map(|row| {
        let vector = snapshot.stored_vector(&row.id).unwrap();
        (row, vector)
    });
    let rows = rows.collect();
    let mut records = Vec::new();
    for collection in [Collection::Facts, Collection::Settings] {
        snapshot
            .records(collection, &RecordRange::default(), &mut |key, value| {
                records.push((key.to_vec(), value.to_vec()));
                true
            })
            .unwrap();
    }
    (rows, records, snapshot.seq())
}

fn record(collection: Collection, key: &str, value: &str) -> Op {
    Op::PutRecord { collection, key: key.into(), value: value.into() }
}

/// A store with a full archive, two partial ones and everything that can happen between them.
fn chain(dir: &Path) -> (Reader, crate::engine::Engine, Vec<PathBuf>) {
    let (mut engine, reader) = open(&dir.join("palace"));
    let names: Vec<PathBuf> = ["full", "first", "second"].iter().map(|name| dir.join(name)).collect();
    for n in 0..30 {
        put(&mut engine, row(&format!("id{n:02}"), &format!("text {n}")), vector(n));
    }
    commit(&mut engine, &[record(Collection::Facts, "f1", "one"), record(Collection::Facts, "f2", "two")]);
    let mut since = None;
    for (step, name) in names.iter().enumerate() {
        let summary = write(&reader, since, name).unwrap();
        assert!(summary.damaged.is_empty() && summary.bytes == fs::metadata(name).unwrap().len());
        since = Some(reader.snapshot().unwrap().seq());
        if step < 2 {
            let seed = 100 * step as u64;
            put(&mut engine, row(&format!("new{step}"), "later"), vector(seed + 50));
            put(&mut engine, row("id05", &format!("changed {step}")), vector(seed + 51));
            let mut moved = row("id06", "text 6");
            moved.room = format!("elsewhere{step}");
            commit(&mut engine, &[Op::PutMeta(moved), Op::DeleteRow { id: format!("id{:02}", step + 10) }]);
            let gone = Op::DeleteRecord { collection: Collection::Facts, key: "f1".into() };
            commit(&mut engine, &[gone, record(Collection::Settings, "s", &step.to_string())]);
        }
    }
    (reader, engine, names)
}

#[test]
fn a_chain_of_archives_gives_the_store_back() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, _engine, archives) = chain(dir.path());
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let made = elsewhere.join("made");
    let restored = restore(&archives, &made, &options(), &mut |_| true).unwrap();
    replace_store(&made, &elsewhere, "kept").unwrap();
    let (_engine, again) = open(&elsewhere);
    let (before, after) = (reader.snapshot().unwrap(), again.snapshot().unwrap());
    assert_eq!(content(&after), content(&before));
    assert_eq!((restored.seq, restored.rows), (before.seq(), before.counts().unwrap().rows()));
    assert!(verify(&again).unwrap().is_sound());
    let (old, new) = (before.meta().unwrap(), after.meta().unwrap());
    assert_ne!(old.database_uuid, new.database_uuid, "two stores, two identities");
    assert_eq!(new.origin, Some(old.database_uuid));
}

#[test]
fn a_restored_store_numbers_new_rows_as_the_old_one_would() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _engine, archives) = chain(dir.path());
    let made = dir.path().join("made");
    restore(&archives[..1], &made, &options(), &mut |_| true).unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    replace_store(&made, &elsewhere, "kept").unwrap();
    let (mut engine, reader) = open(&elsewhere);
    put(&mut engine, row("fresh", "a fresh text"), vector(999));
    assert!(verify(&reader).unwrap().is_sound());
    assert_eq!(reader.snapshot().unwrap().seq(), Seq(32));
}

#[test]
fn archives_that_do_not_follow_each_other_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _engine, archives) = chain(dir.path());
    let [full, first, second] = &archives[..] else { panic!("three archives") };
    let made = dir.path().join("made");
    let other = dir.path().join("other");
    let (mut engine, reader) = open(&dir.path().join("another"));
    put(&mut engine, row("x", "another store"), vector(7));
    write(&reader, None, &other).unwrap();
    for wrong in [
        vec![first.clone()],
        vec![full.clone(), second.clone()],
        vec![full.clone(), full.clone()],
        vec![other, first.clone()],
    ] {
        let refused = restore(&wrong, &made, &options(), &mut |_| true).unwrap_err();
        assert!(matches!(refused, RestoreError::Chain { .. }), "{refused}");
        assert!(!made.exists());
    }
    let foreign = crate::engine::EngineOptions { embedder_identity: "another".to_owned(), ..options() };
    let refused = restore(std::slice::from_ref(full), &made, &foreign, &mut |_| true).unwrap_err();
    assert!(matches!(refused, RestoreError::Embedder { .. }), "{refused}");
    let given_up = restore(std::slice::from_ref(full), &made, &options(), &mut |_| false);
    assert!(given_up.is_ok(), "a small archive is one step: {given_up:?}");
}

#[test]
fn every_damage_of_an_archive_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _engine, archives) = chain(dir.path());
    let sound = fs::read(&archives[0]).unwrap();
    let path = dir.path().join("damaged");
    let check = |what: &str, bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let verified = Archive::open(&path).and_then(Archive::verify);
        assert!(verified.is_err(), "{what} was not noticed");
        assert!(
            restore(std::slice::from_ref(&path), &dir.path().join("made"), &options(), &mut |_| true)
                .is_err()
        );
        assert!(!dir.path().join("made").exists(), "{what} left a store");
    };
    for at in (0..sound.len()).step_by(sound.len() / 97) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        check(&format!("a flipped bit at {at}"), &bytes);
        check(&format!("an end at {at}"), &sound[..at]);
    }
    check("an end one byte early", &sound[..sound.len() - 1]);
    check("bytes after the end", &[&sound[..], &[0]].concat());
}

#[test]
fn a_partial_archive_needs_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(&dir.path().join("palace"));
    for n in 0..30 {
        if n % 10 == 0 {
            engine.save_snapshots().unwrap();
        }
        put(&mut engine, row(&format!("id{n:02}"), "text"), vector(n));
    }
    let refused = write(&reader, Some(Seq(2)), &dir.path().join("part")).unwrap_err();
    assert!(matches!(refused, ArchiveError::LogTooShort { since: Seq(2) }), "{refused}");
}

#[test]
fn the_log_is_kept_for_the_next_partial_archive() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(&dir.path().join("palace"));
    for n in 0..30 {
        if n == 5 {
            reader.keep_log_from(Seq(5));
        }
        if n % 10 == 9 {
            engine.save_snapshots().unwrap();
        }
        put(&mut engine, row(&format!("id{n:02}"), "text"), vector(n));
    }
    let summary = write(&reader, Some(Seq(5)), &dir.path().join("part")).unwrap();
    assert_eq!(summary.rows, 25);
}

#[test]
fn a_damaged_row_is_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, reader, _) = {
        let (reader, engine, archives) = chain(dir.path());
        (engine, reader, archives)
    };
    drop((engine, reader));
    super::fixture::flip(
        &dir.path().join("palace"),
        &crate::engine::store::tables::ROWS,
        &21u64.to_be_bytes(),
        40,
    );
    let (_engine, reader) = open(&dir.path().join("palace"));
    let summary = write(&reader, None, &dir.path().join("again")).unwrap();
    assert_eq!(summary.damaged.len(), 1, "{summary:?}");
    assert!(summary.damaged[0].starts_with("id20:"), "{summary:?}");
    let made = dir.path().join("made");
    let restored = restore(&[dir.path().join("again")], &made, &options(), &mut |_| true).unwrap();
    assert_eq!(restored.rows, summary.rows);
}

#[test]
fn a_compacted_store_is_the_same_store_and_smaller() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    let text = "a long text ".repeat(400);
    for n in 0..200 {
        put(&mut engine, row(&format!("id{n:03}"), &text), vector(n));
    }
    for n in 20..200 {
        commit(&mut engine, &[Op::DeleteRow { id: format!("id{n:03}") }]);
    }
    let before = content(&reader.snapshot().unwrap());
    let held = reader.snapshot().unwrap();
    assert!(matches!(engine.compact(), Err(crate::engine::CompactError::InUse)));
    drop(held);
    let (large, small) = engine.compact().unwrap();
    assert!(small < large, "{small} < {large}");
    assert_eq!(content(&reader.snapshot().unwrap()), before);
    put(&mut engine, row("after", "still writable"), vector(5));
    assert!(verify(&reader).unwrap().is_sound());
}
