//! Checking and repairing a store.
//!
//! A sound store gets its derived indexes anew. A damaged one is never written to: a new store is made from what can be
//! read of it, and takes its place; the damaged one is kept, and what is lost is written down.

use std::fs;
use std::path::{Path, PathBuf};

use palace_protocol::endpoint::{DERIVED_DIR, STORE_FILE};
use serde_json::{Value, json};

use crate::clock;
use crate::engine::archive::{check_file, replace_store};
use crate::engine::salvage::{SalvageError, Salvaged, diagnose, salvage};
use crate::engine::{Engine, OpenError, Reader, VerifyReport, verify};
use crate::palace::integrity;

use super::super::failure;
use super::{Bench, Finished, Teller, check_kind, kept_name};

/// Name of a store while it is made from a damaged one.
const MADE_FILE_NAME: &str = "palace.redb.repaired";
/// Folder that holds the reports of repairs.
const REPORT_DIR: &str = "repairs";
/// Losses of one kind that are named; more are counted.
const NAMED_COUNT_MAX: usize = 10_000;

/// Checks store and indexes as far as that is possible.
pub fn check(bench: &Bench, teller: &mut Teller) -> Result<Finished, String> {
    let path = store(bench)?;
    teller.phase("checking the store", None);
    let problems = match look(&path, bench)? {
        Found::Sound => {
            teller.phase("checking the indexes", None);
            indexes(bench)?
        }
        Found::Damaged(problems) => problems,
    };
    let ok = problems.is_empty();
    let message = if ok {
        "store and indexes are sound".to_owned()
    } else {
        format!("{}; `palacectl repair` makes a store of what can be read", problems.join("\n"))
    };
    Ok(Finished { message, report: json!({ "ok": ok, "problems": problems }), ok })
}

/// Tells what a repair would do. Reads only.
pub fn rehearse(bench: &Bench, teller: &mut Teller) -> Result<Finished, String> {
    let path = store(bench)?;
    teller.phase("reading the store page by page", None);
    let found =
        diagnose(&path, &bench.options, &mut |done| teller.done(done)).map_err(|error| explain(&error))?;
    let message = if found.is_whole() {
        "every record can be read: a repair would make the indexes anew; nothing was changed".to_owned()
    } else {
        format!("a repair would bring this back:\n{}\nnothing was changed", summary(&found))
    };
    Ok(Finished::well(message, report(&found, None)))
}

/// Repairs what there is to repair.
pub fn repair(bench: &Bench, teller: &mut Teller) -> Result<Finished, String> {
    let path = store(bench)?;
    teller.phase("checking the store", None);
    match look(&path, bench)? {
        Found::Sound => anew(bench, teller),
        Found::Damaged(problems) => from_damaged(bench, &path, &problems, teller),
    }
}

/// How a store was found.
enum Found {
    Sound,
    /// With the first things that are wrong.
    Damaged(Vec<String>),
}

/// Checks every page and record of the store.
fn look(path: &Path, bench: &Bench) -> Result<Found, String> {
    match check_file(path, &bench.options) {
        Ok(report) if report.is_sound() => Ok(Found::Sound),
        Ok(report) => Ok(Found::Damaged(lines(&report))),
        Err(error @ (OpenError::Damaged { .. } | OpenError::NotAStore { .. })) => {
            Ok(Found::Damaged(vec![error.to_string()]))
        }
        Err(
            error @ (OpenError::Locked { .. }
            | OpenError::NotAFile { .. }
            | OpenError::Missing { .. }
            | OpenError::NewerFormat { .. }
            | OpenError::EmbedderMismatch { .. }
            | OpenError::Io { .. }),
        ) => Err(failure::of_opening(&error).message),
    }
}

/// Opens the palace, which makes indexes that are missing, compares them with the store and saves them.
fn indexes(bench: &Bench) -> Result<Vec<String>, String> {
    let (engine, reader) = open(bench)?;
    settle(engine, &reader)
}

