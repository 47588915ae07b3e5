//! Damaged files of which everything that can still be read comes back, what cannot is named, and not a byte changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use xxhash_rust::xxh3::xxh3_128;

use super::fixture::{DIMENSION, Numbers, commit, open, options, put, row, vector};
use crate::engine::archive::replace_store;
use crate::engine::salvage::{SalvageError, Salvaged, diagnose, salvage};
use crate::engine::store::tables;
use crate::engine::{
    Collection, Engine, EngineOptions, Op, OpenError, RecordRange, Row, Snapshot, View, verify,
};

const PAGE: usize = 4096;

/// What a store holds.
type Content = (BTreeMap<String, (Row, Vec<f32>)>, BTreeMap<Vec<u8>, Vec<u8>>);

fn content(snapshot: &Snapshot) -> Content {
    let rows = snapshot.all_rows().unwrap().map(|row| row.unwrap());
    let rows = rows.map(|row| {
        let vector = snapshot.vector(&row.id).unwrap().unwrap();
        (row.id.clone(), (row, vector))
    });
    let rows = rows.collect();
    let mut records = BTreeMap::new();
    for collection in
        [Collection::Facts, Collection::Settings, Collection::Removed, Collection::RemovedByTime]
    {
        let mut take = |key: &[u8], value: &[u8]| {
            records.insert([format!("{collection:?} ").as_bytes(), key].concat(), value.to_vec());
            true
        };
        snapshot.records(collection, &RecordRange::default(), &mut take).unwrap();
    }
    (rows, records)
}

/// A store of 120 rows in several layers of pages, with changed and removed rows and records beside them.
struct Case {
    dir: tempfile::TempDir,
    sound: Vec<u8>,
    content: Content,
}

/// The store is made once: its commits take longer than everything else here.
fn case() -> Case {
    static MADE: OnceLock<(Vec<u8>, Content)> = OnceLock::new();
    let (sound, content) = MADE.get_or_init(make).clone();
    Case { dir: tempfile::tempdir().unwrap(), sound, content }
}

fn text(n: u64) -> String {
    format!("text {n} {}", "words and more ".repeat(20 + n as usize % 60))
}

fn make() -> (Vec<u8>, Content) {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = open(dir.path());
    for n in 0..120 {
        put(&mut engine, row(&format!("id{n:03}"), "an older text"), vector(1000 + n));
    }
    for n in 0..120 {
        put(&mut engine, row(&format!("id{n:03}"), &text(n)), vector(n));
    }
    for n in 0..10 {
        put(&mut engine, row(&format!("gone{n}"), "a removed text"), vector(2000 + n));
    }
    for n in 0..10u64 {
        let key = [format!("gone{n}\0").as_bytes(), &(n + 7).to_be_bytes()].concat();
        let by_time = [&(n + 7).to_be_bytes()[..], format!("gone{n}").as_bytes()].concat();
        let value = format!("{{\"kept\": \"{}\"}}", "x".repeat(300));
        let put = |collection, key, value: &str| Op::PutRecord { collection, key, value: value.into() };
        commit(
            &mut engine,
            &[
                Op::DeleteRow { id: format!("gone{n}") },
                put(Collection::Removed, key, &value),
                put(Collection::RemovedByTime, by_time, "null"),
            ],
        );
    }
    for n in 0..80 {
        let value = format!("{{\"fact\": {n}, \"why\": \"{}\"}}", "y".repeat(200)).into_bytes();
        let key = format!("fact{n:03}").into_bytes();
        commit(&mut engine, &[Op::PutRecord { collection: Collection::Facts, key, value }]);
    }
    let content = content(&reader.snapshot().unwrap());
    drop(reader);
    engine.close().unwrap();
    (fs::read(dir.path().join("palace.redb")).unwrap(), content)
}

/// A vector no other text has.
fn embedded(text: &str) -> Vec<f32> {
    Numbers(xxh3_128(text.as_bytes()) as u64).vector(DIMENSION)
}

