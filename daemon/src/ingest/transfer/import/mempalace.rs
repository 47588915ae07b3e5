//! Moving in from MemPalace: rows and records of one of its palaces, under the ids they have there.

use serde_json::{Value, json};

use crate::ingest::job::{Finished, JobError, Progress};
use crate::ingest::transfer::upstream::{self, Inventory, Places, UpstreamPalace};
use crate::palace::{Palace, StoredVector};

use super::pipeline::Pipeline;
use super::report::{NAMED_COUNT_MAX, Report};
use super::scratch::Scratch;
use super::source::{self, explain};
use super::{Wanted, convert, proof};

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
    let mut import = Import::new(palace, &source, progress)?;
    import.drawers(&inventory)?;
    import.records(&inventory)?;
    let Import { pipeline, mut notes, skipped, .. } = import;
    let sums = pipeline.finish()?;
    let seconds = begun.elapsed().as_secs_f64();
    let proof = proof::prove(palace, &source, &inventory, &sums.kept(), progress)?;
    if wanted.is_own {
        super::conclude(palace, proof.holds)?;
    }
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

/// An import under way.
struct Import<'i> {
    source: &'i UpstreamPalace,
    progress: &'i Progress,
    pipeline: Pipeline<'i>,
    notes: Vec<String>,
    /// Rows that cannot be memories, as they have no text, and records that are none.
    skipped: Vec<String>,
}

impl<'i> Import<'i> {
    fn new(palace: &'i Palace, source: &'i UpstreamPalace, progress: &'i Progress) -> Result<Self, JobError> {
        let pipeline = Pipeline::new(palace)?;
        Ok(Self { source, progress, pipeline, notes: Vec::new(), skipped: Vec::new() })
    }

    fn drawers(&mut self, inventory: &Inventory) -> Result<(), JobError> {
        let Some(name) = &inventory.drawers else {
            self.notes.push("the palace has no collection of drawers".to_owned());
            return Ok(());
        };
        self.progress.phase("importing drawers", source::row_count(inventory, name));
        let mut unplaced = 0u64;
        let mut done = 0u64;
        let (pipeline, progress, skipped) = (&mut self.pipeline, self.progress, &mut self.skipped);
        let walked = source::each_row(self.source, name, |row| {
            done += 1;
            match convert::row(row) {
                Ok(converted) => {
                    unplaced += u64::from(converted.unplaced);
                    let vector = converted.vector.and_then(|vector| {
                        StoredVector::encode(&vector).ok_or_else(|| "its vector is not usable".to_owned())
                    });
                    pipeline.row(converted.row, vector)?;
                }
                Err(id) => skipped.push(format!("{id}: no text")),
            }
            progress.done(done)
        });
        match walked {
            Ok(()) => self.pipeline.flush()?,
            // Who ends an import wants to go on with it where it ended.
            Err(JobError::Cancelled) => {
                self.pipeline.flush()?;
                return Err(JobError::Cancelled);
            }
            Err(failed) => return Err(failed),
        }
        if unplaced > 0 {
            self.notes.push(format!(
                "{unplaced} rows had no wing or room; they stand in {}/{}",
                convert::NO_WING,
                convert::NO_ROOM
            ));
        }
        Ok(())
    }

    fn records(&mut self, inventory: &Inventory) -> Result<(), JobError> {
        let total = source::record_count(inventory);
        self.progress.phase("importing index cards, knowledge graph, links and events", Some(total));
        let mut done = 0;
        let (pipeline, progress, skipped) = (&mut self.pipeline, self.progress, &mut self.skipped);
        source::each_record(self.source, inventory, |record| {
            match record {
                Ok(record) => pipeline.record(record)?,
                Err(why) => skipped.push(why),
            }
            done += 1;
            progress.done(done)
        })?;
        self.pipeline.flush()
    }
}
