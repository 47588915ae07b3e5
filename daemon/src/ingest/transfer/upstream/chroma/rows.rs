//! Which rows a collection has: those of its table, and what the queue makes of them.
//!
//! A row's mark says up to which change its table content is. As long as the collection's own mark can be believed,
//! changes up to it have been applied and are not looked at again: an id that was added before it and is not in the
//! table has been deleted. When it cannot be believed, or the table is damaged, each row's mark decides.

use std::ops::ControlFlow;

use rusqlite::types::ValueRef;

use super::super::carve;
use super::super::database::{Database, text};
use super::super::error::{Lost, UpstreamError};
use super::super::salvage::{self, Gap};
use super::super::scratch::Scratch;
use super::catalog::Collection;
use super::lost;
use super::queue::{self, Change, Operation, Recorded};

/// Cursors from here on are of rows the table does not have; the rest is the number of the change that made them.
pub(super) const QUEUED_BASE: i64 = 1 << 62;

/// Returns the number of the change that made a row, if the table does not have it.
pub(super) fn made_by(cursor: i64) -> Option<i64> {
    (cursor >= QUEUED_BASE).then(|| cursor - QUEUED_BASE)
}

/// Up to which change the rows of a collection are.
pub(super) struct Marks {
    /// The collection's own, if it can be believed.
    believed: Option<i64>,
    last_seq: i64,
}

impl Marks {
    /// Reads them.
    pub fn read(
        db: &Database,
        collection: &Collection,
        notes: &mut Vec<String>,
    ) -> Result<Marks, UpstreamError> {
        let last_seq = queue::last_seq(db)?;
        let believed = match queue::recorded(db, &collection.metadata_segment) {
            Some(Recorded::Seq(mark)) if mark <= last_seq => Some(mark),
            Some(Recorded::Seq(_) | Recorded::Garbage) | None => None,
        };
        if believed.is_none() && last_seq > 0 {
            notes.push(format!(
                "collection {:?} does not say how much of the queue it has taken over; each row is asked instead",
                collection.name
            ));
        }
        Ok(Marks { believed, last_seq })
    }

    /// Distrusts the collection's own mark.
    pub fn distrust(&mut self) {
        self.believed = None;
    }

    /// Returns up to which change a row is that the table does not have.
    pub fn of_missing(&self) -> i64 {
        self.believed.unwrap_or(-1)
    }

    /// Returns up to which change a row is whose own mark is given.
    pub fn of_row(&self, own: Option<i64>) -> i64 {
        // A mark beyond the queue is from another count.
        let own = own.filter(|own| *own <= self.last_seq).unwrap_or(-1);
        own.max(self.of_missing())
    }
}

