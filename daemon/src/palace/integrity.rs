//! Whether the records beside the rows agree with each other, and what brings them to it.
//!
//! The engine checks that each record is what was written; here it is checked that together they mean something: facts
//! have their entities, every index of facts and events leads both ways, counts are counts. The indexes follow from facts
//! and events alone, so whatever does not agree can be written anew.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Collection, Op, ReadError, RecordRange, View};

use super::events::{self, Event};
use super::facts::{self, Fact};
use super::records;

/// What this looks at, for reports.
pub const CHECKED: [&str; 2] = [
    "knowledge graph: entities of every fact, indexes by entity, time, openness and predicate, both ways",
    "event stream: ids and places both ways, artifacts that events name",
];

/// The collections that follow from others, as reports name them.
const DERIVED: [(Collection, &str); 5] = [
    (Collection::FactsByEntity, "facts by entity"),
    (Collection::FactsByTime, "facts by time"),
    (Collection::OpenFacts, "open facts"),
    (Collection::Predicates, "predicates"),
    (Collection::EventIds, "event ids"),
];

/// What the records beside the rows say about each other.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// What does not agree, each naming the record.
    pub problems: Vec<String>,
    /// What leads to something that is not there and may never have been: other programs left such facts and events.
    pub notices: Vec<String>,
}

/// Compares them.
///
/// # Errors
/// When the store cannot be read. A record that fails its checks is the engine's to report, and ends this check with
/// its name.
pub fn check(view: &dyn View) -> Result<Agreement, ReadError> {
    let Expected { entries, notices } = Expected::of(view)?;
    let problems = differences(view, &entries)?.iter().map(Difference::told).collect();
    Ok(Agreement { problems, notices })
}

