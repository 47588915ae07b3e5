//! What can be saved of the table of metadata: its index says which values there should be, the table gives those it still
//! can, leaves that nothing leads to and indexes over values give some of the rest.

use std::ops::ControlFlow;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};

use super::super::carve;
use super::super::database::Database;
use super::super::error::UpstreamError;
use super::super::salvage::{self, Gap};
use super::super::scratch::Scratch;
use super::cells::TABLE;
use super::full_text;

/// Indexes over values, and the column they give.
const VALUE_INDEXES: [(&str, &str); 3] = [
    ("embedding_metadata_string_value", "string_value"),
    ("embedding_metadata_int_value", "int_value"),
    ("embedding_metadata_float_value", "float_value"),
];

/// Reads the table itself, and what it lost from its leaves; tells whether it had no gaps.
pub(super) fn read_cells(
    db: &Database,
    scratch: &Scratch,
    bool_column: &str,
    index_is_complete: bool,
) -> Result<bool, UpstreamError> {
    let mut insert = scratch.conn.prepare(
        "INSERT OR REPLACE INTO cell(number, id, key, string_value, int_value, float_value, bool_value, is_read)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, TRUE)",
    )?;
    let sql = format!(
        "SELECT rowid, id, key, string_value, int_value, float_value, {} FROM {TABLE} NOT INDEXED
         WHERE rowid >= ?1 ORDER BY rowid",
        bool_column
    );
    let gaps = salvage::scan(db, &sql, i64::MIN, &[], &mut |row| copy(db, row, &mut insert, 7))?;
    if !gaps.is_empty() {
        carve_cells(db, scratch, &gaps, index_is_complete)?;
    }
    Ok(gaps.is_empty())
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
    let mut expect = scratch
        .conn
        .prepare("INSERT OR IGNORE INTO cell(number, id, key, is_read) VALUES (?1, ?2, ?3, FALSE)")?;
    carve::each_row(db, &mut |row| {
        let (number, columns) = (row.number, row.columns);
        if !is_cell(columns) || !gaps.iter().any(|gap| gap.holds(number)) {
            return Ok(());
        }
        // Versions before there were booleans have a column less.
        let columns = columns.iter().copied().chain(std::iter::once(ValueRef::Null)).take(6);
        let values: Vec<ToSqlOutput<'_>> =
            std::iter::once(ToSqlOutput::from(number)).chain(columns.map(ToSqlOutput::Borrowed)).collect();
        let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
        if update.execute(values.as_slice())? > 0 || index_is_complete {
            return Ok(());
        }
        if row.may_be_removed {
            expect.execute(&values[..3])?;
            return full_text::suspect(scratch, row.columns);
        }
        insert.execute(values.as_slice())?;
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
pub(super) fn expect_cells(db: &Database, scratch: &Scratch) -> Result<bool, UpstreamError> {
    let Some(index) = db.own_index(TABLE) else {
        return Ok(false);
    };
    let mut insert = scratch
        .conn
        .prepare("INSERT OR REPLACE INTO cell(number, id, key, is_read) VALUES (?1, ?2, ?3, FALSE)")?;
    let sql = format!("SELECT rowid, id, key FROM {TABLE} INDEXED BY \"{index}\" ORDER BY id, key");
    salvage::scan_index(db, &sql, &[], &mut |row| copy(db, row, &mut insert, 3))
}

/// Takes values that the table no longer gives from the indexes over them.
pub(super) fn fill_all(db: &Database, scratch: &Scratch) -> Result<(), UpstreamError> {
    VALUE_INDEXES.iter().try_for_each(|(index, column)| fill_cells(db, scratch, index, column))
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
