//! Decisions as data: a state, a command, and what must come of it.

use std::collections::BTreeMap;

use super::*;
use crate::engine::{
    Collection, Counts, Facet, MetaValue, Op, RecordRange, RowKey, Seq, StoredVector, Timestamp,
};
use crate::palace::command::{Change, Checkpoint, CheckpointItem, Checkpointed, Command, Delete, NewDrawer};
use crate::palace::draft::{self, Piece};
use crate::palace::ids;
use crate::palace::moment::Moment;

/// A state in memory that applies operations the way the store does.
#[derive(Default)]
pub(in crate::palace) struct State(
    pub BTreeMap<String, (Row, Vec<f32>)>,
    pub BTreeMap<(String, Vec<u8>), Vec<u8>>,
);

impl State {
    pub fn run<C: Command>(&mut self, command: &C) -> C::Outcome {
        let (ops, outcome) = command.decide(self).unwrap();
        for op in ops {
            self.apply(op);
        }
        outcome
    }

    pub fn apply(&mut self, op: Op) {
        match op {
            Op::PutRow(row, vector) => {
                self.0.insert(row.id.clone(), (row, vector.0));
            }
            Op::PutMeta(row) => {
                let slot = self.0.get_mut(&row.id).expect("a metadata change names an existing row");
                assert_eq!(slot.0.document, row.document);
                slot.0 = row;
            }
            Op::DeleteRow { id } => {
                self.0.remove(&id);
            }
            Op::PutStored(row, vector) => {
                self.0.insert(row.id.clone(), (row, vector.decode()));
            }
            Op::PutNew(prepared) => {
                self.0
                    .insert(prepared.row().id.clone(), (prepared.row().clone(), prepared.stored().decode()));
            }
            Op::PutRecord { collection, key, value } => {
                self.1.insert((format!("{collection:?}"), key), value);
            }
            Op::DeleteRecord { collection, key } => {
                self.1.remove(&(format!("{collection:?}"), key));
            }
        }
    }

    pub fn text(&self, id: &str) -> Option<String> {
        let rows = rows_of(self, id).unwrap();
        (!rows.is_empty()).then(|| rows.into_iter().map(|row| row.document).collect())
    }
}

impl View for State {
    fn row(&self, id: &str) -> Result<Option<Row>, ReadError> {
        Ok(self.0.get(id).map(|(row, _)| row.clone()))
    }

    fn vector(&self, id: &str) -> Result<Option<Vec<f32>>, ReadError> {
        Ok(self.0.get(id).map(|(_, vector)| vector.clone()))
    }

    fn stored_vector(&self, id: &str) -> Result<Option<StoredVector>, ReadError> {
        Ok(self.0.get(id).and_then(|(_, vector)| StoredVector::encode(vector)))
    }

    fn chunks_of(&self, parent: &str) -> Result<Vec<Row>, ReadError> {
        let mut rows: Vec<Row> = self
            .0
            .values()
            .filter(|(row, _)| row.parent_id.as_deref() == Some(parent))
            .map(|(row, _)| row.clone())
            .collect();
        rows.sort_by_key(|row| row.chunk_index);
        Ok(rows)
    }

    fn ids_by_source(&self, source: &str) -> Result<Vec<String>, ReadError> {
        Ok(self
            .0
            .values()
            .filter(|(row, _)| row.source_file == source)
            .map(|(row, _)| row.id.clone())
            .collect())
    }

    /// Rows have no keys here: all of them are newer than what a caller knows.
    fn newer_rows_near(
        &self,
        _: RowKey,
        vector: &[f32],
        similarity_min: f32,
    ) -> Result<Vec<(Row, f32)>, ReadError> {
        let similarity =
            |other: &[f32]| vector.iter().zip(other).map(|(left, right)| left * right).sum::<f32>();
        let near = self.0.values().map(|(row, other)| (row.clone(), similarity(other)));
        Ok(near.filter(|(_, similarity)| *similarity >= similarity_min).collect())
    }

    fn counts(&self) -> Result<Counts, ReadError> {
        Ok(Counts::default())
    }

    fn key_result(&self, _: &crate::engine::IdempotencyKey) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(None)
    }

    fn seq(&self) -> Seq {
        Seq(0)
    }

    fn facets(&self) -> Result<Vec<Facet>, ReadError> {
        Ok(Vec::new())
    }

    fn record(&self, collection: Collection, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.1.get(&(format!("{collection:?}"), key.to_vec())).cloned())
    }

    fn records(
        &self,
        collection: Collection,
        range: &RecordRange,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), ReadError> {
        let name = format!("{collection:?}");
        let mut found: Vec<_> =
            self.1.iter().filter(|((of, key), _)| *of == name && key.starts_with(&range.prefix)).collect();
        if range.backwards {
            found.reverse();
        }
        let _stopped = found.into_iter().all(|((_, key), value)| visit(key, value));
        Ok(())
    }

    fn record_count(&self, collection: Collection) -> Result<u64, ReadError> {
        let name = format!("{collection:?}");
        Ok(self.1.keys().filter(|(of, _)| *of == name).count() as u64)
    }
}

