//! Which backups may go.
//!
//! Points are counted, not files: whatever a kept point needs stays. Only backups of this store that can be restored
//! count and go; a file that is of another store, unreadable or without its chain is somebody else's to judge. The backup
//! that was just made is the newest, whatever the clock says: what it does not come after in history belongs to a history
//! that the store was taken back from, and is nobody's to count.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::ingest::job::JobError;

use super::chain::{Entry, chain_of};
use super::folder::scan;
use super::refused;

/// Returns what may be removed so that the newest `keep` points of the store of `made` stay, newest first: an interruption
/// leaves no partial backup without its chain. `made` is the backup that was just made.
pub fn superfluous<'e>(entries: &'e [Entry], made: &Entry, keep: usize) -> Vec<&'e Entry> {
    let is_made = |entry: &Entry| entry.path == made.path;
    let mut points: Vec<(&Entry, Vec<&Entry>)> = entries
        .iter()
        .filter(|entry| entry.store == made.store)
        .filter_map(|entry| Some((entry, chain_of(entries, entry)?)))
        .collect();
    // Points past it neither count nor go, but what they need stays.
    let past: BTreeSet<&PathBuf> = points
        .iter()
        .filter(|(entry, _)| entry.seq > made.seq)
        .flat_map(|(_, chain)| chain.iter().map(|entry| &entry.path))
        .collect();
    points.retain(|(entry, _)| entry.seq <= made.seq);
    points
        .sort_by(|(left, _), (right, _)| (is_made(right), right.order()).cmp(&(is_made(left), left.order())));
    // The newest stays whatever is asked for.
    let keep = keep.max(1);
    let kept: BTreeSet<&PathBuf> =
        points.iter().take(keep).flat_map(|(_, chain)| chain.iter().map(|entry| &entry.path)).collect();
    let may_go = |entry: &&Entry| !kept.contains(&entry.path) && !past.contains(&entry.path);
    points.iter().skip(keep).map(|(entry, _)| *entry).filter(may_go).collect()
}

/// Removes them after the backup `made`.
///
/// # Errors
/// When the folder cannot be read or a file not removed; the backup that was just made is there in any case.
pub fn apply(folder: &Path, made: &Path, keep: usize) -> Result<Vec<PathBuf>, JobError> {
    let found = scan(folder).map_err(|error| refused(folder, &error))?;
    let mut removed = Vec::new();
    // Without the new one there is no saying what is old.
    let Some(made) = found.entries.iter().find(|entry| entry.path == made) else { return Ok(removed) };
    for entry in superfluous(&found.entries, made, keep) {
        fs::remove_file(&entry.path).map_err(|error| {
            JobError::Failed(format!(
                "the backup is made; {}, which is to go, cannot be removed: {error}",
                entry.path.display()
            ))
        })?;
        removed.push(entry.path.clone());
    }
    Ok(removed)
}
