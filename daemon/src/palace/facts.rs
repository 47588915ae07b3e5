//! The knowledge graph: entities, and facts between them that hold for a time.
//!
//! A fact is never rewritten but for its end, so that the graph can be asked what held at any moment, and when its end was
//! recorded is kept beside when it was recorded itself, so that it can be asked what was believed at any. Validity is half
//! open, `[valid_from, valid_to)`; a date without a time begins at its midnight and, as an end, covers its whole day.
//! Entity ids, fact ids and these rules are MemPalace's, so that imported facts and ours are one graph.

pub mod query;

use serde::{Deserialize, Serialize};

use crate::engine::{Collection, Op, ReadError, View};

use super::command::{Command, Decided};
use super::ids;
use super::moment::Moment;
use super::records;

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// Id by [`entity_id`].
    pub id: String,
    /// Name as it was first given.
    pub name: String,
    /// Kind: person, project, `unknown`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Free properties.
    #[serde(default)]
    pub properties: serde_json::Map<String, serde_json::Value>,
    /// When it was first named, UTC.
    pub created_at: String,
}

/// An edge with its validity and where it was learned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Id by the peer's recipe.
    pub id: String,
    /// Entity id.
    pub subject: String,
    /// Predicate in lower case with underscores.
    pub predicate: String,
    /// Entity id.
    pub object: String,
    /// Holds from here; without it, always has.
    pub valid_from: Option<String>,
    /// Held until here; without it, still does.
    pub valid_to: Option<String>,
    /// Between 0 and 1.
    pub confidence: f64,
    /// Closet it was read in.
    pub source_closet: Option<String>,
    /// File it was read in.
    pub source_file: Option<String>,
    /// Drawer it was read in.
    pub source_drawer_id: Option<String>,
    /// What extracted it.
    #[serde(default)]
    pub adapter_name: Option<String>,
    /// When it was recorded, UTC.
    pub extracted_at: String,
    /// When its end was recorded, UTC; without one the end, if it has any, was known from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Place in the order of recording, from 1; imported facts have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
}

/// Ends the open facts that say this. Values of all changes of the graph are checked before these exist.
#[derive(Clone, Debug)]
pub struct Invalidate {
    /// What is said.
    pub claim: Claim,
    /// End of their validity.
    pub ended: String,
    /// When this is recorded.
    pub now: Moment,
}

/// Ends what was said and opens what is said instead, at one instant.
#[derive(Clone, Debug)]
pub struct Supersede {
    /// What was said.
    pub claim: Claim,
    /// Name of the new object.
    pub new_object: String,
    /// The instant.
    pub at: String,
    /// When this is recorded.
    pub now: Moment,
}

/// Subject, predicate and object as the caller names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Name of the subject.
    pub subject: String,
    /// Predicate.
    pub predicate: String,
    /// Name of the object.
    pub object: String,
}

/// A fact to be recorded.
#[derive(Clone, Debug)]
pub struct NewFact {
    /// What it says.
    pub claim: Claim,
    /// Begin of its validity.
    pub valid_from: Option<String>,
    /// End of its validity.
    pub valid_to: Option<String>,
    /// Closet it was read in.
    pub source_closet: Option<String>,
    /// File it was read in.
    pub source_file: Option<String>,
    /// Drawer it was read in.
    pub source_drawer_id: Option<String>,
    /// When it is recorded.
    pub now: Moment,
}

/// A fact that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its id.
    pub id: String,
    /// Whether it was there before.
    pub existed: bool,
    /// Ids of facts that ended for it.
    pub ended: Vec<String>,
}

/// A validity would end before it begins; nothing was changed. The text says which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inverted(pub String);

impl Claim {
    fn ids(&self) -> (String, String, String) {
        (entity_id(&self.subject), predicate(&self.predicate), entity_id(&self.object))
    }
}

