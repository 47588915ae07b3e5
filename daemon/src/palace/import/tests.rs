//! Importing as data: what is new is stored, what is there stays.

use super::*;
use crate::engine::{MetaValue, Preparer, StoredVector};
use crate::palace::command::Delete;
use crate::palace::decide::tests::State;

fn row(id: &str, text: &str) -> Arc<PreparedRow> {
    let row =
        Row { id: id.into(), document: text.into(), wing: "w".into(), room: "r".into(), ..Row::default() };
    Preparer::new(2).prepare(row, StoredVector::encode(&[0.6, 0.8]).unwrap()).unwrap()
}

fn fact(id: &str, object: &str, valid_to: Option<&str>) -> Fact {
    Fact {
        id: id.into(),
        subject: "ada".into(),
        predicate: "keeps".into(),
        object: object.into(),
        valid_to: valid_to.map(str::to_owned),
        confidence: 1.0,
        ..Fact::default()
    }
}

fn event(id: &str, seq: u64) -> Event {
    serde_json::from_value(serde_json::json!({
        "id": id, "seq": seq, "origin_replica": "rep_a", "origin_seq": seq, "hlc": "0000000001000-000000-rep_a",
        "type": "note", "stream": "s", "room": "r", "topic": null, "from_agent": "ada", "to_agent": null,
        "correlation_id": null, "branch": null, "base_commit": null, "status": null, "artifact_ids": [],
        "body": "hello", "created_at": "2026-01-01T00:00:00Z", "metadata": {},
    }))
    .unwrap()
}

fn run(state: &mut State, batch: ImportBatch) -> ImportOutcome {
    state.run(&batch)
}

#[test]
fn a_repeated_import_changes_nothing() {
    let batch = || ImportBatch {
        rows: vec![row("a", "one"), row("b", "two"), row("a", "one")],
        records: vec![
            Imported::Fact(fact("t1", "light", None)),
            Imported::Fact(fact("t2", "house", None)),
            Imported::Fact(fact("t3", "house", Some("2026-01-01"))),
            Imported::Event(event("e1", 7)),
            Imported::Event(event("e2", 9)),
            Imported::Closet { source_file: "/s".into(), id: "c".into(), card: Value::Bool(true) },
        ],
        note: Some(("import/x".into(), Value::from(3))),
        ..ImportBatch::default()
    };
    let mut state = State::default();
    let first = run(&mut state, batch());
    assert_eq!((first.rows_new, first.rows_same, first.records_new), (2, 1, 6));
    let kept = (state.0.clone(), state.1.clone());
    let second = run(&mut state, batch());
    assert_eq!((second.rows_new, second.rows_same, second.records_new, second.records_same), (0, 3, 0, 6));
    assert_eq!((state.0.clone(), state.1.clone()), kept);
    let count: Option<u64> = records::get(&state, Collection::Predicates, b"keeps").unwrap();
    assert_eq!(count, Some(3));
    let last = events::last(&state).unwrap().unwrap();
    assert_eq!((last.id.as_str(), last.seq, last.origin_seq), ("e2", 2, 9));
}

#[test]
fn what_is_there_is_kept_and_the_difference_is_named() {
    let mut state = State::default();
    let import = |rows, records| ImportBatch { rows, records, ..ImportBatch::default() };
    let closet =
        |card: bool| Imported::Closet { source_file: "/s".into(), id: "c".into(), card: card.into() };
    run(
        &mut state,
        import(vec![row("a", "ours")], vec![closet(true), Imported::Fact(fact("t1", "x", None))]),
    );
    let kept = (state.0.clone(), state.1.clone());
    let outcome = run(
        &mut state,
        import(
            vec![row("a", "theirs")],
            vec![closet(false), Imported::Fact(fact("t1", "x", Some("2026-01-01")))],
        ),
    );
    assert_eq!(outcome.rows_different, ["a"]);
    assert_eq!(outcome.records_different, ["closet c", "fact t1"]);
    assert_eq!((state.0, state.1), kept);
}

#[test]
fn one_claim_under_two_ids_is_one_fact() {
    let mut state = State::default();
    let records = vec![Imported::Fact(fact("t1", "x", None)), Imported::Fact(fact("t9", "x", None))];
    let outcome = run(&mut state, ImportBatch { records, ..ImportBatch::default() });
    assert_eq!((outcome.records_new, outcome.records_same), (1, 1));
}

#[test]
fn what_has_ended_stays_once_for_each_id() {
    let mut state = State::default();
    let ended = |id| Imported::Fact(fact(id, "x", Some("2026-01-01")));
    let records = vec![ended("t1"), ended("t2"), ended("t1")];
    let outcome = run(&mut state, ImportBatch { records, ..ImportBatch::default() });
    assert_eq!((outcome.records_new, outcome.records_same), (2, 1));
    let again = run(&mut state, ImportBatch { records: vec![ended("t2")], ..ImportBatch::default() });
    assert_eq!((again.records_new, again.records_same), (0, 1));
}

#[test]
fn what_is_held_is_told() {
    let mut state = State::default();
    let closet =
        |card: bool| Imported::Closet { source_file: "/s".into(), id: "c".into(), card: card.into() };
    let open = |id| Imported::Fact(fact(id, "x", None));
    let records = vec![closet(true), open("t1"), Imported::Event(event("e1", 7))];
    for record in &records {
        assert_eq!(held(&state, record).unwrap(), Held::Missing);
    }
    run(&mut state, ImportBatch { records: records.clone(), ..ImportBatch::default() });
    for record in records.iter().chain([&open("t9")]) {
        assert_eq!(held(&state, record).unwrap(), Held::Same, "{record:?}");
    }
    assert_eq!(held(&state, &closet(false)).unwrap(), Held::Different);
    assert_eq!(held(&state, &Imported::Fact(fact("t1", "y", None))).unwrap(), Held::Different);
}

