//! Which backups may go.
//!
//! Points are counted, not files: whatever a kept point needs stays. Only backups of this store that can be restored
//! count and go; a file that is of another store, unreadable or without its chain is somebody else's to judge.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::ingest::job::JobError;

use super::chain::{Entry, chain_of};
use super::folder::scan;
use super::refused;

/// Returns what may be removed so that the newest `keep` points of a store stay, newest first: an interruption leaves no
/// partial backup without its chain.
pub fn superfluous<'e>(entries: &'e [Entry], store: &[u8; 16], keep: usize) -> Vec<&'e Entry> {
    let mut points: Vec<(&Entry, Vec<&Entry>)> = entries
        .iter()
        .filter(|entry| entry.store == *store)
        .filter_map(|entry| Some((entry, chain_of(entries, entry)?)))
        .collect();
    points.sort_by(|(left, _), (right, _)| right.order().cmp(&left.order()));
    // The newest stays whatever is asked for.
    let keep = keep.max(1);
    let kept: BTreeSet<&PathBuf> =
        points.iter().take(keep).flat_map(|(_, chain)| chain.iter().map(|entry| &entry.path)).collect();
    points.iter().skip(keep).map(|(entry, _)| *entry).filter(|entry| !kept.contains(&entry.path)).collect()
}

/// Removes them.
///
/// # Errors
/// When the folder cannot be read or a file not removed; the backup that was just made is there in any case.
pub fn apply(folder: &Path, store: &[u8; 16], keep: usize) -> Result<Vec<PathBuf>, JobError> {
    let found = scan(folder).map_err(|error| refused(folder, &error))?;
    let mut removed = Vec::new();
    for entry in superfluous(&found.entries, store, keep) {
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