/// Returns the operations after which the indexes say what facts and events say; none if they do.
///
/// # Errors
/// As [`check`].
pub fn mend(view: &dyn View) -> Result<Vec<Op>, ReadError> {
    let expected = Expected::of(view)?;
    Ok(differences(view, &expected.entries)?.into_iter().map(Difference::mended).collect())
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// What the indexes must say.
#[derive(Default)]
struct Expected {
    entries: BTreeMap<&'static str, Entries>,
    notices: Vec<String>,
}

impl Expected {
    fn of(view: &dyn View) -> Result<Expected, ReadError> {
        let mut expected = Expected::default();
        expected.facts(view)?;
        expected.events(view)?;
        Ok(expected)
    }

    /// Takes what an operation would put, if it is of an index.
    fn take(&mut self, op: Op) {
        let Op::PutRecord { collection, key, value } = op else { return };
        if let Some((_, name)) = DERIVED.iter().find(|(derived, _)| *derived == collection) {
            self.entries.entry(name).or_default().insert(key, value);
        }
    }

    fn facts(&mut self, view: &dyn View) -> Result<(), ReadError> {
        let entities = keys(view, Collection::Entities)?;
        let mut predicates: BTreeMap<String, u64> = BTreeMap::new();
        records::each(view, Collection::Facts, &RecordRange::default(), |fact: Fact| {
            for entity in [&fact.subject, &fact.object] {
                if !entities.contains(entity.as_bytes()) {
                    self.notices.push(format!("fact {}: entity {entity} does not exist", fact.id));
                }
            }
            facts::put(&fact).into_iter().for_each(|op| self.take(op));
            *predicates.entry(fact.predicate).or_default() += 1;
            true
        })?;
        for (predicate, count) in predicates {
            self.take(records::put(Collection::Predicates, predicate, &count));
        }
        Ok(())
    }

    fn events(&mut self, view: &dyn View) -> Result<(), ReadError> {
        let artifacts = keys(view, Collection::Artifacts)?;
        records::each(view, Collection::Events, &RecordRange::default(), |event: Event| {
            for artifact in &event.artifact_ids {
                if !artifacts.contains(artifact.as_bytes()) {
                    self.notices.push(format!("event {}: artifact {artifact} does not exist", event.id));
                }
            }
            events::put(&event).into_iter().for_each(|op| self.take(op));
            true
        })
    }
}

fn keys(view: &dyn View, collection: Collection) -> Result<BTreeSet<Vec<u8>>, ReadError> {
    let mut found = BTreeSet::new();
    view.records(collection, &RecordRange::default(), &mut |key, _| {
        found.insert(key.to_vec());
        true
    })?;
    Ok(found)
}

/// An entry of an index that is not what it must be.
struct Difference {
    collection: Collection,
    name: &'static str,
    key: Vec<u8>,
    is: Option<Vec<u8>>,
    must: Option<Vec<u8>>,
}

impl Difference {
    fn told(&self) -> String {
        let key = String::from_utf8_lossy(&self.key).replace('\0', " ");
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        match (&self.is, &self.must) {
            (Some(is), Some(must)) => format!("{}: {key} is {} and not {}", self.name, text(is), text(must)),
            (None, _) => format!("{}: {key} is missing", self.name),
            (_, None) => format!("{}: {key} leads nowhere", self.name),
        }
    }

    fn mended(self) -> Op {
        let Difference { collection, key, must, .. } = self;
        match must {
            Some(value) => Op::PutRecord { collection, key, value },
            None => Op::DeleteRecord { collection, key },
        }
    }
}

fn differences(
    view: &dyn View,
    expected: &BTreeMap<&'static str, Entries>,
) -> Result<Vec<Difference>, ReadError> {
    let mut differences = Vec::new();
    for (collection, name) in DERIVED {
        let mut wanted = expected.get(name).cloned().unwrap_or_default();
        view.records(collection, &RecordRange::default(), &mut |key, value| {
            let must = wanted.remove(key);
            // A predicate of facts that are gone may stay with a count of none.
            let is_idle = must.is_none() && collection == Collection::Predicates && value == b"0";
            if must.as_deref() != Some(value) && !is_idle {
                let (key, is) = (key.to_vec(), Some(value.to_vec()));
                differences.push(Difference { collection, name, key, is, must });
            }
            true
        })?;
        let missing = wanted.into_iter();
        differences.extend(missing.map(|(key, must)| Difference {
            collection,
            name,
            key,
            is: None,
            must: Some(must),
        }));
    }
    Ok(differences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::palace::decide::tests::State;
    use crate::palace::facts::Entity;
    use crate::palace::import::{ImportBatch, Imported};

    fn state() -> State {
        let entity = |id: &str| {
            Imported::Entity(Entity {
                id: id.into(),
                name: id.into(),
                kind: "unknown".into(),
                properties: serde_json::Map::new(),
                created_at: String::new(),
            })
        };
        let fact = Fact {
            id: "t1".into(),
            subject: "ada".into(),
            predicate: "keeps".into(),
            object: "light".into(),
            ..Fact::default()
        };
        let records = vec![entity("ada"), entity("light"), Imported::Fact(fact)];
        let mut state = State::default();
        state.run(&ImportBatch { records, ..ImportBatch::default() });
        state
    }

    #[test]
    fn what_agrees_is_quiet() {
        assert_eq!(check(&state()).unwrap(), Agreement::default());
    }

    #[test]
    fn every_lack_is_named() {
        let sound = state();
        for key in sound.1.keys() {
            let mut state = state();
            state.1.remove(key);
            let found = check(&state).unwrap();
            assert_ne!(found, Agreement::default(), "without {key:?} nothing is noticed");
        }
    }

    #[test]
    fn indexes_are_written_anew() {
        let sound = state();
        let derived = |key: &&(String, Vec<u8>)| !["Facts", "Entities"].contains(&key.0.as_str());
        for key in sound.1.keys().filter(derived) {
            for change in [None, Some(b"7".to_vec())] {
                let mut state = state();
                match change {
                    None => state.1.remove(key),
                    Some(other) => state.1.insert(key.clone(), other),
                };
                state.1.insert(("OpenFacts".into(), b"t9".to_vec()), b"null".to_vec());
                assert_eq!(check(&state).unwrap().problems.len(), 2, "{key:?}");
                for op in mend(&state).unwrap() {
                    state.apply(op);
                }
                assert_eq!(state.1, sound.1, "{key:?}");
            }
        }
    }
}
