//! The knowledge graph, which may be in two files: one in the palace, one with the settings.
//!
//! Which of them MemPalace wrote depended on how it was started, so one palace has facts in both. They are merged by id;
//! where both have an id and differ, the later one counts.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::super::error::{Lost, UpstreamError};
use super::super::places::Places;
use super::super::scratch::Scratch;
use super::record::{Record, Table};

const FILE: &str = "knowledge_graph.sqlite3";

/// What is merged, and the column that says when a row was written.
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

    fn stamp(self) -> &'static str {
        match self {
            Kind::Entity => "created_at",
            Kind::Fact => "extracted_at",
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
    scratch_dir: &std::path::Path,
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
        let name = format!("graph-{}.sqlite3", seen.len());
        seen.push(real);
        let Some(db) = super::database(&path, scratch_dir, &name, scratch, notes)? else {
            continue;
        };
        for kind in Kind::ALL {
            let mut differing_count = 0_u64;
            scratch.in_one(|| {
                kind.table().each(&db, scratch, &mut |record| {
                    differing_count += u64::from(put(scratch, kind, &record)?);
                    Ok(ControlFlow::Continue(()))
                })
            })?;
            if differing_count > 0 {
                notes.push(format!(
                    "{differing_count} rows of {} in {} differ from those of the same id in another file; the later \
                     ones count",
                    kind.table().name,
                    path.display()
                ));
            }
        }
    }
    Ok(())
}

/// Puts a row among the merged ones; returns whether another one of its id was there.
fn put(scratch: &Scratch, kind: Kind, record: &Record) -> Result<bool, UpstreamError> {
    let text = |name: &str| record.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    // Both spellings of a moment occur.
    let stamp = text(kind.stamp()).replacen('T', " ", 1);
    let json = serde_json::to_string(record).expect("a map of plain values");
    let key = (kind.number(), text("id"));
    let sql = "SELECT json <> ?3 FROM record WHERE kind = ?1 AND id = ?2";
    let mut find = scratch.conn.prepare_cached(sql)?;
    let mut found = find.query((key.0, key.1, &json))?;
    let differs: Option<bool> = found.next()?.map(|row| row.get(0)).transpose()?;
    let mut put = scratch.conn.prepare_cached(
        "INSERT INTO record(kind, id, stamp, json) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET stamp = ?3, json = ?4 WHERE stamp < ?3",
    )?;
    put.execute((key.0, key.1, stamp, json))?;
    Ok(differs == Some(true))
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
