//! The records of a store and their payloads.
//!
//! A payload is a list of tagged fields. Unknown tags are skipped, so a later version may add a
//! field that older programs can do without; one they cannot do without needs a new format number.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::codec::{Cursor, Unreadable, put_bytes, put_field, text};
use crate::engine::types::{MetaValue, Row, RowKey, Seq, Tally, Timestamp};

const ROW_ID: u8 = 1;
const ROW_DOCUMENT: u8 = 2;
const ROW_WING: u8 = 3;
const ROW_ROOM: u8 = 4;
const ROW_SOURCE: u8 = 5;
const ROW_FILED_AT: u8 = 6;
const ROW_CHUNK_INDEX: u8 = 7;
const ROW_PARENT: u8 = 8;
const ROW_EXTRA: u8 = 9;

const EXTRA_TEXT: u8 = 1;
const EXTRA_INTEGER: u8 = 2;
const EXTRA_FLOAT: u8 = 3;
const EXTRA_BOOL: u8 = 4;

pub(super) fn encode_row(row: &Row) -> Vec<u8> {
    let mut out = Vec::with_capacity(row.document.len() + 256);
    put_field(&mut out, ROW_ID, row.id.as_bytes());
    put_field(&mut out, ROW_DOCUMENT, row.document.as_bytes());
    put_field(&mut out, ROW_WING, row.wing.as_bytes());
    put_field(&mut out, ROW_ROOM, row.room.as_bytes());
    put_field(&mut out, ROW_SOURCE, row.source_file.as_bytes());
    put_field(&mut out, ROW_FILED_AT, row.filed_at.as_bytes());
    put_field(&mut out, ROW_CHUNK_INDEX, &row.chunk_index.to_le_bytes());
    if let Some(parent) = &row.parent_id {
        put_field(&mut out, ROW_PARENT, parent.as_bytes());
    }
    for (name, value) in &row.extra {
        put_field(&mut out, ROW_EXTRA, &encode_extra(name, value));
    }
    out
}

fn encode_extra(name: &str, value: &MetaValue) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 16);
    put_bytes(&mut out, name.as_bytes());
    match value {
        MetaValue::Text(value) => {
            out.push(EXTRA_TEXT);
            out.extend_from_slice(value.as_bytes());
        }
        MetaValue::Integer(value) => {
            out.push(EXTRA_INTEGER);
            out.extend_from_slice(&value.to_le_bytes());
        }
        MetaValue::Float(value) => {
            out.push(EXTRA_FLOAT);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        MetaValue::Bool(value) => out.extend_from_slice(&[EXTRA_BOOL, u8::from(*value)]),
    }
    out
}

pub(in crate::engine) fn decode_row(payload: &[u8]) -> Result<Row, Unreadable> {
    let mut row = Row::default();
    let mut cursor = Cursor(payload);
    while let Some((tag, bytes)) = cursor.field()? {
        match tag {
            ROW_ID => row.id = text(bytes, "row id")?,
            ROW_DOCUMENT => row.document = text(bytes, "document")?,
            ROW_WING => row.wing = text(bytes, "wing")?,
            ROW_ROOM => row.room = text(bytes, "room")?,
            ROW_SOURCE => row.source_file = text(bytes, "source file")?,
            ROW_FILED_AT => row.filed_at = text(bytes, "filing time")?,
            ROW_CHUNK_INDEX => row.chunk_index = Cursor(bytes).u32("chunk index")?,
            ROW_PARENT => row.parent_id = Some(text(bytes, "parent id")?),
            ROW_EXTRA => row.extra.push(decode_extra(bytes)?),
            _ => {}
        }
    }
    Ok(row)
}

