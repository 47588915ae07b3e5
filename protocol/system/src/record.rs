//! What a daemon has published, as it stands in the palace's private folder: a hint, whoever reads it.

use std::io;
use std::path::Path;

use palace_protocol::endpoint::{EndpointRecord, RECORD_FILE};

use crate::files;

/// Reads the endpoint record of a private folder; `None` when there is none that can be understood.
pub fn read(folder: &Path) -> Option<EndpointRecord> {
    look(folder).ok().flatten()
}

/// Reads the endpoint record of a private folder, and tells a record that is none from one that cannot be read.
///
/// # Errors
/// The system's answer when it has a record and does not give it out.
pub fn look(folder: &Path) -> io::Result<Option<EndpointRecord>> {
    match files::read(&folder.join(RECORD_FILE)) {
        Ok(bytes) => Ok(EndpointRecord::from_bytes(&bytes)),
        // What is no file holds no record.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
