//! Reading a table of a damaged database: what stands before, between and behind the damage.
//!
//! A table is a tree ordered by row number. Where a page of it is unreadable, SQLite ends the query; it is asked again
//! from the first row number behind the damage, which is found by leaps and then by halves. The gaps are told, and
//! often an index of the table still names what stood in them.

use std::ops::ControlFlow;

use rusqlite::{Row, Statement, ToSql};

use super::database::Database;
use super::error::{UpstreamError, is_damage};

/// Row numbers that could not be read: from `first` up to, without, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub first: i64,
    /// `i64::MAX` when nothing behind the damage can be read.
    pub end: i64,
}

impl Gap {
    pub fn holds(&self, number: i64) -> bool {
        (self.first..self.end).contains(&number)
    }

    /// Returns the gap in words.
    pub fn name(&self) -> String {
        match (self.first, self.end) {
            (i64::MIN, i64::MAX) => "all rows".to_owned(),
            (i64::MIN, end) => format!("rows up to {}", end - 1),
            (first, i64::MAX) => format!("rows from {first}"),
            (first, end) if end == first.saturating_add(1) => format!("row {first}"),
            (first, end) => format!("rows {first} to {}", end - 1),
        }
    }
}

/// Takes a row; breaks off the reading if it breaks.
pub(super) type Visit<'a> = dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>, UpstreamError> + 'a;

/// Hands on the rows of a query whose first column is the row number and which is ordered by it, from `?1` on, and
/// returns what could not be read. Further parameters begin at `?2`.
pub(super) fn scan(
    db: &Database,
    sql: &str,
    from: i64,
    parameters: &[&dyn ToSql],
    visit: &mut Visit<'_>,
) -> Result<Vec<Gap>, UpstreamError> {
    let mut statement = db.conn.prepare(sql).map_err(|error| db.failed(error))?;
    let mut gaps = Vec::new();
    let mut from = from;
    loop {
        match run(db, &mut statement, &mut from, parameters, visit)? {
            End::Whole => return Ok(gaps),
            End::Damage => {
                let end = healthy_from(db, &mut statement, from, parameters)?;
                gaps.push(Gap { first: from, end: end.unwrap_or(i64::MAX) });
                match end {
                    Some(end) => from = end,
                    None => return Ok(gaps),
                }
            }
        }
    }
}

enum End {
    Whole,
    Damage,
}

/// Hands on rows until they or the readable pages end; `from` is then the number after the last row.
fn run(
    db: &Database,
    statement: &mut Statement<'_>,
    from: &mut i64,
    parameters: &[&dyn ToSql],
    visit: &mut Visit<'_>,
) -> Result<End, UpstreamError> {
    let start = *from;
    let mut rows = match query(statement, &start, parameters) {
        Ok(rows) => rows,
        Err(error) if is_damage(&error) => return Ok(End::Damage),
        Err(error) => return Err(db.failed(error)),
    };
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let number: i64 = row.get(0).map_err(|error| db.failed(error))?;
                // A damaged tree may lead backwards; the same rows must not come twice.
                if number < *from {
                    return Ok(End::Damage);
                }
                if visit(row)?.is_break() {
                    return Ok(End::Whole);
                }
                match number.checked_add(1) {
                    Some(next) => *from = next,
                    None => return Ok(End::Whole),
                }
            }
            Ok(None) => return Ok(End::Whole),
            Err(error) if is_damage(&error) => return Ok(End::Damage),
            Err(error) => return Err(db.failed(error)),
        }
    }
}

fn query<'s>(
    statement: &'s mut Statement<'_>,
    from: &i64,
    parameters: &[&dyn ToSql],
) -> rusqlite::Result<rusqlite::Rows<'s>> {
    let mut all: Vec<&dyn ToSql> = vec![from];
    all.extend_from_slice(parameters);
    statement.query(all.as_slice())
}

/// Returns the least row number after `bad` from which a row can be read, or at which the table is known to end.
fn healthy_from(
    db: &Database,
    statement: &mut Statement<'_>,
    bad: i64,
    parameters: &[&dyn ToSql],
) -> Result<Option<i64>, UpstreamError> {
    // Row numbers are positive; leaping from below them would leap over them.
    let (mut bad, mut leap) = (bad.max(0), 1_i64);
    let mut good = loop {
        let Some(probe) = bad.checked_add(leap) else {
            return Ok(None);
        };
        if is_healthy(db, statement, probe, parameters)? {
            break probe;
        }
        bad = probe;
        leap = leap.saturating_mul(2);
    };
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        if is_healthy(db, statement, middle, parameters)? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(Some(good))
}

fn is_healthy(
    db: &Database,
    statement: &mut Statement<'_>,
    from: i64,
    parameters: &[&dyn ToSql],
) -> Result<bool, UpstreamError> {
    let first = query(statement, &from, parameters).and_then(|mut rows| match rows.next()? {
        Some(row) => row.get::<_, i64>(0).map(|number| number >= from),
        None => Ok(true),
    });
    match first {
        Ok(healthy) => Ok(healthy),
        Err(error) if is_damage(&error) => Ok(false),
        Err(error) => Err(db.failed(error)),
    }
}

/// Hands on the rows of an index, from both of its ends up to the damage, and returns whether there was none.
///
/// `sql` ends in an `ORDER BY` whose columns all go up.
pub(super) fn scan_index(
    db: &Database,
    sql: &str,
    parameters: &[&dyn ToSql],
    visit: &mut Visit<'_>,
) -> Result<bool, UpstreamError> {
    if until_damage(db, sql, parameters, visit)? {
        return Ok(true);
    }
    let (select, order) = sql.split_once("ORDER BY").expect("an index is read in its order");
    let backwards: Vec<String> = order.split(',').map(|column| format!("{column} DESC")).collect();
    until_damage(db, &format!("{select} ORDER BY {}", backwards.join(",")), parameters, visit)?;
    Ok(false)
}

fn until_damage(
    db: &Database,
    sql: &str,
    parameters: &[&dyn ToSql],
    visit: &mut Visit<'_>,
) -> Result<bool, UpstreamError> {
    let mut statement = match db.conn.prepare(sql) {
        Ok(statement) => statement,
        Err(_) => return Ok(false),
    };
    let mut rows = statement.query(parameters).map_err(|error| db.failed(error))?;
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                if visit(row)?.is_break() {
                    return Ok(true);
                }
            }
            Ok(None) => return Ok(true),
            Err(error) if is_damage(&error) => return Ok(false),
            Err(error) => return Err(db.failed(error)),
        }
    }
}
