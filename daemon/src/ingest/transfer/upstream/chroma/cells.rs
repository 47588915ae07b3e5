//! Metadata and texts of rows, from a table that may be damaged.
//!
//! Rows are asked for by their numbers. Only when that fails, or has no text, is the table gone through as a whole, once:
//! its index says which values there should be, the table gives those it still can, leaves that nothing leads to and
//! indexes over values give some of the rest. The full-text tables are never asked: older versions numbered them differently.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::ControlFlow;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};

use super::super::carve;
use super::super::content::{Columns, Content, DOCUMENT};
use super::super::database::{Database, text};
use super::super::error::{Lost, UpstreamError, is_damage};
use super::super::salvage::{self, Gap};
use super::super::scratch::Scratch;

const TABLE: &str = "embedding_metadata";
/// Indexes over values, and the column they give.
const VALUE_INDEXES: [(&str, &str); 3] = [
    ("embedding_metadata_string_value", "string_value"),
    ("embedding_metadata_int_value", "int_value"),
    ("embedding_metadata_float_value", "float_value"),
];

/// The table of metadata.
pub(super) struct Cells {
    /// `NULL` in versions before there were booleans.
    bool_column: &'static str,
    /// Asks for one row and for a range of them.
    sql_of_one: String,
    sql_of_range: String,
    /// Whether the table could be gone through without gaps, once it had to be.
    saved: OnceCell<bool>,
}

/// Where a row is and what it is called.
#[derive(Clone, Copy)]
pub(super) struct Address<'a> {
    pub number: i64,
    pub id: &'a str,
}

/// What the table says of a row.
pub(super) struct Told {
    content: Content,
    /// Nothing of it had to be replaced.
    exact: bool,
}

impl Default for Told {
    fn default() -> Self {
        Told { content: Content::default(), exact: true }
    }
}

impl Told {
    /// Returns the content; that it is not exact is a loss.
    pub fn noted(self, scratch: &Scratch, row: Address<'_>) -> Result<Content, UpstreamError> {
        note_inexact(scratch, row, self.exact)?;
        Ok(self.content)
    }
}

impl Cells {
    pub fn of(db: &Database) -> Result<Cells, UpstreamError> {
        let has_bool = db.columns(TABLE)?.iter().any(|column| column == "bool_value");
        let bool_column = if has_bool { "bool_value" } else { "NULL" };
        let select =
            format!("SELECT id, key, string_value, int_value, float_value, {bool_column} FROM {TABLE}");
        Ok(Cells {
            bool_column,
            sql_of_one: format!("{select} WHERE id = ?1"),
            sql_of_range: format!("{select} WHERE id BETWEEN ?1 AND ?2 ORDER BY id"),
            saved: OnceCell::new(),
        })
    }

