//! Texts out of the table behind the full-text index, the last place where one may stand.
//!
//! Some versions numbered it as the rows are numbered, others did not. It is believed only where its own content shows
//! which it is: texts that are known from elsewhere have to stand there under the numbers of their rows.

use std::ops::ControlFlow;

use rusqlite::types::ValueRef;

use super::super::content::{Content, DOCUMENT};
use super::super::database::{Database, text};
use super::super::error::UpstreamError;
use super::super::salvage;
use super::super::scratch::Scratch;
use super::queue;

pub(super) const TABLE: &str = "embedding_fulltext_search_content";
/// How many rows have to agree.
const AGREED_COUNT_MIN: u64 = 3;

/// Remembers a text that a row had once, and may still have.
pub(super) fn suspect(scratch: &Scratch, cell: &[ValueRef<'_>]) -> Result<(), UpstreamError> {
    let [ValueRef::Integer(number), ValueRef::Text(key), string @ ValueRef::Text(_), ..] = cell else {
        return Ok(());
    };
    if *key == DOCUMENT.as_bytes()
        && let Some((text, true)) = text(*string)
    {
        remember(scratch, *number, &text, false)?;
    }
    Ok(())
}

fn remember(scratch: &Scratch, number: i64, text: &str, is_certain: bool) -> Result<(), UpstreamError> {
    let sql = "INSERT INTO evidence(number, text, is_certain) VALUES (?1, ?2, ?3)";
    scratch.conn.prepare_cached(sql)?.execute((number, text, is_certain))?;
    Ok(())
}

/// Gives texts to rows whose cells have none; returns how many. Nothing is given unless the numbers agree.
pub(super) fn fill(db: &Database, scratch: &Scratch) -> Result<u64, UpstreamError> {
    let columns = db.columns(TABLE)?;
    if columns != ["id", "c0"] {
        return Ok(0);
    }
    gather_evidence(db, scratch)?;
    if !agrees(db, scratch)? {
        return Ok(0);
    }
    let mut is_wanted = scratch.conn.prepare(
        "SELECT 1 FROM row WHERE cursor = ?1
             AND NOT EXISTS (SELECT 1 FROM cell WHERE cell.id = ?1 AND key = ?2 AND is_read)",
    )?;
    let mut update = scratch.conn.prepare(
        "UPDATE cell SET string_value = ?3, is_read = TRUE WHERE cell.id = ?1 AND key = ?2 AND NOT is_read",
    )?;
    // Numbers of the table of metadata are positive.
    let mut insert = scratch.conn.prepare(
        "INSERT OR IGNORE INTO cell(number, id, key, string_value, is_read) VALUES (-?1, ?1, ?2, ?3, TRUE)",
    )?;
    let mut count = 0;
    each(db, &mut |number, text| {
        if is_wanted.exists((number, DOCUMENT))? {
            if update.execute((number, DOCUMENT, text))? == 0 {
                insert.execute((number, DOCUMENT, text))?;
            }
            count += 1;
        }
        Ok(())
    })?;
    Ok(count)
}

/// Takes texts that are known: those the table of metadata gave, and those of changes that were the last of a row.
fn gather_evidence(db: &Database, scratch: &Scratch) -> Result<(), UpstreamError> {
    let sql = "INSERT INTO evidence(number, text, is_certain)
        SELECT id, string_value, TRUE FROM cell WHERE key = ?1 AND is_read AND typeof(string_value) = 'text'";
    scratch.conn.execute(sql, [DOCUMENT])?;
    let sql =
        "SELECT cursor, seq FROM row JOIN queued USING (collection, id) WHERE own = seq AND cursor < ?1";
    let mut statement = scratch.conn.prepare(sql)?;
    let mut rows = statement.query([super::rows::QUEUED_BASE])?;
    while let Some(row) = rows.next()? {
        let (number, seq): (i64, i64) = (row.get(0)?, row.get(1)?);
        let mut carried = Content::default();
        if let Ok(Some(json)) = queue::metadata(db, seq)
            && carried.merge(&json).is_ok()
            && let Some(text) = carried.document
        {
            remember(scratch, number, &text, true)?;
        }
    }
    Ok(())
}

/// Tells whether enough texts that are known stand under the numbers of their rows, and none that is certain does not.
fn agrees(db: &Database, scratch: &Scratch) -> Result<bool, UpstreamError> {
    let mut ask = scratch.conn.prepare(
        "SELECT coalesce(max(text = ?2), FALSE), coalesce(max(is_certain AND text <> ?2), FALSE)
         FROM evidence WHERE number = ?1",
    )?;
    let (mut agreed, mut differ) = (0, false);
    each(db, &mut |number, text| {
        let (same, other): (bool, bool) =
            ask.query_row((number, text), |row| Ok((row.get(0)?, row.get(1)?)))?;
        agreed += u64::from(same);
        differ |= other;
        Ok(())
    })?;
    Ok(agreed >= AGREED_COUNT_MIN && !differ)
}

/// Hands on the numbers and texts that can be read and are sound.
fn each(
    db: &Database,
    visit: &mut dyn FnMut(i64, &str) -> Result<(), UpstreamError>,
) -> Result<(), UpstreamError> {
    let sql = format!("SELECT id, c0 FROM {TABLE} WHERE id >= ?1 ORDER BY id");
    salvage::scan(db, &sql, i64::MIN, &[], &mut |row| {
        let number = row.get(0).map_err(|error| db.failed(error))?;
        if let ValueRef::Text(bytes) = row.get_ref(1).map_err(|error| db.failed(error))?
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            visit(number, text)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(())
}
