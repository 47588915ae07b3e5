//! Random histories, compared with a map.

use std::collections::{BTreeMap, BTreeSet};

use half::f16;
use proptest::prelude::*;

use super::fixture::{open, vector};
use crate::engine::{
    Counts, Engine, Filter, Op, Reader, Row, Selection, Vector, View, sortable_time, verify,
};

const WORDS: [&str; 8] = ["apple", "bridge", "cloud", "dragon", "ember", "forest", "garden", "harbor"];

#[derive(Clone, Debug)]
enum Step {
    /// Commit these ops together.
    Commit(Vec<Op>),
    /// Apply and drop.
    Abandon(Vec<Op>),
    /// Save the indexes.
    Save,
    /// Close cleanly and open again.
    Close,
    /// Drop without saving and open again.
    Drop,
    /// Exchange the handle.
    Reopen,
}

fn any_row() -> impl Strategy<Value = Row> {
    let parts = (0..12u8, 0..8usize, 0..8usize, 0..3u8, 0..2u8, 0..3u8, 0..6u8, 0..3u32, any::<bool>());
    parts.prop_map(|(id, word, other, wing, room, source, day, chunk_index, chunk)| Row {
        id: format!("id{id:02}"),
        document: format!("{} and {}", WORDS[word], WORDS[other]),
        wing: format!("w{wing}"),
        room: format!("r{room}"),
        source_file: format!("/s{source}"),
        filed_at: format!("2026-03-0{}T10:00:00.{day}", day + 1),
        chunk_index,
        parent_id: chunk.then(|| format!("p{}", id % 4)),
        extra: Vec::new(),
    })
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (any_row(), 0..20u64).prop_map(|(row, seed)| Op::PutRow(row, Vector(vector(seed)))),
        2 => any_row().prop_map(Op::PutMeta),
        2 => (0..12u8).prop_map(|id| Op::DeleteRow { id: format!("id{id:02}") }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let ops = || prop::collection::vec(any_op(), 1..5);
    prop_oneof![
        10 => ops().prop_map(Step::Commit),
        2 => ops().prop_map(Step::Abandon),
        2 => Just(Step::Save),
        1 => Just(Step::Close),
        1 => Just(Step::Drop),
        1 => Just(Step::Reopen),
    ]
}

type Model = BTreeMap<String, (Row, Vec<f32>)>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn any_history_reads_like_a_map(steps in prop::collection::vec(any_step(), 1..24)) {
        let dir = tempfile::tempdir().unwrap();
        let mut open_store = Some(open(dir.path()));
        let mut model = Model::new();
        for step in steps {
            let (engine, _) = open_store.as_mut().unwrap();
            match step {
                Step::Commit(ops) => apply(engine, &ops, &mut model, true),
                Step::Abandon(ops) => apply(engine, &ops, &mut model.clone(), false),
                Step::Save => engine.save_snapshots().unwrap(),
                Step::Reopen => engine.reopen().unwrap(),
                Step::Close => {
                    let (engine, reader) = open_store.take().unwrap();
                    engine.close().unwrap();
                    drop(reader);
                    open_store = Some(open(dir.path()));
                }
                Step::Drop => {
                    drop(open_store.take());
                    open_store = Some(open(dir.path()));
                }
            }
        }
        let (_engine, reader) = open_store.unwrap();
        compare(&reader, &model);
    }
}

fn apply(engine: &mut Engine, ops: &[Op], model: &mut Model, commit: bool) {
    let mut txn = engine.begin().unwrap();
    for op in ops {
        let mut op = op.clone();
        if let Op::PutMeta(row) = &mut op {
            let Some((old, _)) = model.get(&row.id) else { continue };
            row.document.clone_from(&old.document);
        }
        txn.apply(&op).unwrap();
        match op {
            Op::PutRow(row, vector) => {
                model.insert(row.id.clone(), (row, vector.0));
            }
            Op::PutMeta(row) => {
                let old = model.get_mut(&row.id).unwrap();
                old.0 = row;
            }
            Op::DeleteRow { id } => {
                model.remove(&id);
            }
            Op::PutStored(..) | Op::PutNew(_) | Op::PutRecord { .. } | Op::DeleteRecord { .. } => {
                unreachable!("the model's steps have none")
            }
        }
        for (id, (row, _)) in model.iter() {
            assert_eq!(txn.row(id).unwrap().as_ref(), Some(row));
        }
    }
    if commit {
        txn.commit().unwrap();
    }
}

