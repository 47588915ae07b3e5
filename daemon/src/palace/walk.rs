//! Walks over all of a palace, for who takes it out.
//!
//! A walk takes one snapshot and sees one state, however long it takes. It gives up when the store must be reopened
//! meanwhile: a fault of the disk must not wait for it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::engine::{
    Collection, Filter, ReadError, Row, RowKey, Snapshot, StoredVector, View, sortable_time,
};

use super::error::QueryError;
use super::handle::Palace;
use super::import::Imported;
use super::records;

impl Palace {
    /// Calls `visit` with every row that a filter lets through, oldest first, until it says stop with `false`. What is
    /// damaged is named: a row is left out then, a vector is absent. Vectors are read only if they are wanted.
    ///
    /// # Errors
    /// When the store cannot be read, or must be reopened.
    pub fn each_row(
        snapshot: &Snapshot,
        filter: &Filter,
        with_vectors: bool,
        damaged: &mut Vec<String>,
        visit: &mut dyn FnMut(Row, Option<StoredVector>) -> bool,
    ) -> Result<(), QueryError> {
        let mut take = |row: Result<Option<Row>, ReadError>| -> Result<bool, QueryError> {
            make_way(snapshot)?;
            let Some(row) = named(row.transpose(), damaged)? else { return Ok(true) };
            let mut vector = None;
            if with_vectors {
                vector = named(snapshot.stored_vector(&row.id).transpose(), damaged)?;
            }
            Ok(visit(row, vector))
        };
        if filter.is_empty() {
            for row in snapshot.all_rows()? {
                if !take(row.map(Some))? {
                    break;
                }
            }
        } else {
            for key in snapshot.rows_matching(filter)?.iter() {
                if !take(snapshot.row_at(key))? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Calls `visit` with the rows of every drawer that a filter lets through, chunks in their order, drawers by the
    /// time they were filed. Rows that are damaged are named and left out. Keys and times of all of them are in memory
    /// meanwhile: a caller asks room by room.
    ///
    /// # Errors
    /// When the store cannot be read, or must be reopened.
    pub fn each_drawer(
        snapshot: &Snapshot,
        filter: &Filter,
        damaged: &mut Vec<String>,
        visit: &mut dyn FnMut(Vec<Row>) -> bool,
    ) -> Result<(), QueryError> {
        let mut drawers: BTreeMap<String, (String, Vec<(u32, RowKey)>)> = BTreeMap::new();
        for key in snapshot.rows_matching(filter)?.iter() {
            make_way(snapshot)?;
            let Some(row) = named(snapshot.row_at(key).transpose(), damaged)? else { continue };
            let filed_at = sortable_time(&row.filed_at);
            let known = drawers.entry(row.drawer_id().to_owned()).or_insert((filed_at, Vec::new()));
            known.1.push((row.chunk_index, key));
        }
        let mut in_order: Vec<_> = drawers.into_iter().collect();
        in_order.sort_by(|left, right| (&left.1.0, &left.0).cmp(&(&right.1.0, &right.0)));
        for (_, (_, mut chunks)) in in_order {
            make_way(snapshot)?;
            chunks.sort_unstable();
            let mut rows = Vec::with_capacity(chunks.len());
            for (_, key) in chunks {
                rows.extend(snapshot.row_at(key)?);
            }
            if !visit(rows) {
                break;
            }
        }
        Ok(())
    }

    /// Returns how many rows a filter lets through.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn count_rows(snapshot: &Snapshot, filter: &Filter) -> Result<u64, QueryError> {
        Ok(if filter.is_empty() { snapshot.counts()?.rows() } else { snapshot.rows_matching(filter)?.len() })
    }

    /// Calls `visit` with every record beside the rows: entities, facts, tunnels, hallways, artifacts, events, index
    /// cards, settings; within each in the order of keys.
    ///
    /// # Errors
    /// When the store cannot be read, or must be reopened.
    pub fn each_record(
        snapshot: &Snapshot,
        visit: &mut dyn FnMut(Imported) -> bool,
    ) -> Result<(), QueryError> {
        let all = crate::engine::RecordRange::default();
        let mut go_on = true;
        let mut visit = |record| visit(record) && !snapshot.is_awaited();
        macro_rules! walk {
            ($collection:ident, $wrap:expr) => {
                if go_on {
                    records::each(snapshot, Collection::$collection, &all, |record| {
                        go_on = visit($wrap(record));
                        go_on
                    })?;
                }
            };
        }
        walk!(Entities, Imported::Entity);
        walk!(Facts, Imported::Fact);
        walk!(Tunnels, Imported::Tunnel);
        walk!(Hallways, Imported::Hallway);
        walk!(Artifacts, Imported::Artifact);
        walk!(Events, Imported::Event);
        for collection in [Collection::Closets, Collection::Settings] {
            if !go_on {
                break;
            }
            records::each_with_key(snapshot, collection, &all, |key, value: Value| {
                let key = String::from_utf8_lossy(key);
                let record = match (collection, key.split_once('\0')) {
                    (Collection::Closets, Some((source_file, id))) => {
                        Imported::Closet { source_file: source_file.into(), id: id.into(), card: value }
                    }
                    _ => Imported::Setting { name: key.into_owned(), value },
                };
                go_on = visit(record);
                go_on
            })?;
        }
        make_way(snapshot)
    }
}

/// Ends a walk that the reopening of the store waits for.
fn make_way(snapshot: &Snapshot) -> Result<(), QueryError> {
    if snapshot.is_awaited() { Err(ReadError::NeedsReopen.into()) } else { Ok(()) }
}

/// Names what is damaged and returns the rest.
fn named<T>(found: Option<Result<T, ReadError>>, damaged: &mut Vec<String>) -> Result<Option<T>, QueryError> {
    match found.transpose() {
        Err(error @ ReadError::Damaged { .. }) => {
            damaged.push(error.to_string());
            Ok(None)
        }
        found => Ok(found?),
    }
}
