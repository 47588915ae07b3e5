//! Rows that were in a gap of their table and that nothing gives any more: which they were, as far as anything knows.

use std::ops::ControlFlow;

use rusqlite::Row;

use super::super::database::Database;
use super::super::error::{Lost, UpstreamError};
use super::super::salvage::{self, Gap};
use super::super::scratch::Scratch;
use super::full_text;

const REASON: &str = "the table of rows is damaged, and so is its index";
const METADATA: &str = "embedding_metadata";

/// Returns whether other tables still have something under a row's number, which goes when the row is removed.
pub(super) fn is_in_use(db: &Database, number: i64) -> bool {
    let exists = |sql: &str| {
        let found = db.conn.prepare_cached(sql).and_then(|mut statement| statement.exists([number]));
        found.unwrap_or(false)
    };
    let by_index = db.own_index(METADATA).is_some_and(|index| {
        exists(&format!("SELECT 1 FROM {METADATA} INDEXED BY \"{index}\" WHERE id = ?1"))
    });
    by_index || exists(&format!("SELECT 1 FROM {} WHERE id = ?1", full_text::TABLE))
}

/// Finds the numbers in the gaps that other tables have and no row; returns whether these are certainly all. To be called
/// when all rows are gathered, before the queue removes any.
pub(super) fn find_numbers(db: &Database, scratch: &Scratch, gaps: &[Gap]) -> Result<bool, UpstreamError> {
    if gaps.is_empty() {
        return Ok(true);
    }
    let mut insert = scratch.conn.prepare(
        "INSERT OR IGNORE INTO missing(number) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM row WHERE cursor = ?1)
             AND NOT EXISTS (SELECT 1 FROM stray WHERE number = ?1)",
    )?;
    let mut take = |row: &Row<'_>| {
        let number: i64 = row.get(1).map_err(|error| db.failed(error))?;
        if gaps.iter().any(|gap| gap.holds(number)) {
            insert.execute([number])?;
        }
        Ok(ControlFlow::Continue(()))
    };
    let sql = format!("SELECT rowid, id FROM {METADATA} NOT INDEXED WHERE rowid >= ?1 ORDER BY rowid");
    let unread = salvage::scan(db, &sql, i64::MIN, &[], &mut take)?;
    let by_index = match db.own_index(METADATA) {
        Some(index) if !unread.is_empty() => {
            let sql = format!("SELECT rowid, id FROM {METADATA} INDEXED BY \"{index}\" ORDER BY id, key");
            salvage::scan_index(db, &sql, &[], &mut take)?
        }
        Some(_) | None => false,
    };
    if unread.is_empty() || by_index {
        return Ok(true);
    }
    if !db.columns(full_text::TABLE)?.is_empty() {
        let sql = format!("SELECT id, id FROM {} WHERE id >= ?1 ORDER BY id", full_text::TABLE);
        salvage::scan(db, &sql, i64::MIN, &[], &mut take)?;
    }
    Ok(false)
}

/// Tells what the gaps cost: by id the rows whose vector is left in the index of a collection (given with the source of
/// its vectors), by number those beyond them, and the gaps themselves unless all numbers are known.
pub(super) fn tell(
    scratch: &Scratch,
    gaps: &[Gap],
    live: &[(i64, Option<i64>)],
    numbers_are_whole: bool,
) -> Result<(), UpstreamError> {
    let mut ids = scratch.conn.prepare(
        "SELECT id FROM vector WHERE collection = ?1 AND source = ?2
             AND NOT EXISTS (SELECT 1 FROM row WHERE row.collection = ?1 AND row.id = vector.id)",
    )?;
    let mut named = 0;
    for (collection, source) in live {
        let Some(source) = source else { continue };
        let mut rows = ids.query((collection, source))?;
        while let Some(row) = rows.next()? {
            scratch.lose(Lost::Row, &row.get::<_, String>(0)?, REASON)?;
            named += 1;
        }
    }
    let count: i64 = scratch.conn.query_row("SELECT count(*) FROM missing", [], |row| row.get(0))?;
    if count > named {
        let mut numbers = scratch.conn.prepare("SELECT number FROM missing ORDER BY number")?;
        let mut rows = numbers.query([])?;
        while let Some(row) = rows.next()? {
            scratch.lose(Lost::Row, &format!("row {}", row.get::<_, i64>(0)?), REASON)?;
        }
    }
    if numbers_are_whole {
        return Ok(());
    }
    gaps.iter().try_for_each(|gap| scratch.lose(Lost::Row, &gap.name(), REASON))
}
