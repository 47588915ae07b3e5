//! Searches in a store of their own, with vectors made by hand.

use std::path::Path;

use super::*;
use crate::engine::tests::fixture::{DIMENSION, damage_row, open, row, unit, vector};
use crate::engine::{Engine, Op, Vector};
use crate::palace::closets::{self, Closet};

struct Ground {
    engine: Engine,
    reader: Reader,
    folder: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (engine, reader) = open(folder.path());
        Self { engine, reader, folder }
    }

    /// Closes the store, lets `change` have the folder and opens it again.
    fn reopened_after(self, change: impl FnOnce(&Path)) -> Self {
        let Self { engine, reader, folder } = self;
        engine.close().unwrap();
        drop(reader);
        change(folder.path());
        let (engine, reader) = open(folder.path());
        Self { engine, reader, folder }
    }

    fn put(&mut self, rows: Vec<(Row, Vec<f32>)>) {
        self.apply(rows.into_iter().map(|(row, vector)| Op::PutRow(row, Vector(vector))));
    }

    fn apply(&mut self, ops: impl IntoIterator<Item = Op>) {
        let mut txn = self.engine.begin().unwrap();
        for op in ops {
            txn.apply(&op).unwrap();
        }
        txn.commit().unwrap();
    }

    /// Files the lines of a source as its rows, each a little farther from every query than the one before.
    fn mine(&mut self, source: &str, lines: &[&str]) {
        let row = |(index, line): (usize, &&str)| {
            let index = u32::try_from(index).unwrap();
            let row = Row {
                source_file: source.to_owned(),
                chunk_index: index,
                ..row(&format!("{source}_{index}"), line)
            };
            (row, axis(u64::from(index), 0.1 * index as f32))
        };
        self.put(lines.iter().enumerate().map(row).collect());
    }

    fn card(&mut self, source: &str, id: &str, document: &str) {
        self.apply([closets::put(&Closet {
            id: id.to_owned(),
            source_file: source.to_owned(),
            document: document.to_owned(),
            wing: "wing".to_owned(),
            room: "room".to_owned(),
            ..Closet::default()
        })]);
    }

    fn search(&self, text: &str, limit: usize) -> Found {
        let filter = Filter::default();
        let question = Question { text, filter, distance_max: None, limit, shown: Shown::Passages };
        search(&self.reader, &question, Some(&axis(0, 0.0))).unwrap()
    }
}

/// A vector near the first axis; the farther, the larger `off`.
fn axis(seed: u64, off: f32) -> Vec<f32> {
    let mut near = [0.0; DIMENSION];
    near[0] = 1.0;
    unit(near.iter().zip(vector(seed + 1)).map(|(near, noise)| near + off * noise).collect())
}

fn ids(found: &Found) -> Vec<&str> {
    found.hits.iter().map(|hit| hit.row.id.as_str()).collect()
}

fn long(text: &str) -> String {
    format!("{text} ").repeat(200 / (text.len() + 1) + 1)
}

#[test]
fn a_row_that_cannot_be_read_is_named_beside_the_others() {
    let mut ground = Ground::new();
    ground.put((0..3).map(|n| (row(&format!("id{n}"), "harbour lights"), axis(n, 0.1))).collect());
    let ground = ground.reopened_after(|folder| damage_row(folder, 2));
    let found = ground.search("harbour", 5);
    assert_eq!(found.hits.len(), 2);
    assert_eq!(found.unreadable.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["id1"]);
    assert!(found.unreadable[0].reason.contains("damaged"), "{:?}", found.unreadable);
}

#[test]
fn copies_of_one_text_do_not_crowd_out_the_others() {
    let mut ground = Ground::new();
    let copies = (0..400).map(|n| (row(&format!("copy{n:03}"), &long("the harbour lights")), axis(0, 0.0)));
    let others = (0..10).map(|n| (row(&format!("other{n}"), &long(&format!("number {n}"))), axis(n, 0.5)));
    ground.put(copies.chain(others).collect());
    let found = ground.search("harbour lights", 5);
    assert_eq!((found.hits.len(), found.truncated), (5, false), "{:?}", ids(&found));
    assert_eq!(found.hits[0].also_in.len(), 399);

    let more = (400..700).map(|n| (row(&format!("copy{n:03}"), &long("the harbour lights")), axis(0, 0.0)));
    ground.put(more.collect());
    let found = ground.search("harbour lights", 5);
    assert_eq!((found.hits.len(), found.truncated), (1, true));
}

#[test]
fn few_rows_are_not_called_truncated() {
    let mut ground = Ground::new();
    let copies = (0..10).map(|n| (row(&format!("copy{n}"), &long("the harbour lights")), axis(0, 0.0)));
    ground.put(copies.collect());
    let found = ground.search("harbour lights", 5);
    assert_eq!((found.hits.len(), found.truncated, found.hits[0].also_in.len()), (1, false, 9));
}

