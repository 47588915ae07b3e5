//! Backups: the store written out to a folder while everybody goes on, checked, and only then named.
//!
//! A backup is an archive of the engine under a name of its own. It is written beside, brought to disk, read back whole
//! and renamed; whatever happens before that leaves no backup. A partial one holds what changed since the one before and
//! needs all before it, so one is made only if the palace itself remembers that one and the folder still holds the chain.
//! What the palace remembers stands in its store: one that was put back by hand remembers what it was then.

mod chain;
mod folder;
mod point;
mod retention;
pub mod schedule;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::failpoint;
use crate::ingest::job::{Finished, JobError, Progress};
use crate::palace::archive::{Archive, ArchiveError, Summary};
use crate::palace::ids::sha256_hex;
use crate::palace::import::ImportBatch;
use crate::palace::moment::Moment;
use crate::palace::{Palace, Seq, Snapshot, Timestamp};

pub use chain::{Entry, chain_of};
pub use folder::{Folder, Unreadable, scan};
pub use point::{At, choose, list};

/// Longest chain: a full backup and those that continue it.
const CHAIN_LEN_MAX: usize = 30;
/// Begin of the names of settings that hold positions.
const POSITION_PREFIX: &str = "backup/";

/// What is to be backed up where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The folder of the backups.
    pub folder: PathBuf,
    /// A full one in any case.
    pub full: bool,
    /// Points to keep in the folder; `None` is all.
    pub keep: Option<usize>,
}

/// The last backup of a palace in a folder; a setting of the palace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The folder.
    pub folder: String,
    /// Name of the file in it.
    pub file: String,
    /// Identity of the store it was taken from. That of another one was taken over by a copy or a restored store, and
    /// continues nothing.
    pub store: String,
    /// Its position in history.
    pub seq: u64,
    /// When it was taken, milliseconds UTC.
    pub at: i64,
    /// Whether it, or one that it continues, was made without records that could not be read.
    #[serde(default)]
    pub lacks: bool,
}

/// Returns a store's identity as 32 hex digits.
pub fn store_name(store: &[u8; 16]) -> String {
    store.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn position_name(folder: &Path) -> String {
    format!("{POSITION_PREFIX}{}", sha256_hex(folder.to_string_lossy().as_bytes(), 16))
}

/// Returns the last backup in each folder that the palace remembers, newest first.
///
/// # Errors
/// When the store cannot be read.
pub fn positions(palace: &Palace) -> Result<Vec<Position>, JobError> {
    let store = store_name(&meta(&snapshot(palace)?)?.database_uuid);
    let found = palace.settings_under(POSITION_PREFIX).map_err(JobError::of)?;
    let mut found: Vec<Position> = found
        .into_iter()
        .filter_map(|(_, value)| serde_json::from_value::<Position>(value).ok())
        .filter(|position| position.store == store)
        .collect();
    found.sort_by_key(|position| std::cmp::Reverse((position.seq, position.at)));
    Ok(found)
}

/// Has the palace keep what its last backups need to be continued.
///
/// # Errors
/// When the store cannot be read.
pub fn keep_log(palace: &Palace) -> Result<(), JobError> {
    if let Some(seq) = positions(palace)?.iter().map(|position| position.seq).min() {
        palace.keep_log_from(Seq(seq));
    }
    Ok(())
}

/// Makes a backup. Blocks; `progress` is told how far it is.
///
/// # Errors
/// Says what was in the way. There is no backup then, not half of one, and the palace is as it was.
pub fn run(palace: &Palace, wanted: &Wanted, progress: &Progress) -> Result<Finished, JobError> {
    let now = clock::now();
    let begun = std::time::Instant::now();
    progress.phase("looking at the folder", None);
    folder::make(&wanted.folder).map_err(|error| refused(&wanted.folder, &error))?;
    let wanted_folder = fs::canonicalize(&wanted.folder).map_err(|error| refused(&wanted.folder, &error))?;
    let wanted = &Wanted { folder: wanted_folder, ..wanted.clone() };
    let store = meta(&snapshot(palace)?)?.database_uuid;
    folder::remove_unfinished(&wanted.folder, &store);
    let known = scan(&wanted.folder).map_err(|error| refused(&wanted.folder, &error))?;
    let last = position(palace, &wanted.folder)?;
    let continued = if wanted.full { None } else { chain::continued(&known.entries, last.as_ref(), &store) };
    let made = Unfinished(folder::unfinished(&wanted.folder, &store));
    let written = write(palace, &made.0, continued.map(|entry| entry.seq), &now, progress)?;
    if written.since.is_some() && is_unchanged(&written.summary) {
        return Ok(unchanged(continued, written.seq));
    }
    failpoint::reach("backup.written");
    check(&made.0, &written, progress)?;
    failpoint::reach("backup.verified");
    let path = folder::name(&wanted.folder, &now.utc_stamp(), written.seq, written.since.is_none());
    fs::rename(&made.0, &path).and_then(|()| sync(&wanted.folder)).map_err(|error| refused(&path, &error))?;
    failpoint::reach("backup.named");
    let lacks = chain_lacks(!written.summary.damaged.is_empty(), written.since.is_some(), last.as_ref());
    remember(palace, &wanted.folder, &path, &store, &written, lacks)?;
    let removed = match wanted.keep {
        // What lacks something does not stand in for an older one that may still have it.
        Some(keep) if !lacks => retention::apply(&wanted.folder, &path, keep)?,
        Some(_) | None => Vec::new(),
    };
    Ok(finished(&path, &written, &removed, begun.elapsed().as_secs_f64()))
}

/// Tells whether a point lacks something: a partial backup does not write again what the one before had to leave out.
fn chain_lacks(lacks: bool, is_partial: bool, last: Option<&Position>) -> bool {
    lacks || (is_partial && last.is_some_and(|last| last.lacks))
}

/// A file that goes unless it got its name.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After the rename there is nothing under this name.
        let _ = fs::remove_file(&self.0);
    }
}

