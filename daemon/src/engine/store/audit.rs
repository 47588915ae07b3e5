//! Every record read, every table held against the others. Reads only.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableTableMetadata};

use super::codec::{Unreadable, pop_text, trailing_u64, unseal};
use super::read::{self, Tables, keys_under};
use super::tables::{self, Table};
use super::{records, write};
use crate::engine::error::{Fault, ReadError};
use crate::engine::types::{Collection, Row, RowKey, Seq, Tally};
use crate::engine::verify::{Problem, VerifyReport};

/// Checks the whole store and adds what it finds to the report.
pub(in crate::engine) fn audit(
    txn: &ReadTransaction,
    dimension: usize,
    report: &mut VerifyReport,
) -> Result<(), ReadError> {
    let chunk_rows = audit_rows(txn, dimension, report)?;
    let rows = report.rows;
    for (table, expected) in [
        (&tables::IDS, rows),
        (&tables::VECTORS, rows),
        (&tables::BY_WING, rows),
        (&tables::BY_SOURCE, rows),
        (&tables::BY_FILED_AT, rows),
        (&tables::CHUNKS, chunk_rows),
    ] {
        let found = len(txn, table)?;
        if found != expected {
            report.problem(table.name, None, format!("{found} entries for {expected} rows"));
        }
    }
    let state = read::state(txn)?;
    if state.rows != rows {
        report.problem("meta", None, format!("the store counts {} rows and holds {rows}", state.rows));
    }
    audit_counts(txn, report)?;
    audit_facets(txn, report)?;
    audit_collections(txn, report)?;
    audit_removed(txn, report)?;
    look_for_gaps(txn, report)?;
    audit_log(txn, state.seq, report)?;
    audit_keys(txn, report)
}

fn len(txn: &ReadTransaction, table: &'static Table) -> Result<u64, ReadError> {
    txn.open(table)?.len().map_err(|error| Fault::from(error).reading(table.name))
}

/// Checks each row with everything that points to it; tells how many rows are chunks.
fn audit_rows(txn: &ReadTransaction, dimension: usize, report: &mut VerifyReport) -> Result<u64, ReadError> {
    let mut chunk_rows = 0;
    let mut failure = None;
    read::each_row(txn, |key, row| {
        report.rows += 1;
        let audited = match row {
            Ok(row) => {
                chunk_rows += u64::from(row.parent_id.is_some());
                audit_row(txn, key, &row, dimension, report)
            }
            Err(error) => {
                report.problem("rows", Some(read::name_of_key(txn, key)), error.to_string());
                Ok(())
            }
        };
        if let Err(error) = audited {
            failure.get_or_insert(error);
        }
    })?;
    failure.map_or(Ok(chunk_rows), Err)
}

fn audit_row(
    txn: &ReadTransaction,
    key: RowKey,
    row: &Row,
    dimension: usize,
    report: &mut VerifyReport,
) -> Result<(), ReadError> {
    let mut complain = |table: &'static str, detail: String| {
        report.problems.push(Problem { table, drawer: Some(row.id.clone()), detail });
    };
    match read::key_of_id(txn, &row.id) {
        Ok(Some(found)) if found == key => {}
        Ok(found) => complain("ids", format!("leads to {found:?} instead of {key}")),
        Err(error @ ReadError::Damaged { .. }) => complain("ids", error.to_string()),
        Err(error) => return Err(error),
    }
    match read::vector_bytes(txn, key) {
        Ok(Some(stored)) => {
            let vector = records::decode_vector(&stored);
            let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            if vector.len() != dimension || !(0.99..1.01).contains(&length) {
                complain("vectors", format!("{} components of length {length}", vector.len()));
            }
        }
        Ok(None) => complain("vectors", "missing".to_owned()),
        Err(error @ ReadError::Damaged { .. }) => complain("vectors", error.to_string()),
        Err(error) => return Err(error),
    }
    for (table, entry) in write::index_entries(row, key) {
        let open = txn.open(table)?;
        let found = open.get(entry.as_slice()).map_err(|error| Fault::from(error).reading(table.name))?;
        if found.is_none() {
            complain(table.name, "missing entry".to_owned());
        }
    }
    Ok(())
}

