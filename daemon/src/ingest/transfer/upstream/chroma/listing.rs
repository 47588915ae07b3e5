//! The two tables that list collections and segments, as far as they can be read: a row comes from its table, what the
//! table lost from the indexes over it, each of which knows some columns, and from leaves that nothing leads to.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rusqlite::types::ValueRef;

use super::super::carve;
use super::super::database::{Database, text};
use super::super::error::UpstreamError;
use super::super::salvage;

/// What a table lists.
pub(super) struct Listing {
    /// Columns by row number; none where it is null or lost.
    pub rows: BTreeMap<i64, Vec<Option<String>>>,
    /// Ids that an index has for a row which the table calls otherwise: one of both is damaged.
    pub other_ids: Vec<(i64, String)>,
    /// Whether nothing is known to be missing.
    pub is_whole: bool,
}

impl Listing {
    /// Reads some columns of a table, `id` first; `is_row` tells a row of it by all its columns.
    pub fn read(
        db: &Database,
        table: &'static str,
        wanted: &[&str],
        is_row: fn(&[ValueRef<'_>]) -> bool,
    ) -> Result<Listing, UpstreamError> {
        let columns = db.columns(table)?;
        if columns.is_empty() {
            return Err(UpstreamError::NoTable { path: db.path.clone(), table });
        }
        // Columns came and went with the versions.
        let has = |name: &str| columns.iter().any(|column| column == name);
        let select: Vec<&str> = wanted.iter().map(|name| if has(name) { *name } else { "NULL" }).collect();
        let sql = format!(
            "SELECT rowid, {} FROM {table} NOT INDEXED WHERE rowid >= ?1 ORDER BY rowid",
            select.join(", ")
        );
        let mut rows: BTreeMap<i64, Vec<Option<String>>> = BTreeMap::new();
        let gaps = salvage::scan(db, &sql, i64::MIN, &[], &mut |row| {
            let values: Result<Vec<_>, _> = (1..=wanted.len()).map(|at| row.get_ref(at).map(plain)).collect();
            let number = row.get(0).map_err(|error| db.failed(error))?;
            rows.insert(number, values.map_err(|error| db.failed(error))?);
            Ok(ControlFlow::Continue(()))
        })?;
        let mut listing = Listing { rows, other_ids: Vec::new(), is_whole: gaps.is_empty() };
        for (index, columns) in indexes(db, table)? {
            listing.fill(db, table, wanted, &index, &columns)?;
        }
        if gaps.is_empty() {
            return Ok(listing);
        }
        let places: Vec<Option<usize>> =
            wanted.iter().map(|name| columns.iter().position(|column| column == name)).collect();
        carve::each_row(db, &mut |row| {
            if !gaps.iter().any(|gap| gap.holds(row.number)) || !is_row(row.columns) {
                return Ok(());
            }
            let values: Vec<Option<String>> = places
                .iter()
                .map(|place| place.and_then(|place| row.columns.get(place)).and_then(|value| plain(*value)))
                .collect();
            match listing.rows.get_mut(&row.number) {
                Some(known) if known.first() == values.first() => *known = values,
                None if !row.may_be_removed => drop(listing.rows.insert(row.number, values)),
                Some(_) | None => {}
            }
            Ok(())
        })?;
        Ok(listing)
    }

    fn fill(
        &mut self,
        db: &Database,
        table: &str,
        wanted: &[&str],
        index: &str,
        columns: &[String],
    ) -> Result<(), UpstreamError> {
        let list = columns.join(", ");
        let sql = format!("SELECT rowid, {list} FROM {table} INDEXED BY \"{index}\" ORDER BY {list}");
        salvage::scan_index(db, &sql, &[], &mut |row| {
            let number: i64 = row.get(0).map_err(|error| db.failed(error))?;
            for (at, column) in columns.iter().enumerate() {
                let Some(place) = wanted.iter().position(|name| name == column) else { continue };
                let value = plain(row.get_ref(at + 1).map_err(|error| db.failed(error))?);
                let is_new = !self.rows.contains_key(&number);
                self.is_whole &= !is_new;
                let known = self.rows.entry(number).or_insert_with(|| vec![None; wanted.len()]);
                match (&known[place], value) {
                    (None, value) => known[place] = value,
                    (Some(known), Some(value)) if place == 0 && *known != value => {
                        self.is_whole = false;
                        self.other_ids.push((number, value));
                    }
                    (Some(_), _) => {}
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(())
    }
}

fn plain(value: ValueRef<'_>) -> Option<String> {
    text(value).map(|(text, _)| text)
}

/// Returns the indexes of a table with their columns.
fn indexes(db: &Database, table: &str) -> Result<Vec<(String, Vec<String>)>, UpstreamError> {
    let read = || -> rusqlite::Result<Vec<(String, Vec<String>)>> {
        let sql = "SELECT list.name, info.name FROM pragma_index_list(?1) AS list, pragma_index_info(list.name) AS info
            WHERE NOT list.partial AND info.name IS NOT NULL ORDER BY list.seq, info.seqno";
        let mut indexes: Vec<(String, Vec<String>)> = Vec::new();
        let mut statement = db.conn.prepare(sql)?;
        let mut rows = statement.query([table])?;
        while let Some(row) = rows.next()? {
            let (index, column): (String, String) = (row.get(0)?, row.get(1)?);
            match indexes.last_mut() {
                Some((last, columns)) if *last == index => columns.push(column),
                Some(_) | None => indexes.push((index, vec![column])),
            }
        }
        Ok(indexes)
    };
    read().map_err(|error| db.failed(error))
}

/// Tells a row of `collections`: an id, a name, and a dimension, or a database where there is none yet, or a topic. A row of
/// their metadata has a key in the place of the name, and then a text or a number further on.
pub(super) fn is_collection(columns: &[ValueRef<'_>]) -> bool {
    match columns {
        [ValueRef::Text(id), ValueRef::Text(_), third, fourth, ..] if is_id(id) => match (third, fourth) {
            (ValueRef::Integer(_), _) | (ValueRef::Null, ValueRef::Text(_)) => true,
            (ValueRef::Text(topic), _) => topic.starts_with(b"persistent://"),
            (ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_), _) => false,
        },
        _ => false,
    }
}

/// Tells a row of `segments`: an id, a type, what it holds, and more.
pub(super) fn is_segment(columns: &[ValueRef<'_>]) -> bool {
    matches!(columns, [ValueRef::Text(_), ValueRef::Text(_), ValueRef::Text(b"METADATA" | b"VECTOR"), _, ..])
}

/// Ids are UUIDs.
fn is_id(id: &[u8]) -> bool {
    id.len() == 36 && id.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}
