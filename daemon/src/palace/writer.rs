//! The one thread that changes a palace.
//!
//! It takes all commands that are ready, decides each against what the ones before it did, applies them, commits once
//! and answers each: a caller is answered after its commit, never before. One fsync serves one caller or thirty-two.
//! A command that cannot be applied is refused alone: its batch is repeated without sharing a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use crate::engine::{CommitError, Engine, IdempotencyKey, Op, SnapshotError, Timestamp, View, WriteTxn};

use crate::failpoint;

use super::command::{Command, Outcome};
use super::decide::decide;
use super::error::WriteError;
use super::removed;

/// Commands that may wait; a submitter blocks when there are as many.
const QUEUE_COUNT_MAX: usize = 1_024;
/// Commands that share one transaction at most.
const BATCH_COUNT_MAX: usize = 256;
/// Changes of one command between two reports of how far it is.
const STEP_COUNT: usize = 2_048;
/// How long an idempotency key is kept, in milliseconds.
const KEY_KEEP_MS: i64 = 24 * 60 * 60 * 1_000;
/// Expired keys removed with one commit at most: more than one commit can add.
const KEY_PRUNE_COUNT_MAX: usize = 2 * BATCH_COUNT_MAX;

/// Makes the answer's text from an outcome; stored beside an idempotency key so that a repeat gets the same text.
pub type Render = Box<dyn Fn(&Outcome) -> String + Send>;

/// One command on its way to the writer.
pub struct Submission {
    /// What to do.
    pub command: Command,
    /// Names this request, so that a repetition is answered and not repeated.
    pub key: Option<IdempotencyKey>,
    /// When it was accepted.
    pub at: Timestamp,
    /// Makes the answer.
    pub render: Render,
}

/// What a submitter is told.
enum Told {
    /// So many of so many changes are made. The answer comes after all of these.
    Steps { done: usize, total: usize },
    /// What became of the command.
    Answer(Result<String, WriteError>),
}

/// Messages a submitter may not have heard yet: one step, and the answer.
const TOLD_COUNT_MAX: usize = 2;

/// A claim on an answer.
pub struct Receipt(Receiver<Told>);

impl Receipt {
    /// Waits until the command is committed or refused. Blocks.
    ///
    /// # Errors
    /// When nothing was stored; the error says why.
    pub fn wait(self) -> Result<String, WriteError> {
        self.wait_hearing(&mut |_, _| {})
    }

    /// The same; `hear` is given how many of how many changes are made. A command that is decided again, because another
    /// one of its batch failed, begins again.
    ///
    /// # Errors
    /// As [`Receipt::wait`].
    pub fn wait_hearing(self, hear: &mut dyn FnMut(usize, usize)) -> Result<String, WriteError> {
        loop {
            match self.0.recv() {
                Ok(Told::Steps { done, total }) => hear(done, total),
                Ok(Told::Answer(answer)) => return answer,
                Err(_) => return Err(WriteError::Stopping),
            }
        }
    }

    /// Returns the answer if it is there, once. Does not block.
    pub fn poll(&self) -> Option<Result<String, WriteError>> {
        loop {
            match self.0.try_recv() {
                Ok(Told::Steps { .. }) => {}
                Ok(Told::Answer(answer)) => return Some(answer),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => return Some(Err(WriteError::Stopping)),
            }
        }
    }
}

/// Why a palace must not go on with its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its thread panics.
    Panicked,
    /// The store's file was removed or replaced; every write is refused from here on.
    Displaced,
}

/// What the writer has done so far.
#[derive(Debug, Default)]
pub struct Progress {
    commits: AtomicU64,
    commands: AtomicU64,
    last_commit_ms: AtomicI64,
}

/// A view of [`Progress`] for status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterStats {
    /// Commands waiting.
    pub queue_len: usize,
    /// Transactions committed.
    pub commits: u64,
    /// Commands committed.
    pub commands: u64,
    /// Last commit; `None` before the first.
    pub last_commit: Option<Timestamp>,
}

struct Job {
    submission: Submission,
    answer: Sender<Told>,
}

/// Work that needs the engine to itself.
type Alone = Box<dyn FnOnce(&mut Engine) + Send>;

enum Message {
    Job(Box<Job>),
    Alone(Alone),
    Stop,
}

/// The handle to the writer's thread. Dropping it does not stop the thread; [`Writer::stop`] does.
pub struct Writer {
    queue: Sender<Message>,
    progress: Arc<Progress>,
    thread: parking_lot::Mutex<Option<JoinHandle<Result<(), SnapshotError>>>>,
}

