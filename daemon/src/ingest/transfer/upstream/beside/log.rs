//! The log of events and artifacts, `logstream.sqlite3` in the palace.

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use super::super::database::Database;
use super::super::error::{Lost, UpstreamError, is_damage};
use super::super::scratch::Scratch;
use super::record::{Record, Table};

const FILE: &str = "logstream.sqlite3";
const EVENTS: Table = Table { name: "events", what: Lost::Event };
const ARTIFACTS: Table = Table { name: "artifacts", what: Lost::Artifact };

/// The log, if the palace has one.
pub(in super::super) struct Log(Option<Database>);

impl Log {
    /// Copies it.
    pub fn open(
        palace: &Path,
        scratch_dir: &Path,
        scratch: &Scratch,
        notes: &mut Vec<String>,
    ) -> Result<Log, UpstreamError> {
        Ok(Log(super::database(&palace.join(FILE), scratch_dir, FILE, scratch, notes)?))
    }

    /// Hands on the events in the order they arrived, each with the ids of its artifacts as `artifact_ids`.
    pub fn each_event(
        &self,
        scratch: &Scratch,
        visit: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), UpstreamError> {
        let Some(db) = &self.0 else { return Ok(()) };
        EVENTS.each(db, scratch, &mut |mut event| {
            let id = event.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            let ids = match artifact_ids(db, &id) {
                Ok(ids) => ids,
                Err(error) if is_damage(&error) => {
                    scratch.lose(Lost::Event, &id, "which artifacts it refers to cannot be read")?;
                    Vec::new()
                }
                Err(error) => return Err(db.failed(error)),
            };
            event.insert("artifact_ids".to_owned(), ids.into());
            Ok(visit(event))
        })
    }

    /// Hands on the artifacts in the order they were stored.
    pub fn each_artifact(
        &self,
        scratch: &Scratch,
        visit: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), UpstreamError> {
        let Some(db) = &self.0 else { return Ok(()) };
        ARTIFACTS.each(db, scratch, &mut |artifact| Ok(visit(artifact)))
    }

    /// Counts events and artifacts.
    pub fn counts(&self) -> Result<(u64, u64), UpstreamError> {
        match &self.0 {
            Some(db) => Ok((EVENTS.count(db)?, ARTIFACTS.count(db)?)),
            None => Ok((0, 0)),
        }
    }
}

fn artifact_ids(db: &Database, event: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT artifact_id FROM event_artifacts WHERE event_id = ?1 ORDER BY rowid";
    db.conn.prepare_cached(sql)?.query_map([event], |row| row.get(0))?.collect()
}
