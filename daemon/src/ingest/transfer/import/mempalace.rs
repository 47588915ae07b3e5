//! Moving in from MemPalace: rows and records of one of its palaces, under the ids they have there.

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::{Value, json};

use crate::ingest::job::{Finished, JobError, Progress};
use crate::ingest::transfer::upstream::{self, Inventory, Places, UpstreamError, UpstreamPalace};
use crate::palace::import::Imported;
use crate::palace::{Palace, StoredVector};

use super::pipeline::Pipeline;
use super::report::{NAMED_COUNT_MAX, Report};
use super::scratch::Scratch;
use super::{Wanted, convert, place_to_resume, proof};

/// Imports a palace and proves it.
pub fn run(palace: &Palace, wanted: &Wanted, progress: &Progress) -> Result<Finished, JobError> {
    let scratch = Scratch::make(&wanted.scratch)?;
    progress.phase("copying and reading the source", None);
    let places = Places::of(&wanted.source, wanted.home.as_deref());
    let source = upstream::open(&places, scratch.path()).map_err(explain)?;
    let inventory = source.inventory().map_err(explain)?;
    if wanted.dry_run {
        let report = json!({ "source": wanted.source, "dry_run": true, "found": found(&inventory) });
        return Ok(Finished { message: would(&inventory), report });
    }
    let begun = std::time::Instant::now();
    let name = wanted.position_name();
    let after = place_to_resume(palace, &name, wanted.resume)?;
    let mut import = Import::new(palace, &source, progress, &name, &wanted.source)?;
    import.drawers(&inventory, after)?;
    import.closets(&inventory)?;
    import.records(&inventory)?;
    let Import { pipeline, mut notes, skipped, .. } = import;
    let sums = pipeline.finish()?;
    let seconds = begun.elapsed().as_secs_f64();
    let kept = sums.outcome.rows_different.iter().chain(&sums.outcome.rows_changed_here);
    let kept = kept.cloned().collect();
    let proof = proof::prove(palace, &source, &inventory, &kept, progress)?;
    notes.extend(inventory.notes.iter().cloned());
    let losses = source.losses().map_err(explain)?;
    let named = losses.iter().take(NAMED_COUNT_MAX);
    let report = Report {
        source: &wanted.source,
        seconds,
        found: found(&inventory),
        sums,
        losses: named.map(|loss| json!({"what": loss.what, "id": loss.id, "reason": loss.reason})).collect(),
        loss_count: losses.len(),
        skipped,
        notes,
        proof,
    };
    report.finish(&wanted.reports)
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

/// Returns an error with all its reasons.
pub fn explain(error: UpstreamError) -> JobError {
    // The reasons are part of the sentence: whoever reads it sees nothing else.
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    JobError::Failed(format!("{text}; the source was not changed"))
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
                    let vector = converted.vector.and_then(|vector| {
                        StoredVector::encode(&vector).ok_or_else(|| "its vector is not usable".to_owned())
                    });
                    pipeline.row(cursor, converted.row, vector)
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
