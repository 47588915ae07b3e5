//! Saved indexes in every state a crash, a bad disk or a person may leave them in.
//!
//! Whatever is done to them, the store opens and answers as if they had never been.

use std::fs;
use std::path::{Path, PathBuf};

use super::fixture::{commit, open, put, row, vector};
use crate::engine::{Engine, Op, Reader, Seq, Vector, verify};

/// A store of twenty rows whose saved indexes stand at ten (previous), fifteen (current) and whose
/// last five rows are in the log only.
fn store(dir: &Path) {
    let (mut engine, _reader) = open(dir);
    for n in 0..20 {
        if n == 10 || n == 15 {
            engine.save_snapshots().unwrap();
        }
        put(&mut engine, row(&format!("id{n:02}"), &word(n)), vector(n));
    }
    commit(&mut engine, &[Op::DeleteRow { id: "id03".to_owned() }]);
}

/// A word that shares no part with another row's.
fn word(n: u64) -> String {
    format!("zq{}q", ('a'..='z').nth(n as usize).unwrap())
}

fn file(dir: &Path, name: &str) -> PathBuf {
    dir.join(".derived").join(name)
}

fn answers_rightly(dir: &Path, context: &str) -> (Engine, Reader) {
    let (engine, reader) = open(dir);
    let report = verify(&reader).unwrap();
    assert!(report.is_sound() && report.self_searches == 19, "{context}: {report:?}");
    for n in 0..20u64 {
        let expected = usize::from(n != 3);
        assert_eq!(reader.lexical(&word(n), 5, None).len(), expected, "{context}: word {n}");
        let near = reader.nearest(&vector(n), 1, None).unwrap();
        assert_eq!(near[0].distance < 1e-3, n != 3, "{context}: vector {n}");
    }
    (engine, reader)
}

fn check(context: &str, damage: impl Fn(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    damage(dir.path());
    drop(answers_rightly(dir.path(), context));
    let (mut engine, _) = answers_rightly(dir.path(), context);
    // What is saved afterwards is sound again.
    engine.save_snapshots().unwrap();
    put(&mut engine, row("id03", &word(3)), vector(3));
    engine.close().unwrap();
}

fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

const CURRENT: [&str; 2] = ["vectors.cur", "text.cur"];
const ALL: [&str; 4] = ["vectors.cur", "text.cur", "vectors.prev", "text.prev"];

#[test]
fn undamaged() {
    check("undamaged", |_| {});
}

#[test]
fn flipped_bits() {
    for (at, names) in [(20, &CURRENT[..]), (140, &CURRENT[..]), (60, &ALL[..]), (200, &ALL[..])] {
        check(&format!("bit {at} of {names:?}"), |dir| {
            for name in names {
                rewrite(&file(dir, name), |bytes| bytes[at] ^= 4);
            }
        });
    }
}

#[test]
fn truncated_lengthened_zeroed_or_missing() {
    check("truncated", |dir| CURRENT.iter().for_each(|name| rewrite(&file(dir, name), |b| b.truncate(150))));
    check("short header", |dir| ALL.iter().for_each(|name| rewrite(&file(dir, name), |b| b.truncate(50))));
    check("empty", |dir| ALL.iter().for_each(|name| rewrite(&file(dir, name), Vec::clear)));
    check("lengthened", |dir| CURRENT.iter().for_each(|name| rewrite(&file(dir, name), |b| b.push(0))));
    check("zeroed block", |dir| {
        ALL.iter().for_each(|name| rewrite(&file(dir, name), |b| b[130..190].fill(0)));
    });
    check("current missing", |dir| CURRENT.iter().for_each(|n| fs::remove_file(file(dir, n)).unwrap()));
    check("all missing", |dir| fs::remove_dir_all(dir.join(".derived")).unwrap());
    check("kinds exchanged", |dir| fs::rename(file(dir, CURRENT[0]), file(dir, CURRENT[1])).unwrap());
    check("leftover of a save", |dir| fs::write(file(dir, "text.tmp"), b"half").unwrap());
}

/// A file that is sound in itself and belongs to another history of this store, or to another store.
#[test]
fn from_the_future_or_from_elsewhere() {
    let later = tempfile::tempdir().unwrap();
    store(later.path());
    let earlier = tempfile::tempdir().unwrap();
    fs::copy(later.path().join("palace.redb"), earlier.path().join("palace.redb")).unwrap();
    let (mut engine, _) = open(later.path());
    put(&mut engine, row("id03", &word(3)), vector(3));
    engine.save_snapshots().unwrap();
    engine.close().unwrap();
    let carry = |from: &Path, to: &Path| {
        fs::create_dir_all(to.join(".derived")).unwrap();
        for name in CURRENT {
            fs::copy(file(from, name), file(to, name)).unwrap();
        }
    };
    carry(later.path(), earlier.path());
    drop(answers_rightly(earlier.path(), "future"));
    check("foreign", |dir| carry(later.path(), dir));
}

#[test]
fn the_log_is_kept_as_long_as_the_older_file_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    let log = |reader: &Reader| {
        use crate::engine::store::read::touched_since;
        let reached = |since| reader.shared.read(|txn| touched_since(txn, Seq(since), Seq(30))).unwrap();
        (0..30).find(|since| reached(*since).is_some()).unwrap()
    };
    for n in 0..30 {
        if n == 10 || n == 20 {
            engine.save_snapshots().unwrap();
            let saved = reader.stats().snapshot_seq;
            assert_eq!(saved, Seq(n));
        }
        put(&mut engine, row(&format!("id{n:02}"), "text"), vector(n));
    }
    assert_eq!(log(&reader), 10, "what both previous files reflect is trimmed, nothing else");
}

