//! Moving in: a palace of MemPalace becomes rows and records of ours, under the ids it has, with a proof.
//!
//! The source is only read. Rows go in batch by batch, each in one transaction with the import's position, so an import
//! that was interrupted goes on where it stopped and one that is repeated changes nothing. Vectors are taken over; only
//! rows whose vector is missing, damaged or of another model are embedded. What is lost is named.

mod convert;
mod pipeline;
mod proof;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::ingest::job::{Finished, JobError, Progress};
use crate::palace::Palace;
use crate::palace::error::QueryError;
use crate::palace::ids::sha256_hex;
use crate::palace::import::{ImportOutcome, Imported};

use super::upstream::{self, Inventory, Places, UpstreamError, UpstreamPalace};
use pipeline::Pipeline;

/// Losses that the report names one by one; more are counted.
const NAMED_COUNT_MAX: usize = 10_000;

/// What is to be imported, and how.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The palace's directory.
    pub source: PathBuf,
    /// Home directory whose settings belong to it.
    pub home: Option<PathBuf>,
    /// Only tell what would be imported.
    pub dry_run: bool,
    /// Go on where an interrupted import stopped.
    pub resume: bool,
    /// Folder for what is needed only meanwhile.
    pub scratch: PathBuf,
    /// Folder of the reports.
    pub reports: PathBuf,
}

/// How far an import is; a setting of the palace, stored with each batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The source.
    pub source: String,
    /// Internal number of the last drawer that is stored.
    pub drawer: Option<i64>,
    /// Everything is stored.
    pub complete: bool,
}

/// Returns the name of the setting that holds the position of an import.
pub fn position_name(source: &Path) -> String {
    format!("import/{}", sha256_hex(source.to_string_lossy().as_bytes(), 16))
}

/// Tells whether a source was imported to its end.
///
/// # Errors
/// When the palace cannot be read.
pub fn is_complete(palace: &Palace, source: &Path) -> Result<bool, QueryError> {
    let stored = palace.setting(&position_name(source))?;
    let position: Option<Position> = stored.and_then(|value| serde_json::from_value(value).ok());
    Ok(position.is_some_and(|position| position.complete))
}

/// Imports a palace and proves it. Blocks; `progress` is told how far it is.
///
/// # Errors
/// Says what cannot be read or stored. What was stored before stays, and a repeated import goes on from there.
pub fn run(palace: &Palace, wanted: &Wanted, progress: &Progress) -> Result<Finished, JobError> {
    let scratch = Scratch::make(&wanted.scratch)?;
    progress.phase("copying and reading the source", None);
    let places = Places::of(&wanted.source, wanted.home.as_deref());
    let source = upstream::open(&places, &scratch.0).map_err(explain)?;
    let inventory = source.inventory().map_err(explain)?;
    if wanted.dry_run {
        let report = json!({ "source": wanted.source, "dry_run": true, "found": found(&inventory) });
        return Ok(Finished { message: would(&inventory), report });
    }
    let begun = std::time::Instant::now();
    let name = position_name(&wanted.source);
    let earlier: Option<Position> =
        palace.setting(&name).map_err(JobError::of)?.and_then(|value| serde_json::from_value(value).ok());
    let after = earlier.filter(|_| wanted.resume).and_then(|position| position.drawer);
    let mut import = Import::new(palace, &source, progress, &name, &wanted.source)?;
    import.drawers(&inventory, after)?;
    import.closets(&inventory)?;
    import.records(&inventory)?;
    let Import { pipeline, mut notes, skipped, .. } = import;
    let sums = pipeline.finish(&Position {
        source: wanted.source.display().to_string(),
        drawer: None,
        complete: true,
    })?;
    let import_secs = begun.elapsed().as_secs_f64();
    let proof = proof::prove(palace, &source, &inventory, progress)?;
    notes.extend(inventory.notes.iter().cloned());
    let losses = source.losses().map_err(explain)?;
    let report = json!({
        "source": wanted.source,
        "imported_at": clock::now().local,
        "seconds": import_secs,
        "found": found(&inventory),
        "rows": {"new": sums.outcome.rows_new, "same": sums.outcome.rows_same,
                 "embedded_again": sums.embedded, "kept_ours": sums.outcome.rows_different},
        "records": {"new": sums.outcome.records_new, "same": sums.outcome.records_same,
                    "kept_ours": sums.outcome.records_different},
        "losses": losses.iter().take(NAMED_COUNT_MAX)
            .map(|loss| json!({"what": loss.what, "id": loss.id, "reason": loss.reason})).collect::<Vec<_>>(),
        "loss_count": losses.len() + skipped.len(),
        "skipped": skipped,
        "embedded_again": sums.embedded_ids,
        "notes": notes,
        "proof": proof.report,
    });
    let written = store_report(&wanted.reports, &report)?;
    let message = summary(&sums.outcome, sums.embedded, losses.len(), &proof, &written);
    Ok(Finished { message, report })
}

