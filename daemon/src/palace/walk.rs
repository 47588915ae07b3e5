//! Walks over all of a palace, for who takes it out.
//!
//! A walk takes one snapshot and sees one state, however long it takes. It gives up when the store must be reopened
//! meanwhile: a fault of the disk must not wait for it.

use std::collections::BTreeMap;

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
    /// cards, settings; within each in the order of keys. What is damaged is named and left out.
    ///
    /// # Errors
    /// When the store cannot be read, or must be reopened.
    pub fn each_record(
        snapshot: &Snapshot,
        damaged: &mut Vec<String>,
        visit: &mut dyn FnMut(Imported) -> bool,
    ) -> Result<(), QueryError> {
        let mut go_on = true;
        for collection in CARRIED {
            if !go_on {
                break;
            }
            snapshot.all_records(collection, &mut |key, value| {
                match value.and_then(|value| carried(collection, key, value)) {
                    Ok(record) => go_on = visit(record) && !snapshot.is_awaited(),
                    Err(error) => damaged.push(error.to_string()),
                }
                go_on
            })?;
        }
        make_way(snapshot)
    }
}

/// The collections that leave a palace, in the order in which they do; the others are computed from them.
const CARRIED: [Collection; 8] = [
    Collection::Entities,
    Collection::Facts,
    Collection::Tunnels,
    Collection::Hallways,
    Collection::Artifacts,
    Collection::Events,
    Collection::Closets,
    Collection::Settings,
];

/// Returns a record of one of them as it leaves the palace.
fn carried(collection: Collection, key: &[u8], value: &[u8]) -> Result<Imported, ReadError> {
    let name = String::from_utf8_lossy(key).into_owned();
    match collection {
        Collection::Entities => records::decode(key, value).map(Imported::Entity),
        Collection::Facts => records::decode(key, value).map(Imported::Fact),
        Collection::Tunnels => records::decode(key, value).map(Imported::Tunnel),
        Collection::Hallways => records::decode(key, value).map(Imported::Hallway),
        Collection::Artifacts => records::decode(key, value).map(Imported::Artifact),
        Collection::Events => records::decode(key, value).map(Imported::Event),
        Collection::Closets => {
            let (source_file, id) = name.split_once('\0').unwrap_or(("", &name));
            let (source_file, id) = (source_file.to_owned(), id.to_owned());
            records::decode(key, value).map(|card| Imported::Closet { source_file, id, card })
        }
        Collection::Settings => records::decode(key, value).map(|value| Imported::Setting { name, value }),
        Collection::FactsByEntity
        | Collection::FactsByTime
        | Collection::OpenFacts
        | Collection::Predicates
        | Collection::EventIds
        | Collection::Removed
        | Collection::RemovedByTime => unreachable!("{collection:?} does not leave a palace"),
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