/// Counts rows and drawers per room again, from the shelf order, and compares.
fn audit_counts(txn: &ReadTransaction, report: &mut VerifyReport) -> Result<(), ReadError> {
    let mut counted: BTreeMap<(String, String), Tally> = BTreeMap::new();
    let mut last = None;
    keys_under(txn, &tables::BY_WING, &[], |key| {
        let mut rest = key;
        let shelf = (pop_text(&mut rest)?, pop_text(&mut rest)?);
        let drawer = (shelf.clone(), pop_text(&mut rest)?);
        let tally = counted.entry(shelf).or_default();
        tally.rows += 1;
        if last.as_ref() != Some(&drawer) {
            tally.drawers += 1;
            last = Some(drawer);
        }
        Ok(true)
    })?;
    let stored: BTreeMap<(String, String), Tally> = read::counts(txn)?
        .wings
        .into_iter()
        .flat_map(|(wing, rooms)| rooms.into_iter().map(move |(room, tally)| ((wing.clone(), room), tally)))
        .collect();
    for room in counted.keys().chain(stored.keys().filter(|room| !counted.contains_key(*room))) {
        let (found, counted) = (stored.get(room), counted.get(room));
        if found != counted {
            let detail = format!("{}/{}: stored {found:?}, counted {counted:?}", room.0, room.1);
            report.problem("counts", None, detail);
        }
    }
    Ok(())
}

/// Counts rows by room, wing, hall and date again and compares.
fn audit_facets(txn: &ReadTransaction, report: &mut VerifyReport) -> Result<(), ReadError> {
    let mut counted: BTreeMap<[String; 4], u64> = BTreeMap::new();
    read::each_row(txn, |_, row| {
        if let Ok(row) = row {
            let facet = [&row.room, &row.wing, row.text("hall"), row.text("date")].map(str::to_owned);
            *counted.entry(facet).or_default() += 1;
        }
    })?;
    let facets = read::facets(txn)?;
    let stored: BTreeMap<[String; 4], u64> = facets
        .into_iter()
        .map(|facet| ([facet.room, facet.wing, facet.hall, facet.date], facet.rows))
        .collect();
    if stored != counted {
        let detail =
            format!("{} stored and {} counted, or their numbers, differ", stored.len(), counted.len());
        report.problem("facets", None, detail);
    }
    Ok(())
}

/// Reads every record beside the rows.
fn audit_collections(txn: &ReadTransaction, report: &mut VerifyReport) -> Result<(), ReadError> {
    for collection in tables::COLLECTIONS {
        let table = tables::collection(collection);
        let open = txn.open(table)?;
        let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
        for entry in open.range::<&[u8]>(..).map_err(fault)? {
            let (key, value) = entry.map_err(fault)?;
            if let Err(why) = unseal(table.tag, key.value(), value.value()) {
                let key = String::from_utf8_lossy(key.value()).into_owned();
                report.problem(table.name, None, format!("record {key}: {why}"));
            }
        }
    }
    Ok(())
}