#[test]
fn records_are_json_whatever_they_hold() {
    let record = Imported::Event(event("e1", 7));
    let text = serde_json::to_string(&record).unwrap();
    assert!(text.starts_with(r#"{"type":"event","record":{"id":"e1""#) && text.contains(r#""type":"note""#));
    assert_eq!(serde_json::from_str::<Imported>(&text).unwrap(), record);
    assert_eq!((record.name().as_str(), record.check()), ("event e1", Ok(())));
    let setting = |name: &str| Imported::Setting { name: name.into(), value: Value::Null };
    assert!(setting("import/x").is_bookkeeping() && !setting("hooks").is_bookkeeping());
    assert!(setting("").check().is_err() && setting("a\0b").check().is_err());
}

#[test]
fn what_was_removed_or_changed_here_stays_so() {
    use crate::palace::command::Change;
    use crate::palace::decide::tests::{at, drawer, long, pieces};

    let mut state = State::default();
    let new = drawer("r", &long("chunked"));
    state.run(&new);
    let rows: Vec<Arc<PreparedRow>> = state
        .0
        .values()
        .map(|(row, vector)| {
            let stored = StoredVector::encode(vector).unwrap();
            Preparer::new(2).prepare(row.clone(), stored).unwrap()
        })
        .collect();
    let other = row("whole", "a drawer in one row");
    let batch = || ImportBatch {
        rows: rows.iter().cloned().chain([Arc::clone(&other)]).collect(),
        ..ImportBatch::default()
    };
    assert_eq!(run(&mut state, batch()).rows_new, 1);
    let change =
        Change { id: new.id.clone(), pieces: Some(pieces("short")), wing: None, room: None, at: at(2) };
    state.run(&change);
    state.run(&Delete { ids: vec!["whole".into()], at: at(3) });
    let outcome = run(&mut state, batch());
    assert_eq!((outcome.rows_new, outcome.rows_different.len()), (0, 1), "{outcome:?}");
    assert_eq!(outcome.rows_changed_here.len(), rows.len(), "{outcome:?}");
    assert_eq!(state.text(&new.id).unwrap(), "short");
    // When what was removed is no longer kept, the present rows still tell that they are others.
    state.1.clear();
    let outcome = run(&mut state, batch());
    assert_eq!(outcome.rows_new, 1, "only the drawer of which nothing is known comes back: {outcome:?}");
    assert_eq!(state.text(&new.id).unwrap(), "short");
}

/// Chunks of one drawer as a source may have them: filed at one time, changed in its metadata since.
fn chunks(parent: &str) -> Vec<Arc<PreparedRow>> {
    let chunk = |number: u32| {
        let mut chunk = row("", &format!("part {number} ")).row().clone();
        chunk.id = format!("{parent}_chunk_{number}");
        chunk.parent_id = Some(parent.to_owned());
        chunk.chunk_index = number;
        if number.is_multiple_of(2) {
            chunk.extra.push(("last_modified".into(), MetaValue::Text(format!("2026-01-0{}", number + 1))));
        }
        Preparer::new(2).prepare(chunk, StoredVector::encode(&[0.6, 0.8]).unwrap()).unwrap()
    };
    (0..6).map(chunk).collect()
}

#[test]
fn a_drawer_may_come_in_several_batches() {
    let mut state = State::default();
    for rows in chunks("d").chunks(2) {
        let outcome = run(&mut state, ImportBatch { rows: rows.to_vec(), ..ImportBatch::default() });
        assert_eq!((outcome.rows_new, outcome.rows_changed_here.len()), (2, 0));
    }
    assert_eq!(state.text("d").unwrap(), "part 0 part 1 part 2 part 3 part 4 part 5 ");
}

#[test]
fn parts_of_a_drawer_that_was_changed_here_stay_away_in_any_order() {
    let rows = chunks("d");
    let mut state = State::default();
    let mut ours = rows[0].row().clone();
    ours.document = "ours".into();
    state.0.insert(ours.id.clone(), (ours, vec![0.6, 0.8]));
    let backwards = rows.iter().rev().cloned().collect();
    let outcome = run(&mut state, ImportBatch { rows: backwards, ..ImportBatch::default() });
    assert_eq!((outcome.rows_new, outcome.rows_changed_here.len()), (0, 5));
    // A later batch is told of what an earlier one met.
    let changed = BTreeSet::from(["d".to_owned()]);
    let later = ImportBatch { rows: rows[3..].to_vec(), changed, ..ImportBatch::default() };
    assert_eq!(run(&mut state, later).rows_changed_here.len(), 3);
    // A drawer that became one row here is no drawer of chunks any more, and the other way round.
    let mut state = State::default();
    let whole = row("d", "one row");
    state.0.insert("d".into(), (whole.row().clone(), vec![0.6, 0.8]));
    let outcome = run(&mut state, ImportBatch { rows: rows.clone(), ..ImportBatch::default() });
    assert_eq!((outcome.rows_new, outcome.rows_changed_here.len()), (0, 6));
    let mut state = State::default();
    run(&mut state, ImportBatch { rows, ..ImportBatch::default() });
    let outcome = run(&mut state, ImportBatch { rows: vec![whole], ..ImportBatch::default() });
    assert_eq!((outcome.rows_new, outcome.rows_changed_here), (0, vec!["d".to_owned()]));
}
