//! Pages of real palaces zeroed at random: no wrong text, no silent loss, no refusal while the rows can be read.

use std::collections::BTreeMap;

use super::super::UpstreamError;
use super::fixtures::{Fixture, rows_by_id};
use super::*;

const PAGE_LEN: usize = 4096;
const CASE_COUNT: usize = 30;
/// Numbers that are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

fn expected(fixture: &Fixture) -> BTreeMap<(String, String), Option<String>> {
    let mut texts = BTreeMap::new();
    for (collection, rows) in fixture.expected["collections"].as_object().unwrap() {
        for row in rows.as_array().unwrap() {
            let id = row["id"].as_str().unwrap().to_owned();
            texts.insert((collection.clone(), id), row["document"].as_str().map(str::to_owned));
        }
    }
    texts
}

/// Tells whether SQLite itself can read all rows.
fn has_rows(file: &Path) -> bool {
    let conn = rusqlite::Connection::open(file).unwrap();
    let count =
        conn.query_row("SELECT count(embedding_id) FROM embeddings NOT INDEXED", [], |row| row.get(0));
    count.is_ok_and(|count: i64| count > 0)
}

fn check(case: &str, fixture: &Fixture, palace: Result<UpstreamPalace, UpstreamError>) {
    let file = fixture.dir.path().join("memory/palace/chroma.sqlite3");
    let palace = match palace {
        Ok(palace) => palace,
        Err(error) => {
            assert!(!has_rows(&file), "{case}: refused with {error}");
            return;
        }
    };
    let mut expected = expected(fixture);
    let row_count = expected.len();
    let (mut found, mut silent) = (0, Vec::new());
    for collection in palace.inventory().unwrap().collections {
        for (id, row) in rows_by_id(&palace, &collection.name) {
            let text = expected.remove(&(collection.name.clone(), id.clone()));
            let text = text.unwrap_or_else(|| panic!("{case}: {id} is not of {}", collection.name));
            found += 1;
            match row.document {
                Some(document) => assert_eq!(Some(document), text, "{case}: {id}"),
                None if text.is_some() => silent.push(id),
                None => {}
            }
        }
    }
    let losses = losses(&palace);
    for id in silent {
        assert!(losses.contains(&format!("Document {id}")), "{case}: {id} {losses:?}");
    }
    let has_ranges = losses.iter().any(|loss| loss.contains("rows"));
    let named = losses.iter().filter(|loss| loss.starts_with("Row ")).count();
    assert!(
        found + named >= row_count || has_ranges,
        "{case}: {found} of {row_count}, {losses:?} {expected:?}"
    );
}

/// A wrong bit in a text is a text: nothing but the refusal can be judged.
fn check_is_read(case: &str, fixture: &Fixture, palace: Result<UpstreamPalace, UpstreamError>) {
    let file = fixture.dir.path().join("memory/palace/chroma.sqlite3");
    match palace {
        Ok(palace) => {
            for collection in palace.inventory().unwrap().collections {
                rows_by_id(&palace, &collection.name);
            }
        }
        Err(error) => assert!(!has_rows(&file), "{case}: refused with {error}"),
    }
}

/// Judges what came of a case.
type Check = fn(&str, &Fixture, Result<UpstreamPalace, UpstreamError>);

fn each_case(name: &str, seed: u64, check: Check, spoil: fn(&mut Vec<u8>, &mut Numbers)) {
    let fixture = Fixture::unpack(name);
    let file = fixture.dir.path().join("memory/palace/chroma.sqlite3");
    let sound = std::fs::read(&file).unwrap();
    let mut numbers = Numbers(seed);
    for case in 0..CASE_COUNT {
        let mut bytes = sound.clone();
        spoil(&mut bytes, &mut numbers);
        std::fs::write(&file, bytes).unwrap();
        let places = Places::of(&fixture.dir.path().join("memory/palace"), None);
        check(&format!("{name} {case}"), &fixture, open(&places, fixture.scratch.path()));
    }
}

fn zero_one(bytes: &mut [u8], numbers: &mut Numbers) {
    let page = 1 + numbers.below(bytes.len() / PAGE_LEN - 1);
    bytes[page * PAGE_LEN..][..PAGE_LEN].fill(0);
}

fn zero_four(bytes: &mut [u8], numbers: &mut Numbers) {
    for _ in 0..4 {
        zero_one(bytes, numbers);
    }
}

fn bits(bytes: &mut [u8], numbers: &mut Numbers) {
    for _ in 0..8 {
        let at = PAGE_LEN + numbers.below(bytes.len() - PAGE_LEN);
        bytes[at] ^= 1 << numbers.below(8);
    }
}

#[test]
fn some_bits_are_wrong() {
    each_case("mined", 4, check_is_read, |bytes, numbers| bits(bytes, numbers));
}

fn cut(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    let count = bytes.len() / PAGE_LEN;
    bytes.truncate((count / 4 + numbers.below(count * 3 / 4)) * PAGE_LEN);
}

#[test]
fn a_page_is_zero() {
    each_case("hnsw", 1, check, |bytes, numbers| zero_one(bytes, numbers));
}

#[test]
fn four_pages_are_zero() {
    each_case("mined", 2, check, |bytes, numbers| zero_four(bytes, numbers));
}

#[test]
fn the_file_ends_early() {
    each_case("hnsw", 3, check, cut);
}

#[test]
fn a_file_cut_at_six_tenths_keeps_the_texts_of_the_full_text_table() {
    let fixture = Fixture::unpack("hnsw");
    let file = fixture.dir.path().join("memory/palace/chroma.sqlite3");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(bytes.len() / PAGE_LEN * 6 / 10 * PAGE_LEN);
    std::fs::write(&file, bytes).unwrap();
    let palace = fixture.open();
    let notes = palace.inventory().unwrap().notes;
    let rows = rows_by_id(&palace, "mempalace_drawers");
    let texts = rows.values().filter(|row| row.document.is_some()).count();
    assert!(texts > 25, "{texts} of {}, {notes:?} {:?}", rows.len(), losses(&palace));
    check("cut", &fixture, Ok(palace));
}
