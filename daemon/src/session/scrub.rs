//! The daemon's own check of its palace, made when nobody needs it.
//!
//! Bits rot where nobody looks. Once a day, when no call was made for a while, everything is read and compared as
//! `palacectl verify` does. What was found is kept in the palace, shown in status, and a palace in which something is wrong
//! is degraded until a later check finds nothing.

use std::sync::Arc;
use std::time::Duration;

use palace_protocol::control::ScrubStatus;

use crate::clock;
use crate::ingest::job::{Finished, JobError, Progress, SCRUB};
use crate::ingest::transfer::upkeep;
use crate::palace::import::ImportBatch;
use crate::palace::{Palace, View};

use super::service::Service;

/// Name of the setting that holds the last result.
const SETTING: &str = "scrub";
/// Problems that are kept one by one.
const NAMED_COUNT_MAX: usize = 20;

/// When the daemon checks its palace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Time between two checks; none for never.
    pub every: Option<Duration>,
    /// How long no call must have been made.
    pub quiet: Duration,
    /// How often it is looked whether a check is due.
    pub look: Duration,
}

/// Checks the palace whenever that is due, as long as it is served.
pub async fn keep_scrubbing(service: Arc<Service>) {
    let times = service.scrub_times();
    let Some(every) = times.every else { return };
    let mut looks = tokio::time::interval(times.look);
    loop {
        tokio::select! {
            () = service.until_not_ready() => return,
            _ = looks.tick() => {}
        }
        let owned = Arc::clone(&service);
        if tokio::task::spawn_blocking(move || look(&owned, every, times.quiet)).await.is_err() {
            service
                .note_error("looking whether a check is due panicked; there are none until a restart".into());
            return;
        }
    }
}

fn look(service: &Arc<Service>, every: Duration, quiet: Duration) {
    if service.calls_in_flight() > 0 || service.quiet_for() < quiet {
        return;
    }
    let Some(palace) = service.palace() else { return };
    let Ok(snapshot) = palace.snapshot() else { return };
    let now = clock::unix_seconds();
    if !is_due(last(&palace).as_ref(), snapshot.seq().0, every, now) {
        return;
    }
    drop(snapshot);
    let work = move |progress: &Progress| run(&palace, progress);
    // Another check that runs is as good as this one.
    let _ = service.begin_job(SCRUB, work);
}

/// A palace that nobody has written is as sound as it was, but for the disk: it is read again after the time all the
/// same. An empty one is not worth it.
fn is_due(last: Option<&ScrubStatus>, seq: u64, every: Duration, now: i64) -> bool {
    let since = |at: i64| now.abs_diff(at) >= every.as_secs();
    seq > 0 && last.is_none_or(|last| since(last.at_seconds))
}

fn run(palace: &Palace, progress: &Progress) -> Result<Finished, JobError> {
    let seq = palace.snapshot().map_err(JobError::of)?.seq().0;
    let finished = upkeep::verify(palace, progress)?;
    let problems = finished.report["problems"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let status = ScrubStatus {
        at: clock::rfc3339(clock::unix_seconds()),
        at_seconds: clock::unix_seconds(),
        seq,
        problem_count: problems.len() as u64,
        problems: problems.iter().take(NAMED_COUNT_MAX).map(text).collect(),
    };
    let value = serde_json::to_value(&status).map_err(JobError::of)?;
    let batch = ImportBatch { note: Some((SETTING.to_owned(), value)), ..ImportBatch::default() };
    palace.import(batch, &clock::now()).and_then(crate::palace::ImportReceipt::wait).map_err(JobError::of)?;
    Ok(finished)
}

/// Returns what the last check found.
pub fn last(palace: &Palace) -> Option<ScrubStatus> {
    serde_json::from_value(palace.setting(SETTING).ok()??).ok()
}

/// Returns what is wrong by the last check, in a sentence.
pub fn problem(last: Option<&ScrubStatus>) -> Option<String> {
    let last = last.filter(|last| last.problem_count > 0)?;
    let first = last.problems.first().map(String::as_str).unwrap_or_default();
    Some(format!(
        "the check of {} found {} wrong, first {first}; `palacectl verify` names all, `palacectl repair` mends them",
        last.at, last.problem_count
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn checked(at_seconds: i64, problem_count: u64) -> ScrubStatus {
        let problems = (0..problem_count).map(|number| format!("row {number}")).collect();
        ScrubStatus { at: "then".into(), at_seconds, seq: 3, problem_count, problems }
    }

    #[test]
    fn a_check_is_due_once_in_its_time_whatever_the_clock_does() {
        assert!(!is_due(None, 0, DAY, 1_000), "nothing to read");
        assert!(is_due(None, 5, DAY, 1_000));
        assert!(!is_due(Some(&checked(1_000, 0)), 5, DAY, 1_000 + 86_399));
        assert!(is_due(Some(&checked(1_000, 0)), 3, DAY, 1_000 + 86_400));
        assert!(is_due(Some(&checked(200_000, 0)), 3, DAY, 1_000), "a clock that was set back");
    }

    #[test]
    fn only_a_check_that_found_something_is_a_problem() {
        assert_eq!(problem(None), None);
        assert_eq!(problem(Some(&checked(0, 0))), None);
        let text = problem(Some(&checked(0, 2))).unwrap();
        assert!(text.contains("2 wrong, first row 0") && text.contains("repair"), "{text}");
    }
}