fn summary(
    outcome: &ImportOutcome,
    embedded: u64,
    lost: usize,
    proof: &proof::Proof,
    written: &Path,
) -> String {
    let verdict = if proof.holds { "the proof holds" } else { "THE PROOF DOES NOT HOLD: see the report" };
    let same = match outcome.rows_same {
        0 => String::new(),
        same => format!(", {same} were there already"),
    };
    let lost = match lost {
        0 => "nothing was lost".to_owned(),
        lost => format!("{lost} things could not be read and are named in the report"),
    };
    format!(
        "{} rows and {} records imported{same}; {embedded} embedded again; {lost}; {verdict}; report: {}",
        outcome.rows_new,
        outcome.records_new,
        written.display()
    )
}

fn would(inventory: &Inventory) -> String {
    let rows: u64 = inventory.collections.iter().map(|collection| collection.row_count).sum();
    format!(
        "{rows} rows, {} facts, {} tunnels, {} events would be imported; nothing was",
        inventory.fact_count, inventory.tunnel_count, inventory.event_count
    )
}

fn found(inventory: &Inventory) -> Value {
    let collections: Vec<Value> = inventory
        .collections
        .iter()
        .map(|collection| {
            json!({
                "name": collection.name, "rows": collection.row_count,
                "model": format!("{:?}", collection.model),
                "vectors": {"in_index": collection.vectors.in_index, "in_queue": collection.vectors.in_queue,
                            "missing": collection.vectors.missing},
            })
        })
        .collect();
    json!({
        "backend": format!("{:?}", inventory.backend), "collections": collections,
        "facts": inventory.fact_count, "entities": inventory.entity_count, "tunnels": inventory.tunnel_count,
        "hallways": inventory.hallway_count, "events": inventory.event_count,
        "artifacts": inventory.artifact_count, "files": inventory.files,
    })
}

fn explain(error: UpstreamError) -> JobError {
    // The reasons are part of the sentence: whoever reads it sees nothing else.
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    JobError::Failed(format!("{text}; the source was not changed"))
}

fn store_report(folder: &Path, report: &Value) -> Result<PathBuf, JobError> {
    let stamp = clock::now().stamp();
    let path = folder.join(format!("import-{stamp}.json"));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(&path, serde_json::to_vec_pretty(report)?)
    };
    write().map_err(|error| {
        JobError::Failed(format!("everything is imported, but {}: {error}", path.display()))
    })?;
    Ok(path)
}

/// A folder that goes when the import has ended.
struct Scratch(PathBuf);