#[test]
fn a_card_shows_the_best_part_of_its_source() {
    let mut ground = Ground::new();
    ground.mine("a.md", &["first line", "boats at sea", "the harbour lights burn", "last line", "the end"]);
    ground.mine("b.md", &["unrelated"]);
    ground.card("a.md", "closet_1", &format!("harbour lights|Ann|→d{}", "x".repeat(300)));
    ground.card("b.md", "closet_2", "gardens");
    let found = ground.search("the harbour lights", 5);
    assert_eq!(found.hits.len(), 2, "one hit for the source with a card: {:?}", ids(&found));
    let hit = found.hits.iter().find(|hit| hit.row.source_file == "a.md").unwrap();
    let passage = hit.passage.as_ref().unwrap();
    assert_eq!(passage.text, "boats at sea\n\nthe harbour lights burn\n\nlast line");
    assert_eq!((passage.index, passage.total), (2, 5));
    let Via::Closet(boost) = &hit.via else { panic!("{:?}", hit.via) };
    assert_eq!((boost.value, boost.preview.chars().count()), (0.40, 200));
    let other = found.hits.iter().find(|hit| hit.row.source_file == "b.md").unwrap();
    assert_eq!((&other.via, &other.passage), (&Via::Drawer, &None));
}

#[test]
fn cards_are_ranked_by_the_words_they_share() {
    let mut ground = Ground::new();
    for (source, says) in [("a.md", "lights"), ("b.md", "harbour lights"), ("c.md", "gardens")] {
        ground.mine(source, &["one", "two"]);
        ground.card(source, "closet", says);
        ground.card(source, "closet_worse", "nothing");
    }
    let found = ground.search("the harbour lights", 5);
    let boost = |source: &str| match &found.hits.iter().find(|hit| hit.row.source_file == source).unwrap().via
    {
        Via::Closet(boost) => Some(boost.value),
        Via::Drawer | Via::Words => None,
    };
    assert_eq!([boost("a.md"), boost("b.md"), boost("c.md")], [Some(0.25), Some(0.40), None]);
}

#[test]
fn a_card_brings_its_source_nearer_as_far_as_it_says() {
    let mut ground = Ground::new();
    for (id, off) in [("near", 0.1), ("middle", 0.7), ("far", 3.0)] {
        let row = Row { source_file: format!("{id}.md"), ..row(id, "text") };
        ground.put(vec![(row, axis(off as u64 + 3, off))]);
    }
    let found = ground.search("harbour lights", 5);
    assert_eq!(ids(&found), ["near", "middle", "far"]);
    let distance = |at: usize| found.hits[at].distance.unwrap();
    assert!(distance(1) - 0.40 < distance(0) && distance(2) - 0.40 > distance(1), "{:?}", found.hits);
    ground.card("middle.md", "closet", "harbour lights");
    assert_eq!(ids(&ground.search("harbour lights", 5)), ["middle", "near", "far"]);
    // The best card counts most, and a card of a far source does not make it near.
    ground.card("far.md", "closet", "harbour lights harbour lights");
    assert_eq!(ids(&ground.search("harbour lights", 5)).last(), Some(&"far"));
    // What is not asked for by its words is not moved.
    assert_eq!(ids(&ground.search("gardens", 5)), ["near", "middle", "far"]);
}

#[test]
fn a_large_source_is_shown_around_the_row_that_was_found() {
    let mut ground = Ground::new();
    let lines: Vec<String> = (0..500).map(|n| format!("line {n}")).collect();
    ground.mine("a.md", &lines.iter().map(String::as_str).collect::<Vec<_>>());
    ground.card("a.md", "closet", "harbour");
    let found = ground.search("harbour", 1);
    let passage = found.hits[0].passage.as_ref().unwrap();
    assert_eq!((passage.text.as_str(), passage.index, passage.total), ("line 0\n\nline 1", 0, 500));
}

#[test]
fn a_slice_is_shown_with_its_neighbours_word_for_word() {
    let mut ground = Ground::new();
    let whole = "alpha beta gamma delta epsilon zeta";
    let slices = ["alpha be", "ta gamm", "a delta ", "epsilon", " zeta"];
    assert_eq!(slices.concat(), whole);
    let sliced = |(index, text): (usize, &&str)| {
        let index = u32::try_from(index).unwrap();
        let row = Row {
            parent_id: Some("drawer".to_owned()),
            chunk_index: index,
            ..row(&format!("drawer_{index}"), text)
        };
        (row, axis(u64::from(index), if index == 2 { 0.0 } else { 0.5 }))
    };
    ground.put(slices.iter().enumerate().map(sliced).collect());
    let found = ground.search("nothing", 1);
    let passage = found.hits[0].passage.as_ref().unwrap();
    assert_eq!(found.hits[0].row.document, "a delta ");
    assert_eq!((passage.text.as_str(), passage.index, passage.total), ("gamma delta epsilon", 2, 5));
    assert!(whole.contains(&passage.text));
}

#[test]
fn words_serve_alone_when_there_is_no_vector() {
    let mut ground = Ground::new();
    ground.put(vec![(row("a", "harbour lights"), axis(1, 0.5)), (row("b", "gardens"), axis(2, 0.5))]);
    let question = Question {
        text: "harbour",
        filter: Filter::default(),
        distance_max: Some(0.1),
        limit: 5,
        shown: Shown::Passages,
    };
    let found = search(&ground.reader, &question, None).unwrap();
    assert_eq!(ids(&found), ["a"]);
    assert_eq!((found.hits[0].distance, &found.hits[0].via), (None, &Via::Words));
}
