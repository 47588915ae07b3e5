//! The tables of a store and how their keys are made. The one place that names them.
//!
//! Every key and value is our own bytes: redb's encodings of richer types may change between its
//! major versions, ours change only with the format number.

use redb::TableDefinition;

use super::codec::{Unreadable, pop_text, push_text, trailing_u64};
use crate::engine::types::{Row, RowKey, Timestamp, sortable_time};

pub(in crate::engine) type Bytes = &'static [u8];

/// A table: its name in the file, and the tag mixed into its records' checksums.
pub(in crate::engine) struct Table {
    pub name: &'static str,
    pub tag: u8,
}

impl Table {
    pub(in crate::engine) fn definition(&self) -> TableDefinition<'static, Bytes, Bytes> {
        TableDefinition::new(self.name)
    }
}

/// meta name → record. Format number, identity, position in history.
pub(in crate::engine) const META: Table = Table { name: "meta", tag: 1 };
/// row key → row.
pub(in crate::engine) const ROWS: Table = Table { name: "rows", tag: 2 };
/// row id → row key.
pub(in crate::engine) const IDS: Table = Table { name: "ids", tag: 3 };
/// row key → half-precision vector.
pub(in crate::engine) const VECTORS: Table = Table { name: "vectors", tag: 4 };
/// wing, room, drawer id, chunk index, row key → nothing.
pub(in crate::engine) const BY_WING: Table = Table { name: "by_wing", tag: 5 };
/// source, row key → nothing.
pub(in crate::engine) const BY_SOURCE: Table = Table { name: "by_source", tag: 6 };
/// sortable time, row key → nothing.
pub(in crate::engine) const BY_FILED_AT: Table = Table { name: "by_filed_at", tag: 7 };
/// parent id, chunk index, row key → nothing.
pub(in crate::engine) const CHUNKS: Table = Table { name: "chunks", tag: 8 };
/// wing, room → tally.
pub(in crate::engine) const COUNTS: Table = Table { name: "counts", tag: 9 };
/// seq → what the commit touched.
pub(in crate::engine) const LOG: Table = Table { name: "log", tag: 10 };
/// idempotency key → time and result.
pub(in crate::engine) const KEYS: Table = Table { name: "keys", tag: 11 };
/// time, idempotency key → nothing.
pub(in crate::engine) const KEYS_BY_TIME: Table = Table { name: "keys_by_time", tag: 12 };

/// Every table, created together with the store.
pub(in crate::engine) const ALL: [&Table; 12] = [
    &META,
    &ROWS,
    &IDS,
    &VECTORS,
    &BY_WING,
    &BY_SOURCE,
    &BY_FILED_AT,
    &CHUNKS,
    &COUNTS,
    &LOG,
    &KEYS,
    &KEYS_BY_TIME,
];

/// Names of the records of `META`.
pub(super) const META_FORMAT: &[u8] = b"format";
pub(super) const META_IDENTITY: &[u8] = b"identity";
pub(super) const META_STATE: &[u8] = b"state";

pub(in crate::engine) fn row_key(key: RowKey) -> [u8; 8] {
    key.0.to_be_bytes()
}

pub(super) fn text_prefix(parts: &[&str]) -> Vec<u8> {
    let mut key = Vec::with_capacity(parts.iter().map(|part| part.len() + 2).sum::<usize>() + 12);
    for part in parts {
        push_text(&mut key, part);
    }
    key
}

pub(super) fn by_wing(row: &Row, key: RowKey) -> Vec<u8> {
    let mut out = text_prefix(&[&row.wing, &row.room, row.drawer_id()]);
    out.extend_from_slice(&row.chunk_index.to_be_bytes());
    out.extend_from_slice(&row_key(key));
    out
}

pub(super) fn by_source(row: &Row, key: RowKey) -> Vec<u8> {
    let mut out = text_prefix(&[&row.source_file]);
    out.extend_from_slice(&row_key(key));
    out
}

pub(super) fn by_filed_at(row: &Row, key: RowKey) -> Vec<u8> {
    let mut out = text_prefix(&[&sortable_time(&row.filed_at)]);
    out.extend_from_slice(&row_key(key));
    out
}

pub(super) fn chunks(parent: &str, row: &Row, key: RowKey) -> Vec<u8> {
    let mut out = text_prefix(&[parent]);
    out.extend_from_slice(&row.chunk_index.to_be_bytes());
    out.extend_from_slice(&row_key(key));
    out
}

pub(super) fn keys_by_time(at: Timestamp, key: &[u8; 16]) -> Vec<u8> {
    let mut out = sortable_timestamp(at).to_vec();
    out.extend_from_slice(key);
    out
}

/// Bytes of a time that sort as the time does, before the epoch too.
pub(super) fn sortable_timestamp(at: Timestamp) -> [u8; 8] {
    (at.0.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// What a key of `BY_WING` says without reading the row.
pub(super) struct ShelfEntry {
    pub drawer: String,
    pub key: RowKey,
}

/// Takes apart a key of `BY_WING` whose wing and room are known: `prefix_len` bytes.
pub(super) fn shelf_entry(key: &[u8], prefix_len: usize) -> Result<ShelfEntry, Unreadable> {
    let mut rest = key.get(prefix_len..).ok_or(Unreadable::Malformed("key"))?;
    let drawer = pop_text(&mut rest)?;
    if rest.len() != 12 {
        return Err(Unreadable::Malformed("key"));
    }
    Ok(ShelfEntry { drawer, key: RowKey(trailing_u64(rest)?) })
}