impl Writer {
    /// Starts the thread. `on_trouble` is called on it when the palace must not go on.
    ///
    /// What is removed is kept for `keep_removed_ms`; without one it is kept until it is purged.
    pub fn start(
        engine: Engine,
        keep_removed_ms: Option<i64>,
        on_trouble: impl Fn(Trouble) + Send + 'static,
    ) -> Self {
        let (queue, jobs) = bounded(QUEUE_COUNT_MAX);
        let progress = Arc::new(Progress::default());
        let seen = Arc::clone(&progress);
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                let guard = PanicGuard(&on_trouble);
                let engine = run(engine, &jobs, &seen, keep_removed_ms, &on_trouble);
                let closed = engine.close();
                drop(guard);
                closed
            })
            .expect("the system can start one more thread");
        Self { queue, progress, thread: parking_lot::Mutex::new(Some(thread)) }
    }

    /// Puts a command into the queue. Blocks while the queue is full.
    ///
    /// # Errors
    /// [`WriteError::Stopping`] once the writer has ended.
    pub fn submit(&self, submission: Submission) -> Result<Receipt, WriteError> {
        let (answer, receipt) = bounded(TOLD_COUNT_MAX);
        let job = Message::Job(Box::new(Job { submission, answer }));
        self.queue.send(job).map_err(|_| WriteError::Stopping)?;
        Ok(Receipt(receipt))
    }

    /// Runs something on the writer's thread between two batches, and waits for it. Blocks; so does everybody who
    /// writes meanwhile.
    ///
    /// # Errors
    /// [`WriteError::Stopping`] once the writer has ended.
    pub fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, WriteError> {
        let (answer, receipt) = bounded(1);
        let work: Alone = Box::new(move |engine| {
            // The caller may have gone; the work is done all the same.
            let _ = answer.send(work(engine));
        });
        self.queue.send(Message::Alone(work)).map_err(|_| WriteError::Stopping)?;
        receipt.recv().map_err(|_| WriteError::Stopping)
    }

    /// Returns what the writer has done.
    pub fn stats(&self) -> WriterStats {
        let last = self.progress.last_commit_ms.load(Ordering::Relaxed);
        WriterStats {
            queue_len: self.queue.len(),
            commits: self.progress.commits.load(Ordering::Relaxed),
            commands: self.progress.commands.load(Ordering::Relaxed),
            last_commit: (last != 0).then_some(Timestamp(last)),
        }
    }

    /// Lets queued commands finish, saves the derived indexes, closes the store and waits for all of it. Blocks.
    ///
    /// # Errors
    /// When the derived indexes could not be saved; the store itself is closed all the same.
    pub fn stop(&self) -> Result<(), SnapshotError> {
        // A closed queue means the thread has ended by itself; joining tells how.
        let _ = self.queue.send(Message::Stop);
        match self.thread.lock().take() {
            Some(thread) => thread.join().unwrap_or(Ok(())),
            None => Ok(()),
        }
    }
}

/// Tells of a panic when the thread unwinds past it.
struct PanicGuard<'f>(&'f dyn Fn(Trouble));

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)(Trouble::Panicked);
        }
    }
}

fn run(
    mut engine: Engine,
    messages: &Receiver<Message>,
    progress: &Progress,
    keep_removed_ms: Option<i64>,
    on_trouble: &dyn Fn(Trouble),
) -> Engine {
    let mut stopping = false;
    while !stopping {
        let Ok(first) = messages.recv() else { break };
        let mut batch = Vec::new();
        let mut alone = Vec::new();
        for message in std::iter::once(first).chain(messages.try_iter()) {
            match message {
                Message::Job(job) => batch.push(*job),
                Message::Alone(work) => alone.push(work),
                Message::Stop => stopping = true,
            }
            if stopping || !alone.is_empty() || batch.len() == BATCH_COUNT_MAX {
                break;
            }
        }
        if let Err(trouble) = carry_out(&mut engine, batch, progress, keep_removed_ms) {
            on_trouble(trouble);
        }
        for work in alone {
            work(&mut engine);
        }
    }
    engine
}