pub(in crate::palace) fn at(minute: u32) -> Moment {
    Moment { utc: Timestamp(i64::from(minute)), local: format!("2026-01-31T09:{minute:02}:00.000000") }
}

pub(in crate::palace) fn pieces(text: &str) -> Vec<Piece> {
    draft::slices(text)
        .into_iter()
        .map(|slice| Piece { text: slice.to_owned(), vector: vec![1.0, 0.0] })
        .collect()
}

pub(in crate::palace) fn drawer(room: &str, text: &str) -> NewDrawer {
    NewDrawer {
        id: ids::drawer("w", room, text),
        wing: "w".into(),
        room: room.into(),
        source_file: String::new(),
        added_by: "mcp".into(),
        pieces: pieces(text),
        at: at(1),
    }
}

pub(in crate::palace) fn long(marker: &str) -> String {
    format!("{marker} ").repeat(600)
}

#[test]
fn filing_a_text_twice_stores_it_once() {
    for text in ["short".to_owned(), long("chunked")] {
        let mut state = State::default();
        let first = state.run(&drawer("r", &text));
        let rows = state.0.len();
        let second = state.run(&drawer("r", &text));
        assert!(!first.existed && second.existed);
        assert_eq!(state.0.len(), rows);
        assert_eq!(state.text(&ids::drawer("w", "r", &text)).unwrap(), text);
    }
}

#[test]
fn a_drawer_shrinks_and_grows_under_its_id() {
    let mut state = State::default();
    let new = drawer("r", &long("a"));
    state.run(&new);
    for text in ["short again".to_owned(), long("b"), "x".into()] {
        let change =
            Change { id: new.id.clone(), pieces: Some(pieces(&text)), wing: None, room: None, at: at(2) };
        let outcome = state.run(&change);
        assert!(outcome.is_some());
        assert_eq!(state.text(&new.id).unwrap(), text);
        assert_eq!(state.0.len(), text.chars().count().div_ceil(draft::CHUNK_CHARS));
    }
}

#[test]
fn moving_a_drawer_keeps_text_filing_time_and_id() {
    let mut state = State::default();
    let new = drawer("r", &long("a"));
    state.run(&new);
    let change =
        Change { id: new.id.clone(), pieces: None, wing: Some("other".into()), room: None, at: at(9) };
    state.run(&change);
    assert!(
        state
            .0
            .values()
            .all(|(row, _)| row.wing == "other" && row.room == "r" && row.filed_at == at(1).local)
    );
    let modified = MetaValue::Text(at(9).local);
    assert!(state.0.values().all(|(row, _)| row.extra.contains(&("last_modified".into(), modified.clone()))));
}

#[test]
fn deleting_removes_the_group_or_the_one_chunk_and_reports_the_rest() {
    let mut state = State::default();
    let new = drawer("r", &long("a"));
    state.run(&new);
    let chunk = ids::chunk(&new.id, 0);
    let rows = state.0.len();
    let results = state
        .run(&Delete { ids: vec![chunk.clone(), "nope".into(), new.id.clone(), new.id.clone()], at: at(3) });
    assert_eq!((&results[0].id, &results[0].rows), (&chunk, &vec![chunk.clone()]));
    assert!(results[1].rows.is_empty());
    // The group is resolved against the state before the command, minus what the command removed already.
    assert_eq!(results[2].rows.len(), rows - 1);
    assert_eq!(results[3], results[2], "asked for twice, answered twice");
    assert!(state.0.is_empty());
}

#[test]
fn a_checkpoint_compares_its_items_with_each_other() {
    let mut state = State::default();
    let item = |room: &str, text: &str, vector: Vec<f32>| CheckpointItem::New {
        drawer: drawer(room, text),
        vector,
        known: RowKey(0),
    };
    let Checkpointed { added, duplicates, diary } = state.run(&Checkpoint {
        items: vec![
            item("a", "one", vec![1.0, 0.0]),
            item("b", "one again", vec![0.99, 0.14]),
            item("c", "two", vec![0.0, 1.0]),
        ],
        diary: None,
        dedup_threshold: 0.9,
    });
    assert_eq!(diary, None);
    assert_eq!(added.iter().map(|added| added.room.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(duplicates[0].0, "b");
    assert_eq!(duplicates[0].1[0].id, ids::drawer("w", "a", "one"));
}

#[test]
fn unknown_drawers_change_nothing() {
    let mut state = State::default();
    let change = Change { id: "nope".into(), pieces: None, wing: Some("w".into()), room: None, at: at(1) };
    assert_eq!(state.run(&change), None);
}
