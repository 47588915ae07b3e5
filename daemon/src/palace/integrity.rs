//! Whether the records beside the rows agree with each other. Reads only.
//!
//! The engine checks that each record is what was written; here it is checked that together they mean something: facts
//! have their entities, every index of facts and events leads both ways, counts are counts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::engine::{Collection, ReadError, RecordRange, View};

use super::events::Event;
use super::facts::{self, Entity, Fact};
use super::records;

/// What this looks at, for reports.
pub const CHECKED: [&str; 2] = [
    "knowledge graph: entities of every fact, indexes by entity, time, openness and predicate, both ways",
    "event stream: ids and places both ways, artifacts that events name",
];

/// Indexes of facts, as reports name them.
const FACT_INDEXES: [(Collection, &str); 3] = [
    (Collection::FactsByEntity, "facts by entity"),
    (Collection::FactsByTime, "facts by time"),
    (Collection::OpenFacts, "open facts"),
];
/// The index of events.
const EVENT_IDS: &str = "event ids";

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
    let mut found = Agreement::default();
    facts_agree(view, &mut found)?;
    events_agree(view, &mut found)?;
    Ok(found)
}

fn keys(view: &dyn View, collection: Collection) -> Result<BTreeSet<Vec<u8>>, ReadError> {
    let mut found = BTreeSet::new();
    view.records(collection, &RecordRange::default(), &mut |key, _| {
        found.insert(key.to_vec());
        true
    })?;
    Ok(found)
}

fn facts_agree(view: &dyn View, agreement: &mut Agreement) -> Result<(), ReadError> {
    let Agreement { problems, notices } = agreement;
    let mut entities = BTreeSet::new();
    records::each(view, Collection::Entities, &RecordRange::default(), |entity: Entity| {
        entities.insert(entity.id);
        true
    })?;
    let mut expected: HashMap<Collection, BTreeSet<Vec<u8>>> = HashMap::new();
    let mut predicates: BTreeMap<String, u64> = BTreeMap::new();
    records::each(view, Collection::Facts, &RecordRange::default(), |fact: Fact| {
        for entity in [&fact.subject, &fact.object] {
            if !entities.contains(entity) {
                notices.push(format!("fact {}: entity {entity} does not exist", fact.id));
            }
        }
        *predicates.entry(fact.predicate.clone()).or_default() += 1;
        for (index, key) in facts::index_keys(&fact) {
            expected.entry(index).or_default().insert(key);
        }
        true
    })?;
    for (index, name) in FACT_INDEXES {
        let found = keys(view, index)?;
        let wanted = expected.remove(&index).unwrap_or_default();
        problems.extend(wanted.difference(&found).map(|key| lacks(name, key)));
        problems.extend(found.difference(&wanted).map(|key| leads_nowhere(name, key)));
    }
    let mut counted = BTreeMap::new();
    view.records(Collection::Predicates, &RecordRange::default(), &mut |key, value| {
        let count: u64 = serde_json::from_slice(value).unwrap_or_default();
        counted.insert(String::from_utf8_lossy(key).into_owned(), count);
        true
    })?;
    counted.retain(|_, count| *count > 0);
    if counted != predicates {
        problems.push(format!(
            "predicates: {} are counted and {} used, or their numbers differ",
            counted.len(),
            predicates.len()
        ));
    }
    Ok(())
}

fn events_agree(view: &dyn View, agreement: &mut Agreement) -> Result<(), ReadError> {
    let Agreement { problems, notices } = agreement;
    let artifacts = keys(view, Collection::Artifacts)?;
    let mut ids = keys(view, Collection::EventIds)?;
    records::each(view, Collection::Events, &RecordRange::default(), |event: Event| {
        if !ids.remove(event.id.as_bytes()) {
            problems.push(lacks(EVENT_IDS, event.id.as_bytes()));
        }
        for artifact in &event.artifact_ids {
            if !artifacts.contains(artifact.as_bytes()) {
                notices.push(format!("event {}: artifact {artifact} does not exist", event.id));
            }
        }
        true
    })?;
    problems.extend(ids.iter().map(|key| leads_nowhere(EVENT_IDS, key)));
    Ok(())
}

fn lacks(index: &str, key: &[u8]) -> String {
    format!("{index}: {} is missing", String::from_utf8_lossy(key).replace('\0', " "))
}

fn leads_nowhere(index: &str, key: &[u8]) -> String {
    format!("{index}: {} leads nowhere", String::from_utf8_lossy(key).replace('\0', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::palace::command::Command;
    use crate::palace::decide::tests::State;
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
        state.run(&Command::Import(Box::new(ImportBatch { records, ..ImportBatch::default() })));
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
}
