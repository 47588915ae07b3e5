//! What comes from outside, as it is: rows with vectors, and the records beside them, under the ids they have there.
//!
//! Importing never changes what is there: an id that exists with the same content is left alone, one with another
//! content is left alone and named, and a drawer that was changed here stays changed. One that was removed here stays
//! removed as long as what was removed is kept; then nothing knows of it any more. So an import can be repeated,
//! interrupted and taken up again, and two imports of overlapping sources add up.

mod record;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{Collection, Op, PreparedRow, ReadError, Row, View};

use super::command::{Command, Decided};
use super::events::{self, Event};
use super::facts::{self, Fact};
use super::portable::PortableRow;
use super::{records, removed};

pub use record::Imported;
pub use stored::{Held, held};

/// Rows and records that are imported together, all or nothing.
#[derive(Clone, Debug, Default)]
pub struct ImportBatch {
    /// Rows, made ready.
    pub rows: Vec<Arc<PreparedRow>>,
    /// Records beside the rows.
    pub records: Vec<Imported>,
    /// Drawers of rows of this batch of which the import met a part before that is another one here.
    pub changed: BTreeSet<String>,
    /// Name and value of a setting in which the palace keeps its own books: the verdict on an import, the last backup.
    pub note: Option<(String, Value)>,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportOutcome {
    /// Rows that were stored.
    pub rows_new: u64,
    /// Rows that were there already.
    pub rows_same: u64,
    /// Ids that are there with another content, which was kept.
    pub rows_different: Vec<String>,
    /// Ids of drawers that were removed or changed here since, which was kept.
    #[serde(default)]
    pub rows_changed_here: Vec<String>,
    /// Records that were stored.
    pub records_new: u64,
    /// Records that were there already.
    pub records_same: u64,
    /// Names ([`Imported::name`]) of records that are there with another content, which was kept.
    pub records_different: Vec<String>,
}

impl ImportOutcome {
    /// Adds what became of another batch.
    pub fn add(&mut self, other: ImportOutcome) {
        self.rows_new += other.rows_new;
        self.rows_same += other.rows_same;
        self.rows_different.extend(other.rows_different);
        self.rows_changed_here.extend(other.rows_changed_here);
        self.records_new += other.records_new;
        self.records_same += other.records_same;
        self.records_different.extend(other.records_different);
    }
}

impl Command for ImportBatch {
    type Outcome = ImportOutcome;

    fn decide(&self, view: &dyn View) -> Decided<ImportOutcome> {
        decide(view, self)
    }
}

/// Decides what a batch adds.
fn decide(view: &dyn View, batch: &ImportBatch) -> Decided<ImportOutcome> {
    let mut import = Import {
        view,
        keeps_removed: view.record_count(Collection::Removed)? > 0,
        ops: Vec::with_capacity(batch.rows.len()),
        outcome: ImportOutcome::default(),
        predicates: BTreeMap::new(),
        open_facts: BTreeMap::new(),
        changed_here: batch.changed.iter().map(|id| (id.clone(), true)).collect(),
        next_seq: None,
        seen: BTreeSet::new(),
    };
    let mut compared = Vec::with_capacity(batch.rows.len());
    for row in &batch.rows {
        compared.push(import.compare(row.row())?);
    }
    for (row, compared) in batch.rows.iter().zip(compared) {
        import.row(row, compared)?;
    }
    for record in &batch.records {
        import.record(record)?;
    }
    let Import { mut ops, outcome, predicates, .. } = import;
    for (predicate, count) in predicates {
        ops.push(records::put(Collection::Predicates, predicate.into_bytes(), &count));
    }
    if let Some((name, value)) = &batch.note {
        ops.push(records::put(Collection::Settings, name.as_bytes(), value));
    }
    Ok((ops, outcome))
}

struct Import<'i> {
    view: &'i dyn View,
    /// Something that was removed here can still be had back.
    keeps_removed: bool,
    ops: Vec<Op>,
    outcome: ImportOutcome,
    /// Facts of each predicate, those of this batch included.
    predicates: BTreeMap<String, u64>,
    /// Facts of a subject that still hold, as they were before this batch.
    open_facts: BTreeMap<String, Vec<Fact>>,
    /// Drawers that were asked about, and whether they were removed or changed here.
    changed_here: BTreeMap<String, bool>,
    /// Place of the next event in the stream, once one was needed.
    next_seq: Option<u64>,
    /// Ids and keys of this batch: the state does not know them yet.
    seen: BTreeSet<String>,
}

