//! A palace whose rows are in one table: `sqlite_exact.sqlite3`, text, metadata and vector side by side.

use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::{OptionalExtension as _, Row};

use super::content::Content;
use super::database::{Database, text};
use super::error::{Lost, UpstreamError};
use super::inventory::{CollectionInventory, VectorCounts};
use super::model::{self, Model};
use super::row::SourceRow;
use super::salvage::{self, Gap};
use super::scratch::Scratch;
use super::vector::{self, Scale};

/// The file.
pub(super) const FILE: &str = "sqlite_exact.sqlite3";

/// An opened palace.
pub(super) struct Exact {
    db: Database,
    collections: Vec<Collection>,
}

struct Collection {
    id: i64,
    name: String,
    dimension: Option<u64>,
    model: Model,
}

impl Exact {
    /// Copies the database and lists its collections.
    pub fn open(
        palace: &Path,
        scratch_dir: &Path,
        models: &model::Record,
        notes: &mut Vec<String>,
    ) -> Result<Exact, UpstreamError> {
        let db = Database::copy(&palace.join(FILE), scratch_dir, FILE)?;
        notes.extend(db.notes.iter().cloned());
        for table in ["collections", "documents"] {
            if db.columns(table)?.is_empty() {
                return Err(UpstreamError::NoTable { path: db.path.clone(), table });
            }
        }
        let listed = || -> rusqlite::Result<Vec<(i64, String)>> {
            let mut statement = db.conn.prepare("SELECT id, name FROM collections ORDER BY id")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let listed = listed().map_err(|error| db.failed(error))?;
        let collections = listed.into_iter().map(|(id, name)| Collection {
            id,
            dimension: dimension(&db, id),
            model: models
                .name(&name)
                .map(str::to_owned)
                .or_else(|| recorded_model(&db, &name))
                .map_or(Model::Minilm, |name| Model::named(&name)),
            name,
        });
        Ok(Exact { collections: collections.collect(), db })
    }

    /// Returns what each collection has.
    pub fn inventory(&self) -> Result<Vec<CollectionInventory>, UpstreamError> {
        let one = |collection: &Collection| {
            let (mut row_count, mut vectors) = (0, VectorCounts::default());
            let sql = "SELECT rowid, length(embedding) FROM documents NOT INDEXED
                WHERE rowid >= ?1 AND collection_id = ?2 ORDER BY rowid";
            salvage::scan(&self.db, sql, i64::MIN, &[&collection.id], &mut |row| {
                let len: Option<i64> = row.get(1).map_err(|error| self.db.failed(error))?;
                row_count += 1;
                let is_usable = len.is_some_and(|len| len > 0) && collection.model.objection().is_none();
                *if is_usable { &mut vectors.in_index } else { &mut vectors.missing } += 1;
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(CollectionInventory {
                name: collection.name.clone(),
                row_count,
                dimension: collection.dimension,
                model: collection.model.clone(),
                vectors,
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
        let collection = self.collection(name)?;
        let Some(from) = after.map_or(Some(i64::MIN), |after| after.checked_add(1)) else {
            return Ok(());
        };
        let sql = "SELECT rowid, id, document, metadata_json, embedding FROM documents NOT INDEXED
            WHERE rowid >= ?1 AND collection_id = ?2 ORDER BY rowid";
        let gaps = salvage::scan(&self.db, sql, from, &[&collection.id], &mut |row| match self
            .row(scratch, collection, row)?
        {
            Some(row) => Ok(visit(row)),
            None => Ok(ControlFlow::Continue(())),
        })?;
        if gaps.is_empty() { Ok(()) } else { self.lose(scratch, collection, &gaps) }
    }

    /// Returns cursors, evenly spread over a collection. Its rows may be anywhere behind them.
    pub fn spread(&self, name: &str, count: u64) -> Result<Vec<i64>, UpstreamError> {
        let collection = self.collection(name)?;
        let sql = "SELECT min(rowid), max(rowid) FROM documents WHERE collection_id = ?1";
        let ends = self.db.conn.query_row(sql, [collection.id], |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
        });
        // A damaged table gives what it still gives; a sample may be smaller.
        let Ok((Some(first), Some(last))) = ends else { return Ok(Vec::new()) };
        let step = (i128::from(last) - i128::from(first)) / i128::from(count.max(1)) + 1;
        let places = (0..i128::from(count)).map(|number| i128::from(first) - 1 + number * step);
        Ok(places.filter_map(|place| i64::try_from(place).ok()).take_while(|place| *place < last).collect())
    }

    fn collection(&self, name: &str) -> Result<&Collection, UpstreamError> {
        let collection = self.collections.iter().find(|collection| collection.name == name);
        collection.ok_or_else(|| UpstreamError::NoCollection { name: name.to_owned() })
    }

    fn row(
        &self,
        scratch: &Scratch,
        collection: &Collection,
        row: &Row<'_>,
    ) -> Result<Option<SourceRow>, UpstreamError> {
        let value = |column: usize| row.get_ref(column).map_err(|error| self.db.failed(error));
        let cursor: i64 = row.get(0).map_err(|error| self.db.failed(error))?;
        let Some((id, _)) = text(value(1)?) else {
            scratch.lose(Lost::Row, &format!("row {cursor}"), "it has no id")?;
            return Ok(None);
        };
        let (document, is_exact) = text(value(2)?).map_or((None, true), |(text, exact)| (Some(text), exact));
        if !is_exact {
            scratch.lose(Lost::Document, &id, "bytes that are not UTF-8 were replaced")?;
        }
        let mut content = Content::default();
        if let Some((json, _)) = text(value(3)?)
            && let Err(reason) = content.merge(&json)
        {
            scratch.lose(Lost::Metadata, &id, &reason)?;
        }
        let vector = match (collection.model.objection(), value(4)?.as_bytes_or_null().ok().flatten()) {
            (Some(objection), _) => Err(objection),
            (None, None) => Err("it has no vector".to_owned()),
            (None, Some(bytes)) => {
                let expected = collection.dimension.and_then(|dimension| usize::try_from(dimension).ok());
                vector::decode(bytes, expected.unwrap_or(bytes.len() / 4), Scale::Any)
                    .map_err(|damage| damage.to_string())
            }
        };
        let metadata = content.metadata.into_iter().collect();
        Ok(Some(SourceRow { cursor, id, document, metadata, vector }))
    }

    /// Tells which rows stood in the gaps, by their ids as far as the table's own index still has them.
    fn lose(&self, scratch: &Scratch, collection: &Collection, gaps: &[Gap]) -> Result<(), UpstreamError> {
        const REASON: &str = "the table of rows is damaged";
        let mut is_named = false;
        if let Some(index) = self.db.own_index("documents") {
            let sql = format!(
                "SELECT rowid, id FROM documents INDEXED BY \"{index}\" WHERE collection_id = ?1 ORDER BY id"
            );
            is_named = salvage::scan_index(&self.db, &sql, &[&collection.id], &mut |row| {
                let number: i64 = row.get(0).map_err(|error| self.db.failed(error))?;
                if gaps.iter().any(|gap| gap.holds(number)) {
                    let id = text(row.get_ref(1).map_err(|error| self.db.failed(error))?);
                    let id = id.map_or_else(|| format!("row {number}"), |(id, _)| id);
                    scratch.lose(Lost::Row, &id, REASON)?;
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        for gap in gaps.iter().filter(|_| !is_named) {
            scratch.lose(Lost::Row, &gap.name(), REASON)?;
        }
        Ok(())
    }
}

/// Returns the dimension of a collection: as listed, or else as its first row has it.
fn dimension(db: &Database, collection: i64) -> Option<u64> {
    // Early versions did not list it.
    let ask = |sql: &str| -> Option<i64> {
        db.conn.query_row(sql, [collection], |row| row.get(0)).optional().ok().flatten().flatten()
    };
    let listed = ask("SELECT dimension FROM collections WHERE id = ?1");
    let dimension = listed.or_else(|| ask("SELECT dim FROM documents WHERE collection_id = ?1 LIMIT 1"))?;
    u64::try_from(dimension).ok().filter(|dimension| *dimension > 0)
}

/// Returns the name of a collection's model as this store records it itself.
fn recorded_model(db: &Database, collection: &str) -> Option<String> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    let found = db.conn.query_row(sql, [format!("embedder_model:{collection}")], |row| row.get(0));
    found.optional().ok().flatten()
}