impl Case {
    fn path(&self) -> PathBuf {
        self.dir.path().join("palace.redb")
    }

    /// Salvages a damaged file and opens what came of it.
    fn salvage(&self, what: &str, damaged: &[u8]) -> (Salvaged, Content) {
        fs::write(self.path(), damaged).unwrap();
        let made = self.dir.path().join("made");
        let mut embed = |text: &str| Some(embedded(text));
        let foreseen = diagnose(&self.path(), &options(), &mut |_| true).unwrap();
        let salvaged = salvage(&self.path(), &made, &options(), &mut embed, &mut |_| true);
        let salvaged = salvaged.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(fs::read(self.path()).unwrap(), damaged, "{what}: the damaged file was changed");
        assert_eq!(foreseen, salvaged, "{what}");
        let elsewhere = tempfile::tempdir().unwrap();
        fs::rename(&made, elsewhere.path().join("made")).unwrap();
        replace_store(&elsewhere.path().join("made"), elsewhere.path(), "kept").unwrap();
        let (mut engine, reader) = open(elsewhere.path());
        let report = verify(&reader).unwrap();
        assert!(report.is_sound(), "{what}: {report:?}");
        let content = content(&reader.snapshot().unwrap());
        put(&mut engine, row("new", "still writable"), vector(9999));
        (salvaged, content)
    }

    /// What every salvage must hold to: a row is the true one, or an older one that is named; what is missing is named.
    fn check(&self, what: &str, damaged: &[u8]) -> (Salvaged, usize) {
        let (salvaged, (rows, records)) = self.salvage(what, damaged);
        let named = |id: &str| salvaged.carved.iter().any(|carved| carved.name == id);
        let lost = salvaged.lost.iter().filter(|lost| lost.table == "rows").map(|lost| lost.name.as_str());
        let lost: Vec<&str> = lost.collect();
        let mut missing = 0;
        for (id, (row, vector)) in &self.content.0 {
            match rows.get(id) {
                Some((found, found_vector)) if found == row => {
                    let anew = salvaged.reembedded.contains(id);
                    assert!(anew || vector == found_vector, "{what}: {id} has another vector");
                    let length = found_vector.iter().map(|value| value * value).sum::<f32>();
                    assert!((length - 1.0).abs() < 0.01);
                }
                Some((found, _)) => {
                    assert!(named(id) && found.document == "an older text", "{what}: {id}: {found:?}");
                }
                None => {
                    missing += 1;
                    let unnamed = salvaged.rows_lost_unnamed > 0 || salvaged.without_state();
                    assert!(lost.contains(&id.as_str()) || unnamed, "{what}: {id} is missing: {salvaged:?}");
                }
            }
        }
        for id in rows.keys().filter(|id| !self.content.0.contains_key(*id)) {
            assert!(named(id), "{what}: {id} came back from the dead");
        }
        for (key, value) in &records {
            if let Some(there) = self.content.1.get(key) {
                assert_eq!(there, value, "{what}");
            }
        }
        (salvaged, missing)
    }
}

impl Salvaged {
    fn without_state(&self) -> bool {
        self.notes.iter().any(|note| note.contains("history is lost") || note.contains("no commit"))
    }
}

/// Pages of the file that hold a text.
fn pages_with(bytes: &[u8], needle: &[u8]) -> Vec<usize> {
    let holds = |page: &[u8]| page.windows(needle.len()).any(|window| window == needle);
    bytes.chunks(PAGE).enumerate().filter(|(_, page)| holds(page)).map(|(at, _)| at).collect()
}

#[test]
fn a_sound_store_comes_back_whole() {
    let case = case();
    let (salvaged, content) = case.salvage("sound", &case.sound);
    assert!(salvaged.is_whole() && salvaged.notes.is_empty(), "{salvaged:?}");
    assert_eq!(content, case.content);
    assert_eq!(salvaged.seq.0, 120 + 120 + 10 + 10 + 80);
    assert!(salvaged.origin.is_some() && salvaged.pages_mended == 0);
}

