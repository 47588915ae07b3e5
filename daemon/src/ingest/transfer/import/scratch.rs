//! A folder for what an import needs only while it runs: copies of databases, readable by their owner alone.
//!
//! A lock beside the folder says that its import lives. What a killed one left behind holds no lock, and goes with the
//! next import or the next start: it is the text of somebody's memory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::ingest::job::JobError;

/// How names of locks end.
const LOCK: &str = "lock";

/// The folder; it goes when the import has ended.
pub struct Scratch {
    path: PathBuf,
    /// Held as long as the folder is in use.
    lock: Option<File>,
}

impl Scratch {
    /// Makes a folder below `parent`, and removes those that nobody uses.
    pub fn make(parent: &Path) -> Result<Self, JobError> {
        let path = parent.join(format!("import-{}", std::process::id()));
        let made = || -> io::Result<File> {
            make_private(parent)?;
            sweep(parent);
            let lock = File::create(path.with_extension(LOCK))?;
            lock.try_lock().map_err(io::Error::other)?;
            if path.exists() {
                fs::remove_dir_all(&path)?;
            }
            make_private(&path)?;
            Ok(lock)
        };
        let lock = made().map_err(|error| JobError::Failed(format!("{}: {error}", path.display())))?;
        Ok(Self { path, lock: Some(lock) })
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next sweep.
        let _ = fs::remove_dir_all(&self.path);
        drop(self.lock.take());
        let _ = fs::remove_file(self.path.with_extension(LOCK));
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Removes the folders that nobody uses.
pub fn sweep(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for path in
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == LOCK))
    {
        let Ok(lock) = File::open(&path) else { continue };
        if lock.try_lock().is_ok() {
            // The folder first: a lock without one says nothing, a folder without one is never looked at.
            let gone = fs::remove_dir_all(path.with_extension(""));
            if gone.is_ok() || gone.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_import_left_goes_and_what_lives_stays() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join("import-1");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("copy.sqlite3"), "a memory").unwrap();
        fs::write(dead.with_extension(LOCK), "").unwrap();
        let alive = Scratch::make(parent.path()).unwrap();
        fs::write(alive.path().join("copy.sqlite3"), "a memory").unwrap();
        assert!(!dead.exists() && !dead.with_extension(LOCK).exists());
        sweep(parent.path());
        assert!(alive.path().join("copy.sqlite3").exists());
        drop(alive);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
