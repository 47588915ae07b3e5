//! Bits that flip and pages that vanish, anywhere in any file of ours.
//!
//! The answer is the right data, an error that names what is damaged, or an index made anew. It is never a wrong text,
//! never an empty store where there was a full one, and never a panic. Every case is made from a number and can be made
//! again.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Once, OnceLock};

use super::fixture::{Numbers, commit, options, put, row, vector};
use super::power::Disk;
use crate::engine::archive::Archive;
use crate::engine::{
    Collection, CommitError, Engine, EngineOptions, Op, OpenError, ReadError, Reader, Row, Timestamp, Vector,
    View, verify,
};

const PAGE: usize = 4096;

/// Stores over which cases are made, and what is in them.
struct Stores {
    clean: Vec<u8>,
    /// Not closed: redb repairs it when it is opened.
    dirty: Vec<u8>,
    /// Saved indexes, current and previous, by name.
    saved: Vec<(String, Vec<u8>)>,
    archive: Vec<u8>,
    /// Rows before and after the last commit of the dirty store.
    before: BTreeMap<String, Row>,
    rows: BTreeMap<String, Row>,
    /// The saved indexes are those of a store in this directory.
    dir: tempfile::TempDir,
}

fn a_row(n: u64) -> Row {
    let mut row = row(&format!("id{n:02}"), &format!("text {n} {} {}", word(n), "x".repeat(450)));
    row.room = format!("room{}", n % 3);
    row
}

/// A word that shares no part with another row's.
fn word(n: u64) -> String {
    let letter = |at: u64| char::from(b'a' + (at % 26) as u8);
    format!("zq{}{}zq", letter(n / 26), letter(n))
}

fn stores() -> &'static Stores {
    static MADE: OnceLock<Stores> = OnceLock::new();
    MADE.get_or_init(make)
}

fn make() -> Stores {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(Vec::new(), u64::MAX);
    let (mut engine, reader) = Engine::open_over(disk.clone(), dir.path(), options()).unwrap();
    for n in 0..60 {
        if n == 30 {
            engine.save_snapshots().unwrap();
        }
        put(&mut engine, a_row(n), vector(n));
    }
    let value = vec![b'y'; 300];
    let fact =
        |n: u8| Op::PutRecord { collection: Collection::Facts, key: vec![b'f', n], value: value.clone() };
    commit(&mut engine, &(0..20).map(fact).collect::<Vec<_>>());
    engine.save_snapshots().unwrap();
    let names = ["vectors.cur", "text.cur", "vectors.prev", "text.prev"];
    let saved =
        names.map(|name| (name.to_owned(), fs::read(dir.path().join(".derived").join(name)).unwrap()));
    let before: BTreeMap<String, Row> = (0..60).map(a_row).map(|row| (row.id.clone(), row)).collect();
    let path = dir.path().join("archive");
    let file = File::create(&path).unwrap();
    reader.snapshot().unwrap().archive(None, Timestamp(5), &path, file, &mut |_| true).unwrap();
    let archive = fs::read(&path).unwrap();
    put(&mut engine, a_row(60), vector(60));
    let rows = (0..61).map(a_row).map(|row| (row.id.clone(), row)).collect();
    let dirty = disk.content();
    drop(reader);
    engine.close().unwrap();
    fs::remove_dir_all(dir.path().join(".derived")).unwrap();
    Stores { clean: disk.content(), dirty, saved: saved.into(), archive, before, rows, dir }
}

/// Damages a file in one of the ways disks do.
fn decay(numbers: &mut Numbers, bytes: &mut [u8]) -> String {
    let page = numbers.next() as usize % bytes.len().div_ceil(PAGE) * PAGE;
    let end = (page + PAGE).min(bytes.len());
    match numbers.next() % 6 {
        0 => {
            bytes[page..end].fill(0);
            format!("page at {page} zeroed")
        }
        1 => {
            bytes[page..end].iter_mut().for_each(|byte| *byte = numbers.next() as u8);
            format!("page at {page} is noise")
        }
        2 => {
            // The first bytes of a page say what it is and where things are in it.
            let at = (page + numbers.next() as usize % 64).min(bytes.len() - 1);
            bytes[at] ^= 1 << (numbers.next() % 8);
            format!("flipped bit at {at}")
        }
        3 => {
            let from = numbers.next() as usize % bytes.len().div_ceil(PAGE) * PAGE;
            let other = bytes[from..(from + PAGE).min(bytes.len())].to_vec();
            let len = other.len().min(end - page);
            bytes[page..page + len].copy_from_slice(&other[..len]);
            format!("page at {page} is a copy of that at {from}")
        }
        _ => {
            let at = numbers.next() as usize % bytes.len();
            bytes[at] ^= 1 << (numbers.next() % 8);
            format!("flipped bit at {at}")
        }
    }
}

