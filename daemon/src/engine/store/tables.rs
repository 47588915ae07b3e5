//! The tables of a store and how their keys are made. The one place that names them.
//!
//! Every key and value is our own bytes: redb's encodings of richer types may change between its
//! major versions, ours change only with the format number.

use redb::TableDefinition;

use super::codec::push_text;
use crate::engine::types::{Collection, Row, RowKey, Timestamp, sortable_time};

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

/// room, wing, hall, date → number of rows.
pub(in crate::engine) const FACETS: Table = Table { name: "facets", tag: 13 };

const ENTITIES: Table = Table { name: "entities", tag: 14 };
const FACTS: Table = Table { name: "facts", tag: 15 };
const FACTS_BY_ENTITY: Table = Table { name: "facts_by_entity", tag: 16 };
const FACTS_BY_TIME: Table = Table { name: "facts_by_time", tag: 17 };
const OPEN_FACTS: Table = Table { name: "open_facts", tag: 18 };
const PREDICATES: Table = Table { name: "predicates", tag: 19 };
const TUNNELS: Table = Table { name: "tunnels", tag: 20 };
const HALLWAYS: Table = Table { name: "hallways", tag: 21 };
const EVENTS: Table = Table { name: "events", tag: 22 };
const EVENT_IDS: Table = Table { name: "event_ids", tag: 23 };
const ARTIFACTS: Table = Table { name: "artifacts", tag: 24 };
const CLOSETS: Table = Table { name: "closets", tag: 25 };
const SETTINGS: Table = Table { name: "settings", tag: 26 };
const REMOVED: Table = Table { name: "removed", tag: 27 };
const REMOVED_BY_TIME: Table = Table { name: "removed_by_time", tag: 28 };

/// The collections and their tables.
pub(in crate::engine) const COLLECTIONS: [Collection; 15] = [
    Collection::Entities,
    Collection::Facts,
    Collection::FactsByEntity,
    Collection::FactsByTime,
    Collection::OpenFacts,
    Collection::Predicates,
    Collection::Tunnels,
    Collection::Hallways,
    Collection::Events,
    Collection::EventIds,
    Collection::Artifacts,
    Collection::Closets,
    Collection::Settings,
    Collection::Removed,
    Collection::RemovedByTime,
];

/// Returns the table of a collection.
pub(in crate::engine) fn collection(collection: Collection) -> &'static Table {
    match collection {
        Collection::Entities => &ENTITIES,
        Collection::Facts => &FACTS,
        Collection::FactsByEntity => &FACTS_BY_ENTITY,
        Collection::FactsByTime => &FACTS_BY_TIME,
        Collection::OpenFacts => &OPEN_FACTS,
        Collection::Predicates => &PREDICATES,
        Collection::Tunnels => &TUNNELS,
        Collection::Hallways => &HALLWAYS,
        Collection::Events => &EVENTS,
        Collection::EventIds => &EVENT_IDS,
        Collection::Artifacts => &ARTIFACTS,
        Collection::Closets => &CLOSETS,
        Collection::Settings => &SETTINGS,
        Collection::Removed => &REMOVED,
        Collection::RemovedByTime => &REMOVED_BY_TIME,
    }
}

/// Returns the collection whose table has that tag.
pub(in crate::engine) fn collection_of_tag(tag: u8) -> Option<Collection> {
    COLLECTIONS.into_iter().find(|candidate| collection(*candidate).tag == tag)
}

/// Every table, created together with the store.
pub(in crate::engine) fn all() -> impl Iterator<Item = &'static Table> {
    ROW_TABLES.into_iter().chain(COLLECTIONS.into_iter().map(collection))
}

const ROW_TABLES: [&Table; 13] = [
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
    &FACETS,
];

/// Names of the records of `META`.
pub(in crate::engine) const META_FORMAT: &[u8] = b"format";
pub(in crate::engine) const META_IDENTITY: &[u8] = b"identity";
pub(in crate::engine) const META_STATE: &[u8] = b"state";
pub(super) const META_HOME: &[u8] = b"home";

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

/// Key of the tally of rows that share room, wing, hall and date.
pub(super) fn facet(row: &Row) -> Vec<u8> {
    text_prefix(&[&row.room, &row.wing, row.text("hall"), row.text("date")])
}

pub(super) fn keys_by_time(at: Timestamp, key: &[u8; 16]) -> Vec<u8> {
    let mut out = sortable_timestamp(at).to_vec();
    out.extend_from_slice(key);
    out
}

/// Returns the key in `REMOVED_BY_TIME` that goes with one in `REMOVED`, and the other way round with [`removed`].
pub(in crate::engine) fn removed_by_time(key: &[u8]) -> Option<Vec<u8>> {
    let (rest, time) = key.split_last_chunk::<8>()?;
    let (0, drawer) = rest.split_last()? else { return None };
    Some([time, drawer].concat())
}

/// Returns the key in `REMOVED` that goes with one in `REMOVED_BY_TIME`.
pub(super) fn removed(by_time: &[u8]) -> Option<Vec<u8>> {
    let (time, drawer) = by_time.split_first_chunk::<8>()?;
    Some([drawer, &[0], time].concat())
}

/// Bytes of a time that sort as the time does, before the epoch too.
pub(super) fn sortable_timestamp(at: Timestamp) -> [u8; 8] {
    (at.0.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}
