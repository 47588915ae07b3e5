//! Work on a palace that nobody serves meanwhile: the daemon ends in order, the work is done by `palaced --task`, and the
//! daemon is started again if it ran.
//!
//! The starters' lock is held from the question to the end of the work, so that no host starts a daemon in between.
//! Their sessions go on: what they ask waits, or is answered with what is being done when that takes long. A job that runs
//! is not ended for it: whoever began it waits for its outcome.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use palace_protocol::control::{JobState, JobStatus};
use palace_protocol::holder::Holder;
use palace_protocol::task::TaskLine;
use serde_json::Value;

use crate::lock::{self, LockState};
use crate::spawn::try_start_lock;
use crate::{launch, service};

use super::client::{ClientError, start_patience};
use super::jobs::Shown;
use super::outcome::{Exit, Failure, Outcome};
use super::status::{self, Seen};
use super::{kept, lifecycle};

/// How long somebody else may take to start a daemon.
const START_LOCK_WAIT: Duration = Duration::from_secs(40);
/// How often it is looked whether he has.
const START_LOCK_LOOK: Duration = Duration::from_millis(20);

/// What a task ended with.
pub struct Ended {
    /// The sentence for people, and the report.
    pub outcome: Outcome,
    /// What came of starting the daemon again; `None` if it did not run.
    pub restarted: Option<Result<(), Failure>>,
}

/// Ends the daemon, runs a task, and starts the daemon again if it ran.
///
/// # Errors
/// When the palace is not given free, or the task did not do its work.
pub fn run(palace: &Path, arguments: &[OsString], quiet: bool) -> Result<Ended, Failure> {
    let starting = start_lock(palace)?;
    let keeper = service::keeper(palace);
    let listens = keeper.as_ref().is_some_and(|keeper| keeper.listens && service::socket(palace).exists());
    let held = matches!(lock::state(palace), LockState::Held);
    if held && let holder @ Holder::Task { .. } = lock::holder(palace) {
        let message = format!("{holder} has {}; try again when it has ended", palace.display());
        return Err(Failure::new(Exit::Locked, message));
    }
    if held {
        refuse_busy(&status::look(palace))?;
    }
    let stopped = if held || listens { Some(lifecycle::stop(palace, false)?) } else { None };
    // A daemon that could not start is not started again.
    let ran = listens || stopped.is_some_and(|stopped| stopped.json["stopped"] == true);
    let outcome = task(palace, arguments, quiet);
    drop(starting);
    let restarted = ran.then(|| {
        let started = match service::keeper(palace).or(keeper) {
            Some(keeper) => kept::start(palace, &keeper, start_patience()),
            None => lifecycle::start(palace),
        };
        started.map(|_| ())
    });
    // What the work failed of is told first; a host starts the daemon in any case.
    outcome.map(|outcome| Ended { outcome, restarted })
}

/// Refuses to end a job that somebody has begun.
///
/// # Errors
/// Names the job and what to do about it.
pub fn refuse_busy(seen: &Seen) -> Result<(), Failure> {
    let Seen::Serving(status) = seen else { return Ok(()) };
    match status.jobs.iter().find(|job| job.state == JobState::Running) {
        None => Ok(()),
        Some(JobStatus { id, kind, .. }) => Err(Failure::failed(format!(
            "job {id} ({kind}) is running; wait for it (`palacectl jobs watch {id}`), or end it with `palacectl jobs cancel \
             {id}`; nothing was done"
        ))),
    }
}

/// Waits until nobody else starts a daemon, and keeps others from it.
fn start_lock(palace: &Path) -> Result<std::fs::File, Failure> {
    let begun = Instant::now();
    loop {
        match try_start_lock(palace).map_err(|error| Failure::from(ClientError::Start(error)))? {
            Some(starting) => return Ok(starting),
            None if begun.elapsed() < START_LOCK_WAIT => std::thread::park_timeout(START_LOCK_LOOK),
            None => {
                let message = format!(
                    "somebody has been starting a daemon for {} s, or restores or repairs {}; try again later",
                    START_LOCK_WAIT.as_secs(),
                    palace.display()
                );
                return Err(Failure::new(Exit::Locked, message));
            }
        }
    }
}

/// Runs `palaced --task`, shows how far it is, and returns what it ended with.
///
/// # Errors
/// When it cannot be run, or did not do its work; its exit code is kept.
pub fn task(palace: &Path, arguments: &[OsString], quiet: bool) -> Result<Outcome, Failure> {
    let program = launch::program().map_err(|error| Failure::from(ClientError::Start(error)))?;
    let mut child = Command::new(&program)
        .arg("--palace")
        .arg(palace)
        .arg("--task")
        .args(arguments)
        .env_clear()
        .envs(launch::environment())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::failed(format!("{} cannot be run: {error}", program.display())))?;
    let name = arguments.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut shown = Shown::new(quiet);
    let mut last = None;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(TaskLine::Progress { phase, done, total }) => {
                    shown.show(&progress(&name, phase, done, total))
                }
                Ok(end @ (TaskLine::Done { .. } | TaskLine::Failed { .. })) => last = Some(end),
                // A program of another version says more than this one understands.
                Err(_) => {}
            }
        }
    }
    shown.clear();
    let status = child.wait().map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    match last {
        Some(TaskLine::Done { message, report }) => {
            Ok(Outcome { code: u8::from(!status.success()), text: message, json: report })
        }
        Some(TaskLine::Failed { message }) => {
            let exit = if status.code() == Some(3) { Exit::Locked } else { Exit::Failed };
            Err(Failure::new(exit, message))
        }
        Some(TaskLine::Progress { .. }) | None => {
            let message =
                format!("{name} ended without a word ({status}); the palace is as it was, or complete anew");
            Err(Failure::failed(message))
        }
    }
}

fn progress(name: &str, phase: String, done: u64, total: Option<u64>) -> JobStatus {
    JobStatus {
        id: 0,
        kind: name.to_owned(),
        state: JobState::Running,
        phase,
        done,
        total,
        started_at: String::new(),
        ended_at: None,
        message: None,
        report: None,
        version: 0,
    }
}

/// Returns the outcome of a task, with what came of starting the daemon again.
pub fn told(ended: Ended) -> Outcome {
    let Ended { mut outcome, restarted } = ended;
    let restarted = match restarted {
        None => Value::Null,
        Some(Ok(())) => {
            outcome.text.push_str("\nthe daemon serves again");
            Value::Bool(true)
        }
        Some(Err(failure)) => {
            outcome.text.push_str(&format!("\nthe daemon does not start again: {failure}"));
            outcome.code = Exit::Failed.code();
            Value::Bool(false)
        }
    };
    if let Some(report) = outcome.json.as_object_mut() {
        report.insert("message".to_owned(), Value::String(outcome.text.clone()));
        report.insert("restarted".to_owned(), restarted);
    }
    outcome
}
