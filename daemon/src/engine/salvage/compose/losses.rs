//! What is lost and what is doubtful, by name.

use std::collections::BTreeSet;

use super::{RowPlan, VectorPlan, key_of_id, row_key};
use crate::engine::salvage::survey::{Extent, Found, Survey};
use crate::engine::salvage::{Carved, Lost, Salvaged, TableCount};
use crate::engine::store::records::State;
use crate::engine::store::tables::{self, Table};
use crate::engine::types::{Collection, RowKey};

pub(super) fn name_lost_rows(survey: &Survey, rows: &[RowPlan], state: Option<State>, report: &mut Salvaged) {
    let keys: BTreeSet<RowKey> = rows.iter().map(|row| row.key).collect();
    let extent = survey.extent(&tables::ROWS);
    let mut named = BTreeSet::new();
    for (id, found) in &survey.extent(&tables::IDS).found {
        let Ok(id) = String::from_utf8(id.clone()) else { continue };
        let Some((key, _)) = key_of_id(survey, &id) else { continue };
        let key_bytes = tables::row_key(key);
        let may_have_been = extent.leaves_open(&key_bytes);
        if keys.contains(&key) || (!found.certain && !may_have_been) {
            continue;
        }
        let mut reason = match extent.damaged.get(&key_bytes[..]) {
            Some(why) => format!("its record is damaged: {why}"),
            None if may_have_been => "the page it was on cannot be read".to_owned(),
            None => "the id leads to no row".to_owned(),
        };
        if !found.certain {
            reason.push_str("; it may have been removed before");
        }
        named.insert(key);
        report.lost.push(Lost { table: "rows", name: id, reason });
    }
    for (key, why) in &extent.damaged {
        let Some(key) = row_key(key).filter(|key| !keys.contains(key) && named.insert(*key)) else {
            continue;
        };
        let reason = format!("its record is damaged: {why}");
        report.lost.push(Lost { table: "rows", name: format!("row key {key}"), reason });
    }
    let expected = state.map(|state| state.rows).or(extent.expected);
    let accounted = (rows.len() + named.len()) as u64;
    report.rows_lost_unnamed = expected.unwrap_or_default().saturating_sub(accounted);
}

pub(super) fn count_tables(survey: &Survey, rows: &[RowPlan], report: &mut Salvaged) {
    let read = rows.len() as u64;
    let expected = survey.extent(&tables::ROWS).expected;
    report.tables.push(TableCount { table: "rows", read, lost: lost(expected, read) });
    let vectors = rows.iter().filter(|row| row.vector == VectorPlan::Stored).count() as u64;
    let expected = survey.extent(&tables::VECTORS).expected;
    report.tables.push(TableCount { table: "vectors", read: vectors, lost: lost(expected, vectors) });
    // The times of removed things are made anew from the things themselves.
    for collection in tables::COLLECTIONS.into_iter().filter(|kind| *kind != Collection::RemovedByTime) {
        let table = tables::collection(collection);
        let extent = survey.extent(table);
        let read = extent.found.len() as u64;
        report.tables.push(TableCount { table: table.name, read, lost: lost(extent.expected, read) });
        for (key, found) in &extent.found {
            if !found.certain {
                report.carved.push(Carved { table: table.name, name: label(key) });
            }
        }
        name_lost_records(table, extent, report);
    }
}

fn lost(expected: Option<u64>, read: u64) -> Option<u64> {
    expected.map(|expected| expected.saturating_sub(read))
}

fn name_lost_records(table: &'static Table, extent: &Extent, report: &mut Salvaged) {
    for (key, why) in &extent.damaged {
        if !extent.found.contains_key(key) {
            let reason = format!("the record is damaged: {why}");
            report.lost.push(Lost { table: table.name, name: label(key), reason });
        }
    }
    // Where all records were found again nothing is lost, whatever the pages look like.
    if lost(extent.expected, extent.found.len() as u64) == Some(0) {
        return;
    }
    for (after, until) in extent.gaps() {
        let end = |key: &Option<Vec<u8>>, otherwise: &str| {
            key.as_deref().map_or_else(|| otherwise.to_owned(), |key| format!("\"{}\"", label(key)))
        };
        let name = format!("from {} to {}", end(after, "the first"), end(until, "the last"));
        let reason = "a page cannot be read; what was found of it elsewhere is named".to_owned();
        report.lost.push(Lost { table: table.name, name, reason });
    }
}

/// Keys hold zero bytes between their parts.
fn label(key: &[u8]) -> String {
    String::from_utf8_lossy(key).replace('\0', " ")
}

pub(super) fn note(survey: &Survey, state: Option<State>, report: &mut Salvaged) {
    let seq = report.seq;
    if survey.without_tree {
        report.notes.push(
            "no commit was found: everything comes from single pages, removed and older things among it"
                .to_owned(),
        );
    } else if survey.without_header {
        report.notes.push(format!(
            "the file's header leads to no commit; the newest that was found is number {seq}, later ones are lost"
        ));
    }
    if state.is_none() && !survey.without_tree {
        report.notes.push("where the store stood in its history is lost".to_owned());
    }
    if report.origin.is_none() {
        report.notes.push(
            "the store's identity is lost: that its vectors are of this program's model is taken for granted"
                .to_owned(),
        );
    }
    if survey.extent(&tables::META).found.get(tables::META_IDENTITY).is_some_and(|found| !found.certain) {
        report.notes.push("the store's identity was found outside the newest commit".to_owned());
    }
    let doubtful =
        |table: &'static Table| survey.extent(table).found.values().any(|found: &Found| !found.certain);
    if doubtful(&tables::ROWS) {
        report
            .notes
            .push("some drawers may be older versions, or may have been removed: they are named".to_owned());
    }
}
