//! A folder of backups: what is in it, and the names in it.
//!
//! Names are for people; what a file is, its header says. Nothing here believes a name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::palace::Seq;
use crate::palace::archive::{Archive, ArchiveError};

use super::chain::{self, Entry};
use super::store_name;

/// Ending of a backup's name.
pub const EXTENSION: &str = "palace";
/// Digits of a store's identity in the name of a backup that is being written.
const STORE_LEN: usize = 12;

/// What a folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// Backups, those of one store together and by history; the newest last.
    pub entries: Vec<Entry>,
    /// Files that are named like backups and are none, or none that can be read.
    pub unreadable: Vec<Unreadable>,
}

/// A file that cannot be read as a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Reads the headers of all backups in a folder.
///
/// # Errors
/// When the folder cannot be read. One that does not exist is empty.
pub fn scan(folder: &Path) -> io::Result<Folder> {
    let mut found = Folder::default();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            match look(&path) {
                Ok(entry) => found.entries.push(entry),
                Err(error) => found.unreadable.push(Unreadable { path, reason: error.to_string() }),
            }
        }
    }
    chain::sort(&mut found.entries, None);
    found.unreadable.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(found)
}

/// Reads the header of one backup.
///
/// # Errors
/// When it is none.
pub fn look(path: &Path) -> Result<Entry, ArchiveError> {
    let mut archive = Archive::open(path)?;
    let whole = archive.has_end()?;
    let header = archive.header();
    let bytes = fs::metadata(path).map_or(0, |found| found.len());
    Ok(Entry {
        path: path.to_owned(),
        bytes,
        store: header.database_uuid,
        seq: header.seq,
        since: header.since,
        taken_at: header.taken_at,
        rows: header.rows,
        cut_off: !whole,
    })
}

/// Makes a folder that only its owner can look into; one that exists stays as it is.
pub fn make(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Creates a file that only its owner can read.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Returns the name a backup of a store has while it is written. Palaces that share a folder are in nobody's way.
pub fn unfinished(folder: &Path, store: &[u8; 16]) -> PathBuf {
    folder.join(format!("{}.{EXTENSION}.tmp", &store_name(store)[..STORE_LEN]))
}

/// Removes what an interrupted backup of this store left.
pub fn remove_unfinished(folder: &Path, store: &[u8; 16]) {
    // There is one only after an interruption; one that stays is written over.
    let _ = fs::remove_file(unfinished(folder, store));
}

/// Returns a name for a backup that no file of the folder has.
pub fn name(folder: &Path, stamp: &str, seq: Seq, full: bool) -> PathBuf {
    let kind = if full { "full" } else { "part" };
    let first = folder.join(format!("{stamp}Z-{seq}-{kind}.{EXTENSION}"));
    let others = (2u32..).map(|number| folder.join(format!("{stamp}Z-{seq}-{kind}-{number}.{EXTENSION}")));
    std::iter::once(first)
        .chain(others)
        .find(|path| fs::symlink_metadata(path).is_err())
        .expect("a folder holds fewer files than there are numbers")
}
