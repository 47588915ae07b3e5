//! Moving out: everything in a palace, or what a selection lets through, as plain files.
//!
//! One snapshot is written, however long it takes and whoever writes meanwhile. A target has its name only when it is
//! whole and on disk: it is made beside it. What is damaged is named and left out, so that an export is also what saves
//! the rest.

mod jsonl;
mod markdown;
mod target;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::ingest::job::{Finished, JobError, Progress};
use crate::palace::{Filter, Palace, Snapshot, dates};

use super::lines::Selection;
use target::Target;

/// What is to be exported, how and where.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// File, or directory for Markdown.
    pub target: PathBuf,
    /// How.
    pub format: Format,
    /// Which rows.
    pub selection: Selection,
    /// With vectors; Markdown has none.
    pub vectors: bool,
    /// Replace a file that is there.
    pub overwrite: bool,
    /// The palace's own directory, in which nothing is written.
    pub palace_dir: PathBuf,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object on each line: complete, and read by the import.
    Jsonl,
    /// A directory of Markdown files for people.
    Markdown,
}

/// What was written.
#[derive(Clone, Debug, Default)]
struct Sums {
    rows: u64,
    drawers: u64,
    records: u64,
    files: u64,
    bytes: u64,
    sha256: Option<String>,
    /// What could not be read.
    damaged: Vec<String>,
}

/// An export under way.
struct Export<'e> {
    snapshot: &'e Snapshot,
    filter: Filter,
    selection: Selection,
    progress: &'e Progress,
}

impl Export<'_> {
    /// Tells whether everything is exported.
    fn is_whole(&self) -> bool {
        self.filter.is_empty()
    }
}

/// Exports. Blocks; `progress` is told how far it is.
///
/// # Errors
/// Says what cannot be read or written. Nothing is left at the target then, or what was there before.
pub fn run(palace: &Palace, wanted: &Wanted, progress: &Progress) -> Result<Finished, JobError> {
    let selection = checked(&wanted.selection)?;
    let target = Target::prepare(wanted)?;
    let snapshot = palace.snapshot().map_err(JobError::of)?;
    let filter = Filter {
        wing: selection.wing.clone(),
        room: selection.room.clone(),
        since: selection.since.clone(),
        before: selection.before.clone(),
        source_file: None,
    };
    let export = Export { snapshot: &snapshot, filter, selection, progress };
    let sums = match wanted.format {
        Format::Jsonl => jsonl::write(&export, &target, wanted.vectors)?,
        Format::Markdown => markdown::write(&export, &target)?,
    };
    // The store may be waiting for the snapshot to go; what is left to do needs it no more.
    drop(snapshot);
    target.name()?;
    let report = json!({
        "target": wanted.target, "rows": sums.rows, "drawers": sums.drawers, "records": sums.records,
        "files": sums.files, "bytes": sums.bytes, "sha256": sums.sha256, "damaged": sums.damaged,
    });
    Ok(Finished { message: summary(&wanted.target, wanted.format, &sums), report })
}

/// Returns a selection whose times are checked and without a zone, as rows are compared with them.
fn checked(selection: &Selection) -> Result<Selection, JobError> {
    let bound = |value: &Option<String>, name: &str| {
        value.as_deref().map(|value| dates::bound(value, name)).transpose().map_err(JobError::of)
    };
    let (since, before) = (bound(&selection.since, "since")?, bound(&selection.before, "before")?);
    if let (Some(since), Some(before)) = (&since, &before)
        && since >= before
    {
        return Err(JobError::Failed(format!("since ({since}) must be earlier than before ({before})")));
    }
    Ok(Selection { since, before, ..selection.clone() })
}

fn summary(target: &Path, format: Format, sums: &Sums) -> String {
    let damage = match sums.damaged.len() {
        0 => String::new(),
        count => format!(
            "; {count} DAMAGED things are left out and named in the report: {}; run `palacectl verify`",
            sums.damaged[0]
        ),
    };
    let what = match format {
        Format::Jsonl => format!("{} rows and {} records", sums.rows, sums.records),
        Format::Markdown => format!("{} drawers in {} files", sums.drawers, sums.files),
    };
    format!("{what} exported to {} ({} bytes){damage}", target.display(), sums.bytes)
}

#[cfg(test)]
mod tests;
