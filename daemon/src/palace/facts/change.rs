//! What changes the graph: facts recorded, ended, superseded. Values are checked before these exist.

use crate::engine::{Collection, Op, ReadError, View};
use crate::palace::command::{Command, Decided};
use crate::palace::moment::Moment;
use crate::palace::{ids, records};

use super::{Claim, Entity, Fact, end_key, put, query, start_key};

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