fn compare(reader: &Reader, model: &Model) {
    let report = verify(reader).unwrap();
    assert!(report.is_sound() && !report.indexes_skipped, "{report:?}");
    let snapshot = reader.snapshot().unwrap();
    let stored: BTreeMap<String, Row> =
        snapshot.all_rows().unwrap().map(|row| row.unwrap()).map(|row| (row.id.clone(), row)).collect();
    let expected: BTreeMap<String, Row> =
        model.iter().map(|(id, (row, _))| (id.clone(), row.clone())).collect();
    assert_eq!(stored, expected);
    assert_eq!(snapshot.counts().unwrap(), counts(model));
    for source in ["/s0", "/s1", "/s2"] {
        let found: BTreeSet<String> = snapshot.ids_by_source(source).unwrap().into_iter().collect();
        let expected: BTreeSet<String> =
            expected.values().filter(|row| row.source_file == source).map(|row| row.id.clone()).collect();
        assert_eq!(found, expected);
    }
    for filter in filters() {
        compare_filter(reader, model, &filter);
    }
    compare_words(reader, model);
}

fn counts(model: &Model) -> Counts {
    let mut counts = Counts::default();
    let mut drawers = BTreeSet::new();
    for (row, _) in model.values() {
        let tally = counts.wings.entry(row.wing.clone()).or_default().entry(row.room.clone()).or_default();
        tally.rows += 1;
        tally.drawers +=
            u64::from(drawers.insert((row.wing.clone(), row.room.clone(), row.drawer_id().to_owned())));
    }
    counts
}

fn filters() -> Vec<Filter> {
    let some = |text: &str| Some(text.to_owned());
    vec![
        Filter::default(),
        Filter { wing: some("w1"), ..Filter::default() },
        Filter { room: some("r0"), ..Filter::default() },
        Filter { wing: some("w0"), room: some("r1"), ..Filter::default() },
        Filter { source_file: some("/s1"), ..Filter::default() },
        Filter { since: some("2026-03-02"), before: some("2026-03-04 10:00:00.3"), ..Filter::default() },
        Filter { wing: some("w2"), since: some("2026-03-03T10:00"), ..Filter::default() },
        Filter { wing: some("nowhere"), ..Filter::default() },
    ]
}

fn compare_filter(reader: &Reader, model: &Model, filter: &Filter) {
    let snapshot = reader.snapshot().unwrap();
    let admitted: Vec<&(Row, Vec<f32>)> = model.values().filter(|(row, _)| filter.admits(row)).collect();
    let selection = snapshot.rows_matching(filter).unwrap();
    let selected: BTreeSet<String> =
        selection.iter().map(|key| snapshot.row_at(key).unwrap().unwrap().id).collect();
    assert_eq!(selected, admitted.iter().map(|(row, _)| row.id.clone()).collect(), "{filter:?}");

    let mut drawers: Vec<(String, String, String)> = admitted
        .iter()
        .map(|(row, _)| (row.drawer_id().to_owned(), row.wing.clone(), row.room.clone()))
        .collect();
    drawers.sort();
    drawers.dedup();
    let mut listed = Vec::new();
    for offset in (0..drawers.len() + 3).step_by(3) {
        let page = snapshot.page(filter, offset, 3).unwrap();
        assert_eq!(page.total, drawers.len() as u64);
        listed.extend(
            page.rows.into_iter().map(|row| (row.drawer_id().to_owned(), row.wing.clone(), row.room)),
        );
    }
    assert_eq!(listed, drawers);

    let mut times: Vec<String> = admitted.iter().map(|(row, _)| sortable_time(&row.filed_at)).collect();
    times.sort_by(|left, right| right.cmp(left));
    times.truncate(4);
    let recent: Vec<String> =
        snapshot.recent(filter, 4).unwrap().iter().map(|row| sortable_time(&row.filed_at)).collect();
    assert_eq!(recent, times);

    let within = (!filter.is_empty()).then_some(&selection);
    compare_nearest(reader, &admitted, within);
}

fn compare_nearest(reader: &Reader, admitted: &[&(Row, Vec<f32>)], within: Option<&Selection>) {
    let query = vector(1_000);
    let stored = |value: &f32| f16::from_f32(*value).to_f32();
    let mut expected: Vec<f32> = admitted
        .iter()
        .map(|(_, vector)| 1.0 - vector.iter().zip(&query).map(|(v, q)| stored(v) * q).sum::<f32>())
        .collect();
    expected.sort_by(f32::total_cmp);
    expected.truncate(5);
    let hits = reader.nearest(&query, 5, within).unwrap();
    assert_eq!(hits.len(), expected.len());
    for (hit, expected) in hits.iter().zip(expected) {
        assert!((hit.distance - expected).abs() < 1e-3, "{hit:?} instead of {expected}");
    }
}

fn compare_words(reader: &Reader, model: &Model) {
    let snapshot = reader.snapshot().unwrap();
    for word in WORDS {
        let found: BTreeSet<String> = reader
            .lexical(word, 100, None)
            .iter()
            .map(|hit| reader.resolve(&snapshot, hit.row_key).unwrap().unwrap().id)
            .collect();
        let expected: BTreeSet<String> = model
            .values()
            .filter(|(row, _)| row.document.contains(word))
            .map(|(row, _)| row.id.clone())
            .collect();
        assert_eq!(found, expected, "{word}");
    }
}
