//! What is installed: a folder per version with the library, its notices, and a record of where they came from.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{RuntimeError, library_name};

/// The record's name. A folder without one was not made by the installer.
pub const RECORD: &str = "installed.json";

/// A runtime that the installer has put there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// The version, which is also its folder's name.
    pub version: String,
    /// The library.
    pub library: PathBuf,
    /// The package it was taken from.
    pub package: String,
    /// Whether the library still has the bytes that were installed.
    pub intact: bool,
}

impl Installed {
    /// The folder that holds the library and nothing else of value.
    pub fn folder(&self) -> &Path {
        self.library.parent().expect("a library stands in the folder of its version")
    }
}

/// The record as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// Package and version.
    pub package: String,
    /// Of the library, so that a damaged one is noticed and replaced.
    pub library_sha256: String,
}

/// Returns every runtime below `root` that an installer made, newest first, damaged ones included.
pub fn installed(root: &Path) -> Vec<Installed> {
    let Ok(entries) = std::fs::read_dir(root) else { return Vec::new() };
    let mut found: Vec<(Vec<u32>, Installed)> = entries
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().into_string().ok()?;
            let order = version.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
            Some((order, read(&entry.path(), version)?))
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| b.cmp(a));
    found.into_iter().map(|(_, installed)| installed).collect()
}

/// Returns the runtime of this version if it is there and undamaged.
pub fn intact(root: &Path, version: &str) -> Option<Installed> {
    read(&root.join(version), version.to_owned()).filter(|installed| installed.intact)
}

fn read(folder: &Path, version: String) -> Option<Installed> {
    let record = std::fs::read(folder.join(RECORD)).ok()?;
    let record: Record = serde_json::from_slice(&record).ok()?;
    let library = folder.join(library_name());
    let intact = hash::<Sha256>(&library).is_ok_and(|found| found == record.library_sha256);
    Some(Installed { version, library, package: record.package, intact })
}

/// Writes the record beside a library.
///
/// # Errors
/// When the library cannot be read or the record not written.
pub fn write(folder: &Path, package: String) -> Result<(), RuntimeError> {
    let library_sha256 = hash::<Sha256>(&folder.join(library_name()))?;
    let path = folder.join(RECORD);
    let record =
        serde_json::to_vec_pretty(&Record { package, library_sha256 }).expect("two strings are JSON");
    std::fs::write(&path, record).map_err(RuntimeError::io("write", &path))
}

/// Returns a file's hash in hexadecimal.
///
/// # Errors
/// When the file cannot be read.
pub fn hash<D: Digest>(path: &Path) -> Result<String, RuntimeError> {
    let mut file = File::open(path).map_err(RuntimeError::io("open", path))?;
    let mut digest = D::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer).map_err(RuntimeError::io("read", path))?;
        if count == 0 {
            return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        digest.update(&buffer[..count]);
    }
}
