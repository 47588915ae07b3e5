//! Moving in: a palace of MemPalace, or an export of ours, becomes rows and records under the ids it has, with a proof.
//!
//! The source is only read. Rows go in batch by batch, each in one transaction; what is there already is only compared, so
//! an import that was interrupted goes on where it stopped and one that is repeated changes nothing. Vectors are taken over; only
//! rows whose vector is missing, damaged or of another model are embedded. What is lost is named.

mod convert;
mod exported;
mod mempalace;
mod pipeline;
mod proof;
mod report;
mod scratch;
mod source;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::ingest::job::{Finished, JobError, Progress};
use crate::palace::Palace;
use crate::palace::error::QueryError;
use crate::palace::import::ImportBatch;

pub use scratch::sweep;

/// What is to be imported, and how.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The palace's directory, or the export's file.
    pub source: PathBuf,
    /// The source stands in our own palace's directory.
    pub is_own: bool,
    /// Home directory whose settings belong to it.
    pub home: Option<PathBuf>,
    /// Only tell what would be imported.
    pub dry_run: bool,
    /// Folder for what is needed only meanwhile.
    pub scratch: PathBuf,
    /// Folder of the reports.
    pub reports: PathBuf,
}

/// Name of the setting that says what the import of the palace of MemPalace in our own directory came to.
const OWN_VERDICT: &str = "import/own";

/// What such an import came to; an import that did not get so far leaves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Verdict {
    /// Whether the proof held.
    proved: bool,
}

/// Stands for an id where millions are held.
fn id_hash(id: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(id.as_bytes())
}

/// Returns whether the proof held when the palace of MemPalace in our own directory was imported; none if that was not done,
/// or not to its end.
///
/// # Errors
/// When the palace cannot be read.
pub fn own_verdict(palace: &Palace) -> Result<Option<bool>, QueryError> {
    let verdict = palace.setting(OWN_VERDICT)?.and_then(|value| serde_json::from_value(value).ok());
    Ok(verdict.map(|Verdict { proved }| proved))
}

/// Notes what the proof came to.
fn conclude(palace: &Palace, proved: bool) -> Result<(), JobError> {
    let value = serde_json::to_value(Verdict { proved }).expect("a verdict is plain data");
    let batch = ImportBatch { note: Some((OWN_VERDICT.to_owned(), value)), ..ImportBatch::default() };
    let receipt = palace.import(batch, &clock::now()).map_err(JobError::of)?;
    receipt.wait().map(drop).map_err(JobError::of)
}

/// Imports a palace or an export and proves it. Blocks; `progress` is told how far it is.
///
/// # Errors
/// Says what cannot be read or stored. What was stored before stays, and a repeated import goes on from there.
pub fn run(palace: &Palace, wanted: &Wanted, progress: &Progress) -> Result<Finished, JobError> {
    if wanted.source.is_file() {
        exported::run(palace, wanted, progress)
    } else {
        mempalace::run(palace, wanted, progress)
    }
}
