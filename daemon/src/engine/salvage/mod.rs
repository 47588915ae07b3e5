//! A new store made from what can still be read of a damaged one.
//!
//! For a `palace.redb` that does not open, or in which records are damaged, when no backup is newer. The damaged file is
//! only read, page by page and without redb (`pages`); what it holds is listed (`survey`), and a new store with an
//! identity of its own is written and read back (`compose`). The caller then exchanges the two with
//! [`replace_store`](super::archive::replace_store), which keeps the damaged one.
//!
//! Nothing is guessed: a record is taken only if its own checksum fits its table and key. One that the newest commit no
//! longer leads to may be an older version; it is taken where the newest commit leaves open what was there, and named.

mod compose;
mod pages;
mod survey;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use self::compose::Plan;
use self::pages::Pages;
use self::survey::survey;
use super::error::OpenError;
use super::types::{EngineOptions, Seq};

/// Why no store was made. The damaged file is as it was.
#[derive(Debug, Error)]
pub enum SalvageError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// Not one record of a palace is in the file.
    #[error("{} holds nothing of a palace that can be read", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
    },
    /// The file is of a newer format or of another model, or the new store cannot be made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store that was made does not hold what was found.
    #[error("the salvaged store was checked and is not right: {0}")]
    Wrong(String),
    /// It was to be given up.
    #[error("interrupted; nothing was changed")]
    Interrupted,
}

/// What was found in a damaged store, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Position in history of what was found.
    pub seq: Seq,
    /// Identity of the damaged store, where that can still be read.
    pub origin: Option<[u8; 16]>,
    /// For each table that is not computed from others: what was read and what was not.
    pub tables: Vec<TableCount>,
    /// What is known to be lost.
    pub lost: Vec<Lost>,
    /// Rows that are lost and whose ids are lost too.
    pub rows_lost_unnamed: u64,
    /// Rows whose vector was lost, or might belong to another version of the text, and was made anew.
    pub reembedded: Vec<String>,
    /// What may be an older version, or something that was removed.
    pub carved: Vec<Carved>,
    /// Rows found outside the trees that are known to have been removed; they stay removed.
    pub left_out: u64,
    /// Pages in which one flipped bit was turned back.
    pub pages_mended: u64,
    /// Bytes that the disk did not give.
    pub bytes_refused: u64,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// Numbers about one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCount {
    /// Its name.
    pub table: &'static str,
    /// Records that come into the new store.
    pub read: u64,
    /// Records that do not; `None` when nothing says how many there were.
    pub lost: Option<u64>,
}

/// One thing that is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Table it was in.
    pub table: &'static str,
    /// Id of the row, key of the record, or the range of keys concerned.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// One record that was found where the newest commit does not lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carved {
    /// Table it is in.
    pub table: &'static str,
    /// Id of the row, or key of the record.
    pub name: String,
}

impl Salvaged {
    /// Tells whether the file holds everything it should: a copy of it would be a sound store.
    pub fn is_whole(&self) -> bool {
        self.lost.is_empty()
            && self.rows_lost_unnamed == 0
            && self.carved.is_empty()
            && self.reembedded.is_empty()
    }
}

/// Makes a new store at `made` from what can be read of a damaged one, and reads it back. Blocks; takes some seconds
/// per gigabyte, and twice that when pages are damaged.
///
/// The palace's writer lock must be held, and nobody may have the damaged file open. `embed` makes the vector of a text
/// where the stored one is lost; a row for which it has none is lost too. `go_on` is told how far things are, in steps
/// of no meaning, and says whether to go on.
///
/// # Errors
/// When the file cannot be read at all, is of a newer format or another model, or the store cannot be made. There is
/// nothing at `made` then.
pub fn salvage(
    damaged: &Path,
    made: &Path,
    options: &EngineOptions,
    embed: &mut dyn FnMut(&str) -> Option<Vec<f32>>,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Salvaged, SalvageError> {
    if std::fs::canonicalize(made)
        .is_ok_and(|made| std::fs::canonicalize(damaged).is_ok_and(|old| old == made))
    {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "a store is never salvaged in place");
        return Err(SalvageError::Io { path: made.to_owned(), source });
    }
    let plan = plan(damaged, options, go_on)?;
    compose::write(plan, made, options, embed, go_on)
}

/// Tells what [`salvage`] would bring back. Reads only. Vectors count as made anew wherever one would be.
///
/// # Errors
/// As for [`salvage`].
pub fn diagnose(
    damaged: &Path,
    options: &EngineOptions,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Salvaged, SalvageError> {
    Ok(plan(damaged, options, go_on)?.report())
}

fn plan(
    damaged: &Path,
    options: &EngineOptions,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Plan, SalvageError> {
    let pages =
        Pages::open(damaged).map_err(|source| SalvageError::Io { path: damaged.to_owned(), source })?;
    let found = survey(pages, go_on).map_err(|survey::Stopped| SalvageError::Interrupted)?;
    compose::plan(found, damaged, options)
}