/// What became of a case.
#[derive(Debug, Default)]
struct Outcomes {
    asked: usize,
    refused: usize,
    errors: usize,
    right: usize,
}

/// Opens a damaged store and asks it everything. `states` are those it may be in.
fn ask(bytes: Vec<u8>, options: EngineOptions, states: &[&BTreeMap<String, Row>], outcomes: &mut Outcomes) {
    let (mut engine, reader) =
        match Engine::open_over(Disk::new(bytes, u64::MAX), stores().dir.path(), options) {
            Ok(opened) => opened,
            Err(OpenError::Damaged { .. } | OpenError::NotAStore { .. }) => {
                outcomes.refused += 1;
                return;
            }
            Err(other) => panic!("neither damage nor foreign: {other:?}"),
        };
    let Ok(snapshot) = reader.snapshot() else {
        outcomes.errors += 1;
        return;
    };
    let mut errors = 0;
    let mut missing = Vec::new();
    let state = states
        .iter()
        .find(|state| state.contains_key("id60") == snapshot.row("id60").is_ok_and(|row| row.is_some()));
    let state = state.unwrap_or(&states[0]);
    for (id, row) in state.iter().skip(outcomes.asked % 3).step_by(3) {
        match snapshot.row(id) {
            Ok(Some(found)) => assert_eq!(found, *row),
            Ok(None) => missing.push(id),
            Err(ReadError::Damaged { .. }) => errors += 1,
            Err(other) => panic!("{id}: {other:?}"),
        }
        if let Ok(Some(stored)) = snapshot.vector(id) {
            let seed = id[2..].parse().unwrap();
            let same: f32 = stored.iter().zip(vector(seed)).map(|(left, right)| left * right).sum();
            assert!(same > 0.999, "{id} has another vector");
        }
    }
    for row in snapshot.all_rows().unwrap_or_else(|_| panic!("a walk begins")) {
        match row {
            Ok(row) => assert_eq!(states.last().unwrap().get(&row.id), Some(&row)),
            Err(_) => errors += 1,
        }
    }
    search(&reader);
    let counted = snapshot.counts();
    let empty = counted.as_ref().is_ok_and(|counts| counts.rows() == 0);
    // Whatever is found missing must be known to a check; whether it finds the rest as well is seen by samples.
    outcomes.asked += 1;
    let sample = outcomes.asked.is_multiple_of(6);
    let needed = empty || !missing.is_empty() || (sample && errors == 0);
    let unsound = counted.is_err() || (needed && !verify(&reader).is_ok_and(|report| report.is_sound()));
    assert!(missing.is_empty() || unsound, "{missing:?} are missing and nobody knows");
    assert!(!empty || unsound, "an empty store where there was a full one");
    outcomes.errors += usize::from(errors > 0 || unsound);
    outcomes.right += usize::from(errors == 0 && !unsound);
    drop(snapshot);
    write(&mut engine, &reader);
}

fn search(reader: &Reader) {
    for n in [3, 33, 59] {
        for hit in reader.lexical(&word(n), 5, None) {
            let Ok(snapshot) = reader.snapshot() else { continue };
            if let Ok(Some(row)) = reader.resolve(&snapshot, hit.row_key) {
                assert!(stores().rows[&row.id].document == row.document);
            }
        }
        let _ = reader.nearest(&vector(n), 3, None);
    }
}

/// A write to a damaged store is made or refused; what is made can be read.
fn write(engine: &mut Engine, reader: &Reader) {
    let attempt = || -> Result<(), CommitError> {
        let mut txn = engine.begin()?;
        txn.apply(&Op::PutRow(a_row(99), Vector(vector(99))))?;
        txn.apply(&Op::DeleteRow { id: "id07".to_owned() })?;
        txn.commit().map(drop)
    };
    let mut attempt = attempt;
    // One after the other, as the writer does whatever became of the one before. Neither may wait for ever.
    let made = [attempt(), attempt()];
    if made.iter().any(Result::is_ok)
        && let Ok(snapshot) = reader.snapshot()
        && let Ok(found) = snapshot.row("id99")
    {
        assert_eq!(found, Some(a_row(99)));
    }
}

