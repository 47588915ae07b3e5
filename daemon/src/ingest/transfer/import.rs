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
use crate::palace::ids::sha256_hex;
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

impl Wanted {
    /// Returns the name of the setting that holds the position. What stands in our own directory moves with it, so its
    /// path is no name for it.
    fn position_name(&self) -> String {
        if self.is_own {
            OWN_POSITION.to_owned()
        } else {
            position_name(self.source.to_string_lossy().as_bytes())
        }
    }
}

/// Name of the setting for the palace of MemPalace in our own directory.
const OWN_POSITION: &str = "import/own";

/// How an import stands; a setting of the palace, stored with each batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The source.
    pub source: String,
    /// Everything is stored.
    pub complete: bool,
    /// Whether the proof held, once it was made.
    #[serde(default)]
    pub proved: Option<bool>,
}

/// Stands for an id where millions are held.
fn id_hash(id: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(id.as_bytes())
}

/// Returns the name of the setting that holds the position of an import of this source.
fn position_name(source: &[u8]) -> String {
    format!("import/{}", sha256_hex(source, 16))
}

/// Returns how far an import of that name came.
fn position(palace: &Palace, name: &str) -> Result<Option<Position>, QueryError> {
    Ok(palace.setting(name)?.and_then(|value| serde_json::from_value(value).ok()))
}

/// Returns whether the proof held when the palace of MemPalace in our own directory was imported; none if that was not done,
/// or not to its end.
///
/// # Errors
/// When the palace cannot be read.
pub fn own_verdict(palace: &Palace) -> Result<Option<bool>, QueryError> {
    let position = position(palace, OWN_POSITION)?;
    Ok(position.filter(|position| position.complete).and_then(|position| position.proved))
}

/// Notes what the proof of an import that is complete came to.
fn conclude(palace: &Palace, wanted: &Wanted, holds: bool) -> Result<(), JobError> {
    let source = wanted.source.display().to_string();
    let position = Position { source, complete: true, proved: Some(holds) };
    let value = serde_json::to_value(&position).expect("a position is plain data");
    let batch = ImportBatch { position: Some((wanted.position_name(), value)), ..ImportBatch::default() };
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
