//! The knowledge graph, which may be in two files: one in the palace, one with the settings.
//!
//! Which of them MemPalace wrote depended on how it was started, so one palace has facts in both. They are merged by id;
//! where both have an id and differ, the later one counts. Ids of facts contain the time they were filed at, so the same
//! fact has another id in each file: a fact that another file has told already is left out.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rusqlite::OptionalExtension as _;
use serde_json::Value;

use super::super::database::Database;
use super::super::error::{Lost, UpstreamError};
use super::super::places::Places;
use super::super::scratch::Scratch;
use super::record::{Record, Table};

const FILE: &str = "knowledge_graph.sqlite3";

/// What is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Entity,
    Fact,
}

impl Kind {
    const ALL: [Kind; 2] = [Kind::Entity, Kind::Fact];

    fn table(self) -> Table {
        match self {
            Kind::Entity => Table { name: "entities", what: Lost::Entity },
            Kind::Fact => Table { name: "triples", what: Lost::Fact },
        }
    }

    /// Returns the column that says when a row was written.
    fn stamp(self) -> &'static str {
        match self {
            Kind::Entity => "created_at",
            Kind::Fact => "extracted_at",
        }
    }

    /// Returns the columns that make a row say the same as another.
    fn sense(self) -> &'static [&'static str] {
        match self {
            Kind::Entity => &["id"],
            Kind::Fact => &["subject", "predicate", "object", "valid_from", "valid_to"],
        }
    }

    fn number(self) -> i64 {
        match self {
            Kind::Entity => 1,
            Kind::Fact => 2,
        }
    }
}

/// Reads every file and merges them into the scratch database.
pub(in super::super) fn merge(
    places: &Places,
    scratch_dir: &Path,
    scratch: &Scratch,
    notes: &mut Vec<String>,
) -> Result<(), UpstreamError> {
    let mut seen: Vec<PathBuf> = Vec::new();
    for dir in [&places.palace].into_iter().chain(&places.config_dirs) {
        let path = dir.join(FILE);
        // Two of the directories may be one, by a link.
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if seen.contains(&real) {
            continue;
        }
        let file = seen.len();
        seen.push(real);
        let name = format!("graph-{file}.sqlite3");
        if let Some(db) = super::database(&path, scratch_dir, &name, scratch, notes)? {
            for kind in Kind::ALL {
                merge_file(&db, kind, i64::try_from(file).expect("few files"), scratch, notes)?;
            }
        }
    }
    Ok(())
}

fn merge_file(
    db: &Database,
    kind: Kind,
    file: i64,
    scratch: &Scratch,
    notes: &mut Vec<String>,
) -> Result<(), UpstreamError> {
    let (mut differing, mut told_count) = (BTreeSet::new(), 0_u64);
    scratch.in_one(|| {
        kind.table().each(db, scratch, &mut |record| {
            match put(scratch, kind, file, &record)? {
                Put::New | Put::Same => {}
                Put::Told => told_count += 1,
                Put::Differs => drop(differing.insert(text(&record, "id").to_owned())),
            }
            Ok(ControlFlow::Continue(()))
        })
    })?;
    let (table, path) = (kind.table().name, db.path.display());
    for id in differing {
        notes.push(format!(
            "{id:?} of {table} in {path} differs from that in another file; the later one counts"
        ));
    }
    if told_count > 0 {
        notes.push(format!(
            "{told_count} of {table} in {path} are in another file under other ids and left out"
        ));
    }
    Ok(())
}

/// What became of a row.
enum Put {
    New,
    /// It stands in another file as well.
    Same,
    /// Another file says the same under another id.
    Told,
    /// Another file has its id with something else.
    Differs,
}

fn text<'r>(record: &'r Record, name: &str) -> &'r str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn put(scratch: &Scratch, kind: Kind, file: i64, record: &Record) -> Result<Put, UpstreamError> {
    // Both spellings of a moment occur.
    let stamp = text(record, kind.stamp()).replacen('T', " ", 1);
    let json = serde_json::to_string(record).expect("a map of plain values");
    let sense: Vec<Option<&Value>> = kind.sense().iter().map(|column| record.get(*column)).collect();
    let sense = serde_json::to_string(&sense).expect("a list of plain values");
    let key = (kind.number(), text(record, "id"));
    let sql = "SELECT json = ?3 FROM record WHERE kind = ?1 AND id = ?2";
    let mut find = scratch.conn.prepare_cached(sql)?;
    let put = match find.query_row((key.0, key.1, &json), |row| row.get(0)).optional()? {
        Some(true) => return Ok(Put::Same),
        Some(false) => Put::Differs,
        None => {
            let sql = "SELECT 1 FROM record WHERE kind = ?1 AND sense = ?2 AND file <> ?3";
            if scratch.conn.prepare_cached(sql)?.exists((key.0, &sense, file))? {
                return Ok(Put::Told);
            }
            Put::New
        }
    };
    let sql = "INSERT INTO record(kind, id, file, sense, stamp, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT DO UPDATE SET file = ?3, sense = ?4, stamp = ?5, json = ?6 WHERE stamp < ?5";
    scratch.conn.prepare_cached(sql)?.execute((key.0, key.1, file, sense, stamp, json))?;
    Ok(put)
}

/// Hands on the merged rows, oldest first.
pub(in super::super) fn each(
    scratch: &Scratch,
    kind: Kind,
    visit: &mut dyn FnMut(Record) -> ControlFlow<()>,
) -> Result<(), UpstreamError> {
    let mut statement = scratch.conn.prepare("SELECT json FROM record WHERE kind = ?1 ORDER BY stamp, id")?;
    let mut rows = statement.query([kind.number()])?;
    while let Some(row) = rows.next()? {
        let json: String = row.get(0)?;
        if visit(serde_json::from_str(&json).expect("written by this module")).is_break() {
            break;
        }
    }
    Ok(())
}

/// Counts the merged rows.
pub(in super::super) fn count(scratch: &Scratch, kind: Kind) -> Result<u64, UpstreamError> {
    let sql = "SELECT count(*) FROM record WHERE kind = ?1";
    let count: i64 = scratch.conn.query_row(sql, [kind.number()], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}
