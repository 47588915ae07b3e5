//! The queue: changes in the order they were made, which tables and index take over later, each on its own.
//!
//! The queue is always the end of the history: what is removed from it is removed from its beginning. So whoever
//! applies it whole to a state that already has some of it ends at the right state, if only each row's own mark keeps
//! older changes from being applied over newer ones.

use std::ops::ControlFlow;

use rusqlite::OptionalExtension as _;
use rusqlite::types::ValueRef;

use super::super::database::{Database, text};
use super::super::error::{UpstreamError, is_damage};
use super::super::salvage::{self, Gap};
use super::catalog::Collection;

/// Greatest number a palace can have counted to; beyond it a number is not one, but other bytes read as one.
const SEQ_MAX: i64 = 1 << 53;

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Makes a row; nothing if there is one.
    Add,
    /// Changes a row; nothing if there is none.
    Update,
    /// Makes or changes a row.
    Upsert,
    /// Removes a row.
    Delete,
}

impl Operation {
    pub fn of(code: i64) -> Option<Operation> {
        match code {
            0 => Some(Operation::Add),
            1 => Some(Operation::Update),
            2 => Some(Operation::Upsert),
            3 => Some(Operation::Delete),
            _ => None,
        }
    }
}

/// A change, without what it carries.
pub(super) struct Change {
    pub seq: i64,
    /// The code as stored.
    pub code: i64,
    pub id: String,
    /// Length of the vector it carries, in bytes.
    pub vector_len: Option<i64>,
    /// Whether that vector is stored in the one encoding embedders write.
    pub is_float32: bool,
}

/// Hands on the changes of a collection in their order; returns what could not be read.
pub(super) fn each_change(
    db: &Database,
    collection: &Collection,
    visit: &mut dyn FnMut(Change) -> Result<(), UpstreamError>,
) -> Result<Vec<Gap>, UpstreamError> {
    let sql = "SELECT seq_id, operation, id, length(vector), encoding FROM embeddings_queue NOT INDEXED
        WHERE seq_id >= ?1 AND (topic = ?2 OR substr(topic, -length(?3)) = ?3) ORDER BY seq_id";
    let suffix = format!("/{}", collection.id);
    salvage::scan(db, sql, i64::MIN, &[&collection.topic, &suffix], &mut |row| {
        let of_row = || -> rusqlite::Result<Option<Change>> {
            let Some((id, _)) = text(row.get_ref(2)?) else { return Ok(None) };
            Ok(Some(Change {
                seq: row.get(0)?,
                code: row.get(1)?,
                id,
                vector_len: row.get(3)?,
                is_float32: row
                    .get_ref(4)?
                    .as_str_or_null()
                    .ok()
                    .flatten()
                    .is_none_or(|name| name == "FLOAT32"),
            }))
        };
        if let Some(change) = of_row().map_err(|error| db.failed(error))? {
            visit(change)?;
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Returns the greatest number in the queue, of any collection: 0 when it is empty, and as much as numbers can be when its
/// end is damaged, so that none is thought too great because of it.
pub(super) fn last_seq(db: &Database) -> Result<i64, UpstreamError> {
    let last = db.conn.query_row("SELECT max(seq_id) FROM embeddings_queue", [], |row| row.get(0));
    match last {
        Ok(last) => Ok(Option::unwrap_or(last, 0)),
        Err(error) if is_damage(&error) => Ok(SEQ_MAX),
        Err(error) => Err(db.failed(error)),
    }
}

/// What is recorded about how far a segment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// Changes up to this one have been taken over.
    Seq(i64),
    /// Something that is no number of a change.
    Garbage,
}

/// Returns up to which change a segment is, as recorded; none where nothing is, or nothing that can be read.
pub(super) fn recorded(db: &Database, segment: &str) -> Option<Recorded> {
    let sql = "SELECT seq_id FROM max_seq_id WHERE segment_id = ?1";
    let found = db.conn.query_row(sql, [segment], |row| Ok(seq(row.get_ref(0)?)));
    Some(found.ok()?.map_or(Recorded::Garbage, Recorded::Seq))
}

/// Returns a number of the history, which older versions stored as eight bytes, most significant first.
pub(super) fn seq(value: ValueRef<'_>) -> Option<i64> {
    let number = match value {
        ValueRef::Integer(number) => number,
        ValueRef::Blob(bytes) => i64::from_be_bytes(bytes.try_into().ok()?),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Text(_) => return None,
    };
    (0..=SEQ_MAX).contains(&number).then_some(number)
}

/// Returns the metadata a change carries, as JSON.
pub(super) fn metadata(db: &Database, seq: i64) -> Result<Option<String>, rusqlite::Error> {
    let sql = "SELECT metadata FROM embeddings_queue WHERE seq_id = ?1";
    let mut statement = db.conn.prepare_cached(sql)?;
    let found = statement.query_row([seq], |row| Ok(text(row.get_ref(0)?).map(|(text, _)| text))).optional();
    Ok(found?.flatten())
}

/// Returns the vector a change carries.
pub(super) fn vector(db: &Database, seq: i64) -> Result<Option<Vec<u8>>, rusqlite::Error> {
    let mut statement = db.conn.prepare_cached("SELECT vector FROM embeddings_queue WHERE seq_id = ?1")?;
    let found = statement.query_row([seq], |row| row.get(0)).optional();
    Ok(found?.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_every_version_wrote_them() {
        assert_eq!(seq(ValueRef::Integer(7)), Some(7));
        assert_eq!(seq(ValueRef::Blob(&7_i64.to_be_bytes())), Some(7));
        // Bytes of a later version, kept as they are or already mistaken for a number.
        assert_eq!(seq(ValueRef::Blob(b"\x11\x11000123")), None);
        assert_eq!(seq(ValueRef::Integer(i64::from_be_bytes(*b"\x11\x11000123"))), None);
        assert_eq!(seq(ValueRef::Integer(-1)), None);
        assert_eq!(seq(ValueRef::Blob(b"abc")), None);
        assert_eq!(seq(ValueRef::Null), None);
    }
}