#[test]
fn what_a_start_would_replay_is_counted_in_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    let rows: Vec<Op> =
        (0..20).map(|n| Op::PutRow(row(&format!("id{n:02}"), &word(n)), Vector(vector(n)))).collect();
    commit(&mut engine, &rows);
    assert_eq!(reader.stats().unsaved, 20, "one commit of many rows is as much work as many commits");
    drop((engine, reader));
    let (mut engine, reader) = open(dir.path());
    assert_eq!(reader.stats().unsaved, 20, "indexes that had to be made anew are not saved");
    engine.save_snapshots().unwrap();
    assert_eq!(reader.stats().unsaved, 0);
    put(&mut engine, row("id03", "changed"), vector(3));
    drop((engine, reader));
    let (_engine, reader) = open(dir.path());
    assert_eq!(reader.stats().unsaved, 1, "what was replayed from the log is in no saved index yet");
}

/// `/dev/full` takes nothing, like a disk without room.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_files_there_were() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    for index in ["vectors", "text"] {
        let (mut engine, reader) = answers_rightly(dir.path(), index);
        put(&mut engine, row("id30", &format!("more{index}")), vector(3));
        let before = fs::read(file(dir.path(), &format!("{index}.cur"))).unwrap();
        std::os::unix::fs::symlink("/dev/full", file(dir.path(), &format!("{index}.tmp"))).unwrap();
        let error = engine.save_snapshots().unwrap_err().to_string();
        assert!(error.contains(&format!("{index}.tmp")), "{error}");
        assert_eq!(fs::read(file(dir.path(), &format!("{index}.cur"))).unwrap(), before);
        assert!(reader.stats().unsaved > 0, "it is tried again");
        commit(&mut engine, &[Op::DeleteRow { id: "id30".to_owned() }]);
        drop((engine, reader));
    }
    let (mut engine, _reader) = answers_rightly(dir.path(), "room again");
    engine.save_snapshots().unwrap();
    put(&mut engine, row("id03", &word(3)), vector(3));
    engine.close().unwrap();
}