impl Scratch {
    fn make(parent: &Path) -> Result<Self, JobError> {
        let path = parent.join(format!("import-{}", std::process::id()));
        let made = || -> std::io::Result<()> {
            if path.exists() {
                fs::remove_dir_all(&path)?;
            }
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(&path)
        };
        made().map_err(|error| JobError::Failed(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is removed by the next import.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An import under way.
struct Import<'i> {
    source: &'i UpstreamPalace,
    progress: &'i Progress,
    pipeline: Pipeline<'i>,
    notes: Vec<String>,
    /// Rows that cannot be memories: they have no text.
    skipped: Vec<String>,
}

impl<'i> Import<'i> {
    fn new(
        palace: &'i Palace,
        source: &'i UpstreamPalace,
        progress: &'i Progress,
        name: &str,
        path: &Path,
    ) -> Result<Self, JobError> {
        let pipeline = Pipeline::new(palace, name, path)?;
        Ok(Self { source, progress, pipeline, notes: Vec::new(), skipped: Vec::new() })
    }

    fn drawers(&mut self, inventory: &Inventory, after: Option<i64>) -> Result<(), JobError> {
        let Some(name) = &inventory.drawers else {
            self.notes.push("the palace has no collection of drawers".to_owned());
            return Ok(());
        };
        let total =
            inventory.collections.iter().find(|known| known.name == *name).map(|known| known.row_count);
        self.progress.phase("importing drawers", total);
        let mut failed = None;
        let mut unplaced = 0u64;
        let mut done = 0u64;
        let (pipeline, progress, skipped) = (&mut self.pipeline, self.progress, &mut self.skipped);
        let walked = self.source.each_row(name, after, &mut |row| {
            done += 1;
            let cursor = row.cursor;
            let taken = match convert::row(row) {
                Ok(converted) => {
                    unplaced += u64::from(converted.unplaced);
                    pipeline.row(cursor, converted)
                }
                Err(id) => {
                    skipped.push(format!("{id}: no text"));
                    Ok(())
                }
            };
            match taken.and_then(|()| progress.done(done)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        walked.map_err(explain)?;
        if let Some(error) = failed {
            self.pipeline.flush()?;
            return Err(error);
        }
        if unplaced > 0 {
            self.notes.push(format!(
                "{unplaced} rows had no wing or room; they stand in {}/{}",
                convert::NO_WING,
                convert::NO_ROOM
            ));
        }
        self.pipeline.flush()
    }

    fn closets(&mut self, inventory: &Inventory) -> Result<(), JobError> {
        let Some(name) = &inventory.closets else { return Ok(()) };
        self.progress.phase("importing index cards", None);
        let mut failed = None;
        let pipeline = &mut self.pipeline;
        let walked =
            self.source.each_row(name, None, &mut |row| match pipeline.record(convert::closet(row)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            });
        walked.map_err(explain)?;
        failed.map_or(Ok(()), Err)
    }

    fn records(&mut self, inventory: &Inventory) -> Result<(), JobError> {
        let total = inventory.fact_count + inventory.entity_count + inventory.event_count;
        self.progress.phase("importing knowledge graph, links and events", Some(total));
        let mut found: Vec<Result<Imported, String>> = Vec::new();
        let mut keep = |record| {
            found.push(record);
            ControlFlow::Continue(())
        };
        self.source.each_entity(&mut |columns| keep(convert::entity(columns))).map_err(explain)?;
        self.source.each_fact(&mut |columns| keep(convert::fact(columns))).map_err(explain)?;
        for tunnel in self.source.tunnels() {
            let _ = keep(convert::tunnel(tunnel));
        }
        for hallway in self.source.hallways() {
            let _ = keep(convert::hallway(hallway));
        }
        self.source.each_artifact(&mut |columns| keep(convert::artifact(columns))).map_err(explain)?;
        self.source.each_event(&mut |columns| keep(convert::event(columns))).map_err(explain)?;
        for file in self.source.files() {
            let _ = keep(Ok(convert::file(&file.name, &file.bytes)));
        }
        for (done, record) in found.into_iter().enumerate() {
            match record {
                Ok(record) => self.pipeline.record(record)?,
                Err(why) => self.skipped.push(why),
            }
            self.progress.done(done as u64)?;
        }
        self.pipeline.flush()
    }
}
