//! Backups of a serving daemon: those that are asked for, and those that are due.

use std::path::PathBuf;
use std::sync::Arc;

use palace_protocol::control::{BackupStatus, JobRequest};
use parking_lot::Mutex;

use crate::clock;
use crate::config;
use crate::ingest::job::{Finished, JobError, Progress};
use crate::ingest::transfer::backup::{self, schedule};
use crate::palace::{Palace, View};

use super::jobs;
use super::service::Service;

/// What a daemon knows of its palace's backups beside what the palace knows.
pub struct Backups {
    settings: config::Backups,
    /// Guards plain values; held for a copy.
    attempts: Mutex<Attempts>,
}

/// What came of the last attempts.
#[derive(Clone, Debug, Default)]
struct Attempts {
    failed_at: Option<i64>,
    error: Option<String>,
    /// Where the store stood when there was nothing to back up.
    seen_seq: Option<u64>,
}

impl Backups {
    /// Returns the state of a daemon that has made no backup yet.
    pub fn new(settings: config::Backups) -> Self {
        Self { settings, attempts: Mutex::default() }
    }
}

/// Makes a backup, in the palace's own folder unless another one is named. Only in its own are older ones removed.
pub fn run(
    service: &Service,
    palace: &Palace,
    folder: Option<PathBuf>,
    full: bool,
    progress: &Progress,
) -> Result<Finished, JobError> {
    let backups = service.backups();
    let wanted = match folder {
        None => backup::Wanted {
            folder: backups.settings.folder_of(service.palace_dir()),
            full,
            keep: backups.settings.keep,
        },
        Some(folder) => backup::Wanted { folder, full, keep: None },
    };
    let ended = backup::run(palace, &wanted, progress);
    let now = clock::now().utc.0;
    match &ended {
        Ok(finished) => {
            let unchanged = finished.report["unchanged"] == true;
            let seen_seq = finished.report["seq"].as_u64().filter(|_| unchanged);
            *backups.attempts.lock() = Attempts { seen_seq, ..Attempts::default() };
            service.journal().info(&format!("backup: {}", finished.message));
        }
        Err(JobError::Cancelled) => {}
        Err(JobError::Failed(message)) => {
            service.journal().warn(&format!("backup: {message}"));
            *backups.attempts.lock() =
                Attempts { failed_at: Some(now), error: Some(message.clone()), seen_seq: None };
        }
    }
    ended
}

/// Begins a backup whenever one is due, as long as the palace is served.
pub async fn keep_making(service: Arc<Service>) {
    if service.backups().settings.every_ms.is_none() {
        return;
    }
    let mut looks = tokio::time::interval(service.backups().settings.look);
    // The first turn comes at once; those who wait for the palace come first.
    looks.tick().await;
    loop {
        tokio::select! {
            () = service.until_not_ready() => return,
            _ = looks.tick() => {}
        }
        let owned = Arc::clone(&service);
        if tokio::task::spawn_blocking(move || look(&owned, clock::now().utc.0)).await.is_err() {
            service.note_error(
                "looking whether a backup is due panicked; there are none until a restart".into(),
            );
            return;
        }
    }
}

/// Begins a backup if one is due.
fn look(service: &Arc<Service>, now: i64) {
    let (Some(palace), Some(every_ms)) = (service.palace(), service.backups().settings.every_ms) else {
        return;
    };
    let Ok(snapshot) = palace.snapshot() else { return };
    let seq = snapshot.seq().0;
    drop(snapshot);
    let folder = service.backups().settings.folder_of(service.palace_dir());
    let folder = std::fs::canonicalize(&folder).unwrap_or(folder);
    let Ok(positions) = backup::positions(&palace) else { return };
    let attempts = service.backups().attempts.lock().clone();
    let known = schedule::Known {
        last_at: positions
            .iter()
            .find(|position| *position.folder == *folder.to_string_lossy())
            .map(|position| position.at),
        failed_at: attempts.failed_at,
        seen_seq: attempts.seen_seq,
    };
    if schedule::is_due(every_ms, known, seq, now) && !service.board().is_busy() {
        jobs::begin(service, JobRequest::Backup { folder: None, full: false });
    }
}

/// Returns what status shows of backups.
pub fn status(service: &Service, palace: &Palace) -> Option<BackupStatus> {
    let last = backup::positions(palace).ok().and_then(|positions| positions.into_iter().next());
    let error = service.backups().attempts.lock().error.clone();
    if last.is_none() && error.is_none() {
        return None;
    }
    Some(BackupStatus {
        at: last.as_ref().map(|last| clock::rfc3339(last.at.div_euclid(1_000))),
        seq: last.as_ref().map(|last| last.seq),
        file: last.map(|last| PathBuf::from(last.folder).join(last.file).display().to_string()),
        error,
    })
}
