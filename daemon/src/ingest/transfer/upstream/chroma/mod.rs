//! A palace whose rows are in Chroma: `chroma.sqlite3` and one directory per index.
//!
//! When it is opened, the scratch database learns which rows each collection has and where their vectors stand; rows
//! are then read in the order of their numbers.

mod catalog;
mod cells;
mod full_text;
mod guess;
mod listing;
mod lost;
mod queue;
mod read;
mod rows;
mod saved;
mod segments;
mod strays;
mod vectors;

use std::path::Path;

use super::database::Database;
use super::error::{Lost, UpstreamError};
use super::inventory::CollectionInventory;
use super::model::{self, Model};
use super::salvage::Gap;
use super::scratch::Scratch;
use catalog::Collection;
use cells::Cells;
use queue::Operation;
use rows::Marks;
use segments::Segments;
use vectors::Vectors;

/// The file.
pub(super) const FILE: &str = "chroma.sqlite3";
/// An opened palace.
pub(super) struct Chroma {
    db: Database,
    cells: Cells,
    collections: Vec<Opened>,
}

struct Opened {
    collection: Collection,
    model: Model,
    vectors: Vectors,
}

impl Opened {
    fn distrust_stale(
        &self,
        db: &Database,
        scratch: &Scratch,
        queue_is_whole: bool,
        notes: &mut Vec<String>,
    ) -> Result<(), UpstreamError> {
        let count = self.vectors.distrust_stale(db, scratch, &self.collection, queue_is_whole)?;
        if count > 0 {
            let name = &self.collection.name;
            notes.push(format!(
                "{count} vectors of collection {name:?} may be of earlier texts and are not used"
            ));
        }
        Ok(())
    }
}

impl Chroma {
    /// Copies the database and finds rows and vectors of every collection.
    pub fn open(
        palace: &Path,
        scratch_dir: &Path,
        scratch: &Scratch,
        models: &model::Record,
        notes: &mut Vec<String>,
    ) -> Result<Chroma, UpstreamError> {
        let db = Database::copy(&palace.join(FILE), scratch_dir, FILE)?;
        notes.extend(db.notes.iter().cloned());
        for table in ["segments", "embeddings", "embedding_metadata", "embeddings_queue"] {
            if db.columns(table)?.is_empty() {
                return Err(UpstreamError::NoTable { path: db.path.clone(), table });
            }
        }
        let catalog = catalog::read(&db, notes)?;
        let mut gathered = Vec::new();
        for collection in &catalog.collections {
            let mut marks = Marks::read(&db, collection, notes)?;
            let gaps = scratch.in_one(|| rows::gather(&db, scratch, collection, &mut marks))?;
            gathered.push((marks, gaps));
        }
        let marks: Vec<&Marks> = gathered.iter().map(|(marks, _)| marks).collect();
        scratch.in_one(|| strays::place(&db, scratch, &catalog, &marks, notes))?;
        let row_gaps: Vec<Gap> = gathered.iter().flat_map(|(_, gaps)| gaps.iter().copied()).collect();
        let numbers_are_whole = scratch.in_one(|| lost::find_numbers(&db, scratch, &row_gaps))?;
        let (mut collections, mut queue_gaps) = (Vec::new(), Vec::new());
        for (collection, (marks, _)) in catalog.collections.into_iter().zip(&gathered) {
            let model = models.name(&collection.name).map_or(Model::Minilm, Model::named);
            let segments = match model {
                Model::Minilm => Segments::load(palace, &collection, scratch, notes)?,
                Model::Other(_) => Segments::none(),
            };
            let vectors = Vectors::new(&collection, segments, model.objection());
            queue_gaps
                .push(scratch.in_one(|| apply_queue(&db, scratch, &collection, marks, &vectors, notes))?);
            collections.push(Opened { collection, model, vectors });
        }
        for (opened, gaps) in collections.iter().zip(&queue_gaps) {
            opened.distrust_stale(&db, scratch, gaps.is_empty(), notes)?;
        }
        let damaged = collections.iter().zip(&gathered).filter(|(_, (_, gaps))| !gaps.is_empty());
        let live: Vec<(i64, Option<i64>)> =
            damaged.map(|(opened, _)| (opened.collection.number, opened.vectors.live())).collect();
        scratch.in_one(|| lost::tell(scratch, &row_gaps, &live, numbers_are_whole))?;
        let cells = Cells::of(&db)?;
        cells.check(&db, scratch)?;
        let chroma = Chroma { cells, db, collections };
        // The index's files were read after the copy was made: both are of one state only if nothing changed since.
        chroma.check_unchanged()?;
        Ok(chroma)
    }

    fn check_unchanged(&self) -> Result<(), UpstreamError> {
        self.db.check_unchanged()?;
        self.collections.iter().try_for_each(|opened| opened.vectors.check_unchanged())
    }

    /// Returns what there is to be known about what was read so far, beyond the notes of opening.
    pub fn notes(&self) -> Vec<String> {
        self.cells.notes()
    }

    /// Returns what each collection has.
    pub fn inventory(&self, scratch: &Scratch) -> Result<Vec<CollectionInventory>, UpstreamError> {
        let one = |opened: &Opened| {
            let counts = opened.vectors.counts(scratch)?;
            Ok(CollectionInventory {
                name: opened.collection.name.clone(),
                row_count: counts.in_index + counts.in_queue + counts.missing,
                dimension: opened.collection.dimension,
                model: opened.model.clone(),
                vectors: counts,
            })
        };
        self.collections.iter().map(one).collect()
    }
}

/// Applies the queue to the rows and vectors of a collection; returns what of it could not be read.
fn apply_queue(
    db: &Database,
    scratch: &Scratch,
    collection: &Collection,
    marks: &Marks,
    vectors: &Vectors,
    notes: &mut Vec<String>,
) -> Result<Vec<Gap>, UpstreamError> {
    let gaps = queue::each_change(db, collection, &mut |change| match Operation::of(change.code) {
        Some(operation) => {
            rows::apply(scratch, collection, marks, &change, operation)?;
            vectors.apply(scratch, &change, operation)
        }
        None => {
            let reason = format!("change {} of it is of an unknown kind, {}", change.seq, change.code);
            scratch.lose(Lost::Metadata, &change.id, &reason)
        }
    })?;
    for gap in &gaps {
        // What stands before the mark is in the tables already; only vectors may be lost with it.
        if gap.end.saturating_sub(1) > marks.of_missing() {
            let id = format!("{} queued for {}", gap.name(), collection.name);
            scratch.lose(Lost::Row, &id, "the queue is damaged; changes in it are not applied")?;
        } else {
            notes.push(format!("the queue is damaged; vectors in its {} are lost", gap.name()));
        }
    }
    Ok(gaps)
}