fn decode_extra(bytes: &[u8]) -> Result<(String, MetaValue), Unreadable> {
    let mut cursor = Cursor(bytes);
    let name = cursor.text("metadata name")?;
    let value = match cursor.u8("metadata type")? {
        EXTRA_TEXT => MetaValue::Text(text(cursor.0, "metadata text")?),
        EXTRA_INTEGER => MetaValue::Integer(cursor.u64("metadata integer")?.cast_signed()),
        EXTRA_FLOAT => MetaValue::Float(f64::from_bits(cursor.u64("metadata float")?)),
        EXTRA_BOOL => MetaValue::Bool(cursor.u8("metadata bool")? != 0),
        _ => return Err(Unreadable::Malformed("metadata type")),
    };
    Ok((name, value))
}

/// Returns the stored form of a vector: half precision, little endian.
pub(in crate::engine) fn encode_vector(vector: &[f32]) -> Vec<u8> {
    let mut halves = vec![f16::ZERO; vector.len()];
    halves.convert_from_f32_slice(vector);
    let mut stored = vec![0; 2 * halves.len()];
    for (pair, half) in stored.as_chunks_mut::<2>().0.iter_mut().zip(halves) {
        *pair = half.to_le_bytes();
    }
    stored
}

/// Returns a stored vector at full width.
pub(in crate::engine) fn decode_vector(stored: &[u8]) -> Vec<f32> {
    let (pairs, _) = stored.as_chunks::<2>();
    let halves: Vec<f16> = pairs.iter().map(|pair| f16::from_le_bytes(*pair)).collect();
    let mut vector = vec![0.0; halves.len()];
    halves.convert_to_f32_slice(&mut vector);
    vector
}

/// What one commit did to a row, as far as a derived index cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Touch {
    /// Row and vector were put.
    Put,
    /// Only metadata changed: text and vector indexes stay as they are.
    Meta,
    /// The row is gone.
    Delete,
}

/// One thing a commit touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Logged {
    /// A row.
    Row(Touch, RowKey),
    /// A record beside the rows, put or removed: the store says which.
    Record { table: u8, key: Vec<u8> },
}

pub(super) fn encode_log(entries: &[Logged]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * 9);
    for entry in entries {
        match entry {
            Logged::Row(touch, key) => {
                out.push(match touch {
                    Touch::Put => 1,
                    Touch::Meta => 2,
                    Touch::Delete => 3,
                });
                out.extend_from_slice(&key.0.to_le_bytes());
            }
            Logged::Record { table, key } => {
                out.extend_from_slice(&[4, *table]);
                put_bytes(&mut out, key);
            }
        }
    }
    out
}

pub(super) fn decode_log(payload: &[u8]) -> Result<Vec<Logged>, Unreadable> {
    let mut cursor = Cursor(payload);
    let mut entries = Vec::with_capacity(payload.len() / 9);
    while !cursor.0.is_empty() {
        let touch = match cursor.u8("log entry")? {
            1 => Touch::Put,
            2 => Touch::Meta,
            3 => Touch::Delete,
            4 => {
                let table = cursor.u8("log entry")?;
                entries.push(Logged::Record { table, key: cursor.bytes("log entry")?.to_vec() });
                continue;
            }
            _ => return Err(Unreadable::Malformed("log entry")),
        };
        entries.push(Logged::Row(touch, RowKey(cursor.u64("log entry")?)));
    }
    Ok(entries)
}

pub(super) fn encode_tally(tally: Tally) -> Vec<u8> {
    [tally.rows.to_le_bytes(), tally.drawers.to_le_bytes()].concat()
}

pub(super) fn decode_tally(payload: &[u8]) -> Result<Tally, Unreadable> {
    let mut cursor = Cursor(payload);
    Ok(Tally { rows: cursor.u64("tally")?, drawers: cursor.u64("tally")? })
}

pub(super) fn encode_count(count: u64) -> [u8; 8] {
    count.to_le_bytes()
}

pub(super) fn decode_count(payload: &[u8]) -> Result<u64, Unreadable> {
    Cursor(payload).u64("count")
}