    /// Returns what the table says about rows, given by their numbers in ascending order; none if damage stands there.
    ///
    /// Everything between the first and the last is read, and only what was asked for is kept.
    pub fn contents(
        &self,
        db: &Database,
        numbers: &[i64],
    ) -> Result<Option<HashMap<i64, Told>>, UpstreamError> {
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
            return Ok(Some(HashMap::new()));
        };
        let read = || -> rusqlite::Result<HashMap<i64, Told>> {
            let mut told: HashMap<i64, Told> = HashMap::with_capacity(numbers.len());
            let mut statement = db.conn.prepare_cached(&self.sql_of_range)?;
            let mut rows = statement.query([first, last])?;
            while let Some(cell) = rows.next()? {
                let number = cell.get(0)?;
                if numbers.binary_search(&number).is_ok() {
                    let told = told.entry(number).or_default();
                    told.exact &= put(&mut told.content, cell, 1)?;
                }
            }
            Ok(told)
        };
        match read() {
            Ok(told) => Ok(Some(told)),
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(db.failed(error)),
        }
    }

    /// Returns what the table says about a row.
    pub fn content(
        &self,
        db: &Database,
        scratch: &Scratch,
        row: Address<'_>,
    ) -> Result<Content, UpstreamError> {
        let read = || -> rusqlite::Result<Told> {
            let mut told = Told::default();
            let mut statement = db.conn.prepare_cached(&self.sql_of_one)?;
            let mut rows = statement.query([row.number])?;
            while let Some(cell) = rows.next()? {
                told.exact &= put(&mut told.content, cell, 1)?;
            }
            Ok(told)
        };
        match read() {
            Ok(told) => told.noted(scratch, row),
            Err(error) if is_damage(&error) => self.saved_content(db, scratch, row),
            Err(error) => Err(db.failed(error)),
        }
    }

    /// Returns what can still be found of a row, and records what cannot.
    pub fn saved_content(
        &self,
        db: &Database,
        scratch: &Scratch,
        row: Address<'_>,
    ) -> Result<Content, UpstreamError> {
        const REASON: &str = "the table of metadata is damaged";
        let whole = self.save(db, scratch)?;
        let mut content = Content::default();
        let sql =
            "SELECT is_read, key, string_value, int_value, float_value, bool_value FROM cell WHERE id = ?1";
        let mut statement = scratch.conn.prepare_cached(sql)?;
        let mut cells = statement.query([row.number])?;
        let mut exact = true;
        while let Some(cell) = cells.next()? {
            if cell.get(0)? {
                exact &= put(&mut content, cell, 1)?;
                continue;
            }
            let key: String = cell.get(1)?;
            // A text may still come out of the queue; that it is lost is told by whoever does not find it there.
            if key != DOCUMENT {
                scratch.lose(Lost::Metadata, &format!("{}: {key}", row.id), REASON)?;
            }
        }
        if !whole && content == Content::default() {
            scratch.lose(Lost::Metadata, row.id, REASON)?;
        }
        note_inexact(scratch, row, exact)?;
        Ok(content)
    }

    /// Returns whether the table was gone through and had no gaps.
    pub fn is_whole(&self) -> bool {
        self.saved.get() == Some(&true)
    }

    fn save(&self, db: &Database, scratch: &Scratch) -> Result<bool, UpstreamError> {
        if let Some(whole) = self.saved.get() {
            return Ok(*whole);
        }
        let whole = scratch.in_one(|| {
            let index_is_complete = expect_cells(db, scratch)?;
            let whole = self.read_cells(db, scratch, index_is_complete)?;
            if !whole {
                for (index, column) in VALUE_INDEXES {
                    fill_cells(db, scratch, index, column)?;
                }
            }
            Ok(whole)
        })?;
        Ok(*self.saved.get_or_init(|| whole))
    }

    fn read_cells(
        &self,
        db: &Database,
        scratch: &Scratch,
        index_is_complete: bool,
    ) -> Result<bool, UpstreamError> {
        let mut insert = scratch.conn.prepare(
            "INSERT OR REPLACE INTO cell(number, id, key, string_value, int_value, float_value, bool_value, is_read)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, TRUE)",
        )?;
        let sql = format!(
            "SELECT rowid, id, key, string_value, int_value, float_value, {} FROM {TABLE} NOT INDEXED
             WHERE rowid >= ?1 ORDER BY rowid",
            self.bool_column
        );
        let gaps = salvage::scan(db, &sql, i64::MIN, &[], &mut |row| copy(db, row, &mut insert, 7))?;
        if !gaps.is_empty() {
            carve_cells(db, scratch, &gaps, index_is_complete)?;
        }
        Ok(gaps.is_empty())
    }
}

/// Takes values that stood in gaps of the table from leaves that nothing leads to, where the table's own index names
/// them or cannot say that they are gone.
fn carve_cells(
    db: &Database,
    scratch: &Scratch,
    gaps: &[Gap],
    index_is_complete: bool,
) -> Result<(), UpstreamError> {
    let mut update = scratch.conn.prepare(
        "UPDATE cell SET string_value = ?4, int_value = ?5, float_value = ?6, bool_value = ?7, is_read = TRUE
         WHERE number = ?1 AND id = ?2 AND key = ?3 AND NOT is_read",
    )?;
    let mut insert = scratch.conn.prepare(
        "INSERT OR IGNORE INTO cell(number, id, key, string_value, int_value, float_value, bool_value, is_read)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, TRUE)",
    )?;
    carve::each_row(db, &mut |number, columns| {
        if !is_cell(columns) || !gaps.iter().any(|gap| gap.holds(number)) {
            return Ok(());
        }
        // Versions before there were booleans have a column less.
        let columns = columns.iter().copied().chain(std::iter::once(ValueRef::Null)).take(6);
        let values: Vec<ToSqlOutput<'_>> =
            std::iter::once(ToSqlOutput::from(number)).chain(columns.map(ToSqlOutput::Borrowed)).collect();
        let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
        if update.execute(values.as_slice())? == 0 && !index_is_complete {
            insert.execute(values.as_slice())?;
        }
        Ok(())
    })
}

