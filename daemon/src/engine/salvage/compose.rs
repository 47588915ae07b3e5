//! What of the records that were found comes into the new store, and the writing of it.
//!
//! A row is named by the id table, and the id table by the rows: where one of them is certain it decides. A vector is
//! kept only if it is certain that it belongs to the text it stands beside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use redb::Database;

use super::survey::{Extent, Found, Survey};
use super::{Carved, Lost, SalvageError, Salvaged, TableCount};
use crate::engine::archive::check_file;
use crate::engine::error::{CommitError, Fault, OpenError};
use crate::engine::index::code::almost_unit;
use crate::engine::store::bulk::Bulk;
use crate::engine::store::records::{State, decode_vector};
use crate::engine::store::tables::{self, Table};
use crate::engine::store::{codec, file, records, write};
use crate::engine::types::{Collection, EngineOptions, Row, RowKey, Seq, StoredVector};

/// Rows or records written in one transaction.
const BATCH: usize = 4_096;

/// What is to be made of a survey.
pub struct Plan {
    survey: Survey,
    report: Salvaged,
    /// Rows that come into the store, in the order of their keys.
    rows: Vec<RowPlan>,
    next_key: u64,
}

struct RowPlan {
    key: RowKey,
    id: String,
    vector: VectorPlan,
}

/// Where a row's vector comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum VectorPlan {
    Stored,
    /// There is one, but it may belong to another version of the text.
    Doubtful,
    Lost,
}

impl Plan {
    /// Returns what would be made.
    pub fn report(self) -> Salvaged {
        self.report
    }
}

/// Decides what comes into the new store.
pub fn plan(survey: Survey, damaged: &Path, options: &EngineOptions) -> Result<Plan, SalvageError> {
    if wanted().all(|table| survey.extent(table).found.is_empty()) {
        return Err(SalvageError::Nothing { path: damaged.to_owned() });
    }
    let mut report = Salvaged::default();
    let state = state(&survey);
    report.origin = check_meta(&survey, damaged, options)?;
    report.seq = state.map_or(Seq(survey.highest_seq), |state| state.seq);
    let mut rows = choose_rows(&survey, &mut report);
    for row in &mut rows {
        row.vector = judge_vector(&survey, row.key, options.dimension);
        if row.vector != VectorPlan::Stored {
            report.reembedded.push(row.id.clone());
        }
    }
    name_lost_rows(&survey, &rows, state, &mut report);
    count_tables(&survey, &rows, &mut report);
    report.pages_mended = survey.pages.mended();
    report.bytes_refused = survey.pages.refused();
    note(&survey, state, &mut report);
    let after_highest = survey.highest_key.checked_add(1).filter(|key| *key < u64::MAX).unwrap_or(1);
    let next_key = state.map_or(1, |state| state.next_key).max(after_highest);
    Ok(Plan { survey, report, rows, next_key })
}

fn wanted() -> impl Iterator<Item = &'static Table> {
    [&tables::META, &tables::ROWS].into_iter().chain(tables::COLLECTIONS.into_iter().map(tables::collection))
}

fn state(survey: &Survey) -> Option<State> {
    let (payload, certain) = survey.record(&tables::META, tables::META_STATE)?;
    records::decode_state(&payload).ok().filter(|_| certain)
}

/// Refuses what another program or another model made; returns who the store was.
fn check_meta(
    survey: &Survey,
    damaged: &Path,
    options: &EngineOptions,
) -> Result<Option<[u8; 16]>, SalvageError> {
    let path = damaged.to_owned();
    if let Some((payload, _)) = survey.record(&tables::META, tables::META_FORMAT)
        && let Ok(found) = codec::Cursor(&payload).u32("format")
        && found > file::FORMAT
    {
        return Err(OpenError::NewerFormat { path, found, supported: file::FORMAT }.into());
    }
    let Some((payload, _)) = survey.record(&tables::META, tables::META_IDENTITY) else { return Ok(None) };
    let Ok(identity) = records::decode_identity(&payload) else { return Ok(None) };
    if identity.embedder != options.embedder_identity || identity.dimension as usize != options.dimension {
        return Err(SalvageError::Open(OpenError::EmbedderMismatch {
            path,
            found: identity.embedder,
            found_dimension: identity.dimension as usize,
            expected: options.embedder_identity.clone(),
            expected_dimension: options.dimension,
        }));
    }
    Ok(Some(identity.database_uuid))
}

/// Returns what the id table says of an id: its key and whether that is certain.
fn key_of_id(survey: &Survey, id: &str) -> Option<(RowKey, bool)> {
    let (payload, certain) = survey.record(&tables::IDS, id.as_bytes())?;
    Some((RowKey(u64::from_le_bytes(payload.try_into().ok()?)), certain))
}