/// One flipped bit anywhere costs nothing: the page's checksum tells which bit it was.
#[test]
fn flipped_bits_are_turned_back() {
    let case = case();
    let mut numbers = Numbers(5);
    let mut mended = 0;
    for round in 0..20 {
        let mut bytes = case.sound.clone();
        let at = PAGE + numbers.next() as usize % (bytes.len() - PAGE);
        bytes[at] ^= 1 << (round % 8);
        let (salvaged, content) = case.salvage(&format!("a flipped bit at {at}"), &bytes);
        assert!(salvaged.is_whole(), "bit at {at}: {salvaged:?}");
        assert_eq!(content, case.content, "bit at {at}");
        mended += salvaged.pages_mended;
    }
    assert!(mended > 2, "the flips never hit a page that counts");
}

#[test]
fn a_destroyed_header_costs_nothing() {
    let case = case();
    for (what, range) in [("slots", 64..320), ("magic and slots", 0..320), ("header", 0..PAGE)] {
        let mut bytes = case.sound.clone();
        bytes[range].fill(0);
        let (salvaged, content) = case.salvage(what, &bytes);
        assert_eq!(content, case.content, "{what}: {salvaged:?}");
        assert!(salvaged.lost.is_empty() && salvaged.carved.is_empty());
        assert!(salvaged.notes.iter().any(|note| note.contains("header")), "{what}: {salvaged:?}");
    }
}

/// One page after the other zeroed or filled with noise: leaves, branches, the tree of tables.
#[test]
fn any_page_may_be_lost() {
    let case = case();
    let mut numbers = Numbers(17);
    let (mut hit, mut most) = (0, 0);
    let used = |page: &usize| case.sound[page * PAGE..][..PAGE].iter().any(|byte| *byte != 0);
    for page in (1..case.sound.len() / PAGE).filter(used).step_by(3) {
        let mut bytes = case.sound.clone();
        let lost = &mut bytes[page * PAGE..][..PAGE];
        match page % 2 {
            0 => lost.fill(0),
            _ => lost.iter_mut().for_each(|byte| *byte = numbers.next() as u8),
        }
        let (salvaged, missing) = case.check(&format!("page {page}"), &bytes);
        hit += usize::from(!salvaged.is_whole());
        most = most.max(missing);
        assert_eq!(salvaged.rows_lost_unnamed, 0, "page {page}: the id table names what is lost");
    }
    assert!(hit > 10 && most > 0 && most < 20, "{hit} pages counted, at most {most} rows were lost");
}

#[test]
fn lost_rows_are_named_by_their_ids() {
    let case = case();
    let mut bytes = case.sound.clone();
    // The words of the text stand on the leaf of the row and nowhere else.
    for page in pages_with(&case.sound, b"text 50 words") {
        bytes[page * PAGE..][..PAGE].fill(0);
    }
    let (salvaged, _) = case.check("leaf of a row", &bytes);
    let named = |id: &str| {
        salvaged.lost.iter().any(|lost| lost.name == id)
            || salvaged.carved.iter().any(|carved| carved.name == id)
    };
    assert!(named("id050"), "{salvaged:?}");
    let counted = salvaged.tables.iter().find(|count| count.table == "rows").unwrap();
    assert_eq!(counted.read + counted.lost.unwrap(), 120);
}

#[test]
fn a_lost_vector_is_made_anew_or_costs_the_row() {
    let case = case();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("palace.redb"), &case.sound).unwrap();
    super::fixture::flip(dir.path(), &tables::VECTORS, &6u64.to_be_bytes(), 20);
    let damaged = fs::read(dir.path().join("palace.redb")).unwrap();
    let (salvaged, (rows, _)) = case.salvage("a damaged vector", &damaged);
    assert_eq!(salvaged.reembedded, ["id005"]);
    let made: f32 = rows["id005"].1.iter().zip(embedded(&text(5))).map(|(left, right)| left * right).sum();
    assert!(made > 0.99, "{made}");
    let made = dir.path().join("made");
    let salvaged = salvage(&case.path(), &made, &options(), &mut |_| None, &mut |_| true).unwrap();
    // The older version of the vector is found in the file: better than none, and said.
    let kept = salvaged.notes.iter().any(|note| note.starts_with("id005: its vector"));
    let lost = salvaged.lost.iter().any(|lost| lost.table == "vectors" && lost.name == "id005");
    assert!((kept || lost) && salvaged.reembedded.is_empty(), "{salvaged:?}");
}

