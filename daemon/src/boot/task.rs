//! Work on a palace that nobody serves: restoring a backup, repairing a store, checking one.
//!
//! A task is to its palace what a daemon is: it holds the writer lock from its begin to the end of its process, and says
//! so beside the lock. It answers nobody; it prints how far it is as lines of JSON ([`TaskLine`]). Whatever interrupts it,
//! a complete store is in place: the old one until the new one has been read back, then the new one.

mod repair;
mod restore;
mod signals;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use palace_protocol::endpoint::{STORE_FILE, StartFailure, StartFailureCode};
use palace_protocol::task::TaskLine;
use palace_system::files::{self, Links};
use serde_json::{Value, json};

use crate::Models;
use crate::config::{Config, Task};
use crate::engine::embed::Embedder;
use crate::engine::{EngineOptions, OpenError};
use crate::ingest::transfer::backup;
use crate::journal::Journal;

use super::directory::write_for_owner_only;
use super::place::Place;
use super::settings::Settings;
use super::{engine_options, exit_code, say, start_embedder};

/// Shortest time between two lines about one phase.
const TELL_INTERVAL: Duration = Duration::from_millis(100);

/// What a task ends with.
struct Finished {
    message: String,
    report: Value,
    /// Whether all is well: a check that finds something has done its work, and its exit code still says so.
    ok: bool,
}

impl Finished {
    fn well(message: String, report: Value) -> Self {
        Self { message, report, ok: true }
    }
}

/// Tells how far a task is, and whether it is to go on.
struct Teller {
    interrupted: Arc<AtomicBool>,
    phase: String,
    total: Option<u64>,
    last: Option<Instant>,
}

impl Teller {
    fn phase(&mut self, phase: &str, total: Option<u64>) {
        phase.clone_into(&mut self.phase);
        self.total = total;
        self.last = None;
        self.done(0);
    }

    /// Says how much of the phase is done; tells whether to go on.
    fn done(&mut self, done: u64) -> bool {
        if self.last.is_none_or(|last| last.elapsed() >= TELL_INTERVAL) {
            self.last = Some(Instant::now());
            tell(&TaskLine::Progress { phase: self.phase.clone(), done, total: self.total });
        }
        !self.interrupted.load(Ordering::Relaxed)
    }
}

/// Prints a line. Whoever started the task may have gone, which is no reason to stop in the middle.
fn tell(line: &TaskLine) {
    say(&mut std::io::stdout(), &serde_json::to_string(line).expect("lines have only text keys"));
}

/// What a task works with.
struct Bench {
    palace: PathBuf,
    options: EngineOptions,
    embedder: Embedder,
    own_backups: PathBuf,
}

/// Runs a task and prints how it ended.
pub fn run(models: Models, config: &Config, task: &Task) -> ExitCode {
    write_for_owner_only();
    let mut config = config.clone();
    let settings = Settings::read(&config.palace).unwrap_or_default();
    settings.apply(&mut config);
    let ended = attempt(models, &config, settings.runtime_library, task);
    match ended {
        Ok(finished) => {
            tell(&TaskLine::Done { message: finished.message, report: finished.report });
            if finished.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            tell(&TaskLine::Failed { message: failure.message });
            exit_code(failure.code)
        }
    }
}

fn attempt(
    models: Models,
    config: &Config,
    named_library: Option<PathBuf>,
    task: &Task,
) -> Result<Finished, StartFailure> {
    if let Task::Backups { from } = task {
        return list(from.as_deref(), config).map_err(failed);
    }
    let mut teller = Teller { interrupted: signals::watch(), phase: String::new(), total: None, last: None };
    let embedder = start_embedder(models, config, named_library)?;
    let mut bench = Bench {
        palace: config.palace.clone(),
        options: engine_options(config, &embedder),
        embedder,
        own_backups: config.backups.folder_of(&config.palace),
    };
    if let Task::Restore { from, at, store, dry_run: true } = task {
        // Only backups are read: whoever serves the palace goes on.
        return restore::rehearse(&bench, &point(from, at, *store), &mut teller).map_err(failed);
    }
    let place = Place::take(&config.palace, config.managed_by, config.network_fs)?.doing(task.name());
    bench.palace = place.palace().to_path_buf();
    let journal = Journal::open(&place.log_dir());
    journal.info(&format!("task {} begins, pid {}", task.name(), std::process::id()));
    let ended = match task {
        Task::Restore { from, at, store, dry_run: _ } => {
            restore::restore(&bench, &point(from, at, *store), &mut teller)
        }
        Task::Repair { dry_run: false } => repair::repair(&bench, &mut teller),
        Task::Repair { dry_run: true } => repair::rehearse(&bench, &mut teller),
        Task::Check => repair::check(&bench, &mut teller),
        Task::Backups { .. } => unreachable!("it needs no lock"),
    };
    if ended.is_ok() && matches!(task, Task::Restore { .. } | Task::Repair { dry_run: false }) {
        // They failed of another store; hosts need not wait any longer.
        place.forget_failed_starts();
    }
    match &ended {
        Ok(finished) => journal.info(&format!("task {}: {}", task.name(), finished.message)),
        Err(message) => journal.warn(&format!("task {}: {message}", task.name())),
    }
    place.withdraw();
    ended.map_err(failed)
}

fn point<'a>(from: &'a Path, at: &'a Option<String>, store: Option<[u8; 16]>) -> restore::Point<'a> {
    restore::Point { from, at: at.as_deref(), store }
}

fn failed(message: String) -> StartFailure {
    StartFailure { code: StartFailureCode::Other, message }
}

/// Refuses to work on something else that stands in the place of the store, as a start does.
fn check_kind(bench: &Bench) -> Result<(), String> {
    let path = bench.palace.join(STORE_FILE);
    match files::odd(&path, Links::Followed) {
        None => Ok(()),
        Some(odd) => Err(super::failure::of_opening(&OpenError::NotAFile { path, odd }).message),
    }
}

/// Lists the backups of a folder.
fn list(from: Option<&Path>, config: &Config) -> Result<Finished, String> {
    let folder = from.map_or_else(|| config.backups.folder_of(&config.palace), Path::to_path_buf);
    let found = backup::scan(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let points = backup::list(&found);
    let message = format!("{} backups in {}", points.len(), folder.display());
    Ok(Finished::well(message, json!({ "folder": folder, "backups": points })))
}

/// Returns a name beside the store that no file has.
fn kept_name(palace: &Path, what: &str) -> String {
    let stamp = crate::clock::now().utc_stamp();
    let first = format!("{STORE_FILE}.{what}-{stamp}");
    let others = (2u32..).map(|number| format!("{STORE_FILE}.{what}-{stamp}-{number}"));
    std::iter::once(first)
        .chain(others)
        .find(|name| std::fs::symlink_metadata(palace.join(name)).is_err())
        .expect("a folder holds fewer files than there are numbers")
}
