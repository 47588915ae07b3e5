//! Files of the source: opened to be read, only if they are regular, and watched for change.
//!
//! Nothing here writes, creates, locks or renames. That a file did not change is told by its length and its time of
//! modification, before and after.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use super::error::UpstreamError;

/// Largest file that is read whole. What stands beside a palace is small; anything else is not what it seems.
const WHOLE_LEN_MAX: u64 = 256 << 20;

/// What a file looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Length in bytes.
    pub len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Stamp {
        Stamp { len: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// Returns what a file looks like, or none where nothing stands.
pub(super) fn stamp(path: &Path) -> Result<Option<Stamp>, UpstreamError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(Stamp::of(&metadata))),
        Ok(_) => Err(UpstreamError::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(UpstreamError::io(path)(error)),
    }
}

/// Refuses if a file no longer looks as it did.
pub(super) fn check_unchanged(path: &Path, before: &Option<Stamp>) -> Result<(), UpstreamError> {
    if stamp(path)? == *before { Ok(()) } else { Err(UpstreamError::BeingWritten { path: path.to_owned() }) }
}

/// Opens a regular file to read it. A pipe would block for ever, a device is no file of a palace.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(path)
}

/// Reads a small file whole, or none where nothing stands.
pub(super) fn whole(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(WHOLE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > WHOLE_LEN_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large to be what its name says"));
    }
    Ok(Some(bytes))
}
