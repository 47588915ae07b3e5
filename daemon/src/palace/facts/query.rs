//! Questions to the knowledge graph.

use crate::engine::{Collection, ReadError, RecordRange, View};
use crate::palace::{dates, records};

use super::{Entity, Fact, by_entity, end_key, entity_id, start_key};

/// Entities proposed for a name that is none.
const CANDIDATE_COUNT_MAX: usize = 5;
/// Shortest name for which entities are proposed, in characters.
const CANDIDATE_CHARS_MIN: usize = 3;

/// Which ends of an entity's facts to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Facts whose subject it is.
    Outgoing,
    /// Facts whose object it is.
    Incoming,
    /// Both.
    Both,
}

/// A fact with the names of its entities.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// The fact.
    pub fact: Fact,
    /// Name of the subject.
    pub subject: String,
    /// Name of the object.
    pub object: String,
    /// Whether the entity asked about is the subject.
    pub outgoing: bool,
}

/// What is known about an entity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// Facts, outgoing ones first.
    pub facts: Vec<Named>,
    /// The entity that was meant, when the name was only part of it.
    pub resolved: Option<String>,
    /// Entities that may have been meant, when there is no such one: id and name.
    pub candidates: Vec<(String, String)>,
}

/// Numbers of the graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Entities.
    pub entities: u64,
    /// Facts.
    pub facts: u64,
    /// Facts without an end.
    pub open: u64,
    /// Predicates, sorted.
    pub predicates: Vec<String>,
}

/// Which time is asked about: none is ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At<'a> {
    /// Only what held then.
    pub valid: Option<&'a str>,
    /// Only what was recorded by then, as it was recorded; a date alone is the end of its day.
    pub known: Option<&'a str>,
}

impl At<'_> {
    /// Returns a fact as it was known, if it was known and held.
    fn admit(&self, fact: Fact) -> Option<Fact> {
        let fact = match self.known {
            Some(known) => fact.as_known_at(known)?,
            None => fact,
        };
        self.valid.is_none_or(|valid| fact.holds_at(valid)).then_some(fact)
    }
}

impl Fact {
    /// Returns the fact as it was known at an instant, `None` when it was not recorded yet. What says no time was known
    /// always.
    pub fn as_known_at(mut self, known: &str) -> Option<Fact> {
        let known = instant(&end_key(known));
        let is_later =
            |recorded: &str| matches!((instant(recorded), &known), (Some(at), Some(known)) if at > *known);
        if is_later(&self.extracted_at) {
            return None;
        }
        if self.ended_at.as_deref().is_some_and(is_later) {
            self.ended_at = None;
            self.valid_to = None;
        }
        Some(self)
    }

    /// Tells whether the fact holds at an instant.
    pub fn holds_at(&self, as_of: &str) -> bool {
        let as_of = start_key(as_of);
        self.valid_from.as_deref().is_none_or(|from| start_key(from) <= as_of)
            && self.valid_to.as_deref().is_none_or(|to| end_key(to) > as_of)
    }
}

/// Returns a recorded time in the form in which order of text is order of time.
fn instant(recorded: &str) -> Option<String> {
    dates::bound(recorded, "time").ok()
}

/// Returns what is known about an entity, at one instant or ever.
///
/// # Errors
/// When the store cannot be read.
pub fn about(view: &dyn View, name: &str, at: At<'_>, direction: Direction) -> Result<About, ReadError> {
    let id = entity_id(name);
    let facts = named(view, &id, name, at, direction)?;
    if !facts.is_empty() || view.record(Collection::Entities, id.as_bytes())?.is_some() {
        return Ok(About { facts, ..About::default() });
    }
    let candidates = candidates(view, name)?;
    let [(id, found)] = candidates.as_slice() else {
        return Ok(About { candidates, ..About::default() });
    };
    let facts = named(view, id, found, at, direction)?;
    let resolved = (!facts.is_empty()).then(|| found.clone());
    let candidates = if facts.is_empty() { candidates } else { Vec::new() };
    Ok(About { facts, resolved, candidates })
}

fn named(
    view: &dyn View,
    id: &str,
    name: &str,
    at: At<'_>,
    direction: Direction,
) -> Result<Vec<Named>, ReadError> {
    let facts: Vec<Fact> = of_entity(view, id)?.into_iter().filter_map(|fact| at.admit(fact)).collect();
    let mut found = Vec::new();
    if direction != Direction::Incoming {
        for fact in facts.iter().filter(|fact| fact.subject == id) {
            let object = name_of(view, &fact.object)?;
            found.push(Named { fact: fact.clone(), subject: name.to_owned(), object, outgoing: true });
        }
    }
    if direction != Direction::Outgoing {
        for fact in facts.iter().filter(|fact| fact.object == id) {
            let subject = name_of(view, &fact.subject)?;
            found.push(Named { fact: fact.clone(), subject, object: name.to_owned(), outgoing: false });
        }
    }
    Ok(found)
}

