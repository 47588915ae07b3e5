//! The graph in a store of its own: validity, identity of facts, questions at an instant.

use super::query::{At, Direction, about, numbers, timeline};
use super::*;
use crate::engine::{Engine, EngineOptions, Reader, Timestamp};
use crate::palace::command::Command;
use crate::palace::moment::Moment;

struct Graph {
    engine: Engine,
    reader: Reader,
    ticks: i64,
    _folder: tempfile::TempDir,
}

impl Graph {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = EngineOptions { embedder_identity: "none".into(), ..EngineOptions::default() };
        let (engine, reader) = Engine::open(folder.path(), options).unwrap();
        Self { engine, reader, ticks: 0, _folder: folder }
    }

    fn now(&mut self) -> Moment {
        self.ticks += 1;
        Moment { utc: Timestamp(self.ticks * 1_000), local: format!("2026-01-31T09:00:00.{:06}", self.ticks) }
    }

    fn run<C: Command>(&mut self, command: &C) -> C::Outcome {
        let mut txn = self.engine.begin().unwrap();
        let (ops, outcome) = command.decide(&txn).unwrap();
        for op in &ops {
            txn.apply(op).unwrap();
        }
        txn.commit().unwrap();
        outcome
    }

    fn add(&mut self, said: &str, from: Option<&str>, to: Option<&str>) -> Result<Recorded, Inverted> {
        let now = self.now();
        self.run(&NewFact {
            claim: claim(said),
            valid_from: from.map(str::to_owned),
            valid_to: to.map(str::to_owned),
            source_closet: None,
            source_file: None,
            source_drawer_id: None,
            now,
        })
    }

    fn objects(&self, entity: &str, as_of: Option<&str>) -> Vec<String> {
        self.believed(entity, At { valid: as_of, known: None })
    }

    fn believed(&self, entity: &str, at: At<'_>) -> Vec<String> {
        let found = about(&self.reader.snapshot().unwrap(), entity, at, Direction::Outgoing).unwrap();
        found.facts.into_iter().map(|named| named.object).collect()
    }
}

fn claim(said: &str) -> Claim {
    let [subject, predicate, object] = said.split(" - ").collect::<Vec<_>>()[..] else { panic!("{said}") };
    Claim { subject: subject.into(), predicate: predicate.into(), object: object.into() }
}

fn id(outcome: Result<Recorded, Inverted>) -> (String, bool) {
    let recorded = outcome.unwrap();
    (recorded.id, recorded.existed)
}

#[test]
fn the_same_open_fact_is_one() {
    let mut graph = Graph::new();
    let (first, existed) = id(graph.add("Max O'Neil - works on - Orion", Some("2026-01-01"), None));
    assert!(!existed && first.starts_with("t_max_oneil_works_on_orion_"), "{first}");
    assert_eq!(id(graph.add("max o'neil - Works On - ORION", None, None)), (first, true));
    // One that has ended is another.
    assert!(!id(graph.add("Ann - has - flu", None, Some("2026-01-05"))).1);
    assert!(!id(graph.add("Ann - has - flu", None, Some("2026-01-05"))).1);
    let numbers = numbers(&graph.reader.snapshot().unwrap()).unwrap();
    assert_eq!((numbers.entities, numbers.facts, numbers.open), (4, 3, 1));
    assert_eq!(numbers.predicates, ["has", "works_on"]);
}

#[test]
fn a_fact_holds_from_its_begin_until_its_end() {
    let mut graph = Graph::new();
    graph.add("Max - uses - v1", Some("2026-01-01"), Some("2026-01-10")).unwrap();
    graph.add("Max - uses - v2", Some("2026-01-11T00:00:00Z"), None).unwrap();
    assert_eq!(graph.objects("Max", Some("2025-12-31")), Vec::<String>::new());
    assert_eq!(graph.objects("Max", Some("2026-01-10T23:59:58Z")), ["v1"]);
    assert_eq!(graph.objects("Max", Some("2026-01-10T23:59:59Z")), Vec::<String>::new());
    assert_eq!(graph.objects("Max", Some("2026-01-11")), ["v2"]);
    assert_eq!(graph.objects("Max", None), ["v1", "v2"]);
}

#[test]
fn what_is_superseded_ends_where_the_next_begins() {
    let mut graph = Graph::new();
    graph.add("Max - works at - A", Some("2026-01-01"), None).unwrap();
    let now = graph.now();
    let at = "2026-03-01T00:00:00Z".to_owned();
    let command = Supersede { claim: claim("Max - works at - A"), new_object: "B".into(), at, now };
    let Recorded { existed, ended, .. } = graph.run(&command).unwrap();
    assert_eq!((existed, ended.len()), (false, 1));
    assert_eq!(graph.objects("Max", Some("2026-03-01")), ["B"]);
    assert_eq!(graph.objects("Max", Some("2026-02-28")), ["A"]);
}