/// Fills in the rows of the table; returns the gaps whose rows nothing names.
pub(super) fn gather(
    db: &Database,
    scratch: &Scratch,
    collection: &Collection,
    marks: &mut Marks,
) -> Result<Vec<Gap>, UpstreamError> {
    let mut insert = scratch.conn.prepare(
        "INSERT OR IGNORE INTO row(collection, cursor, id, own, applied) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let sql = "SELECT id, embedding_id, seq_id FROM embeddings NOT INDEXED
        WHERE id >= ?1 AND segment_id = ?2 ORDER BY id";
    let gaps = salvage::scan(db, sql, i64::MIN, &[&collection.metadata_segment], &mut |row| {
        let cursor: i64 = row.get(0).map_err(|error| db.failed(error))?;
        let id = text(row.get_ref(1).map_err(|error| db.failed(error))?);
        let own = queue::seq(row.get_ref(2).map_err(|error| db.failed(error))?);
        match id {
            Some((id, _)) if cursor < QUEUED_BASE => {
                insert.execute((collection.number, cursor, id, own, marks.of_row(own)))?;
            }
            Some(_) | None => scratch.lose(Lost::Row, &format!("row {cursor}"), "it has no id")?,
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if gaps.is_empty() {
        return Ok(gaps);
    }
    let known = marks.of_missing();
    // What the table lost, the queue may still make: the collection's mark would keep it from doing so.
    marks.distrust();
    let complete = from_index(db, scratch, collection, &gaps, known)?;
    carved(db, scratch, collection, &gaps, marks, complete)?;
    Ok(if complete { Vec::new() } else { gaps })
}

/// Takes the rows of the gaps from the index over ids, which has everything but their marks.
fn from_index(
    db: &Database,
    scratch: &Scratch,
    collection: &Collection,
    gaps: &[Gap],
    known: i64,
) -> Result<bool, UpstreamError> {
    let Some(index) = db.own_index("embeddings") else {
        return Ok(false);
    };
    let mut insert = scratch.conn.prepare(
        "INSERT OR IGNORE INTO row(collection, cursor, id, own, applied) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let sql = format!(
        "SELECT id, embedding_id FROM embeddings INDEXED BY \"{index}\" WHERE segment_id = ?1 ORDER BY embedding_id"
    );
    salvage::scan_index(db, &sql, &[&collection.metadata_segment], &mut |row| {
        let cursor: i64 = row.get(0).map_err(|error| db.failed(error))?;
        let id = text(row.get_ref(1).map_err(|error| db.failed(error))?);
        if let Some((id, _)) = id
            && gaps.iter().any(|gap| gap.holds(cursor))
        {
            insert.execute((collection.number, cursor, id, None::<i64>, known))?;
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Takes the rows of the gaps from leaves that nothing leads to: their marks, and themselves where the index over ids
/// cannot say that they are gone.
fn carved(
    db: &Database,
    scratch: &Scratch,
    collection: &Collection,
    gaps: &[Gap],
    marks: &Marks,
    index_is_complete: bool,
) -> Result<(), UpstreamError> {
    let mut update = scratch
        .conn
        .prepare("UPDATE row SET own = ?4, applied = ?5 WHERE collection = ?1 AND cursor = ?2 AND id = ?3")?;
    let mut insert = scratch.conn.prepare(
        "INSERT OR IGNORE INTO row(collection, cursor, id, own, applied) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let reason = "it stands on a page that may be free, and may have been removed";
    let mut find =
        scratch.conn.prepare("SELECT 1 FROM row WHERE collection = ?1 AND (cursor = ?2 OR id = ?3)")?;
    carve::each_row(db, &mut |row| {
        let cursor = row.number;
        let [ValueRef::Null, ValueRef::Text(segment), id @ ValueRef::Text(_), own, ..] = row.columns else {
            return Ok(());
        };
        let is_lost = gaps.iter().any(|gap| gap.holds(cursor)) && cursor < QUEUED_BASE;
        let (true, Some((id, _))) =
            (is_lost && *segment == collection.metadata_segment.as_bytes(), text(*id))
        else {
            return Ok(());
        };
        let own = queue::seq(*own);
        let applied = marks.of_row(own);
        if update.execute((collection.number, cursor, &id, own, applied))? > 0 || index_is_complete {
            return Ok(());
        }
        if !row.may_be_removed || lost::is_in_use(db, cursor) {
            insert.execute((collection.number, cursor, id, own, applied))?;
        } else if !find.exists((collection.number, cursor, &id))? {
            scratch.lose(Lost::Row, &id, reason)?;
        }
        Ok(())
    })
}

/// Applies one change to the set of rows; what it does to their content is read with them.
pub(super) fn apply(
    scratch: &Scratch,
    collection: &Collection,
    marks: &Marks,
    change: &Change,
    operation: Operation,
) -> Result<(), UpstreamError> {
    let key = (collection.number, &change.id);
    let mut queued = scratch.conn.prepare_cached(
        "INSERT OR REPLACE INTO queued(collection, id, seq, operation) VALUES (?1, ?2, ?3, ?4)",
    )?;
    queued.execute((key.0, key.1, change.seq, change.code))?;
    let mut find =
        scratch.conn.prepare_cached("SELECT applied FROM row WHERE collection = ?1 AND id = ?2")?;
    let applied: Option<i64> = rusqlite::OptionalExtension::optional(find.query_row(key, |row| row.get(0)))?;
    if change.seq <= applied.unwrap_or(marks.of_missing()) {
        return Ok(());
    }
    match (operation, applied) {
        (Operation::Delete, Some(_)) => {
            let mut delete =
                scratch.conn.prepare_cached("DELETE FROM row WHERE collection = ?1 AND id = ?2")?;
            delete.execute(key)?;
        }
        (Operation::Add | Operation::Upsert, None) => {
            let mut insert = scratch
                .conn
                .prepare_cached("INSERT INTO row(collection, cursor, id, applied) VALUES (?1, ?2, ?3, ?4)")?;
            insert.execute((key.0, QUEUED_BASE + change.seq, key.1, change.seq - 1))?;
        }
        (Operation::Add | Operation::Update | Operation::Upsert, Some(_))
        | (Operation::Delete | Operation::Update, None) => {}
    }
    Ok(())
}