/// What was written.
struct Written {
    seq: Seq,
    since: Option<Seq>,
    at: Timestamp,
    summary: Summary,
}

/// Writes an archive and brings it to disk; a full one where the change log does not reach back.
fn write(
    palace: &Palace,
    path: &Path,
    since: Option<Seq>,
    now: &Moment,
    progress: &Progress,
) -> Result<Written, JobError> {
    let rows = palace.counts().map_err(JobError::of)?.rows();
    let total = since.is_none().then_some(rows);
    progress.phase(if since.is_none() { "writing rows" } else { "writing what changed" }, total);
    let io = |source| ArchiveError::Io { path: path.to_owned(), source };
    let attempt = || -> Result<_, ArchiveError> {
        let out = BufWriter::with_capacity(1 << 20, folder::create(path).map_err(io)?);
        let mut go_on = |done| progress.done(done).is_ok();
        let (out, summary, seq) = palace.archive(path, out, since, now, &mut go_on)?;
        let file: File = out.into_inner().map_err(|error| io(error.into_error()))?;
        file.sync_all().map_err(io)?;
        Ok(Written { seq, since, at: now.utc, summary })
    };
    match attempt() {
        Ok(written) => Ok(written),
        Err(ArchiveError::LogTooShort { .. }) => write(palace, path, None, now, progress),
        Err(error) => Err(explain(path, error)),
    }
}

/// Reads back what was written, to its end.
fn check(path: &Path, written: &Written, progress: &Progress) -> Result<(), JobError> {
    let summary = &written.summary;
    let items = summary.rows + summary.rows_gone + summary.records;
    progress.phase("reading it back", Some(items));
    let archive = Archive::open(path).map_err(|error| explain(path, error))?;
    let header = archive.header().clone();
    let found = archive.verify_while(&mut |done| progress.done(done).is_ok());
    let found = found.map_err(|error| explain(path, error))?;
    let agrees = (header.seq, header.since, header.taken_at) == (written.seq, written.since, written.at);
    if agrees && found == items {
        return Ok(());
    }
    Err(JobError::Failed(format!(
        "the backup was read back and is not what was written ({found} of {items} records); it is removed; the disk of \
         {} is not to be trusted",
        path.display()
    )))
}

