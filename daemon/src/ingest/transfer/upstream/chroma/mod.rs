//! A palace whose rows are in Chroma: `chroma.sqlite3` and one directory per index.
//!
//! When it is opened, the scratch database learns which rows each collection has and where their vectors stand; rows
//! are then read one by one, in the order of their numbers.

mod catalog;
mod cells;
mod queue;
mod rows;
mod segments;
mod vectors;

use std::ops::ControlFlow;
use std::path::Path;

use super::content::{Content, DOCUMENT};
use super::database::Database;
use super::error::{Lost, UpstreamError, is_damage};
use super::inventory::CollectionInventory;
use super::model::{self, Model};
use super::row::SourceRow;
use super::salvage::Gap;
use super::scratch::Scratch;
use catalog::Collection;
use cells::{Address, Cells};
use queue::Operation;
use rows::Marks;
use segments::Segments;
use vectors::Vectors;

/// The file.
pub(super) const FILE: &str = "chroma.sqlite3";
/// How many rows are named at a time: between two batches nothing of the scratch database is held open.
const BATCH_COUNT: usize = 512;

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
        let mut collections = Vec::new();
        let (mut row_gaps, mut queue_gaps) = (Vec::new(), Vec::new());
        for collection in catalog::collections(&db, notes)? {
            let model = models.name(&collection.name).map_or(Model::Minilm, Model::named);
            let segments = match model {
                Model::Minilm => Segments::load(palace, &collection, scratch, notes)?,
                Model::Other(_) => Segments::none(),
            };
            let vectors = Vectors::new(&collection, segments, model.objection());
            let mut marks = Marks::read(&db, &collection, notes)?;
            row_gaps.extend(scratch.in_one(|| rows::gather(&db, scratch, &collection, &mut marks))?);
            queue_gaps
                .push(scratch.in_one(|| apply_queue(&db, scratch, &collection, &marks, &vectors, notes))?);
            collections.push(Opened { collection, model, vectors });
        }
        for gap in row_gaps {
            rows::lose(&db, scratch, &gap)?;
        }
        for (opened, gaps) in collections.iter().zip(&queue_gaps) {
            opened.distrust_stale(&db, scratch, gaps.is_empty(), notes)?;
        }
        let chroma = Chroma { cells: Cells::of(&db)?, db, collections };
        // The index's files were read after the copy was made: both are of one state only if nothing changed since.
        chroma.check_unchanged()?;
        Ok(chroma)
    }

    fn check_unchanged(&self) -> Result<(), UpstreamError> {
        self.db.check_unchanged()?;
        self.collections.iter().try_for_each(|opened| opened.vectors.check_unchanged())
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

    /// Hands on the rows of a collection after a cursor.
    pub fn each_row(
        &self,
        scratch: &Scratch,
        name: &str,
        after: Option<i64>,
        visit: &mut dyn FnMut(SourceRow) -> ControlFlow<()>,
    ) -> Result<(), UpstreamError> {
        let opened = self.collections.iter().find(|opened| opened.collection.name == name);
        let opened = opened.ok_or_else(|| UpstreamError::NoCollection { name: name.to_owned() })?;
        opened.vectors.check_unchanged()?;
        let mut after = after;
        loop {
            let batch = named(scratch, opened.collection.number, after)?;
            for row in &batch {
                if visit(self.row(scratch, opened, row)?).is_break() {
                    return Ok(());
                }
                after = Some(row.cursor);
            }
            if batch.len() < BATCH_COUNT {
                return opened.vectors.check_unchanged();
            }
        }
    }

    fn row(&self, scratch: &Scratch, opened: &Opened, row: &Named) -> Result<SourceRow, UpstreamError> {
        let address = Address { number: row.cursor, id: &row.id };
        let is_in_table = rows::made_by(row.cursor).is_none();
        let mut content =
            if is_in_table { self.cells.content(&self.db, scratch, address)? } else { Content::default() };
        let changes = changes(scratch, opened.collection.number, &row.id)?;
        for (seq, operation) in changes.iter().filter(|(seq, _)| *seq > row.applied) {
            let is_void = match operation {
                Operation::Add => rows::made_by(row.cursor) != Some(*seq),
                Operation::Delete => true,
                Operation::Update | Operation::Upsert => false,
            };
            if !is_void {
                self.merge(scratch, &row.id, *seq, &mut content)?;
            }
        }
        if content.document.is_none() {
            self.find_document(scratch, address, &changes, &mut content)?;
        }
        Ok(SourceRow {
            cursor: row.cursor,
            vector: opened.vectors.vector(&self.db, scratch, &row.id)?,
            id: row.id.clone(),
            document: content.document,
            metadata: content.metadata.into_iter().collect(),
        })
    }

    fn merge(
        &self,
        scratch: &Scratch,
        id: &str,
        seq: i64,
        content: &mut Content,
    ) -> Result<(), UpstreamError> {
        let merged = match queue::metadata(&self.db, seq) {
            Ok(Some(json)) => content.merge(&json),
            Ok(None) => Ok(()),
            Err(error) if is_damage(&error) => Err("the queue is damaged".to_owned()),
            Err(error) => return Err(self.db.failed(error)),
        };
        merged.or_else(|reason| scratch.lose(Lost::Metadata, id, &format!("change {seq}: {reason}")))
    }

    /// Looks for a text the table does not give: in the queue, then wherever the damaged table still shows.
    fn find_document(
        &self,
        scratch: &Scratch,
        row: Address<'_>,
        changes: &[(i64, Operation)],
        content: &mut Content,
    ) -> Result<(), UpstreamError> {
        for (seq, operation) in changes.iter().rev() {
            if *operation == Operation::Delete {
                break;
            }
            let mut carried = Content::default();
            if let Ok(Some(json)) = queue::metadata(&self.db, *seq)
                && json.contains(DOCUMENT)
                && carried.merge(&json).is_ok()
            {
                content.document = carried.document;
                return Ok(());
            }
        }
        if rows::made_by(row.number).is_some() {
            return Ok(());
        }
        let saved = self.cells.saved_content(&self.db, scratch, row)?;
        content.document = saved.document;
        if content.metadata.is_empty() {
            content.metadata = saved.metadata;
        }
        // A row without a text is allowed; one that lost it is told.
        if content.document.is_none() && !self.cells.is_whole() {
            scratch.lose(Lost::Document, row.id, "neither the damaged tables nor the queue have its text")?;
        }
        Ok(())
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

/// A row the scratch database names.
struct Named {
    cursor: i64,
    id: String,
    applied: i64,
}

fn named(scratch: &Scratch, collection: i64, after: Option<i64>) -> Result<Vec<Named>, UpstreamError> {
    let sql = "SELECT cursor, id, applied FROM row WHERE collection = ?1 AND cursor > ?2
        ORDER BY cursor LIMIT ?3";
    let mut statement = scratch.conn.prepare_cached(sql)?;
    let limit = i64::try_from(BATCH_COUNT).expect("small");
    let rows = statement.query_map((collection, after.unwrap_or(i64::MIN), limit), |row| {
        Ok(Named { cursor: row.get(0)?, id: row.get(1)?, applied: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn changes(scratch: &Scratch, collection: i64, id: &str) -> Result<Vec<(i64, Operation)>, UpstreamError> {
    let sql = "SELECT seq, operation FROM queued WHERE collection = ?1 AND id = ?2 ORDER BY seq";
    let mut statement = scratch.conn.prepare_cached(sql)?;
    let mut rows = statement.query((collection, id))?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        if let Some(operation) = Operation::of(row.get(1)?) {
            changes.push((row.get(0)?, operation));
        }
    }
    Ok(changes)
}