thread_local! {
    /// Panics of redb that the engine catches are expected here by the hundred: they need no trace of the stack.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn be_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                loud(panic);
            }
        }));
    });
    QUIET.set(true);
}

/// Makes cases out of a file and has each looked at; a panic is reported with the case that caused it.
fn cases(seed: u64, count: u64, file: &[u8], mut look: impl FnMut(Vec<u8>)) {
    be_quiet();
    let failed: Vec<String> = (0..count)
        .filter_map(|case| {
            let mut bytes = file.to_vec();
            let what = decay(&mut Numbers(seed + case * 7919), &mut bytes);
            let looked = catch_unwind(AssertUnwindSafe(|| look(bytes)));
            let error = looked.err()?;
            let text = error.downcast_ref::<String>().cloned();
            let text = text.or_else(|| error.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(format!("case {case}, {what}: {}", text.unwrap_or_default()))
        })
        .collect();
    QUIET.set(false);
    assert!(failed.is_empty(), "{} of {count} cases:\n{}", failed.len(), failed.join("\n"));
}

fn unchecked() -> EngineOptions {
    EngineOptions { integrity_check_max_bytes: 0, ..options() }
}

#[test]
fn a_store_that_is_checked_when_it_opens() {
    let stores = stores();
    let mut outcomes = Outcomes::default();
    cases(1, 300, &stores.clean, |bytes| ask(bytes, options(), &[&stores.rows], &mut outcomes));
    assert!(outcomes.errors == 0 && outcomes.refused > 30 && outcomes.right > 30, "{outcomes:?}");
}

#[test]
fn a_store_too_large_to_be_checked() {
    let stores = stores();
    let mut outcomes = Outcomes::default();
    cases(2, 700, &stores.clean, |bytes| ask(bytes, unchecked(), &[&stores.rows], &mut outcomes));
    assert!(outcomes.errors > 50 && outcomes.right > 50, "{outcomes:?}");
}

/// redb takes a last commit that is damaged for one that power failed in, and goes back to the one before.
#[test]
fn a_store_that_was_not_closed() {
    let stores = stores();
    let states = [&stores.before, &stores.rows];
    let mut outcomes = Outcomes::default();
    cases(3, 300, &stores.dirty, |bytes| ask(bytes, options(), &states, &mut outcomes));
    cases(4, 300, &stores.dirty, |bytes| ask(bytes, unchecked(), &states, &mut outcomes));
    assert!(outcomes.refused > 50 && outcomes.right > 50, "{outcomes:?}");
}

/// A saved index is used as it was saved, or not at all.
#[test]
fn saved_indexes() {
    let stores = stores();
    let dir = tempfile::tempdir().unwrap();
    let derived = dir.path().join(".derived");
    fs::create_dir(&derived).unwrap();
    for (index, (name, saved)) in stores.saved.iter().enumerate() {
        let mut case = 0;
        cases(5 + index as u64, 125, saved, |bytes| {
            case += 1;
            for (other, sound) in &stores.saved {
                fs::write(derived.join(other), if other == name { &bytes } else { sound }).unwrap();
            }
            let disk = Disk::new(stores.clean.clone(), u64::MAX);
            let (_engine, reader) = Engine::open_over(disk, dir.path(), unchecked()).unwrap();
            let stats = reader.stats();
            assert_eq!((stats.vectors, stats.text_documents), (61, 61), "{name}");
            if case % 5 == 0 {
                let report = verify(&reader).unwrap();
                assert!(report.is_sound() && !report.indexes_skipped, "{name}: {report:?}");
            }
            for n in [3, 33, 60] {
                assert_eq!(reader.lexical(&word(n), 5, None).len(), 1, "{name}");
                assert!(reader.nearest(&vector(n), 1, None).unwrap()[0].distance < 1e-3, "{name}");
            }
        });
    }
}

#[test]
fn archives() {
    let stores = stores();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive");
    cases(9, 600, &stores.archive, |bytes| {
        fs::write(&path, &bytes).unwrap();
        let whole = Archive::open(&path).and_then(Archive::verify);
        // A copy of a page onto itself is no damage.
        assert_eq!(whole.is_ok(), bytes == stores.archive, "{whole:?}");
    });
}