/// Holds what was removed against the list of the same by time, and back.
fn audit_removed(txn: &ReadTransaction, report: &mut VerifyReport) -> Result<(), ReadError> {
    let (by_id, by_time) =
        (tables::collection(Collection::Removed), tables::collection(Collection::RemovedByTime));
    type Partner = fn(&[u8]) -> Option<Vec<u8>>;
    let ways: [(&'static Table, &'static Table, Partner); 2] =
        [(by_id, by_time, tables::removed_by_time), (by_time, by_id, tables::removed)];
    for (table, other, partner) in ways {
        let there = txn.open(other)?;
        let mut alone = Vec::new();
        let mut failure = None;
        keys_under(txn, table, &[], |key| {
            let found = match partner(key) {
                Some(partner) => there.get(partner.as_slice()).map(|found| found.is_some()),
                None => Ok(false),
            };
            match found {
                Ok(true) => {}
                Ok(false) => alone.push(String::from_utf8_lossy(key).replace('\0', " ")),
                Err(error) => failure = Some(Fault::from(error).reading(other.name)),
            }
            Ok(failure.is_none())
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        for key in alone {
            report.problem(table.name, None, format!("{key}: not in {}", other.name));
        }
    }
    Ok(())
}

/// Looks for drawers some of whose chunks are not there. They may have been deleted one by one, so that is no damage.
fn look_for_gaps(txn: &ReadTransaction, report: &mut VerifyReport) -> Result<(), ReadError> {
    let mut group: Option<(String, Vec<u32>)> = None;
    let mut close = |group: Option<(String, Vec<u32>)>| {
        let Some((drawer, found)) = group else { return };
        let last = found.last().copied().unwrap_or_default();
        let missing = (0..=last).filter(|index| found.binary_search(index).is_err()).count();
        if missing > 0 {
            let detail = format!("{missing} of the chunks before number {last} are not there");
            report.notice(tables::CHUNKS.name, Some(drawer), detail);
        } else if found.len() as u64 > u64::from(last) + 1 {
            report.notice(tables::CHUNKS.name, Some(drawer), "two chunks have one number".to_owned());
        }
    };
    keys_under(txn, &tables::CHUNKS, &[], |key| {
        let mut rest = key;
        let drawer = pop_text(&mut rest)?;
        let index = rest.first_chunk::<4>().map(|index| u32::from_be_bytes(*index));
        let index = index.ok_or(Unreadable::Malformed("key"))?;
        match &mut group {
            Some((of, found)) if *of == drawer => found.push(index),
            Some(_) | None => close(group.replace((drawer, vec![index]))),
        }
        Ok(true)
    })?;
    close(group);
    Ok(())
}

/// Checks that the log is readable, without a gap, and ends where the store stands.
fn audit_log(txn: &ReadTransaction, seq: Seq, report: &mut VerifyReport) -> Result<(), ReadError> {
    let table = &tables::LOG;
    let open = txn.open(table)?;
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    let mut previous = None;
    for entry in open.range::<&[u8]>(..).map_err(fault)? {
        let (key, value) = entry.map_err(fault)?;
        let at = trailing_u64(key.value()).unwrap_or_default();
        if previous.is_some_and(|previous| previous + 1 != at) {
            report.problem(table.name, None, format!("gap before {at}"));
        }
        previous = Some(at);
        let entries = unseal(table.tag, key.value(), value.value()).and_then(records::decode_log);
        if let Err(why) = entries {
            report.problem(table.name, None, format!("entry {at}: {why}"));
        }
    }
    if previous.is_some_and(|last| last != seq.0) {
        report.problem(table.name, None, format!("ends at {previous:?}, the store stands at {seq}"));
    }
    Ok(())
}

fn audit_keys(txn: &ReadTransaction, report: &mut VerifyReport) -> Result<(), ReadError> {
    let table = &tables::KEYS;
    let open = txn.open(table)?;
    let fault = |error: redb::StorageError| Fault::from(error).reading(table.name);
    for entry in open.range::<&[u8]>(..).map_err(fault)? {
        let (key, value) = entry.map_err(fault)?;
        if let Err(why) = unseal(table.tag, key.value(), value.value()).and_then(records::decode_key_result) {
            report.problem(table.name, None, format!("key {:02x?}: {why}", key.value()));
        }
    }
    let (keys, times) = (len(txn, table)?, len(txn, &tables::KEYS_BY_TIME)?);
    if keys != times {
        report.problem(table.name, None, format!("{keys} keys, {times} times"));
    }
    Ok(())
}