impl Import<'_> {
    /// Looks for a row. One that is another one here says that its whole drawer was changed here, whichever part of it comes
    /// first.
    fn compare(&mut self, row: &Row) -> Result<Compared, ReadError> {
        let compared = compare(self.view, row)?;
        if compared == Compared::Different {
            self.changed_here.insert(row.drawer_id().to_owned(), true);
        }
        Ok(compared)
    }

    fn row(&mut self, row: &Arc<PreparedRow>, compared: Compared) -> Result<(), ReadError> {
        let id = &row.row().id;
        match compared {
            Compared::Different => self.outcome.rows_different.push(id.clone()),
            Compared::Same => self.outcome.rows_same += 1,
            Compared::Absent if self.is_changed_here(row.row())? => {
                self.outcome.rows_changed_here.push(id.clone());
            }
            Compared::Absent if self.seen.insert(format!("row {id}")) => {
                self.outcome.rows_new += 1;
                self.ops.push(Op::PutNew(Arc::clone(row)));
            }
            Compared::Absent => self.outcome.rows_same += 1,
        }
        Ok(())
    }

    /// Tells whether the drawer of an absent row was removed or changed here: then the row is absent because somebody
    /// wanted it so, and a part of the old text must not come to stand beside the new one.
    ///
    /// A drawer is either one row of its own id or chunks of other ids: where the other form is, it was changed.
    fn is_changed_here(&mut self, row: &Row) -> Result<bool, ReadError> {
        let id = row.drawer_id();
        if let Some(known) = self.changed_here.get(id) {
            return Ok(*known);
        }
        let has_other_form = match &row.parent_id {
            Some(parent) => self.view.row(parent)?.is_some_and(|whole| whole.parent_id.is_none()),
            None => !self.view.chunks_of(id)?.is_empty(),
        };
        let changed = has_other_form || (self.keeps_removed && removed::is_kept(self.view, id)?);
        self.changed_here.insert(id.to_owned(), changed);
        Ok(changed)
    }

    fn record(&mut self, record: &Imported) -> Result<(), ReadError> {
        match record {
            Imported::Entity(entity) => {
                self.plain(record, Collection::Entities, entity.id.as_bytes(), entity)
            }
            Imported::Fact(fact) => self.fact(record, fact),
            Imported::Tunnel(tunnel) => self.plain(record, Collection::Tunnels, tunnel.id.as_bytes(), tunnel),
            Imported::Hallway(hallway) => {
                self.plain(record, Collection::Hallways, hallway.id.as_bytes(), hallway)
            }
            Imported::Event(event) => self.event(event),
            Imported::Artifact(artifact) => {
                self.plain(record, Collection::Artifacts, artifact.id.as_bytes(), artifact)
            }
            Imported::Closet { source_file, id, card } => {
                self.plain(record, Collection::Closets, &stored::closet_key(source_file, id), card)
            }
            Imported::Setting { name, value } => {
                self.plain(record, Collection::Settings, name.as_bytes(), value)
            }
        }
    }

    /// Imports a record that nothing points to.
    fn plain<T: Serialize>(
        &mut self,
        record: &Imported,
        collection: Collection,
        key: &[u8],
        content: &T,
    ) -> Result<(), ReadError> {
        let value = serde_json::to_value(content).expect("records are structures with text keys");
        let there: Option<Value> = records::get(self.view, collection, key)?;
        match there {
            None if self.seen.insert(format!("{collection:?} {}", String::from_utf8_lossy(key))) => {
                self.outcome.records_new += 1;
                self.ops.push(records::put(collection, key, content));
            }
            None => self.outcome.records_same += 1,
            Some(there) if there == value => self.outcome.records_same += 1,
            Some(_) => self.outcome.records_different.push(record.name()),
        }
        Ok(())
    }

    /// What still holds is one fact under whatever id: two graphs that were kept apart name it differently. What has
    /// ended is history and stays as it was recorded, once for each id.
    fn fact(&mut self, record: &Imported, fact: &Fact) -> Result<(), ReadError> {
        let there: Option<Fact> = records::get(self.view, Collection::Facts, fact.id.as_bytes())?;
        let is_there = there.as_ref().is_some_and(|there| stored::same_claim(there, fact))
            || self.has_open_twin(fact)?;
        let claim = match fact.valid_to {
            None => format!("{}\0{}\0{}\0{:?}", fact.subject, fact.predicate, fact.object, fact.valid_from),
            Some(_) => fact.id.clone(),
        };
        if is_there || (there.is_none() && !self.seen.insert(format!("claim {claim}"))) {
            self.outcome.records_same += 1;
        } else if there.is_some() {
            self.outcome.records_different.push(record.name());
        } else {
            self.outcome.records_new += 1;
            self.ops.extend(facts::put(fact));
            let known = match self.predicates.get(&fact.predicate) {
                Some(known) => *known,
                None => records::get(self.view, Collection::Predicates, fact.predicate.as_bytes())?
                    .unwrap_or_default(),
            };
            self.predicates.insert(fact.predicate.clone(), known + 1);
        }
        Ok(())
    }

    /// Tells whether a fact that still holds is in the palace under whatever id. The facts of a subject are read once for
    /// a batch: some subjects have thousands.
    fn has_open_twin(&mut self, fact: &Fact) -> Result<bool, ReadError> {
        if fact.valid_to.is_some() {
            return Ok(false);
        }
        if !self.open_facts.contains_key(&fact.subject) {
            let open = stored::open_facts_of(self.view, &fact.subject)?;
            self.open_facts.insert(fact.subject.clone(), open);
        }
        Ok(self.open_facts[&fact.subject].iter().any(|other| stored::same_claim(other, fact)))
    }

    /// Events keep id, clock and origin. Their place in the stream is the next one: readers that follow it meet them.
    fn event(&mut self, event: &Event) -> Result<(), ReadError> {
        let known: Option<u64> = records::get(self.view, Collection::EventIds, event.id.as_bytes())?;
        if known.is_some() || !self.seen.insert(format!("event {}", event.id)) {
            self.outcome.records_same += 1;
            return Ok(());
        }
        let seq = match self.next_seq {
            Some(seq) => seq,
            None => events::last(self.view)?.map_or(1, |last| last.seq + 1),
        };
        self.next_seq = Some(seq + 1);
        self.outcome.records_new += 1;
        self.ops.extend(events::put(&Event { seq, ..event.clone() }));
        Ok(())
    }
}

/// How a row of a source compares with the palace's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// There is none of that id.
    Absent,
    /// It is the same.
    Same,
    /// It is another one.
    Different,
}

/// Looks for a row of a source.
///
/// # Errors
/// When the state cannot be read.
pub fn compare(view: &dyn View, row: &Row) -> Result<Compared, ReadError> {
    Ok(match view.row(&row.id)? {
        None => Compared::Absent,
        Some(there) => {
            if is_same(there, row) {
                Compared::Same
            } else {
                Compared::Different
            }
        }
    })
}

/// Compares rows as an export shows them: a number that is none is equal to itself there.
fn is_same(left: Row, right: &Row) -> bool {
    left == *right || PortableRow::new(left, None) == PortableRow::new(right.clone(), None)
}

#[cfg(test)]
mod tests;
