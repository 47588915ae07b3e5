//! Searches in a store of their own, with vectors made by hand.

use std::path::Path;

use super::*;
use crate::engine::tests::fixture::{DIMENSION, damage_row, open, row, unit, vector};
use crate::engine::{Engine, Op, Vector};

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
        let mut txn = self.engine.begin().unwrap();
        for (row, vector) in rows {
            txn.apply(&Op::PutRow(row, Vector(vector))).unwrap();
        }
        txn.commit().unwrap();
    }

    fn search(&self, text: &str, limit: usize) -> Found {
        let request =
            Request { text, vector: &axis(0, 0.0), filter: Filter::default(), distance_max: None, limit };
        search(&self.reader, &request).unwrap()
    }
}

/// A vector near the first axis; the farther, the larger `off`.
fn axis(seed: u64, off: f32) -> Vec<f32> {
    let mut near = vec![0.0; DIMENSION];
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