/// Tells whether a row is one of the table of metadata: the number of what it is about, a key, and one value in one of
/// the columns of its type.
fn is_cell(columns: &[ValueRef<'_>]) -> bool {
    let [ValueRef::Integer(1..), ValueRef::Text(_), values @ ..] = columns else { return false };
    let (Some(string), Some(int), Some(float)) = (values.first(), values.get(1), values.get(2)) else {
        return false;
    };
    let bool = values.get(3).unwrap_or(&ValueRef::Null);
    values.len() <= 4
        && matches!(string, ValueRef::Null | ValueRef::Text(_))
        && matches!(int, ValueRef::Null | ValueRef::Integer(_))
        && matches!(float, ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_))
        && matches!(bool, ValueRef::Null | ValueRef::Integer(_))
        && values.iter().any(|value| *value != ValueRef::Null)
}

/// Takes from the table's own index which values there are; tells whether all of it could be read.
fn expect_cells(db: &Database, scratch: &Scratch) -> Result<bool, UpstreamError> {
    let Some(index) = db.own_index(TABLE) else {
        return Ok(false);
    };
    let mut insert = scratch
        .conn
        .prepare("INSERT OR REPLACE INTO cell(number, id, key, is_read) VALUES (?1, ?2, ?3, FALSE)")?;
    let sql = format!("SELECT rowid, id, key FROM {TABLE} INDEXED BY \"{index}\" ORDER BY id, key");
    salvage::scan_index(db, &sql, &[], &mut |row| copy(db, row, &mut insert, 3))
}

/// Takes values that the table no longer gives from an index over them.
fn fill_cells(db: &Database, scratch: &Scratch, index: &str, column: &str) -> Result<(), UpstreamError> {
    let mut update = scratch.conn.prepare(&format!(
        "UPDATE cell SET {column} = ?2, is_read = TRUE WHERE number = ?1 AND NOT is_read"
    ))?;
    let sql = format!(
        "SELECT rowid, {column} FROM {TABLE} INDEXED BY {index}
         WHERE {column} IS NOT NULL ORDER BY key, {column}"
    );
    salvage::scan_index(db, &sql, &[], &mut |row| copy(db, row, &mut update, 2))?;
    Ok(())
}

/// Runs a statement of the scratch database with the columns of a row.
fn copy(
    db: &Database,
    row: &Row<'_>,
    statement: &mut rusqlite::Statement<'_>,
    column_count: usize,
) -> Result<ControlFlow<()>, UpstreamError> {
    let values: Result<Vec<_>, _> = (0..column_count).map(|column| row.get_ref(column)).collect();
    let values = values.map_err(|error| db.failed(error))?;
    let values: Vec<ToSqlOutput<'_>> = values.into_iter().map(ToSqlOutput::Borrowed).collect();
    let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
    statement.execute(values.as_slice())?;
    Ok(ControlFlow::Continue(()))
}

/// Takes one value, whose key stands in a column and its four forms behind it; returns whether it is exact.
fn put(content: &mut Content, cell: &Row<'_>, key: usize) -> rusqlite::Result<bool> {
    let columns = Columns {
        string: cell.get_ref(key + 1)?,
        int: cell.get_ref(key + 2)?,
        float: cell.get_ref(key + 3)?,
        bool: cell.get_ref(key + 4)?,
    };
    let (Some((key, _)), Some((value, exact))) = (text(cell.get_ref(key)?), columns.value()) else {
        return Ok(true);
    };
    content.put(key, value);
    Ok(exact)
}

fn note_inexact(scratch: &Scratch, row: Address<'_>, exact: bool) -> Result<(), UpstreamError> {
    if exact {
        return Ok(());
    }
    scratch.lose(Lost::Metadata, row.id, "bytes that are not UTF-8 were replaced")
}
