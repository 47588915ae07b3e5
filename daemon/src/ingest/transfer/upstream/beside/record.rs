//! Rows of tables beside the palace, as JSON objects with the names of their columns.
//!
//! Versions added columns; whatever a table has is handed on under its own name.

use std::ops::ControlFlow;

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};

use super::super::database::{Database, text};
use super::super::error::{Lost, UpstreamError};
use super::super::salvage;
use super::super::scratch::Scratch;

/// A row as a JSON object.
pub(in super::super) type Record = Map<String, Value>;

/// A table whose rows have an id.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub name: &'static str,
    /// What a row of it is.
    pub what: Lost,
}

impl Table {
    /// Hands on every row, in the order of their numbers; tells what cannot be read.
    pub fn each(
        self,
        db: &Database,
        scratch: &Scratch,
        visit: &mut dyn FnMut(Record) -> Result<ControlFlow<()>, UpstreamError>,
    ) -> Result<(), UpstreamError> {
        let columns = db.columns(self.name)?;
        if columns.is_empty() {
            return Ok(());
        }
        let sql = format!("SELECT rowid, * FROM {} NOT INDEXED WHERE rowid >= ?1 ORDER BY rowid", self.name);
        let gaps = salvage::scan(db, &sql, i64::MIN, &[], &mut |row| {
            visit(record(&columns, row).map_err(|error| db.failed(error))?)
        })?;
        if gaps.is_empty() {
            return Ok(());
        }
        let mut is_named = false;
        if let Some(index) = db.own_index(self.name) {
            let sql = format!("SELECT rowid, id FROM {} INDEXED BY \"{index}\" ORDER BY id", self.name);
            is_named = salvage::scan_index(db, &sql, &[], &mut |row| {
                let number: i64 = row.get(0).map_err(|error| db.failed(error))?;
                let id = text(row.get_ref(1).map_err(|error| db.failed(error))?);
                if let Some((id, _)) = id
                    && gaps.iter().any(|gap| gap.holds(number))
                {
                    self.lose(scratch, &id)?;
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        gaps.iter().filter(|_| !is_named).try_for_each(|gap| self.lose(scratch, &gap.name()))
    }

    fn lose(self, scratch: &Scratch, id: &str) -> Result<(), UpstreamError> {
        scratch.lose(self.what, id, &format!("the table {} is damaged", self.name))
    }

    /// Counts the rows that can be read.
    pub fn count(self, db: &Database) -> Result<u64, UpstreamError> {
        if db.columns(self.name)?.is_empty() {
            return Ok(0);
        }
        let sql = format!("SELECT rowid FROM {} NOT INDEXED WHERE rowid >= ?1 ORDER BY rowid", self.name);
        let mut count = 0;
        salvage::scan(db, &sql, i64::MIN, &[], &mut |_| {
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }
}

fn record(columns: &[String], row: &Row<'_>) -> rusqlite::Result<Record> {
    let value = |(index, name): (usize, &String)| Ok((name.clone(), value(row.get_ref(index + 1)?)));
    columns.iter().enumerate().map(value).collect()
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(_) | ValueRef::Blob(_) => text(value).map_or(Value::Null, |(text, _)| text.into()),
    }
}
