//! What stands beside the rows: the knowledge graph, the log, links and small files.
//!
//! None of it can keep the rows from being read: what cannot be read is told and left out. Only a file that changes
//! while it is read stops everything, for then MemPalace is at work.

pub(super) mod graph;
pub(super) mod links;
pub(super) mod log;
pub(super) mod record;
pub(super) mod side_files;

use std::path::Path;

use super::database::Database;
use super::error::{Lost, UpstreamError};
use super::files;
use super::scratch::Scratch;

/// Copies a database beside the palace; none where there is no file or none that can be read.
fn database(
    path: &Path,
    scratch_dir: &Path,
    name: &str,
    scratch: &Scratch,
    notes: &mut Vec<String>,
) -> Result<Option<Database>, UpstreamError> {
    let copied = match files::stamp(path) {
        Ok(None) => return Ok(None),
        Ok(Some(_)) => Database::copy(path, scratch_dir, name),
        Err(error) => Err(error),
    };
    match copied {
        Ok(db) => {
            notes.extend(db.notes.iter().cloned());
            Ok(Some(db))
        }
        Err(error @ (UpstreamError::BeingWritten { .. } | UpstreamError::Scratch { .. })) => Err(error),
        Err(error) => {
            scratch.lose(Lost::File, &path.display().to_string(), &error.to_string())?;
            Ok(None)
        }
    }
}
