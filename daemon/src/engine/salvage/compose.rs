//! What of the records that were found comes into the new store.
//!
//! A row is named by the id table, and the id table by the rows: where one of them is certain it decides. A vector is
//! kept only if it is certain that it belongs to the text it stands beside.

mod losses;
mod writing;

use std::collections::BTreeMap;
use std::path::Path;

use super::survey::Survey;
use super::{Carved, SalvageError, Salvaged};
use crate::engine::error::OpenError;
use crate::engine::index::code::almost_unit;
use crate::engine::store::records::{State, decode_vector};
use crate::engine::store::tables::{self, Table};
use crate::engine::store::{codec, file, records};
use crate::engine::types::{EngineOptions, RowKey, Seq};

pub use writing::write;

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
    losses::name_lost_rows(&survey, &rows, state, &mut report);
    losses::count_tables(&survey, &rows, &mut report);
    report.pages_mended = survey.pages.mended();
    report.bytes_refused = survey.pages.refused();
    losses::note(&survey, state, &mut report);
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
