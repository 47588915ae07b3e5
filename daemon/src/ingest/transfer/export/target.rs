//! Where an export goes: a file or directory that is made beside its name and gets it when it is whole and on disk.
//!
//! Exports hold memories: only their owner may read them. A half-made one goes when the export fails; one that a killed
//! daemon left behind goes with the next export to the same place.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::failpoint;
use crate::ingest::job::JobError;

use super::{Format, Wanted};

/// What the name of a half-made export ends in. Nobody else's file is called so.
const TMP_SUFFIX: &str = ".mempalaced-export.tmp";

/// A target in the making.
pub struct Target {
    path: PathBuf,
    tmp: PathBuf,
    format: Format,
    overwrite: bool,
}

impl Target {
    /// Checks that an export may go there.
    pub fn prepare(wanted: &Wanted) -> Result<Self, JobError> {
        let path = wanted.target.clone();
        let refuse = |reason: &str| JobError::Failed(format!("{}: {reason}", path.display()));
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(refuse("it names no file; name one"));
        };
        if !path.is_absolute() {
            return Err(refuse("the path must be absolute"));
        }
        let folder = fs::canonicalize(parent).map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                refuse("its folder does not exist; make it first")
            } else {
                at(parent, &error)
            }
        })?;
        let palace = fs::canonicalize(&wanted.palace_dir).unwrap_or_else(|_| wanted.palace_dir.clone());
        if folder.starts_with(&palace) {
            return Err(refuse("it is inside the palace's own directory; name another place"));
        }
        let mut tmp_name = name.to_owned();
        tmp_name.push(TMP_SUFFIX);
        let target = Self {
            tmp: path.with_file_name(tmp_name),
            format: wanted.format,
            overwrite: wanted.overwrite,
            path: path.clone(),
        };
        target.check_free()?;
        target.discard();
        Ok(target)
    }

    /// Refuses a target that would lose something.
    fn check_free(&self) -> Result<(), JobError> {
        let refuse = |reason: &str| Err(JobError::Failed(format!("{}: {reason}", self.path.display())));
        let there = match fs::symlink_metadata(&self.path) {
            Ok(there) => there,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(&self.path, &error)),
        };
        match self.format {
            Format::Jsonl if !there.is_file() && !there.is_symlink() => {
                refuse("it is there and is no file; name another one")
            }
            Format::Jsonl if !self.overwrite => {
                refuse("it is there already; name another file, or give --overwrite")
            }
            Format::Jsonl => Ok(()),
            Format::Markdown if !there.is_dir() => {
                refuse("it is there and is no directory; name another one")
            }
            Format::Markdown => {
                let mut entries = fs::read_dir(&self.path).map_err(|error| at(&self.path, &error))?;
                match entries.next() {
                    None => Ok(()),
                    Some(_) => refuse("the directory is not empty; name an empty or a new one"),
                }
            }
        }
    }

    /// Returns where the export is made.
    pub fn tmp(&self) -> &Path {
        &self.tmp
    }

    /// Says what failed on the target, and what to do.
    pub fn failed(&self, error: &io::Error) -> JobError {
        at(&self.path, error)
    }

    /// Makes the file that gets the target's name.
    pub fn file(&self) -> Result<File, JobError> {
        new_file(&self.tmp).map_err(|error| self.failed(&error))
    }

    /// Gives the target its name. Everything in it must be on disk.
    pub fn name(self) -> Result<(), JobError> {
        failpoint::reach("export.written");
        // Somebody may have put something there meanwhile.
        self.check_free()?;
        self.rename().map_err(|error| self.failed(&error))?;
        failpoint::reach("export.named");
        Ok(())
    }

    fn rename(&self) -> io::Result<()> {
        if self.format == Format::Markdown && self.path.exists() {
            // Not every system renames onto an empty directory; one that is not empty stays.
            fs::remove_dir(&self.path)?;
        }
        fs::rename(&self.tmp, &self.path)?;
        self.path.parent().map_or(Ok(()), sync_dir)
    }

    fn discard(&self) {
        // Mostly there is nothing; what cannot be removed is met when the export is made.
        let _ = match fs::symlink_metadata(&self.tmp) {
            Ok(there) if there.is_dir() => fs::remove_dir_all(&self.tmp),
            Ok(_) => fs::remove_file(&self.tmp),
            Err(_) => Ok(()),
        };
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.discard();
    }
}

/// Makes a file that nobody else reads.
pub fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a directory that nobody else reads.
pub fn new_dir(path: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "other systems have no modes"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Brings the names in a directory to disk.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

fn at(path: &Path, error: &io::Error) -> JobError {
    let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
    let forbidden = [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem];
    let advice = if full.contains(&error.kind()) {
        "; free some room or name another place; nothing was left behind"
    } else if forbidden.contains(&error.kind()) {
        "; the daemon may not write there; name another place"
    } else {
        ""
    };
    JobError::Failed(format!("{}: {error}{advice}", path.display()))
}
