//! Long work that the daemon does for somebody who may not stay to watch: one job at a time, with progress.
//!
//! A job runs on a thread of its own, is told when it should stop, and stops where everything it did so far is stored.
//! The board remembers the last ones. One at a time, because each of them reads or writes most of the palace.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use crate::clock;

/// Jobs that are remembered after their end.
const REMEMBERED_COUNT: usize = 20;
/// Shortest time between two changes of a job's numbers that watchers are woken for.
const WAKE_INTERVAL: Duration = Duration::from_millis(100);

/// The daemon's own check: it is nobody's job, and holds up nobody's.
pub const SCRUB: &str = "scrub";

/// Number of a job; counts up from 1 in each daemon.
pub type JobId = u64;

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It did what it was to do.
    Done,
    /// It did not.
    Failed,
    /// It was told to stop and did.
    Cancelled,
}

/// What is known of a job.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its number.
    pub id: JobId,
    /// What it does, in a word.
    pub kind: &'static str,
    /// How it stands.
    pub state: State,
    /// What it does right now.
    pub phase: String,
    /// How much of the phase is done.
    pub done: u64,
    /// How much there is, where that is known.
    pub total: Option<u64>,
    /// When it began, UTC seconds.
    pub started_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Why it failed, or a sentence on what it did.
    pub message: Option<String>,
    /// What it found.
    pub report: Option<Value>,
    /// Grows with every change.
    pub version: u64,
}

/// What a job ends with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finished {
    /// A sentence for people.
    pub message: String,
    /// What it found, for programs.
    pub report: Value,
}

/// Why a job did not do what it was to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// It was told to stop; what it did so far is stored.
    #[error("stopped when asked to")]
    Cancelled,
    /// It failed; the text says what, where and what to do.
    #[error("{0}")]
    Failed(String),
}

impl JobError {
    /// Returns a failure with the text of an error.
    pub fn of(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Why a job was not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("job {id} ({kind}) is running; wait for it, or end it with `palacectl jobs cancel {id}`")]
pub struct Busy {
    /// The running job.
    pub id: JobId,
    /// What it does.
    pub kind: &'static str,
}

/// All jobs of a daemon.
#[derive(Default)]
pub struct Board {
    /// Guards the list; held for copies only.
    jobs: Mutex<VecDeque<Arc<Job>>>,
    changed: Arc<Changes>,
}

#[derive(Default)]
struct Changes {
    /// Counts changes of all jobs; held for one addition.
    count: Mutex<u64>,
    bell: Condvar,
}

impl Changes {
    fn ring(&self) {
        *self.count.lock() += 1;
        self.bell.notify_all();
    }
}

struct Job {
    /// Held for a change or a copy.
    seen: Mutex<Seen>,
    cancelled: AtomicBool,
}

/// What a running job tells and asks.
pub struct Progress {
    job: Arc<Job>,
    changed: Arc<Changes>,
    last_ring: Mutex<Instant>,
}

impl Progress {
    /// Says what is done from here on, and how much of it there is.
    pub fn phase(&self, name: &str, total: Option<u64>) {
        self.change(|seen| {
            seen.phase = name.to_owned();
            seen.done = 0;
            seen.total = total;
        });
        self.changed.ring();
    }

    /// Says how much of the phase is done, and whether to go on.
    ///
    /// # Errors
    /// [`JobError::Cancelled`] when the job is to stop.
    pub fn done(&self, done: u64) -> Result<(), JobError> {
        self.change(|seen| seen.done = done);
        let mut last = self.last_ring.lock();
        if last.elapsed() >= WAKE_INTERVAL {
            *last = Instant::now();
            self.changed.ring();
        }
        if self.is_cancelled() { Err(JobError::Cancelled) } else { Ok(()) }
    }

    /// Tells whether the job is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.job.cancelled.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        let mut seen = self.job.seen.lock();
        change(&mut seen);
        seen.version += 1;
    }

    /// Returns progress that nobody watches, for work outside a daemon and for tests.
    pub fn unwatched() -> Self {
        let board = Board::default();
        Self::of(board.new_job(0, "unwatched"), board.changed)
    }

    fn of(job: Arc<Job>, changed: Arc<Changes>) -> Self {
        Self { job, changed, last_ring: Mutex::new(Instant::now()) }
    }

    /// Returns what is known of the job.
    pub fn seen(&self) -> Seen {
        self.job.seen.lock().clone()
    }
}