/// Who a store is. Written once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Identity {
    pub database_uuid: [u8; 16],
    pub created_at: Timestamp,
    pub embedder: String,
    pub dimension: u32,
    /// The store this one was copied or restored from, if it was.
    pub origin: Option<[u8; 16]>,
}

pub(super) fn encode_identity(identity: &Identity) -> Vec<u8> {
    let mut out = Vec::new();
    put_field(&mut out, 1, &identity.database_uuid);
    put_field(&mut out, 2, &identity.created_at.0.to_le_bytes());
    put_field(&mut out, 3, identity.embedder.as_bytes());
    put_field(&mut out, 4, &identity.dimension.to_le_bytes());
    if let Some(origin) = &identity.origin {
        put_field(&mut out, 5, origin);
    }
    out
}

pub(in crate::engine) fn decode_identity(payload: &[u8]) -> Result<Identity, Unreadable> {
    let mut identity = Identity {
        database_uuid: [0; 16],
        created_at: Timestamp(0),
        embedder: String::new(),
        dimension: 0,
        origin: None,
    };
    let mut cursor = Cursor(payload);
    while let Some((tag, bytes)) = cursor.field()? {
        match tag {
            1 => {
                identity.database_uuid = bytes.try_into().map_err(|_| Unreadable::Malformed("store uuid"))?;
            }
            2 => identity.created_at = Timestamp(Cursor(bytes).u64("creation time")?.cast_signed()),
            3 => identity.embedder = text(bytes, "embedder")?,
            4 => identity.dimension = Cursor(bytes).u32("dimension")?,
            5 => {
                identity.origin = Some(bytes.try_into().map_err(|_| Unreadable::Malformed("origin"))?);
            }
            _ => {}
        }
    }
    Ok(identity)
}

/// Where a palace's store was when it was last opened: what a copy is told from a move by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Home {
    pub path: String,
    pub host: String,
}

pub(super) fn encode_home(home: &Home) -> Vec<u8> {
    let mut out = Vec::new();
    put_field(&mut out, 1, home.path.as_bytes());
    put_field(&mut out, 2, home.host.as_bytes());
    out
}

pub(super) fn decode_home(payload: &[u8]) -> Result<Home, Unreadable> {
    let mut home = Home::default();
    let mut cursor = Cursor(payload);
    while let Some((tag, bytes)) = cursor.field()? {
        match tag {
            1 => home.path = text(bytes, "home path")?,
            2 => home.host = text(bytes, "home host")?,
            _ => {}
        }
    }
    Ok(home)
}

/// Where a store stands. Rewritten by every commit that changes a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct State {
    pub seq: Seq,
    pub next_key: u64,
    pub rows: u64,
}

pub(super) fn encode_state(state: &State) -> Vec<u8> {
    let mut out = Vec::new();
    put_field(&mut out, 1, &state.seq.0.to_le_bytes());
    put_field(&mut out, 2, &state.next_key.to_le_bytes());
    put_field(&mut out, 3, &state.rows.to_le_bytes());
    out
}

pub(in crate::engine) fn decode_state(payload: &[u8]) -> Result<State, Unreadable> {
    let mut state = State::default();
    let mut cursor = Cursor(payload);
    while let Some((tag, bytes)) = cursor.field()? {
        match tag {
            1 => state.seq = Seq(Cursor(bytes).u64("seq")?),
            2 => state.next_key = Cursor(bytes).u64("next key")?,
            3 => state.rows = Cursor(bytes).u64("row count")?,
            _ => {}
        }
    }
    Ok(state)
}

/// A remembered answer to a write.
pub(super) fn encode_key_result(at: Timestamp, result: &[u8]) -> Vec<u8> {
    let mut out = at.0.to_le_bytes().to_vec();
    out.extend_from_slice(result);
    out
}

pub(super) fn decode_key_result(payload: &[u8]) -> Result<(Timestamp, &[u8]), Unreadable> {
    let mut cursor = Cursor(payload);
    let at = Timestamp(cursor.u64("key time")?.cast_signed());
    Ok((at, cursor.0))
}
