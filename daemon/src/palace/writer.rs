//! The one thread that changes a palace.
//!
//! It takes all commands that are ready, decides each against what the ones before it did, applies them, commits once
//! and answers each: a caller is answered after its commit, never before. One fsync serves one caller or thirty-two.
//! A command that cannot be applied is refused alone: its batch is repeated without sharing a transaction.

mod batch;
mod submission;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::engine::{Engine, SnapshotError, Timestamp};

use super::error::WriteError;

use batch::Job;

pub use submission::{Receipt, Submission};

/// Commands that may wait; a submitter blocks when there are as many.
const QUEUE_COUNT_MAX: usize = 1_024;

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
        let (answer, receipt) = Receipt::new();
        let job = Message::Job(Box::new(Job::new(submission, answer)));
        self.queue.send(job).map_err(|_| WriteError::Stopping)?;
        Ok(receipt)
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
            if stopping || !alone.is_empty() || batch.len() == batch::COUNT_MAX {
                break;
            }
        }
        if let Err(trouble) = batch::carry_out(&mut engine, batch, progress, keep_removed_ms) {
            on_trouble(trouble);
        }
        for work in alone {
            work(&mut engine);
        }
    }
    engine
}
