//! Restoring: a store is made from backups beside the living one, read back, and put in its place.

use std::fs;
use std::path::{Path, PathBuf};

use palace_protocol::advice;
use palace_protocol::endpoint::STORE_FILE;
use serde_json::{Value, json};

use crate::clock;
use crate::engine::archive::{self, Archive, ArchiveError, RestoreError};
use crate::engine::{Engine, OpenError};
use crate::ingest::transfer::backup::{self, At, Entry};

use super::{Bench, Finished, Teller, check_kind, kept_name};

/// Name of the store while it is made.
const MADE_FILE_NAME: &str = "palace.redb.restored";

/// What is wanted.
pub struct Point<'a> {
    /// A backup, or a folder of backups.
    pub from: &'a Path,
    /// The point of a folder; without one the newest.
    pub at: Option<&'a str>,
    /// Identity of the palace's store, if whoever asks knows it.
    pub store: Option<[u8; 16]>,
}

/// Reads all that would be restored and tells what that is. Nothing is changed, and nothing of the palace is read.
pub fn rehearse(bench: &Bench, point: &Point<'_>, teller: &mut Teller) -> Result<Finished, String> {
    let chain = chain(bench, point)?;
    for entry in &chain {
        teller.phase(&format!("reading {}", name(entry)), None);
        let archive = Archive::open(&entry.path).map_err(explain_archive)?;
        let header = archive.header();
        if (&header.embedder, header.dimension as usize)
            != (&bench.options.embedder_identity, bench.options.dimension)
        {
            return Err(format!(
                "{} holds vectors of {} ({}), this program makes those of {} ({}); nothing was changed",
                entry.path.display(),
                header.embedder,
                header.dimension,
                bench.options.embedder_identity,
                bench.options.dimension
            ));
        }
        archive.verify_while(&mut |done| teller.done(done)).map_err(explain_archive)?;
    }
    let last = last(&chain);
    let message = format!(
        "{} rows of {} would be restored from {}; every checksum agrees; nothing was changed",
        last.rows,
        clock::rfc3339(last.taken_at.0.div_euclid(1_000)),
        files(&chain)
    );
    Ok(Finished::well(message, report(&chain)))
}

/// Restores. The old store is kept beside the new one. What stands in the place of a store is not replaced: a link whose
/// volume is not mounted leads to the store that the palace has.
pub fn restore(bench: &Bench, point: &Point<'_>, teller: &mut Teller) -> Result<Finished, String> {
    check_kind(bench)?;
    let chain = chain(bench, point)?;
    let paths: Vec<PathBuf> = chain.iter().map(|entry| entry.path.clone()).collect();
    let made = bench.palace.join(MADE_FILE_NAME);
    teller.phase("restoring records", None);
    let restored = archive::restore(&paths, &made, &bench.options, &mut |done| teller.done(done));
    let restored = restored.map_err(|error| {
        // A half-made store is of no use, and could be taken for one that is only to be renamed.
        let _ = fs::remove_file(&made);
        explain(&error)
    })?;
    teller.phase("putting the store in its place", None);
    let had_store = bench.palace.join(STORE_FILE).exists();
    let kept = kept_name(&bench.palace, "before-restore");
    archive::replace_store(&made, &bench.palace, &kept).map_err(|error| {
        format!("the restored store {} cannot be put in its place: {error}", made.display())
    })?;
    let kept = had_store.then(|| bench.palace.join(kept));
    let last = last(&chain);
    let old = kept.as_ref().map_or_else(String::new, |kept| {
        format!("; the store that was there is kept as {}, remove it when all is well", kept.display())
    });
    let message = format!(
        "restored {} rows of {} from {}, read back and found sound{old}",
        restored.rows,
        clock::rfc3339(last.taken_at.0.div_euclid(1_000)),
        files(&chain)
    );
    let mut report = report(&chain);
    report["rows"] = json!(restored.rows);
    report["kept"] = json!(kept);
    Ok(Finished::well(message, report))
}

fn chain(bench: &Bench, point: &Point<'_>) -> Result<Vec<Entry>, String> {
    let at = point.at.map_or(Ok(At::Newest), At::parse)?;
    let store = point.store.or_else(|| Engine::identity(&bench.palace));
    backup::choose(point.from, &at, &bench.own_backups, store)
        .map_err(|error| format!("{error}; nothing was replaced, the palace is as it was"))
}

fn last(chain: &[Entry]) -> &Entry {
    chain.last().expect("a chain has a full backup")
}

fn name(entry: &Entry) -> String {
    entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn files(chain: &[Entry]) -> String {
    let last = last(chain).path.display();
    match chain.len() - 1 {
        0 => last.to_string(),
        before => format!("{last} and the {before} before it"),
    }
}

fn report(chain: &[Entry]) -> Value {
    let last = last(chain);
    json!({
        "file": last.path, "taken_at": clock::rfc3339(last.taken_at.0.div_euclid(1_000)), "seq": last.seq.0,
        "rows": last.rows, "store": backup::store_name(&last.store),
        "files": chain.iter().map(|entry| &entry.path).collect::<Vec<_>>(),
    })
}

fn explain_archive(error: ArchiveError) -> String {
    explain(&RestoreError::Archive(error))
}

/// Says what is wrong and that nothing was changed.
fn explain(error: &RestoreError) -> String {
    let io = match error {
        RestoreError::Archive(ArchiveError::Io { source, .. })
        | RestoreError::Open(OpenError::Io { source, .. }) => advice::about(source.kind()),
        RestoreError::Archive(ArchiveError::Damaged { .. }) => {
            Some("choose an older one with --at; `palacectl backup list` shows them")
        }
        RestoreError::Archive(_)
        | RestoreError::Open(_)
        | RestoreError::Chain { .. }
        | RestoreError::Embedder { .. }
        | RestoreError::Wrong(_)
        | RestoreError::Interrupted => None,
    };
    let next = io.map(|next| format!("; {next}")).unwrap_or_default();
    format!("{error}{next}; nothing was replaced, the palace is as it was")
}
