//! The knowledge graph: entities, and facts between them that hold for a time.
//!
//! A fact is never rewritten but for its end, so that the graph can be asked what held at any moment, and when its end was
//! recorded is kept beside when it was recorded itself, so that it can be asked what was believed at any. Validity is half
//! open, `[valid_from, valid_to)`; a date without a time begins at its midnight and, as an end, covers its whole day.
//! Entity ids, fact ids and these rules are MemPalace's, so that imported facts and ours are one graph.

mod change;
pub mod query;

use serde::{Deserialize, Serialize};

use crate::engine::{Collection, Op};

use super::records;

pub use change::{Invalidate, Inverted, NewFact, Recorded, Supersede};

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
