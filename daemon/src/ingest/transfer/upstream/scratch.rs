//! The scratch database: where ids meet places, so that memory does not grow with the palace.
//!
//! It may be lost at any time and is made anew whenever a palace is opened; nothing in it is synced.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::error::{Loss, Lost, UpstreamError};

const NAME: &str = "join.sqlite3";

/// `row` and `queued`: which rows a collection has and what still waits for them. `vector`: where each id's vector
/// stands. `label` and `place` are filled for one segment at a time. `cell`: metadata saved from a damaged table, and
/// `evidence`: texts known by row number, to judge another table by. `stray`: rows of a segment no collection has, and
/// `missing`: row numbers of which nothing else is known.
const SCHEMA: &str = "
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA temp_store = FILE;
    CREATE TABLE row(collection INTEGER, cursor INTEGER, id TEXT, own INTEGER, applied INTEGER,
        PRIMARY KEY(collection, cursor)) WITHOUT ROWID;
    CREATE UNIQUE INDEX row_id ON row(collection, id);
    CREATE TABLE queued(collection INTEGER, id TEXT, seq INTEGER, operation INTEGER,
        PRIMARY KEY(collection, id, seq)) WITHOUT ROWID;
    CREATE TABLE vector(collection INTEGER, id TEXT, source INTEGER, place INTEGER, fault TEXT,
        PRIMARY KEY(collection, id)) WITHOUT ROWID;
    CREATE TABLE label(id TEXT PRIMARY KEY, label INTEGER) WITHOUT ROWID;
    CREATE TABLE place(label INTEGER PRIMARY KEY, place INTEGER, fault TEXT);
    CREATE TABLE cell(number INTEGER PRIMARY KEY, id INTEGER, key TEXT, string_value, int_value, float_value,
        bool_value, is_read INTEGER);
    CREATE INDEX cell_id ON cell(id);
    CREATE TABLE evidence(number INTEGER, text TEXT, is_certain INTEGER);
    CREATE INDEX evidence_number ON evidence(number);
    CREATE TABLE stray(number INTEGER PRIMARY KEY, segment TEXT, id TEXT, own INTEGER, is_agreed INTEGER);
    CREATE TABLE missing(number INTEGER PRIMARY KEY);
    CREATE TABLE record(kind INTEGER, id TEXT, file INTEGER, sense TEXT, stamp TEXT, json TEXT,
        PRIMARY KEY(kind, id)) WITHOUT ROWID;
    CREATE INDEX record_sense ON record(kind, sense);
    CREATE TABLE loss(what TEXT, id TEXT, reason TEXT, UNIQUE(what, id));
";

/// The scratch database.
pub(super) struct Scratch {
    /// It, to be asked.
    pub conn: Connection,
}

impl Scratch {
    /// Makes an empty one.
    pub fn create(dir: &Path) -> Result<Scratch, UpstreamError> {
        let path = dir.join(NAME);
        if path.exists() {
            fs::remove_file(&path).map_err(UpstreamError::io(&path))?;
        }
        let conn = Connection::open(&path)?;
        conn.execute_batch(SCHEMA)?;
        Ok(Scratch { conn })
    }

    /// Runs a step that writes much in one transaction.
    pub fn in_one<T>(&self, step: impl FnOnce() -> Result<T, UpstreamError>) -> Result<T, UpstreamError> {
        self.conn.execute_batch("BEGIN")?;
        let outcome = step()?;
        self.conn.execute_batch("COMMIT")?;
        Ok(outcome)
    }

    /// Remembers a loss, once.
    pub fn lose(&self, what: Lost, id: &str, reason: &str) -> Result<(), UpstreamError> {
        let what = serde_json::to_string(&what).expect("a name of a variant");
        let sql = "INSERT OR IGNORE INTO loss(what, id, reason) VALUES (?1, ?2, ?3)";
        self.conn.prepare_cached(sql)?.execute((what, id, reason))?;
        Ok(())
    }

    /// Returns what was lost so far, in the order it was met.
    pub fn losses(&self) -> Result<Vec<Loss>, UpstreamError> {
        let mut statement = self.conn.prepare("SELECT what, id, reason FROM loss ORDER BY rowid")?;
        let losses = statement.query_map([], |row| {
            let what: String = row.get(0)?;
            let what = serde_json::from_str(&what).expect("written by this type");
            Ok(Loss { what, id: row.get(1)?, reason: row.get(2)? })
        })?;
        Ok(losses.collect::<Result<_, _>>()?)
    }
}
