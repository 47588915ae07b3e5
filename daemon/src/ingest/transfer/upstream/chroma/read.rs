//! Reads the rows of a collection, a batch at a time: what the table says of them, what the queue makes of it, and the
//! vector.
//!
//! A batch takes two queries as long as nothing is damaged; where the table is, its rows are asked for one by one.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::super::content::{Content, DOCUMENT};
use super::super::error::{Lost, UpstreamError, is_damage};
use super::super::row::SourceRow;
use super::super::scratch::Scratch;
use super::cells::{Address, Told};
use super::queue::{self, Operation};
use super::vectors::Found;
use super::{Chroma, Opened, rows};

/// How many rows are named at a time: between two batches nothing of the scratch database is held open.
const BATCH_COUNT: usize = 512;

/// A row the scratch database names.
struct Named {
    cursor: i64,
    id: String,
    applied: i64,
    vector: Option<Found>,
    /// The queue has changes of it.
    is_queued: bool,
}

impl Chroma {
    /// Hands on the rows of a collection after a cursor.
    pub fn each_row(
        &self,
        scratch: &Scratch,
        name: &str,
        after: Option<i64>,
        visit: &mut dyn FnMut(SourceRow) -> ControlFlow<()>,
    ) -> Result<(), UpstreamError> {
        let opened = self.opened(name)?;
        opened.vectors.check_unchanged()?;
        let mut after = after;
        loop {
            let batch = named(scratch, opened.collection.number, after)?;
            let is_last = batch.len() < BATCH_COUNT;
            let numbers: Vec<i64> = batch
                .iter()
                .map(|row| row.cursor)
                .filter(|cursor| rows::made_by(*cursor).is_none())
                .collect();
            let mut told = self.cells.contents(&self.db, &numbers)?;
            for row in batch {
                after = Some(row.cursor);
                if visit(self.row(scratch, opened, row, told.as_mut())?).is_break() {
                    return Ok(());
                }
            }
            if is_last {
                return opened.vectors.check_unchanged();
            }
        }
    }

    /// Returns cursors, evenly spread over a collection, each of them just before a row.
    pub fn spread(&self, scratch: &Scratch, name: &str, count: u64) -> Result<Vec<i64>, UpstreamError> {
        let opened = self.opened(name)?;
        let sql = "SELECT cursor - 1 FROM (
                SELECT cursor, row_number() OVER (ORDER BY cursor) - 1 AS number, count(*) OVER () AS total
                FROM row WHERE collection = ?1)
            WHERE number % max(total / ?2, 1) = 0 LIMIT ?2";
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let mut statement = scratch.conn.prepare(sql)?;
        let places = statement.query_map((opened.collection.number, count), |row| row.get(0))?;
        Ok(places.collect::<Result<_, _>>()?)
    }

    fn opened(&self, name: &str) -> Result<&Opened, UpstreamError> {
        let opened = self.collections.iter().find(|opened| opened.collection.name == name);
        opened.ok_or_else(|| UpstreamError::NoCollection { name: name.to_owned() })
    }

    /// Puts a row together. `told` is what the table says of the batch; none if it has to be asked for each row.
    fn row(
        &self,
        scratch: &Scratch,
        opened: &Opened,
        row: Named,
        told: Option<&mut HashMap<i64, Told>>,
    ) -> Result<SourceRow, UpstreamError> {
        let address = Address { number: row.cursor, id: &row.id };
        let is_in_table = rows::made_by(row.cursor).is_none();
        let mut content = match told {
            _ if !is_in_table => Content::default(),
            Some(told) => told.remove(&row.cursor).unwrap_or_default().noted(scratch, address)?,
            None => self.cells.content(&self.db, scratch, address)?,
        };
        let changes =
            if row.is_queued { changes(scratch, opened.collection.number, &row.id)? } else { Vec::new() };
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
            vector: opened.vectors.vector(&self.db, row.vector),
            id: row.id,
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
        // A row without a text is allowed: nothing is gone through for it while the table is sound.
        if self.cells.is_sound(&self.db)? {
            return Ok(());
        }
        let saved = self.cells.saved_content(&self.db, scratch, row)?;
        content.document = saved.document;
        if content.metadata.is_empty() {
            content.metadata = saved.metadata;
        }
        if content.document.is_none() && !self.cells.is_whole() {
            scratch.lose(Lost::Document, row.id, "neither the damaged tables nor the queue have its text")?;
        }
        Ok(())
    }
}

/// Returns the next rows after a cursor, with where their vectors stand.
fn named(scratch: &Scratch, collection: i64, after: Option<i64>) -> Result<Vec<Named>, UpstreamError> {
    let sql = "SELECT cursor, row.id, applied, source, place, fault,
            EXISTS (SELECT 1 FROM queued WHERE queued.collection = row.collection AND queued.id = row.id)
        FROM row LEFT JOIN vector ON vector.collection = row.collection AND vector.id = row.id
        WHERE row.collection = ?1 AND cursor > ?2 ORDER BY cursor LIMIT ?3";
    let mut statement = scratch.conn.prepare_cached(sql)?;
    let limit = i64::try_from(BATCH_COUNT).expect("small");
    let rows = statement.query_map((collection, after.unwrap_or(i64::MIN), limit), |row| {
        let source: Option<i64> = row.get(3)?;
        let (place, fault) = (row.get(4)?, row.get(5)?);
        Ok(Named {
            cursor: row.get(0)?,
            id: row.get(1)?,
            applied: row.get(2)?,
            vector: source.map(|source| Found { source, place, fault }),
            is_queued: row.get(6)?,
        })
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