/// Returns an entity's id: its name in lower case, spaces as underscores, without apostrophes.
pub fn entity_id(name: &str) -> String {
    name.to_lowercase().replace(' ', "_").replace('\'', "")
}

/// Returns a predicate as it is stored.
pub fn predicate(text: &str) -> String {
    text.to_lowercase().replace(' ', "_")
}

/// Returns the instant at which something that begins with `value` begins.
pub fn start_key(value: &str) -> String {
    if value.contains('T') { value.to_owned() } else { format!("{value}T00:00:00Z") }
}

/// Returns the instant at which something that ends with `value` ends.
pub fn end_key(value: &str) -> String {
    if value.contains('T') { value.to_owned() } else { format!("{value}T23:59:59Z") }
}

impl Command for NewFact {
    type Outcome = Result<Recorded, Inverted>;

    fn decide(&self, view: &dyn View) -> Decided<Self::Outcome> {
        if let (Some(from), Some(to)) = (&self.valid_from, &self.valid_to)
            && end_key(to) < start_key(from)
        {
            return Ok((Vec::new(), Err(inverted("valid_to", to, from))));
        }
        let mut ops = Vec::new();
        let (id, existed) = open_or_insert(view, self, &mut ops)?;
        Ok((ops, Ok(Recorded { id, existed, ended: Vec::new() })))
    }
}

impl Command for Invalidate {
    /// Ids of the facts that ended; there may have been none.
    type Outcome = Result<Vec<String>, Inverted>;

    fn decide(&self, view: &dyn View) -> Decided<Self::Outcome> {
        let mut ops = Vec::new();
        let ended = end(view, &self.claim, &self.ended, &self.now, &mut ops)?;
        Ok((ops, ended))
    }
}

impl Command for Supersede {
    type Outcome = Result<Recorded, Inverted>;

    fn decide(&self, view: &dyn View) -> Decided<Self::Outcome> {
        let mut ops = Vec::new();
        let ended = match end(view, &self.claim, &self.at, &self.now, &mut ops)? {
            Ok(ids) => ids,
            Err(inverted) => return Ok((Vec::new(), Err(inverted))),
        };
        let new = NewFact {
            claim: Claim { object: self.new_object.clone(), ..self.claim.clone() },
            valid_from: Some(self.at.clone()),
            valid_to: None,
            source_closet: None,
            source_file: None,
            source_drawer_id: None,
            now: self.now.clone(),
        };
        // The same claim again: it has just ended, and is opened anew.
        let (id, existed) = if new.claim == self.claim && !ended.is_empty() {
            (insert(view, &new, &mut ops)?, false)
        } else {
            open_or_insert(view, &new, &mut ops)?
        };
        Ok((ops, Ok(Recorded { id, existed, ended })))
    }
}

fn inverted(field: &str, end: &str, begin: &str) -> Inverted {
    Inverted(format!(
        "{field}={end:?} is before valid_from={begin:?}: the fact would never hold; nothing was stored"
    ))
}

/// Returns the open fact that says the same, or records a new one.
fn open_or_insert(view: &dyn View, new: &NewFact, ops: &mut Vec<Op>) -> Result<(String, bool), ReadError> {
    match open_facts(view, &new.claim)?.into_iter().next() {
        Some(open) => Ok((open.id, true)),
        None => Ok((insert(view, new, ops)?, false)),
    }
}