fn row_key(key: &[u8]) -> Option<RowKey> {
    let key = u64::from_be_bytes(key.try_into().ok()?);
    (1..u64::MAX).contains(&key).then_some(RowKey(key))
}

fn choose_rows(survey: &Survey, report: &mut Salvaged) -> Vec<RowPlan> {
    // How much speaks for a row, when two have one id: the id table, then certainty, then the later key.
    type Weight = (bool, bool, RowKey);
    let mut chosen: BTreeMap<String, Weight> = BTreeMap::new();
    for (key, found) in &survey.extent(&tables::ROWS).found {
        let payload = survey.payload(&tables::ROWS, key, found);
        let (Some(key), Ok(row)) = (row_key(key), records::decode_row(&payload)) else { continue };
        if row.id.is_empty() {
            continue;
        }
        let named = key_of_id(survey, &row.id);
        let contradicted = match named {
            Some((named, certain)) => certain && named != key,
            None => !survey.extent(&tables::IDS).leaves_open(row.id.as_bytes()),
        };
        if contradicted && !found.certain {
            report.left_out += 1;
            continue;
        }
        let weight = (named.is_some_and(|(named, _)| named == key), found.certain, key);
        let kept = chosen.entry(row.id).or_insert(weight);
        if *kept != weight {
            report.left_out += 1;
            *kept = weight.max(*kept);
        }
    }
    let mut rows: Vec<RowPlan> =
        chosen.into_iter().map(|(id, (_, _, key))| RowPlan { key, id, vector: VectorPlan::Lost }).collect();
    rows.sort_by_key(|row| row.key);
    for row in &rows {
        if !certain(survey, &tables::ROWS, row.key) {
            report.carved.push(Carved { table: "rows", name: row.id.clone() });
        }
    }
    rows
}

fn certain(survey: &Survey, table: &'static Table, key: RowKey) -> bool {
    survey.extent(table).found.get(&tables::row_key(key)[..]).is_some_and(|found| found.certain)
}

fn judge_vector(survey: &Survey, key: RowKey, dimension: usize) -> VectorPlan {
    let Some((stored, of_newest)) = survey.record(&tables::VECTORS, &tables::row_key(key)) else {
        return VectorPlan::Lost;
    };
    if stored.len() != dimension * 2 || almost_unit(&decode_vector(&stored), dimension).is_err() {
        return VectorPlan::Lost;
    }
    let belongs = of_newest && certain(survey, &tables::ROWS, key);
    if belongs { VectorPlan::Stored } else { VectorPlan::Doubtful }
}