fn open(bench: &Bench) -> Result<(Engine, Reader), String> {
    Engine::open(&bench.palace, bench.options.clone()).map_err(|error| failure::of_opening(&error).message)
}

/// Writes what facts and events are found by anew where it does not follow from them; returns how many entries that were.
fn agree(engine: &mut Engine) -> Result<usize, String> {
    let told = |error: &dyn std::fmt::Display| format!("the indexes of facts and events: {error}");
    let mut change = engine.begin().map_err(|error| told(&error))?;
    let ops = integrity::mend(&change).map_err(|error| told(&error))?;
    if !ops.is_empty() {
        change.apply_all(&ops).map_err(|error| told(&error))?;
        change.commit().map_err(|error| told(&error))?;
    }
    Ok(ops.len())
}

fn settle(engine: Engine, reader: &Reader) -> Result<Vec<String>, String> {
    let checked = verify(reader).map_err(|error| error.to_string())?;
    engine
        .close()
        .map_err(|error| format!("the indexes cannot be saved: {error}; the next start makes them"))?;
    Ok(lines(&checked))
}

/// Makes the derived indexes of a sound store anew.
fn anew(bench: &Bench, teller: &mut Teller) -> Result<Finished, String> {
    teller.phase("making the indexes anew", None);
    let derived = bench.palace.join(DERIVED_DIR);
    match fs::remove_dir_all(&derived) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("{}: {error}", derived.display())),
    }
    let (mut engine, reader) = open(bench)?;
    let mended = agree(&mut engine)?;
    let problems = settle(engine, &reader)?;
    let ok = problems.is_empty();
    let message = if ok {
        "the store is sound; its indexes were made anew and agree with it".to_owned()
    } else {
        format!("the store is sound, but its new indexes do not agree with it: {}", problems.join("\n"))
    };
    let report = json!({ "ok": ok, "damaged": false, "problems": problems, "record_indexes_mended": mended });
    Ok(Finished { message, report, ok })
}

/// Puts a store made from what can be read of a damaged one in its place.
fn from_damaged(
    bench: &Bench,
    path: &Path,
    problems: &[String],
    teller: &mut Teller,
) -> Result<Finished, String> {
    teller.phase("bringing back what can be read", None);
    let made = bench.palace.join(MADE_FILE_NAME);
    let mut embed = |text: &str| bench.embedder.documents(&[text]).ok()?.pop();
    let found = salvage(path, &made, &bench.options, &mut embed, &mut |done| teller.done(done));
    let found = found.map_err(|error| {
        // A half-made store is of no use, and could be taken for one that is only to be renamed.
        let _ = fs::remove_file(&made);
        explain(&error)
    })?;
    teller.phase("putting the store in its place", None);
    let kept = kept_name(&bench.palace, "damaged");
    replace_store(&made, &bench.palace, &kept).map_err(|error| {
        format!("the repaired store {} cannot be put in its place: {error}", made.display())
    })?;
    let kept = bench.palace.join(kept);
    teller.phase("making the indexes anew", None);
    let (mut engine, reader) = open(bench)?;
    let mended = agree(&mut engine);
    let mut left = settle(engine, &reader)?;
    let mut report = report(&found, Some(&kept));
    match mended {
        Ok(mended) => report["record_indexes_mended"] = json!(mended),
        // The store is in its place already: what is left is a problem of it, not of the repair.
        Err(why) => left.push(why),
    }
    report["problems_before"] = json!(problems);
    report["problems"] = json!(left);
    let written = store_report(bench, &report);
    let told = match &written {
        Ok(path) => format!("all of it is in {}", path.display()),
        Err(why) => format!("the report could not be stored: {why}"),
    };
    let message = format!(
        "{}\nthe damaged store is kept as {}; {told}; if a backup is newer or has more, see `palacectl backup list`",
        summary(&found),
        kept.display()
    );
    report["report"] = json!(written.ok());
    Ok(Finished { message, report, ok: left.is_empty() })
}