impl Board {
    /// Begins a job on a thread of its own. `ended` is called when it has ended, whatever came of it.
    ///
    /// # Errors
    /// [`Busy`] while another one runs.
    pub fn begin(
        &self,
        kind: &'static str,
        work: impl FnOnce(&Progress) -> Result<Finished, JobError> + Send + 'static,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<JobId, Busy> {
        let mut jobs = self.jobs.lock();
        let in_the_way = |seen: &Seen| is_running(seen) && (seen.kind != SCRUB || kind == SCRUB);
        if let Some(running) = jobs.iter().map(|job| job.seen.lock().clone()).find(in_the_way) {
            return Err(Busy { id: running.id, kind: running.kind });
        }
        let id = jobs.back().map_or(1, |job| job.seen.lock().id + 1);
        let job = self.new_job(id, kind);
        jobs.push_back(Arc::clone(&job));
        if jobs.len() > REMEMBERED_COUNT {
            jobs.pop_front();
        }
        drop(jobs);
        let progress = Progress::of(job, Arc::clone(&self.changed));
        std::thread::Builder::new()
            .name(format!("job-{kind}"))
            .spawn(move || {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&progress)));
                let result = result.unwrap_or_else(|_| {
                    Err(JobError::Failed(
                        "it panicked; see the daemon's stderr; the palace goes on".to_owned(),
                    ))
                });
                close(&progress, result);
                ended();
            })
            .expect("the system can start one more thread");
        Ok(id)
    }

    fn new_job(&self, id: JobId, kind: &'static str) -> Arc<Job> {
        let seen = Seen {
            id,
            kind,
            state: State::Running,
            phase: "begins".to_owned(),
            done: 0,
            total: None,
            started_at: clock::unix_seconds(),
            ended_at: None,
            message: None,
            report: None,
            version: 1,
        };
        Arc::new(Job { seen: Mutex::new(seen), cancelled: AtomicBool::new(false) })
    }

    /// Returns all remembered jobs, oldest first.
    pub fn all(&self) -> Vec<Seen> {
        self.jobs.lock().iter().map(|job| job.seen.lock().clone()).collect()
    }

    /// Tells whether a job runs.
    pub fn is_busy(&self) -> bool {
        self.all().iter().any(is_running)
    }

    /// Returns a job as soon as it differs from `version`, or when the patience is at its end. Blocks.
    pub fn watch(&self, id: JobId, version: u64, patience: Duration) -> Option<Seen> {
        let deadline = Instant::now() + patience;
        let job = self.jobs.lock().iter().find(|job| job.seen.lock().id == id).map(Arc::clone)?;
        let mut count = self.changed.count.lock();
        loop {
            let seen = job.seen.lock().clone();
            let is_news = seen.version != version || !is_running(&seen);
            if is_news || self.changed.bell.wait_until(&mut count, deadline).timed_out() {
                return Some(seen);
            }
        }
    }

    /// Tells a job to stop; tells whether it ran.
    pub fn cancel(&self, id: JobId) -> bool {
        let jobs = self.jobs.lock();
        let Some(job) = jobs.iter().find(|job| job.seen.lock().id == id) else { return false };
        job.cancelled.store(true, Ordering::Relaxed);
        is_running(&job.seen.lock().clone())
    }

    /// Tells every job to stop, and waits for that. Blocks, at most for `patience`; tells whether all have stopped.
    pub fn stop(&self, patience: Duration) -> bool {
        self.jobs.lock().iter().for_each(|job| job.cancelled.store(true, Ordering::Relaxed));
        let deadline = Instant::now() + patience;
        let mut count = self.changed.count.lock();
        while self.is_busy() {
            if self.changed.bell.wait_until(&mut count, deadline).timed_out() {
                return false;
            }
        }
        true
    }
}

fn is_running(seen: &Seen) -> bool {
    seen.state == State::Running
}

fn close(progress: &Progress, result: Result<Finished, JobError>) {
    progress.change(|seen| {
        seen.ended_at = Some(clock::unix_seconds());
        match result {
            Ok(finished) => {
                seen.state = State::Done;
                seen.message = Some(finished.message);
                seen.report = Some(finished.report);
            }
            Err(error) => {
                seen.state = match &error {
                    JobError::Cancelled => State::Cancelled,
                    JobError::Failed(_) => State::Failed,
                };
                seen.message = Some(error.to_string());
            }
        }
    });
    progress.changed.ring();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn ended(board: &Board, id: JobId) -> Seen {
        let mut seen = board.watch(id, 0, SOON).unwrap();
        while is_running(&seen) {
            seen = board.watch(id, seen.version, SOON).unwrap();
        }
        seen
    }

    #[test]
    fn one_job_at_a_time_and_its_watchers_see_it_end() {
        let board = Board::default();
        let (go, gate) = channel::<()>();
        let (told, heard) = channel();
        let work = move |progress: &Progress| {
            progress.phase("counting", Some(3));
            gate.recv().unwrap();
            progress.done(3)?;
            Ok(Finished { message: "counted".into(), report: 3.into() })
        };
        let id = board.begin("count", work, move || told.send(()).unwrap()).unwrap();
        let busy = board.begin("other", |_| Ok(Finished::default()), || {}).unwrap_err();
        assert_eq!((busy.id, busy.kind), (id, "count"));
        go.send(()).unwrap();
        let seen = ended(&board, id);
        heard.recv_timeout(SOON).unwrap();
        assert_eq!((seen.state, seen.report, seen.total), (State::Done, Some(3.into()), Some(3)));
        assert!(board.begin("other", |_| Ok(Finished::default()), || {}).is_ok());
    }

    #[test]
    fn a_job_that_is_told_to_stop_stops() {
        let board = Board::default();
        let work = |progress: &Progress| {
            let mut done = 0;
            loop {
                progress.done(done)?;
                done += 1;
                std::thread::yield_now();
            }
        };
        let id = board.begin("endless", work, || {}).unwrap();
        assert!(board.cancel(id));
        assert_eq!(ended(&board, id).state, State::Cancelled);
        assert!(!board.cancel(id) && !board.cancel(99));
        let id = board.begin("endless", work, || {}).unwrap();
        assert!(board.stop(SOON));
        assert_eq!(ended(&board, id).state, State::Cancelled);
    }

    #[test]
    fn a_panic_is_the_end_of_the_job_alone() {
        let board = Board::default();
        let id = board.begin("bad", |_| panic!("bad"), || {}).unwrap();
        let seen = ended(&board, id);
        assert_eq!(seen.state, State::Failed);
        assert!(seen.message.unwrap().contains("panicked"));
        assert!(board.watch(99, 0, SOON).is_none());
    }
}
