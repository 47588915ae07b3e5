//! One batch: decided command by command, stored in one transaction, answered after its commit.

use std::sync::atomic::Ordering;

use crossbeam_channel::Sender;

use crate::engine::{CommitError, Engine, IdempotencyKey, Op, Timestamp, View, WriteTxn};
use crate::failpoint;
use crate::palace::error::WriteError;
use crate::palace::removed;

use super::submission::{Submission, Told};
use super::{Progress, Trouble};

/// Changes of one command between two reports of how far it is.
const STEP_COUNT: usize = 256;
/// How long an idempotency key is kept, in milliseconds.
const KEY_KEEP_MS: i64 = 24 * 60 * 60 * 1_000;
/// Commands that share one transaction at most.
pub(super) const COUNT_MAX: usize = 256;
/// Expired keys removed with one commit at most: more than one commit can add.
const KEY_PRUNE_COUNT_MAX: usize = 2 * COUNT_MAX;

/// A command, and what has become of it in the present attempt.
pub(super) struct Job {
    submission: Submission,
    /// The answer, or why there is none; not told before the commit.
    decided: Option<Result<String, WriteError>>,
    answer: Sender<Told>,
}

impl Job {
    pub fn new(submission: Submission, answer: Sender<Told>) -> Self {
        Self { submission, decided: None, answer }
    }

    /// Makes changes, and tells how far it is.
    fn make(&self, txn: &mut WriteTxn<'_>, ops: &[Op]) -> Result<(), CommitError> {
        let mut done = 0;
        while done < ops.len() {
            // A submitter that has not heard the last step yet hears a later one; there is always room for the answer.
            if done > 0 && self.answer.is_empty() {
                let _ = self.answer.try_send(Told::Steps { done, total: ops.len() });
            }
            let rest = &ops[done..];
            // New rows go in together, however many: sorted by the store, they cost less.
            let new = rest.iter().take_while(|op| matches!(op, Op::PutNew(_))).count();
            let step = new.max(STEP_COUNT.min(rest.len()));
            txn.apply_all(&rest[..step])?;
            done += step;
        }
        Ok(())
    }

    /// Answers. The submitter may have gone; what it asked for is stored all the same.
    fn answer(self, result: Result<String, WriteError>) {
        let _ = self.answer.send(Told::Answer(result));
    }
}

/// Carries out a batch in one transaction; repeats it one by one when that fails for a reason of one command.
///
/// # Errors
/// When the palace must not go on; everything is answered all the same.
pub(super) fn carry_out(
    engine: &mut Engine,
    mut batch: Vec<Job>,
    progress: &Progress,
    keep_removed_ms: Option<i64>,
) -> Result<(), Trouble> {
    if batch.is_empty() {
        return Ok(());
    }
    match attempt(engine, &mut batch, progress, keep_removed_ms) {
        Ok(()) => {}
        Err(error @ CommitError::Displaced) => {
            // Whatever the nameless file holds, it is not the palace's.
            batch.into_iter().for_each(|job| job.answer(Err(WriteError::from_commit(&error))));
            return Err(Trouble::Displaced);
        }
        Err(error) if error.needs_reopen() || error.is_disk_full() || batch.len() == 1 => {
            refuse(engine, batch, &error);
            return Ok(());
        }
        Err(_) => {
            for job in batch {
                // What the abandoned attempt decided is forgotten.
                let mut alone = vec![Job::new(job.submission, job.answer)];
                if let Err(error) = attempt(engine, &mut alone, progress, keep_removed_ms) {
                    refuse(engine, alone, &error);
                } else {
                    answer(alone);
                }
            }
            return Ok(());
        }
    }
    answer(batch);
    Ok(())
}

fn attempt(
    engine: &mut Engine,
    batch: &mut [Job],
    progress: &Progress,
    keep_removed_ms: Option<i64>,
) -> Result<(), CommitError> {
    failpoint::reach("write.queued");
    let mut txn = engine.begin()?;
    let mut changed = 0;
    let mut now = Timestamp(0);
    for job in batch.iter_mut() {
        now = now.max(job.submission.at);
        if apply(&mut txn, job)? {
            changed += 1;
        }
    }
    if changed == 0 {
        return Ok(());
    }
    txn.prune_keys(Timestamp(now.0 - KEY_KEEP_MS), KEY_PRUNE_COUNT_MAX)?;
    if let Some(keep_ms) = keep_removed_ms {
        let expired =
            removed::expire(&txn, Timestamp(now.0.saturating_sub(keep_ms))).map_err(CommitError::Read)?;
        txn.apply_all(&expired)?;
    }
    failpoint::reach("write.applied");
    txn.commit()?;
    failpoint::reach("write.visible");
    progress.commits.fetch_add(1, Ordering::Relaxed);
    progress.commands.fetch_add(changed, Ordering::Relaxed);
    progress.last_commit_ms.store(now.0, Ordering::Relaxed);
    Ok(())
}

/// Applies one command and returns whether it changed anything.
fn apply(txn: &mut WriteTxn<'_>, job: &mut Job) -> Result<bool, CommitError> {
    let Submission { work, key, at } = &job.submission;
    if let Some(key) = key
        && let Some(result) = txn.key_result(key).map_err(CommitError::Read)?
    {
        job.decided = Some(Ok(String::from_utf8_lossy(&result).into_owned()));
        return Ok(false);
    }
    let (ops, text) = match work(txn) {
        Ok(decided) => decided,
        Err(error) => {
            job.decided = Some(Err(error.into()));
            return Ok(false);
        }
    };
    job.make(txn, &ops)?;
    let changed = !ops.is_empty();
    if changed && let Some(key) = key {
        txn.put_key(key, *at, text.as_bytes())?;
    }
    job.decided = Some(Ok(text));
    Ok(changed)
}

fn answer(batch: Vec<Job>) {
    for mut job in batch {
        let decided = job.decided.take().expect("every command of an attempt that ended well was decided");
        job.answer(decided);
    }
}

/// Answers a whole batch with one failure, and reopens the store when the failure closed it.
///
/// A commit that failed may be in the store after all. Whoever named his request by a key is told what is stored under
/// it; the others were told by nobody that their write was not, so a repetition is theirs to judge.
fn refuse(engine: &mut Engine, batch: Vec<Job>, error: &CommitError) {
    let reopened = if error.needs_reopen() || error.is_disk_full() { engine.reopen() } else { Ok(()) };
    for job in batch {
        let stored = match (&reopened, &job.submission.key) {
            (Ok(()), Some(key)) => stored_answer(engine, key),
            (Ok(()), None) | (Err(_), _) => None,
        };
        job.answer(match (stored, &reopened) {
            (Some(text), _) => Ok(text),
            (None, Ok(())) => Err(WriteError::from_commit(error)),
            (None, Err(closed)) => Err(WriteError::from_open(closed)),
        });
    }
}

/// Returns the answer that is stored under a key, if the store can tell.
fn stored_answer(engine: &mut Engine, key: &IdempotencyKey) -> Option<String> {
    let stored = engine.begin().ok()?.key_result(key).ok()??;
    Some(String::from_utf8_lossy(&stored).into_owned())
}
