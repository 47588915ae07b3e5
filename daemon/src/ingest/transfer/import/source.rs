//! A palace of MemPalace as rows and records of ours, one after another: the same walk for storing and for proving.
//!
//! Whoever looks may stop the walk with an error of its own; nothing is collected, so memory does not grow with the
//! palace.

use std::ops::ControlFlow;

use crate::ingest::job::JobError;
use crate::ingest::transfer::upstream::{Inventory, SourceRow, UpstreamError, UpstreamPalace};
use crate::palace::import::Imported;

use super::convert;

/// A record beside the rows, or why it cannot be one of ours.
pub type Record = Result<Imported, String>;

/// Hands on the rows of a collection.
///
/// # Errors
/// What `visit` returns, or that the source cannot be read.
pub fn each_row(
    source: &UpstreamPalace,
    collection: &str,
    mut visit: impl FnMut(SourceRow) -> Result<(), JobError>,
) -> Result<(), JobError> {
    let mut stop = Stop::default();
    source.each_row(collection, None, &mut |row| stop.note(visit(row))).map_err(explain)?;
    stop.check()
}

/// Hands on every record beside the drawers.
///
/// # Errors
/// What `visit` returns, or that the source cannot be read.
pub fn each_record(
    source: &UpstreamPalace,
    inventory: &Inventory,
    mut visit: impl FnMut(Record) -> Result<(), JobError>,
) -> Result<(), JobError> {
    if let Some(name) = &inventory.closets {
        each_row(source, name, |row| visit(Ok(convert::closet(row))))?;
    }
    let mut stop = Stop::default();
    source.each_entity(&mut |columns| stop.note(visit(convert::entity(columns)))).map_err(explain)?;
    stop.check()?;
    source.each_fact(&mut |columns| stop.note(visit(convert::fact(columns)))).map_err(explain)?;
    stop.check()?;
    for tunnel in source.tunnels() {
        visit(convert::tunnel(tunnel))?;
    }
    for hallway in source.hallways() {
        visit(convert::hallway(hallway))?;
    }
    source.each_artifact(&mut |columns| stop.note(visit(convert::artifact(columns)))).map_err(explain)?;
    stop.check()?;
    source.each_event(&mut |columns| stop.note(visit(convert::event(columns)))).map_err(explain)?;
    stop.check()?;
    for file in source.files() {
        visit(Ok(convert::file(&file.name, &file.bytes)))?;
    }
    Ok(())
}

/// Returns how many rows a collection has.
pub fn row_count(inventory: &Inventory, collection: &str) -> Option<u64> {
    inventory.collections.iter().find(|known| known.name == collection).map(|known| known.row_count)
}

/// Returns how many records there are beside the drawers.
pub fn record_count(inventory: &Inventory) -> u64 {
    let closets = inventory.closets.as_deref().and_then(|name| row_count(inventory, name)).unwrap_or(0);
    let links = inventory.tunnel_count + inventory.hallway_count;
    let stream = inventory.artifact_count + inventory.event_count;
    closets + inventory.entity_count + inventory.fact_count + links + stream + inventory.files.len() as u64
}

/// Returns an error of the source with all its reasons: whoever reads it sees nothing else.
pub fn explain(error: UpstreamError) -> JobError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    JobError::Failed(format!("{text}; the source was not changed"))
}

/// What a visitor of a walk came to, which itself only knows to go on or to stop.
#[derive(Default)]
struct Stop(Option<JobError>);

impl Stop {
    fn note(&mut self, visited: Result<(), JobError>) -> ControlFlow<()> {
        match visited {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.0 = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Hands out the error that ended a walk.
    fn check(&mut self) -> Result<(), JobError> {
        self.0.take().map_or(Ok(()), Err)
    }
}
