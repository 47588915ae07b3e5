//! Terms and scores.

use super::bm25::search;
use super::postings::TextIndex;
use super::tokenize::each_term;
use super::vocabulary::terms;
use crate::engine::types::RowKey;

fn check(text: &str, expected: &[&str]) {
    let mut found = Vec::new();
    each_term(text, |term| found.push(term.to_owned()));
    assert_eq!(found, expected, "{text}");
}

#[test]
fn words_become_stems_and_nothing_is_too_short() {
    check("Running dogs", &["run", "dog"]);
    check("I am a C programmer", &["i", "am", "a", "c", "programm"]);
    check("don't", &["don't"]);
    check("the user\u{2019}s cats", &["the", "user", "cat"]);
    check("Größe CAFÉ", &["größe", "café"]);
    check("", &[]);
    check(" — … !", &[]);
}

#[test]
fn identifiers_are_kept_whole_and_in_parts() {
    check("foo_bar", &["foo_bar", "foo", "bar"]);
    check("v3.11.0", &["v3.11.0", "v", "3", "11", "0"]);
    check("PalaceDaemon", &["palacedaemon", "palac", "daemon"]);
    check("src/mod.rs", &["src", "mod.rs", "mod", "rs"]);
    check("42", &["42"]);
    check("x86", &["x86", "x", "86"]);
}

#[test]
fn scripts_without_spaces_give_characters_and_pairs() {
    check("日本語", &["日", "本", "日本", "語", "本語"]);
    check("日本 語", &["日", "本", "日本", "語"]);
    check("カタ", &["カ", "タ", "カタ"]);
    check("한국 사람", &["한", "국", "한국", "사", "람", "사람"]);
    check("use 日本 now", &["use", "日", "本", "日本", "now"]);
}

#[test]
fn blobs_are_cut() {
    let blob = "a".repeat(5_000);
    assert!(terms(&blob).counts.iter().all(|(term, _)| term.len() <= 64));
    let wide = "é".repeat(5_000);
    assert_eq!(terms(&wide).len, 1);
}

fn index(documents: &[&str]) -> TextIndex {
    let mut index = TextIndex::default();
    for (row, document) in documents.iter().enumerate() {
        index.put(RowKey(row as u64), &terms(document));
    }
    index
}

fn ranking(index: &TextIndex, query: &str) -> Vec<u64> {
    search(index, query, 10, None).iter().map(|hit| hit.row_key.0).collect()
}

#[test]
fn rare_words_repetition_and_shortness_count() {
    let index = index(&[
        "the common cat and the common dog",
        "the common zebra",
        "the common the common the common",
        "a zebra among very many other animals of the wide common plain under the hot sun",
    ]);
    assert_eq!(ranking(&index, "common zebra")[..2], [1, 3], "the rare word decides, then length");
    assert_eq!(ranking(&index, "zebras"), [1, 3]);
    assert_eq!(ranking(&index, "common")[0], 2, "repetition counts");
    assert!(ranking(&index, "unicorn").is_empty());
    let all = ranking(&index, "the");
    assert_eq!(all.len(), 4, "a word every row has still finds them");
}

#[test]
fn filters_do_not_change_scores() {
    let index = index(&["apple pie", "apple tart", "pear tart"]);
    let all = search(&index, "apple tart", 10, None);
    let within = [RowKey(1), RowKey(2)].into_iter().collect();
    let some = search(&index, "apple tart", 10, Some(&within));
    assert_eq!(some.len(), 2);
    assert!(some.iter().all(|hit| all.contains(hit)));
    assert_eq!(search(&index, "apple tart", 1, None), all[..1]);
    assert!(search(&index, "apple", 0, None).is_empty());
}

#[test]
fn changed_and_removed_rows_are_forgotten_through_rewrite_and_restart() {
    let mut index = index(&["first words", "second words", "third words"]);
    index.put(RowKey(1), &terms("replaced text"));
    index.remove(RowKey(2));
    index.remove(RowKey(2));
    let check = |index: &TextIndex| {
        assert_eq!(index.len(), 2);
        assert_eq!(ranking(index, "words"), [0]);
        assert_eq!(ranking(index, "replaced"), [1]);
        assert!(ranking(index, "third").is_empty());
    };
    check(&index);
    let before = search(&index, "first replaced", 10, None);
    let mut bytes = Vec::new();
    index.write_to(&mut bytes);
    check(&TextIndex::read_from(&bytes).unwrap());
    for len in 0..bytes.len() {
        assert!(TextIndex::read_from(&bytes[..len]).is_none());
    }
    index.rewrite();
    check(&index);
    assert_eq!(index.numbers(), 2);
    assert_eq!(search(&index, "first replaced", 10, None), before);
}
