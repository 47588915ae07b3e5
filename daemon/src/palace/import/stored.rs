//! Whether a record that was imported is in the palace: the other half of [`super::decide`], for proofs.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::engine::{Collection, ReadError, View};
use crate::palace::events::Event;
use crate::palace::facts::{self, Fact};
use crate::palace::records;

use super::Imported;

/// What the palace holds of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The same, or the same fact under another id.
    Same,
    /// Another one under this id.
    Different,
    /// Nothing.
    Missing,
}

/// Returns what a palace holds of a record.
///
/// # Errors
/// When the state cannot be read.
pub fn held(view: &dyn View, record: &Imported) -> Result<Held, ReadError> {
    match record {
        Imported::Entity(entity) => plain(view, Collection::Entities, entity.id.as_bytes(), entity),
        Imported::Fact(fact) => {
            let found = plain(view, Collection::Facts, fact.id.as_bytes(), fact)?;
            let is_twin = found != Held::Same
                && fact.valid_to.is_none()
                && open_facts_of(view, &fact.subject)?.iter().any(|other| same_claim(other, fact));
            Ok(if is_twin { Held::Same } else { found })
        }
        Imported::Tunnel(tunnel) => plain(view, Collection::Tunnels, tunnel.id.as_bytes(), tunnel),
        Imported::Hallway(hallway) => plain(view, Collection::Hallways, hallway.id.as_bytes(), hallway),
        Imported::Event(event) => {
            let seq: Option<u64> = records::get(view, Collection::EventIds, event.id.as_bytes())?;
            let Some(seq) = seq else { return Ok(Held::Missing) };
            // The place in the stream is the palace's own.
            plain(view, Collection::Events, &seq.to_be_bytes(), &Event { seq, ..event.clone() })
        }
        Imported::Artifact(artifact) => plain(view, Collection::Artifacts, artifact.id.as_bytes(), artifact),
        Imported::Closet { source_file, id, card } => {
            plain(view, Collection::Closets, &closet_key(source_file, id), card)
        }
        Imported::Setting { name, value } => plain(view, Collection::Settings, name.as_bytes(), value),
    }
}

/// Returns the key of an index card.
pub(super) fn closet_key(source_file: &str, id: &str) -> Vec<u8> {
    let mut key = records::key(&[source_file]);
    key.extend_from_slice(id.as_bytes());
    key
}

/// Tells whether two facts claim the same for the same time.
pub(super) fn same_claim(left: &Fact, right: &Fact) -> bool {
    (&left.subject, &left.predicate, &left.object) == (&right.subject, &right.predicate, &right.object)
        && (&left.valid_from, &left.valid_to) == (&right.valid_from, &right.valid_to)
}

/// Returns the facts of a subject that still hold.
pub(super) fn open_facts_of(view: &dyn View, subject: &str) -> Result<Vec<Fact>, ReadError> {
    let mut facts = facts::query::of_entity(view, subject)?;
    facts.retain(|fact| fact.subject == subject && fact.valid_to.is_none());
    Ok(facts)
}

fn plain<T: Serialize + DeserializeOwned>(
    view: &dyn View,
    collection: Collection,
    key: &[u8],
    record: &T,
) -> Result<Held, ReadError> {
    let there: Option<T> = records::get(view, collection, key)?;
    let value = |record: &T| -> Value { serde_json::to_value(record).expect("records have text keys") };
    Ok(match there {
        None => Held::Missing,
        Some(there) if value(&there) == value(record) => Held::Same,
        Some(_) => Held::Different,
    })
}