/// Returns the path of the store, which is there.
fn store(bench: &Bench) -> Result<PathBuf, String> {
    check_kind(bench)?;
    let path = bench.palace.join(STORE_FILE);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!(
            "{} does not exist; `palacectl restore FILE-OR-FOLDER` makes it from a backup",
            path.display()
        ))
    }
}

fn lines(report: &VerifyReport) -> Vec<String> {
    report
        .problems
        .iter()
        .take(NAMED_COUNT_MAX)
        .map(|problem| match &problem.drawer {
            Some(drawer) => format!("{} {drawer}: {}", problem.table, problem.detail),
            None => format!("{}: {}", problem.table, problem.detail),
        })
        .collect()
}

/// Returns what was brought back and what was not, for people.
fn summary(found: &Salvaged) -> String {
    let mut lines: Vec<String> = found
        .tables
        .iter()
        .map(|table| match table.lost {
            Some(0) => format!("{}: {}, all", table.table, table.read),
            Some(lost) => format!("{}: {}, {lost} lost", table.table, table.read),
            None => format!("{}: {}, how many there were is unknown", table.table, table.read),
        })
        .collect();
    let named = found.lost.iter().take(10);
    lines.extend(named.map(|lost| format!("lost: {} {}: {}", lost.table, lost.name, lost.reason)));
    if found.lost.len() > 10 {
        lines.push(format!("and {} more", found.lost.len() - 10));
    }
    if found.rows_lost_unnamed > 0 {
        lines.push(format!("{} rows whose ids are lost too", found.rows_lost_unnamed));
    }
    if !found.carved.is_empty() {
        lines.push(format!("{} may be older versions, or something that was removed", found.carved.len()));
    }
    if !found.reembedded.is_empty() {
        lines.push(format!("{} got their vectors anew", found.reembedded.len()));
    }
    lines.extend(found.notes.iter().cloned());
    lines.join("\n")
}

fn report(found: &Salvaged, kept: Option<&Path>) -> Value {
    json!({
        "damaged": true,
        "whole": found.is_whole(),
        "at": clock::now().utc_seconds(),
        "seq": found.seq.0,
        "kept": kept,
        "tables": found.tables.iter()
            .map(|table| json!({ "table": table.table, "read": table.read, "lost": table.lost }))
            .collect::<Vec<_>>(),
        "lost": found.lost.iter().take(NAMED_COUNT_MAX)
            .map(|lost| json!({ "table": lost.table, "name": lost.name, "reason": lost.reason }))
            .collect::<Vec<_>>(),
        "lost_count": found.lost.len(),
        "rows_lost_unnamed": found.rows_lost_unnamed,
        "reembedded": found.reembedded.iter().take(NAMED_COUNT_MAX).collect::<Vec<_>>(),
        "carved": found.carved.iter().take(NAMED_COUNT_MAX)
            .map(|carved| json!({ "table": carved.table, "name": carved.name }))
            .collect::<Vec<_>>(),
        "pages_mended": found.pages_mended,
        "bytes_refused": found.bytes_refused,
        "notes": found.notes,
    })
}

fn store_report(bench: &Bench, report: &Value) -> std::io::Result<PathBuf> {
    let folder = bench.palace.join(REPORT_DIR);
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("repair-{}.json", clock::now().utc_stamp()));
    fs::write(&path, serde_json::to_vec_pretty(report)?)?;
    Ok(path)
}

fn explain(error: &SalvageError) -> String {
    match error {
        SalvageError::Nothing { .. } => {
            format!("{error}; restore a backup with `palacectl restore FILE-OR-FOLDER`; nothing was changed")
        }
        SalvageError::Open(error) => failure::of_opening(error).message,
        SalvageError::Io { source, .. } => {
            let next = palace_protocol::advice::about(source.kind()).unwrap_or("see `palacectl doctor`");
            format!("{error}; {next}; nothing was changed")
        }
        SalvageError::Wrong(_) | SalvageError::Interrupted => format!("{error}; the palace is as it was"),
    }
}

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;