/// Tells whether nothing but the note about the last backup was changed since it was taken.
fn is_unchanged(summary: &Summary) -> bool {
    summary.rows + summary.rows_gone == 0 && summary.records <= 1 && summary.damaged.is_empty()
}

fn unchanged(last: Option<&Entry>, seq: Seq) -> Finished {
    let file = last.map(|entry| entry.path.display().to_string());
    let message = format!("nothing has changed since {}", file.clone().unwrap_or_default());
    Finished { message, report: json!({ "file": file, "seq": seq.0, "unchanged": true }) }
}

fn position(palace: &Palace, folder: &Path) -> Result<Option<Position>, JobError> {
    let value = palace.setting(&position_name(folder)).map_err(JobError::of)?;
    Ok(value.and_then(|value: Value| serde_json::from_value(value).ok()))
}

/// Stores what the next backup continues, and has the change log kept for it.
fn remember(
    palace: &Palace,
    folder: &Path,
    path: &Path,
    store: &[u8; 16],
    written: &Written,
    lacks: bool,
) -> Result<(), JobError> {
    let position = Position {
        folder: folder.display().to_string(),
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        store: store_name(store),
        seq: written.seq.0,
        at: written.at.0,
        lacks,
    };
    let value = serde_json::to_value(&position).expect("a position has only text keys");
    let batch = ImportBatch { note: Some((position_name(folder), value)), ..ImportBatch::default() };
    let stored = palace.import(batch, &clock::now()).and_then(crate::palace::ImportReceipt::wait);
    stored.map_err(|error| {
        JobError::Failed(format!("{} is complete, but the palace cannot note it: {error}", path.display()))
    })?;
    keep_log(palace)
}

fn finished(path: &Path, written: &Written, removed: &[PathBuf], seconds: f64) -> Finished {
    let summary = &written.summary;
    let (kind, what) = match written.since {
        None => ("full", format!("{} rows", summary.rows)),
        Some(_) => ("part", format!("{} rows changed, {} gone", summary.rows, summary.rows_gone)),
    };
    let lacks = match summary.damaged.len() {
        0 => String::new(),
        lacking => format!(
            "; {lacking} damaged records could not be read and are not in it: see `palacectl verify`, older backups are \
             kept"
        ),
    };
    let message = format!("{} written and read back: {what}, {} bytes{lacks}", path.display(), summary.bytes);
    let report = json!({
        "file": path, "kind": kind, "seq": written.seq.0, "since": written.since.map(|since| since.0),
        "rows": summary.rows, "rows_gone": summary.rows_gone, "records": summary.records,
        "bytes": summary.bytes, "seconds": seconds, "damaged": summary.damaged, "removed": removed,
        "unchanged": false,
    });
    Finished { message, report }
}

fn snapshot(palace: &Palace) -> Result<Snapshot, JobError> {
    palace.snapshot().map_err(JobError::of)
}

fn meta(snapshot: &Snapshot) -> Result<crate::palace::StoreInfo, JobError> {
    snapshot.meta().map_err(JobError::of)
}

fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Says what an archive failed of.
fn explain(path: &Path, error: ArchiveError) -> JobError {
    match error {
        ArchiveError::Interrupted => JobError::Cancelled,
        ArchiveError::Io { path, source } => refused(&path, &source),
        ArchiveError::Damaged { detail, .. } => JobError::Failed(format!(
            "the backup was read back and is damaged ({detail}); it is removed; the disk of {} is not to be trusted",
            path.display()
        )),
        ArchiveError::Newer { .. } | ArchiveError::Read(_) | ArchiveError::LogTooShort { .. } => {
            JobError::Failed(format!("{error}; there is no backup; the palace goes on"))
        }
    }
}

/// Says what the system refused.
fn refused(path: &Path, error: &io::Error) -> JobError {
    use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let is_one_of = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    let why = if is_one_of(&[StorageFull, QuotaExceeded, FileTooLarge]) {
        "disk full; there is no half backup and the palace is as it was; make room, or name another folder with --to"
    } else if is_one_of(&[PermissionDenied, ReadOnlyFilesystem]) {
        "there is no backup; name a folder that can be written with --to"
    } else {
        "there is no backup; the palace is as it was"
    };
    JobError::Failed(format!("{}: {error}; {why}", path.display()))
}