fn name_lost_rows(survey: &Survey, rows: &[RowPlan], state: Option<State>, report: &mut Salvaged) {
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

fn count_tables(survey: &Survey, rows: &[RowPlan], report: &mut Salvaged) {
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

fn note(survey: &Survey, state: Option<State>, report: &mut Salvaged) {
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

/// Writes the new store, reads it back and compares.
pub fn write(
    plan: Plan,
    made: &Path,
    options: &EngineOptions,
    embed: &mut dyn FnMut(&str) -> Option<Vec<f32>>,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Salvaged, SalvageError> {
    let Plan { survey, mut report, rows, next_key } = plan;
    let identity = file::new_identity(options, report.origin);
    let mut writing = Writing {
        survey: &survey,
        report: &mut report,
        options,
        embed,
        go_on,
        steps: 0,
        rows: 0,
        stopped: false,
    };
    let result = file::make(made, &identity, options, |db| {
        writing.rows(db, &rows)?;
        for collection in tables::COLLECTIONS {
            writing.records(db, collection)?;
        }
        writing.finish(db, next_key)
    });
    let (stopped, written) = (writing.stopped, writing.rows);
    let checked = match result {
        Err(_) if stopped => Err(SalvageError::Interrupted),
        Err(error) => Err(error.into()),
        Ok(()) => read_back(made, options, written),
    };
    if let Err(error) = checked {
        let _ = fs::remove_file(made);
        return Err(error);
    }
    // What could not be embedded is lost after all.
    let vectorless: BTreeSet<&str> =
        report.lost.iter().filter(|lost| lost.table == "vectors").map(|lost| lost.name.as_str()).collect();
    report.reembedded.retain(|id| !vectorless.contains(id.as_str()));
    if let Some(count) = report.tables.iter_mut().find(|count| count.table == "rows") {
        count.lost = count.lost.map(|lost| lost + count.read.saturating_sub(written));
        count.read = written;
    }
    Ok(report)
}

fn read_back(made: &Path, options: &EngineOptions, rows: u64) -> Result<(), SalvageError> {
    let checked = check_file(made, options)?;
    if let Some(problem) = checked.problems.first() {
        return Err(SalvageError::Wrong(format!("{}: {}", problem.table, problem.detail)));
    }
    if checked.rows != rows {
        return Err(SalvageError::Wrong(format!("{} rows instead of {rows}", checked.rows)));
    }
    Ok(())
}

struct Writing<'w> {
    survey: &'w Survey,
    report: &'w mut Salvaged,
    options: &'w EngineOptions,
    embed: &'w mut dyn FnMut(&str) -> Option<Vec<f32>>,
    go_on: &'w mut dyn FnMut(u64) -> bool,
    steps: u64,
    rows: u64,
    stopped: bool,
}

impl Writing<'_> {
    fn rows(&mut self, db: &Database, rows: &[RowPlan]) -> Result<(), CommitError> {
        for batch in rows.chunks(BATCH) {
            let txn = begin(db)?;
            let mut bulk = Bulk::begin(&txn)?;
            for planned in batch {
                let Some((payload, _)) = self.survey.record(&tables::ROWS, &tables::row_key(planned.key))
                else {
                    continue;
                };
                let row = records::decode_row(&payload)
                    .map_err(|why| CommitError::Damaged { detail: format!("{}: {why}", planned.id) })?;
                match self.vector(planned, &row) {
                    Some(vector) => {
                        bulk.insert(planned.key, &row, &vector)?;
                        self.rows += 1;
                    }
                    None => {
                        let reason = "its vector is lost and none could be made".to_owned();
                        self.report.lost.push(Lost { table: "vectors", name: row.id, reason });
                    }
                }
                self.step()?;
            }
            bulk.finish()?;
            txn.commit().map_err(Fault::from)?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), CommitError> {
        self.steps += 1;
        if self.steps.is_multiple_of(256) && !(self.go_on)(self.steps) {
            self.stopped = true;
            return Err(CommitError::Poisoned);
        }
        Ok(())
    }

    /// Returns the vector a row gets: its own where it is certain, otherwise a new one, otherwise the doubtful one.
    fn vector(&mut self, planned: &RowPlan, row: &Row) -> Option<Vec<u8>> {
        let stored =
            || self.survey.record(&tables::VECTORS, &tables::row_key(planned.key)).map(|(bytes, _)| bytes);
        if planned.vector == VectorPlan::Stored {
            return stored();
        }
        let made = (self.embed)(&row.document).filter(|vector| vector.len() == self.options.dimension);
        match made.and_then(|vector| StoredVector::encode(&vector)) {
            Some(vector) => Some(vector.bytes().to_vec()),
            None if planned.vector == VectorPlan::Doubtful => {
                self.report.reembedded.retain(|id| *id != row.id);
                self.report
                    .notes
                    .push(format!("{}: its vector may be of an older version of the text", row.id));
                stored()
            }
            None => None,
        }
    }

    fn records(&mut self, db: &Database, collection: Collection) -> Result<(), CommitError> {
        // The times of removed things follow from the things themselves.
        if collection == Collection::RemovedByTime {
            return Ok(());
        }
        let table = tables::collection(collection);
        let found: Vec<(&Vec<u8>, &Found)> = self.survey.extent(table).found.iter().collect();
        for batch in found.chunks(BATCH) {
            let txn = begin(db)?;
            for (key, found) in batch {
                let payload = self.survey.payload(table, key, found);
                write::put_record(&txn, collection, key, &payload)?;
                if collection == Collection::Removed
                    && let Some(by_time) = tables::removed_by_time(key)
                {
                    write::put_record(&txn, Collection::RemovedByTime, &by_time, b"null")?;
                }
                self.step()?;
            }
            txn.commit().map_err(Fault::from)?;
        }
        Ok(())
    }

    /// Brings the store to where the damaged one stood, and to disk.
    fn finish(&mut self, db: &Database, next_key: u64) -> Result<(), CommitError> {
        let txn = db.begin_write().map_err(Fault::from)?;
        write::put_state(&txn, &State { seq: self.report.seq, next_key, rows: self.rows })?;
        txn.commit().map_err(Fault::from)?;
        Ok(())
    }
}

fn begin(db: &Database) -> Result<redb::WriteTransaction, CommitError> {
    let mut txn = db.begin_write().map_err(Fault::from)?;
    // The last transaction brings the earlier ones to disk.
    txn.set_durability(redb::Durability::None)
        .map_err(|error| CommitError::Damaged { detail: error.to_string() })?;
    Ok(txn)
}