#[test]
fn an_end_before_the_begin_changes_nothing() {
    let mut graph = Graph::new();
    assert!(graph.add("Max - has - x", Some("2026-02-01"), Some("2026-01-01")).is_err());
    graph.add("Max - has - y", Some("2026-02-01"), None).unwrap();
    let now = graph.now();
    let end =
        |ended: &str| Invalidate { claim: claim("Max - has - y"), ended: ended.into(), now: now.clone() };
    let ended = end("2026-01-01");
    assert!(graph.run(&ended).is_err());
    assert_eq!(numbers(&graph.reader.snapshot().unwrap()).unwrap().facts, 1);
    let ended = end("2026-02-01");
    assert_eq!(graph.run(&ended).unwrap().len(), 1);
    assert!(graph.run(&ended).unwrap().is_empty());
}

#[test]
fn part_of_a_name_finds_the_one_entity_it_may_mean() {
    let mut graph = Graph::new();
    graph.add("Max Weber - lives in - Berlin", None, None).unwrap();
    graph.add("Ann Weber - lives in - Berlin", None, None).unwrap();
    let snapshot = graph.reader.snapshot().unwrap();
    let found = |name| about(&snapshot, name, At::default(), Direction::Both).unwrap();
    assert_eq!(found("max").resolved.as_deref(), Some("Max Weber"));
    let several = found("weber");
    assert_eq!((several.facts.len(), several.candidates.len()), (0, 2));
    assert!(found("ma").candidates.is_empty() && found("eber").candidates.is_empty());
    assert_eq!(found("Berlin").facts.len(), 2);
}

#[test]
fn the_timeline_is_in_the_order_of_begins() {
    let mut graph = Graph::new();
    for (said, from) in
        [("A - r - x", None), ("A - r - y", Some("2026-02-01")), ("B - r - x", Some("2026-01-01"))]
    {
        graph.add(said, from, None).unwrap();
    }
    let snapshot = graph.reader.snapshot().unwrap();
    let begins = |entity, limit, offset| {
        let (facts, total) = timeline(&snapshot, entity, limit, offset).unwrap();
        (facts.into_iter().map(|named| named.fact.valid_from.unwrap_or_default()).collect::<Vec<_>>(), total)
    };
    assert_eq!(begins(None, 10, 0), (vec!["2026-01-01".into(), "2026-02-01".into(), String::new()], 3));
    assert_eq!(begins(None, 1, 1), (vec!["2026-02-01".into()], 3));
    assert_eq!(begins(Some("a"), 10, 0), (vec!["2026-02-01".into(), String::new()], 2));
}

/// The recorded end of a fact used to overwrite that there was none: what had been believed was lost.
#[test]
fn what_was_believed_can_be_asked_after_it_changed() {
    let mut graph = Graph::new();
    let at = |seconds: i64| Moment {
        utc: Timestamp(seconds * 1_000),
        local: format!("2026-01-31T09:00:00.{seconds:06}"),
    };
    let mut new = |said: &str, now: i64| {
        let add = NewFact {
            claim: claim(said),
            valid_from: Some("1969-01-01".into()),
            valid_to: None,
            source_closet: None,
            source_file: None,
            source_drawer_id: None,
            now: at(now),
        };
        graph.run(&add).unwrap();
    };
    new("Max - works at - A", 10);
    new("Max - works at - B", 20);
    let ended = Invalidate { claim: claim("Max - works at - A"), ended: "1969-06-01".into(), now: at(30) };
    graph.run(&ended).unwrap();
    let now = At { valid: Some("1970-01-01T00:00:40Z"), known: None };
    assert_eq!(graph.believed("Max", now), ["B"]);
    let believed = |known: &str| graph.believed("Max", At { known: Some(known), ..now });
    assert_eq!(believed("1970-01-01T00:00:09Z"), Vec::<String>::new());
    assert_eq!(believed("1970-01-01T00:00:15Z"), ["A"]);
    assert_eq!(believed("1970-01-01T00:00:29Z"), ["A", "B"]);
    assert_eq!(believed("1970-01-01T00:00:30Z"), ["B"]);
    assert_eq!(believed("1970-01-01"), ["B"], "a date alone is the end of its day");
    assert_eq!(believed("1969-12-31"), Vec::<String>::new());
}

#[test]
fn facts_of_one_second_keep_the_order_of_recording() {
    let mut graph = Graph::new();
    let now = graph.now();
    for object in ["z", "a", "m", "b"] {
        let add = NewFact {
            claim: claim(&format!("Max - says - {object}")),
            valid_from: None,
            valid_to: None,
            source_closet: None,
            source_file: None,
            source_drawer_id: None,
            now: now.clone(),
        };
        graph.run(&add).unwrap();
    }
    assert_eq!(graph.objects("Max", None), ["z", "a", "m", "b"]);
    let snapshot = graph.reader.snapshot().unwrap();
    for entity in [None, Some("Max")] {
        let objects = |limit, offset| -> Vec<String> {
            let (facts, _) = timeline(&snapshot, entity, limit, offset).unwrap();
            facts.into_iter().map(|named| named.object).collect()
        };
        assert_eq!(objects(10, 0), ["z", "a", "m", "b"]);
        assert_eq!(objects(2, 1), ["a", "m"]);
    }
}