/// Carries out a batch in one transaction; repeats it one by one when that fails for a reason of one command.
///
/// # Errors
/// When the palace must not go on; everything is answered all the same.
fn carry_out(
    engine: &mut Engine,
    batch: Vec<Job>,
    progress: &Progress,
    keep_removed_ms: Option<i64>,
) -> Result<(), Trouble> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut prepared: Vec<Prepared> = batch.into_iter().map(Prepared::new).collect();
    match attempt(engine, &mut prepared, progress, keep_removed_ms) {
        Ok(()) => {}
        Err(error @ CommitError::Displaced) => {
            // Whatever the nameless file holds, it is not the palace's.
            prepared.into_iter().for_each(|prepared| prepared.answer(Err(WriteError::from_commit(&error))));
            return Err(Trouble::Displaced);
        }
        Err(error) if error.needs_reopen() || error.is_disk_full() || prepared.len() == 1 => {
            refuse(engine, prepared, &error);
            return Ok(());
        }
        Err(_) => {
            for mut alone in prepared {
                alone.forget();
                let mut alone = vec![alone];
                if let Err(error) = attempt(engine, &mut alone, progress, keep_removed_ms) {
                    refuse(engine, alone, &error);
                } else {
                    answer(alone);
                }
            }
            return Ok(());
        }
    }
    answer(prepared);
    Ok(())
}

/// A command with what has become of it in the present attempt.
struct Prepared {
    command: Command,
    key: Option<IdempotencyKey>,
    at: Timestamp,
    render: Render,
    rendered: Option<String>,
    refused: Option<WriteError>,
    answer: Sender<Told>,
}

impl Prepared {
    fn new(job: Job) -> Self {
        let Submission { command, key, at, render } = job.submission;
        let answer = job.answer;
        Self { command, key, at, render, rendered: None, refused: None, answer }
    }

    /// Forgets what an abandoned attempt decided.
    fn forget(&mut self) {
        self.refused = None;
        self.rendered = None;
    }

    /// Makes changes, and tells how far it is.
    fn make(&self, txn: &mut WriteTxn<'_>, ops: &[Op]) -> Result<(), CommitError> {
        for (number, step) in ops.chunks(STEP_COUNT).enumerate() {
            // A submitter that has not heard the last step yet hears a later one; there is always room for the answer.
            if number > 0 && self.answer.is_empty() {
                let _ = self.answer.try_send(Told::Steps { done: number * STEP_COUNT, total: ops.len() });
            }
            txn.apply_all(step)?;
        }
        Ok(())
    }

    /// Answers. The submitter may have gone; what it asked for is stored all the same.
    fn answer(self, result: Result<String, WriteError>) {
        let _ = self.answer.send(Told::Answer(result));
    }
}

fn attempt(
    engine: &mut Engine,
    batch: &mut [Prepared],
    progress: &Progress,
    keep_removed_ms: Option<i64>,
) -> Result<(), CommitError> {
    failpoint::reach("write.queued");
    let mut txn = engine.begin()?;
    let mut changed = 0;
    let mut now = Timestamp(0);
    for prepared in batch.iter_mut() {
        now = now.max(prepared.at);
        if apply(&mut txn, prepared)? {
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
fn apply(txn: &mut WriteTxn<'_>, prepared: &mut Prepared) -> Result<bool, CommitError> {
    if let Some(key) = prepared.key
        && let Some(result) = txn.key_result(&key).map_err(CommitError::Read)?
    {
        prepared.rendered = Some(String::from_utf8_lossy(&result).into_owned());
        return Ok(false);
    }
    let decision = match decide(txn, &prepared.command) {
        Ok(decision) => decision,
        Err(error) => {
            prepared.refused = Some(error.into());
            return Ok(false);
        }
    };
    prepared.make(txn, &decision.ops)?;
    let text = (prepared.render)(&decision.outcome);
    let changed = !decision.ops.is_empty();
    if changed && let Some(key) = prepared.key {
        txn.put_key(&key, prepared.at, text.as_bytes())?;
    }
    prepared.rendered = Some(text);
    Ok(changed)
}

fn answer(batch: Vec<Prepared>) {
    for mut prepared in batch {
        let result = match (prepared.refused.take(), prepared.rendered.take()) {
            (Some(error), _) => Err(error),
            (None, Some(text)) => Ok(text),
            (None, None) => unreachable!("a command that was not refused was rendered"),
        };
        prepared.answer(result);
    }
}

/// Answers a whole batch with one failure, and reopens the store when the failure closed it.
///
/// A commit that failed may be in the store after all. Whoever named his request by a key is told what is stored under
/// it; the others were told by nobody that their write was not, so a repetition is theirs to judge.
fn refuse(engine: &mut Engine, batch: Vec<Prepared>, error: &CommitError) {
    let reopened = if error.needs_reopen() || error.is_disk_full() { engine.reopen() } else { Ok(()) };
    for prepared in batch {
        let stored = match (&reopened, &prepared.key) {
            (Ok(()), Some(key)) => stored_answer(engine, key),
            (Ok(()), None) | (Err(_), _) => None,
        };
        prepared.answer(match (stored, &reopened) {
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
