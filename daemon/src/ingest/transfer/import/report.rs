//! What is told of an import when it has ended, and kept in the palace.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::clock;
use crate::ingest::job::{Finished, JobError};

use super::pipeline::Sums;
use super::proof::Proof;

/// Losses that the report names one by one; more are counted.
pub const NAMED_COUNT_MAX: usize = 10_000;

/// What is known of an import that has ended.
pub struct Report<'r> {
    /// The source.
    pub source: &'r Path,
    /// How long it took, without the proof.
    pub seconds: f64,
    /// What the source holds.
    pub found: Value,
    /// What was stored.
    pub sums: Sums,
    /// What could not be read, some of it.
    pub losses: Vec<Value>,
    /// All of what could not be read.
    pub loss_count: usize,
    /// What cannot be stored, with the reason.
    pub skipped: Vec<String>,
    /// What somebody might want to know.
    pub notes: Vec<String>,
    /// The source held against the palace.
    pub proof: Proof,
}

impl Report<'_> {
    /// Keeps the report in a folder and returns the end of the job.
    pub fn finish(self, folder: &Path) -> Result<Finished, JobError> {
        let outcome = &self.sums.outcome;
        let report = json!({
            "source": self.source,
            "imported_at": clock::now().local,
            "seconds": self.seconds,
            "found": self.found,
            "rows": {"new": outcome.rows_new, "same": outcome.rows_same,
                     "embedded_again": self.sums.embedded, "kept_ours": outcome.rows_different,
                     "changed_here": outcome.rows_changed_here},
            "records": {"new": outcome.records_new, "same": outcome.records_same,
                        "kept_ours": outcome.records_different},
            "losses": self.losses,
            "loss_count": self.loss_count,
            "complete": self.loss_count == 0,
            "skipped": self.skipped,
            "embedded_again": self.sums.embedded_ids,
            "notes": self.notes,
            "proof": self.proof.report,
        });
        let written = store(folder, &report)?;
        Ok(Finished { message: self.summary(&written), report })
    }

    fn summary(&self, written: &Path) -> String {
        let outcome = &self.sums.outcome;
        let verdict = match (self.proof.holds, self.loss_count) {
            (false, _) => "THE PROOF DOES NOT HOLD: see the report",
            (true, 0) => "the proof holds",
            (true, _) => "the proof holds FOR WHAT COULD BE READ",
        };
        let same = match outcome.rows_same {
            0 => String::new(),
            same => format!(", {same} were there already"),
        };
        let kept = outcome.rows_different.len() + outcome.rows_changed_here.len();
        let named = |count: usize, what: &str| match count {
            0 => String::new(),
            count => format!("{count} {what}; "),
        };
        let lost = [
            named(kept, "rows were changed or removed here and kept so"),
            named(outcome.records_different.len(), "records differ and were kept as they are here"),
            named(self.skipped.len(), "things cannot be stored and are named in the report"),
            match self.loss_count {
                0 => "nothing was unreadable".to_owned(),
                lost => format!("{lost} things could not be read and are named in the report"),
            },
        ];
        let lost = lost.concat();
        format!(
            "{} rows and {} records imported{same}; {} embedded again; {lost}; {verdict}; report: {}",
            outcome.rows_new,
            outcome.records_new,
            self.sums.embedded,
            written.display()
        )
    }
}

fn store(folder: &Path, report: &Value) -> Result<PathBuf, JobError> {
    let path = folder.join(format!("import-{}.json", clock::now().stamp()));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(&path, serde_json::to_vec_pretty(report)?)
    };
    write().map_err(|error| {
        JobError::Failed(format!("everything is imported, but {}: {error}", path.display()))
    })?;
    Ok(path)
}
