//! Rows of a segment that no collection has: a bit of its name is wrong, or the collection is gone.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rusqlite::ToSql;

use super::super::database::{Database, text};
use super::super::error::{Lost, UpstreamError};
use super::super::salvage;
use super::super::scratch::Scratch;
use super::catalog::Catalog;
use super::queue;
use super::rows::{Marks, QUEUED_BASE};

/// Puts such rows where the index over ids has them. What is left is lost and told by id, unless table and index agree on a
/// segment that no sound list of segments has: its collection was removed.
pub(super) fn place(
    db: &Database,
    scratch: &Scratch,
    catalog: &Catalog,
    marks: &[&Marks],
    notes: &mut Vec<String>,
) -> Result<(), UpstreamError> {
    find(db, scratch, catalog)?;
    if !scratch.conn.prepare("SELECT 1 FROM stray")?.exists([])? {
        return Ok(());
    }
    by_index(db, scratch, catalog, marks)?;
    let mut removed: BTreeMap<String, u64> = BTreeMap::new();
    let mut statement =
        scratch.conn.prepare("SELECT number, segment, id, is_agreed FROM stray ORDER BY number")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (number, segment): (i64, String) = (row.get(0)?, row.get(1)?);
        let (id, is_agreed): (Option<String>, bool) = (row.get(2)?, row.get(3)?);
        if is_agreed && catalog.is_whole {
            *removed.entry(segment).or_default() += 1;
            continue;
        }
        let id = id.unwrap_or_else(|| format!("row {number}"));
        scratch.lose(Lost::Row, &id, &format!("no collection has its segment, {segment:?}"))?;
    }
    for (segment, count) in removed {
        notes.push(format!(
            "{count} rows are of segment {segment}, whose collection was removed, and are left out"
        ));
    }
    Ok(())
}

/// Finds them in the table.
fn find(db: &Database, scratch: &Scratch, catalog: &Catalog) -> Result<(), UpstreamError> {
    let known: Vec<&String> = catalog
        .collections
        .iter()
        .map(|collection| &collection.metadata_segment)
        .chain(&catalog.left_out)
        .collect();
    let places: Vec<String> = (0..known.len()).map(|at| format!("?{}", at + 2)).collect();
    let sql = format!(
        "SELECT id, segment_id, embedding_id, seq_id FROM embeddings NOT INDEXED
         WHERE id >= ?1 AND (segment_id IS NULL OR segment_id NOT IN ({})) ORDER BY id",
        places.join(", ")
    );
    let known: Vec<&dyn ToSql> = known.iter().map(|segment| *segment as &dyn ToSql).collect();
    let mut insert = scratch.conn.prepare(
        "INSERT OR IGNORE INTO stray(number, segment, id, own, is_agreed) VALUES (?1, ?2, ?3, ?4, FALSE)",
    )?;
    salvage::scan(db, &sql, i64::MIN, &known, &mut |row| {
        let number: i64 = row.get(0).map_err(|error| db.failed(error))?;
        let column = |at: usize| row.get_ref(at).map_err(|error| db.failed(error));
        let plain = |at: usize| Ok::<_, UpstreamError>(text(column(at)?).map(|(text, _)| text));
        let segment = plain(1)?.unwrap_or_default();
        insert.execute((number, segment, plain(2)?, queue::seq(column(3)?)))?;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(())
}

/// Asks the index over ids for them.
fn by_index(
    db: &Database,
    scratch: &Scratch,
    catalog: &Catalog,
    marks: &[&Marks],
) -> Result<(), UpstreamError> {
    let Some(index) = db.own_index("embeddings") else { return Ok(()) };
    let mut find = scratch.conn.prepare("SELECT segment, own FROM stray WHERE number = ?1")?;
    let mut agree = scratch.conn.prepare("UPDATE stray SET is_agreed = TRUE WHERE number = ?1")?;
    let mut remove = scratch.conn.prepare("DELETE FROM stray WHERE number = ?1")?;
    let mut insert = scratch.conn.prepare(
        "INSERT OR IGNORE INTO row(collection, cursor, id, own, applied) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let sql = format!(
        "SELECT id, segment_id, embedding_id FROM embeddings INDEXED BY \"{index}\" ORDER BY segment_id, embedding_id"
    );
    salvage::scan_index(db, &sql, &[], &mut |row| {
        let number: i64 = row.get(0).map_err(|error| db.failed(error))?;
        let mut strays = find.query([number])?;
        let Some(stray) = strays.next()? else { return Ok(ControlFlow::Continue(())) };
        let (segment, own): (String, Option<i64>) = (stray.get(0)?, stray.get(1)?);
        let named = text(row.get_ref(1).map_err(|error| db.failed(error))?);
        let id = text(row.get_ref(2).map_err(|error| db.failed(error))?);
        let (Some((named, _)), Some((id, _))) = (named, id) else { return Ok(ControlFlow::Continue(())) };
        let home = catalog.collections.iter().zip(marks).find(|(known, _)| known.metadata_segment == named);
        if let Some((collection, marks)) = home.filter(|_| number < QUEUED_BASE) {
            insert.execute((collection.number, number, id, own, marks.of_row(own)))?;
            remove.execute([number])?;
        } else if named == segment {
            agree.execute([number])?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(())
}