#[test]
fn a_truncated_file_gives_what_is_left() {
    let case = case();
    let mut kept = Vec::new();
    for tenths in [3, 5, 7, 9] {
        let len = case.sound.len() * tenths / 10;
        for len in [len, len / PAGE * PAGE] {
            let (salvaged, missing) = case.check(&format!("cut at {len}"), &case.sound[..len]);
            assert!(salvaged.origin.is_some() || tenths < 9, "{salvaged:?}");
            kept.push(120 - missing);
        }
    }
    assert!(kept.iter().any(|kept| *kept > 60), "{kept:?}");
}

/// Header and every root destroyed: what the pages hold comes back, removed things among it, and all of it is named.
#[test]
fn without_any_tree_single_pages_are_read() {
    let case = case();
    let mut bytes = case.sound.clone();
    bytes[..PAGE].fill(0);
    for page in pages_with(&case.sound, b"facts_by_entity") {
        bytes[page * PAGE..][..PAGE].fill(0xA5);
    }
    let (salvaged, missing) = case.check("no tree", &bytes);
    assert_eq!(missing, 0, "{salvaged:?}");
    assert!(salvaged.carved.len() >= 120 && salvaged.notes.iter().any(|note| note.contains("no commit")));
}

#[test]
fn what_is_no_palace_is_refused() {
    let case = case();
    let dir = tempfile::tempdir().unwrap();
    let (path, made) = (dir.path().join("palace.redb"), dir.path().join("made"));
    let try_it = |options: &EngineOptions| {
        let result = salvage(&path, &made, options, &mut |_| None, &mut |_| true);
        assert!(!made.exists());
        result.unwrap_err()
    };
    let mut numbers = Numbers(3);
    let noise: Vec<u8> = (0..40_000).map(|_| numbers.next() as u8).collect();
    for content in [&[][..], b"SQLite format 3\0", &noise, &vec![0; 100_000]] {
        fs::write(&path, content).unwrap();
        assert!(matches!(try_it(&options()), SalvageError::Nothing { .. }));
    }
    fs::write(&path, &case.sound).unwrap();
    let foreign = EngineOptions { embedder_identity: "another".to_owned(), ..options() };
    assert!(matches!(try_it(&foreign), SalvageError::Open(OpenError::EmbedderMismatch { .. })));
    let in_place = salvage(&path, &path, &options(), &mut |_| None, &mut |_| true);
    assert!(matches!(in_place, Err(SalvageError::Io { .. })));
    assert_eq!(fs::read(&path).unwrap(), case.sound);
    let given_up = salvage(&path, &made, &options(), &mut |_| None, &mut |_| false);
    assert!(given_up.is_ok_and(|salvaged| salvaged.is_whole()), "a small store is one step");
}

/// The daemon was killed: the file is marked as not closed, and redb would repair it.
#[test]
fn a_file_that_was_not_closed_is_read_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = Engine::open(dir.path(), options()).unwrap();
    for n in 0..30 {
        put(&mut engine, row(&format!("id{n:02}"), &text(n)), vector(n));
    }
    let dirty = fs::read(dir.path().join("palace.redb")).unwrap();
    let before = content(&reader.snapshot().unwrap());
    drop((engine, reader));
    let case = Case { dir, sound: dirty.clone(), content: before };
    let (salvaged, content) = case.salvage("dirty", &dirty);
    assert!(salvaged.is_whole(), "{salvaged:?}");
    assert_eq!(content, case.content);
}