/// Returns all facts that begin or end at an entity, in the order in which they were recorded.
pub(in crate::palace) fn of_entity(view: &dyn View, id: &str) -> Result<Vec<Fact>, ReadError> {
    let mut facts = fetch(view, records::tails(view, Collection::FactsByEntity, &by_entity(id, ""))?)?;
    let order = |fact: &Fact| (instant(&fact.extracted_at), fact.sequence, fact.id.clone());
    facts.sort_by_cached_key(order);
    Ok(facts)
}

fn fetch(view: &dyn View, ids: Vec<String>) -> Result<Vec<Fact>, ReadError> {
    let mut facts = Vec::with_capacity(ids.len());
    for id in ids {
        match records::get(view, Collection::Facts, id.as_bytes())? {
            Some(fact) => facts.push(fact),
            None => {
                let detail = "an index entry without its fact".to_owned();
                return Err(ReadError::Damaged { table: "facts", key: id, detail });
            }
        }
    }
    Ok(facts)
}

fn name_of(view: &dyn View, id: &str) -> Result<String, ReadError> {
    let entity: Option<Entity> = records::get(view, Collection::Entities, id.as_bytes())?;
    Ok(entity.map_or_else(|| id.to_owned(), |entity| entity.name))
}

/// Returns entities of whose name the given one is a whole word or several, at most five; never a mere substring.
fn candidates(view: &dyn View, name: &str) -> Result<Vec<(String, String)>, ReadError> {
    let wanted = entity_id(name.trim());
    if wanted.chars().count() < CANDIDATE_CHARS_MIN {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    records::each(view, Collection::Entities, &RecordRange::default(), |entity: Entity| {
        let padded = format!("_{}_", entity.id);
        if padded.contains(&format!("_{wanted}_")) {
            found.push((entity.id, entity.name));
        }
        found.len() < CANDIDATE_COUNT_MAX
    })?;
    Ok(found)
}

/// Returns a page of facts by the begin of their validity, those without one last, and how many there are in all.
///
/// # Errors
/// When the store cannot be read.
pub fn timeline(
    view: &dyn View,
    entity: Option<&str>,
    limit: usize,
    offset: usize,
) -> Result<(Vec<Named>, u64), ReadError> {
    let (facts, total) = match entity {
        Some(name) => {
            let mut facts = of_entity(view, &entity_id(name))?;
            facts.sort_by_key(super::by_time);
            let total = facts.len() as u64;
            (facts.into_iter().skip(offset).take(limit).collect(), total)
        }
        None => {
            let mut ids = Vec::new();
            let mut at = 0;
            view.records(Collection::FactsByTime, &RecordRange::default(), &mut |key, _| {
                if at >= offset {
                    let id = key.iter().rposition(|byte| *byte == 0).map_or(key, |end| &key[end + 1..]);
                    ids.push(String::from_utf8_lossy(id).into_owned());
                }
                at += 1;
                ids.len() < limit
            })?;
            (fetch(view, ids)?, view.record_count(Collection::Facts)?)
        }
    };
    let facts = facts.into_iter().map(|fact| {
        let (subject, object) = (name_of(view, &fact.subject)?, name_of(view, &fact.object)?);
        Ok(Named { fact, subject, object, outgoing: true })
    });
    Ok((facts.collect::<Result<_, ReadError>>()?, total))
}

/// Returns the numbers of the graph; takes no longer when it is large.
///
/// # Errors
/// When the store cannot be read.
pub fn numbers(view: &dyn View) -> Result<Numbers, ReadError> {
    Ok(Numbers {
        entities: view.record_count(Collection::Entities)?,
        facts: view.record_count(Collection::Facts)?,
        open: view.record_count(Collection::OpenFacts)?,
        predicates: records::tails(view, Collection::Predicates, &[])?,
    })
}

/// Returns names of entities that begin with `prefix`, whatever its case.
///
/// # Errors
/// When the store cannot be read.
pub fn entities_beginning(view: &dyn View, prefix: &str, limit: usize) -> Result<Vec<String>, ReadError> {
    let mut names = Vec::new();
    let range = RecordRange::under(entity_id(prefix));
    records::each(view, Collection::Entities, &range, |entity: Entity| {
        names.push(entity.name);
        names.len() < limit
    })?;
    Ok(names)
}