fn insert(view: &dyn View, new: &NewFact, ops: &mut Vec<Op>) -> Result<String, ReadError> {
    let (subject, predicate, object) = new.claim.ids();
    let now = new.now.utc_seconds();
    for (id, name) in [(&subject, &new.claim.subject), (&object, &new.claim.object)] {
        if view.record(Collection::Entities, id.as_bytes())?.is_none() {
            let entity = Entity {
                id: id.clone(),
                name: name.clone(),
                kind: "unknown".to_owned(),
                properties: serde_json::Map::new(),
                created_at: now.clone(),
            };
            ops.push(records::put(Collection::Entities, id.as_bytes(), &entity));
        }
    }
    let fact = Fact {
        id: ids::fact(&subject, &predicate, &object, new.valid_from.as_deref(), &new.now.local),
        subject,
        predicate,
        object,
        valid_from: new.valid_from.clone(),
        valid_to: new.valid_to.clone(),
        confidence: 1.0,
        source_closet: new.source_closet.clone(),
        source_file: new.source_file.clone(),
        source_drawer_id: new.source_drawer_id.clone(),
        adapter_name: None,
        extracted_at: now,
        ended_at: None,
        sequence: Some(view.record_count(Collection::Facts)? + 1),
    };
    let known: u64 =
        records::get(view, Collection::Predicates, fact.predicate.as_bytes())?.unwrap_or_default();
    ops.push(records::put(Collection::Predicates, fact.predicate.as_bytes(), &(known + 1)));
    ops.extend(put(&fact));
    Ok(fact.id)
}

/// Returns the operations that store a fact with its index entries.
pub(super) fn put(fact: &Fact) -> Vec<Op> {
    let mut ops = vec![records::put(Collection::Facts, fact.id.as_bytes(), fact)];
    ops.extend(index_keys(fact).into_iter().map(|(index, key)| records::put(index, key, &())));
    ops
}

/// Returns the index entries of a fact.
pub(super) fn index_keys(fact: &Fact) -> Vec<(Collection, Vec<u8>)> {
    let mut keys = vec![(Collection::FactsByTime, by_time(fact))];
    for entity in [&fact.subject, &fact.object] {
        keys.push((Collection::FactsByEntity, by_entity(entity, &fact.id)));
    }
    if fact.valid_to.is_none() {
        keys.push((Collection::OpenFacts, fact.id.as_bytes().to_vec()));
    }
    keys
}

/// Ends the open facts that say this, and returns their ids, or refuses an end before a begin.
fn end(
    view: &dyn View,
    claim: &Claim,
    at: &str,
    now: &Moment,
    ops: &mut Vec<Op>,
) -> Result<Result<Vec<String>, Inverted>, ReadError> {
    let open = open_facts(view, claim)?;
    for fact in &open {
        if let Some(from) = &fact.valid_from
            && end_key(at) < start_key(from)
        {
            return Ok(Err(inverted("the end", at, from)));
        }
    }
    let mut ended = Vec::new();
    for mut fact in open {
        fact.valid_to = Some(at.to_owned());
        fact.ended_at = Some(now.utc_seconds());
        ops.push(records::put(Collection::Facts, fact.id.as_bytes(), &fact));
        ops.push(records::delete(Collection::OpenFacts, fact.id.as_bytes()));
        ended.push(fact.id);
    }
    Ok(Ok(ended))
}

/// Returns the facts without an end that say this.
fn open_facts(view: &dyn View, claim: &Claim) -> Result<Vec<Fact>, ReadError> {
    let (subject, predicate, object) = claim.ids();
    let mut open = query::of_entity(view, &subject)?;
    open.retain(|fact| {
        fact.valid_to.is_none()
            && fact.subject == subject
            && fact.predicate == predicate
            && fact.object == object
    });
    Ok(open)
}

fn by_entity(entity: &str, fact: &str) -> Vec<u8> {
    let mut key = records::key(&[entity]);
    key.extend_from_slice(fact.as_bytes());
    key
}

/// Facts without a begin come last, as the peer lists them; those that begin together in the order of recording, after
/// imported ones. `~` sorts after every begin of an id.
fn by_time(fact: &Fact) -> Vec<u8> {
    let begin = fact.valid_from.as_deref().unwrap_or("\u{10FFFF}");
    let mut key = match fact.sequence {
        Some(sequence) => records::key(&[begin, &format!("~{sequence:016x}")]),
        None => records::key(&[begin]),
    };
    key.extend_from_slice(fact.id.as_bytes());
    key
}

#[cfg(test)]
mod tests;
