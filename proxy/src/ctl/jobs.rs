//! Long work in the daemon, begun and watched from here; and `palacectl jobs`.
//!
//! A job belongs to the daemon: it goes on when its watcher leaves. On a terminal a bar shows how far it is, elsewhere a
//! line for each phase; with `--json` nothing but the report is printed.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use palace_protocol::control::{ControlReply, ControlRequest, JobRequest, JobState, JobStatus};
use serde_json::{Value, json};

use crate::spawn::Insistence;

use super::client::{Client, ClientError};
use super::outcome::{Exit, Failure, Outcome, note};
use super::render::grouped;
use super::status::{self, Seen};

/// What to do about jobs.
#[derive(Debug, Subcommand)]
pub enum JobsAction {
    /// Shows running and recent jobs; this is what happens without a word
    List,
    /// Shows a job until it ends
    Watch {
        /// Number of the job
        id: u64,
    },
    /// Tells a job to stop; what it did so far stays
    Cancel {
        /// Number of the job
        id: u64,
    },
}

/// Begins a job, shows it until it ends and returns its report. `quiet` shows nothing.
///
/// # Errors
/// When it cannot begin, or ends without having done its work.
pub fn run_job(palace: &Path, job: JobRequest, quiet: bool) -> Result<JobStatus, Failure> {
    let mut client = match job {
        JobRequest::Import { .. } => Client::start(palace, Insistence::Patient)?,
        JobRequest::Export { .. } | JobRequest::Backup { .. } | JobRequest::Verify | JobRequest::Compact => {
            Client::of_palace(palace)?
        }
    };
    let begun = job_of(client.ask(&ControlRequest::Begin { job })?)?;
    follow(&mut client, begun, quiet)
}

/// Returns an outcome with a job's sentence and report.
pub fn told(job: JobStatus) -> Outcome {
    let text = job.message.clone().unwrap_or_default();
    let json = job.report.clone().unwrap_or_else(|| json!({ "message": text }));
    Outcome::done(text, json)
}

/// Returns a path that means the same to the daemon: it has another current directory.
///
/// # Errors
/// When this process has no current directory.
pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

fn job_of(reply: ControlReply) -> Result<JobStatus, Failure> {
    let ControlReply::Job(job) = reply else { return Err(ClientError::Unexpected.into()) };
    Ok(*job)
}

fn follow(client: &mut Client, mut job: JobStatus, quiet: bool) -> Result<JobStatus, Failure> {
    let mut shown = Shown::new(quiet);
    shown.show(&job);
    while job.state == JobState::Running {
        job = job_of(client.ask(&ControlRequest::Watch { id: job.id, version: job.version })?)?;
        shown.show(&job);
    }
    shown.clear();
    let message = job.message.clone().unwrap_or_default();
    match job.state {
        JobState::Done => Ok(job),
        JobState::Cancelled => Err(Failure::failed(format!("{}: {message}", job.kind))),
        JobState::Failed | JobState::Running => Err(Failure::new(Exit::Failed, message)),
    }
}

/// What a person sees of a running job.
pub(super) enum Shown {
    Nothing,
    Bar { bar: ProgressBar, phase: String },
    Lines { phase: String },
}

