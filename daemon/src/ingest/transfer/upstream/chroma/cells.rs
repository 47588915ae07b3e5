//! Metadata and texts of rows, from a table that may be damaged.
//!
//! Rows are asked for by their numbers. Only when that fails, or has no text, is the table gone through as a whole, once:
//! its index says which values there should be, the table gives those it still can, leaves that nothing leads to and
//! indexes over values give some of the rest. A text that is nowhere else comes from the full-text table.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;

use rusqlite::Row;

use super::super::content::{Columns, Content, DOCUMENT};
use super::super::database::{Database, text};
use super::super::error::{Lost, UpstreamError, is_damage};
use super::super::scratch::Scratch;
use super::{full_text, saved};

pub(super) const TABLE: &str = "embedding_metadata";
/// The table of metadata.
pub(super) struct Cells {
    /// `NULL` in versions before there were booleans.
    bool_column: &'static str,
    /// Asks for one row and for a range of them.
    sql_of_one: String,
    sql_of_range: String,
    /// Whether the table could be gone through without gaps, once it had to be.
    saved: OnceCell<bool>,
    /// Damage was met.
    is_damaged: Cell<bool>,
    /// What SQLite finds about the table, once it is asked.
    is_in_order: OnceCell<bool>,
    /// How many texts come from the full-text table.
    full_text_count: Cell<u64>,
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
            is_damaged: Cell::new(false),
            is_in_order: OnceCell::new(),
            full_text_count: Cell::new(0),
        })
    }

    /// Looks whether all of the table and its own index can be walked through, and if not, saves what there is at once, so
    /// that it can be told before rows are read. To be called when all rows are known.
    pub fn check(&self, db: &Database, scratch: &Scratch) -> Result<(), UpstreamError> {
        let count = |by: &str| {
            db.conn.query_row(&format!("SELECT count(*) FROM {TABLE} {by}"), [], |row| row.get::<_, i64>(0))
        };
        let counts = count("NOT INDEXED").and_then(|in_table| match db.own_index(TABLE) {
            Some(index) => Ok((in_table, count(&format!("INDEXED BY \"{index}\""))?)),
            None => Ok((in_table, in_table)),
        });
        match counts {
            Ok((in_table, in_index)) if in_table == in_index => return Ok(()),
            Ok(_) => {}
            Err(error) if is_damage(&error) => {}
            Err(error) => return Err(db.failed(error)),
        }
        self.is_damaged.set(true);
        self.save(db, scratch).map(drop)
    }

    /// Returns whether the table is as SQLite wrote it. Asked only for a row without a text, and then it takes one pass over
    /// the table, in which nothing is kept.
    pub fn is_sound(&self, db: &Database) -> Result<bool, UpstreamError> {
        if self.is_damaged.get() || self.saved.get().is_some() {
            return Ok(false);
        }
        if let Some(sound) = self.is_in_order.get() {
            return Ok(*sound);
        }
        let sql = format!("PRAGMA integrity_check({TABLE})");
        let sound = match db.conn.query_row(&sql, [], |row| row.get::<_, String>(0)) {
            Ok(verdict) => verdict == "ok",
            Err(error) if is_damage(&error) => false,
            Err(error) => return Err(db.failed(error)),
        };
        Ok(*self.is_in_order.get_or_init(|| sound))
    }

    /// Returns what there is to be known about where texts come from.
    pub fn notes(&self) -> Vec<String> {
        let count = self.full_text_count.get();
        let note =
            format!("{count} texts are taken from the full-text table, whose numbers agree with the rows'");
        if count > 0 { vec![note] } else { Vec::new() }
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
            Err(error) if is_damage(&error) => {
                self.is_damaged.set(true);
                Ok(None)
            }
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
            Err(error) if is_damage(&error) => {
                self.is_damaged.set(true);
                self.saved_content(db, scratch, row)
            }
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
            let index_is_complete = saved::expect_cells(db, scratch)?;
            let whole = saved::read_cells(db, scratch, self.bool_column, index_is_complete)?;
            if !whole {
                saved::fill_all(db, scratch)?;
                self.full_text_count.set(full_text::fill(db, scratch)?);
            }
            Ok(whole)
        })?;
        Ok(*self.saved.get_or_init(|| whole))
    }
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
