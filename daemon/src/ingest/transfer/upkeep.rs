//! Checking and compacting as jobs.

use serde_json::json;

use crate::ingest::job::{Finished, JobError, Progress};
use crate::palace::Palace;

/// Checks store and indexes without changing them.
///
/// # Errors
/// When the check cannot be made. A palace that fails it is a report with `ok: false`.
pub fn verify(palace: &Palace, progress: &Progress) -> Result<Finished, JobError> {
    progress.phase("checking store and indexes", None);
    let found = palace.verify().map_err(JobError::of)?;
    let ok = found.problems.is_empty();
    let message = if ok { "the palace is sound" } else { "something is wrong; the report names it" };
    let report = json!({
        "ok": ok, "checked": found.checked, "not_checked": found.not_checked, "problems": found.problems,
    });
    Ok(Finished { message: message.to_owned(), report })
}

/// Gives the room of removed things back to the file system and saves the indexes anew.
///
/// # Errors
/// When something reads the store for long, or the disk refuses; the palace goes on as it was.
pub fn compact(palace: &Palace, progress: &Progress) -> Result<Finished, JobError> {
    progress.phase("compacting the store; calls wait", None);
    let (before, after) = palace.compact().map_err(JobError::of)?.map_err(JobError::of)?;
    progress.phase("saving the indexes", None);
    palace.save_indexes().map_err(JobError::of)?;
    let message = format!("the store was {before} bytes and is {after}");
    Ok(Finished { message, report: json!({ "bytes_before": before, "bytes_after": after }) })
}