impl Shown {
    pub(super) fn new(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Nothing,
            (false, true) => Self::Bar { bar: ProgressBar::no_length(), phase: String::new() },
            (false, false) => Self::Lines { phase: String::new() },
        }
    }

    pub(super) fn show(&mut self, job: &JobStatus) {
        match self {
            Self::Nothing => {}
            Self::Lines { phase } => {
                if *phase != job.phase {
                    phase.clone_from(&job.phase);
                    note(&format!("{}: {phase}", job.kind));
                }
            }
            Self::Bar { bar, phase } => {
                if *phase != job.phase {
                    phase.clone_from(&job.phase);
                    bar.reset();
                    bar.set_style(style(job.total.is_some()));
                    bar.enable_steady_tick(Duration::from_millis(120));
                }
                match job.total {
                    Some(total) => bar.set_length(total.max(job.done)),
                    None => bar.unset_length(),
                }
                bar.set_position(job.done);
                bar.set_message(job.phase.clone());
            }
        }
    }

    pub(super) fn clear(&self) {
        if let Self::Bar { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}

fn style(has_total: bool) -> ProgressStyle {
    let template = if has_total {
        "{spinner} {msg} [{bar:30}] {human_pos}/{human_len} {per_sec} {eta}"
    } else {
        "{spinner} {msg} {elapsed}"
    };
    ProgressStyle::with_template(template).expect("the template is a constant that tests render")
}

/// Shows, watches or ends jobs.
///
/// # Errors
/// When no daemon answers, or there is no such job.
pub fn run(palace: &Path, action: Option<JobsAction>, quiet: bool) -> Result<Outcome, Failure> {
    match action.unwrap_or(JobsAction::List) {
        JobsAction::List => list(palace),
        JobsAction::Watch { id } => {
            let mut client = Client::connect(palace)?;
            let job = job_of(client.ask(&ControlRequest::Watch { id, version: 0 })?)?;
            follow(&mut client, job, quiet).map(told)
        }
        JobsAction::Cancel { id } => {
            let job = job_of(Client::connect(palace)?.ask(&ControlRequest::Cancel { id })?)?;
            Ok(Outcome::said(format!("job {id} ({}) was told to stop", job.kind)))
        }
    }
}

fn list(palace: &Path) -> Result<Outcome, Failure> {
    let jobs = match status::look(palace) {
        Seen::Serving(status) => status.jobs,
        // Jobs live in their daemon: without one there are none.
        Seen::Stopped => Vec::new(),
        Seen::Unreachable(reason) => return Err(Failure::new(Exit::Locked, reason)),
        Seen::Unusable(reason) => return Err(Failure::failed(reason)),
        Seen::Forbidden(reason) => return Err(Failure::new(Exit::Forbidden, reason)),
    };
    let lines: Vec<String> = jobs.iter().map(line).collect();
    let text = if lines.is_empty() { "no jobs".to_owned() } else { lines.join("\n") };
    Ok(Outcome::done(text, serde_json::to_value(&jobs).unwrap_or(Value::Null)))
}

/// Returns a job in one line.
pub fn line(job: &JobStatus) -> String {
    let amount = match job.total {
        Some(total) => format!("{} of {}", grouped(job.done), grouped(total)),
        None => String::new(),
    };
    let end = match job.state {
        JobState::Running => format!("{} {amount}", job.phase),
        JobState::Done | JobState::Failed | JobState::Cancelled => job.message.clone().unwrap_or_default(),
    };
    let state = match job.state {
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "FAILED",
        JobState::Cancelled => "stopped",
    };
    format!("{}  {:<8} {state:<8} {}  {}", job.id, job.kind, job.started_at, end.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: JobState) -> JobStatus {
        JobStatus {
            id: 3,
            kind: "import".into(),
            state,
            phase: "importing drawers".into(),
            done: 1_200,
            total: Some(50_000),
            started_at: "2026-11-01T10:00:00Z".into(),
            ended_at: None,
            message: (state != JobState::Running).then(|| "all of it".into()),
            report: None,
            version: 9,
        }
    }

    #[test]
    fn a_job_is_a_line() {
        let running = line(&job(JobState::Running));
        assert_eq!(running, "3  import   running  2026-11-01T10:00:00Z  importing drawers 1,200 of 50,000");
        assert!(line(&job(JobState::Failed)).contains("FAILED"));
        assert!(line(&job(JobState::Done)).ends_with("all of it"));
    }

    #[test]
    fn both_bars_can_be_drawn() {
        for has_total in [true, false] {
            let bar = ProgressBar::hidden();
            bar.set_style(style(has_total));
            bar.set_position(3);
        }
    }
}
