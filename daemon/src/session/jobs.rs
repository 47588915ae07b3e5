//! Long jobs and removed drawers on the control plane.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use palace_protocol::control::{
    ControlReply, ExportFormat, ExportSelection, JobRequest, JobState, JobStatus, RemovedDrawer,
    UndeletedDrawer,
};

use serde_json::Value;

use crate::clock;
use crate::ingest::job::{Finished, JobError, Progress, Seen, State};
use crate::ingest::transfer::lines::Selection;
use crate::ingest::transfer::{self, export, import, upstream};
use crate::palace::Palace;
use crate::palace::removed::{Purge, Purged, Undelete, Why};

use super::backups;
use super::control::failed;
use super::service::Service;

/// How long a watcher of a job waits for news.
const WATCH_PATIENCE: Duration = Duration::from_secs(1);
/// Removals that are forgotten with one commit.
const PURGE_COUNT_MAX: usize = 256;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Begins to import the palace of MemPalace that stands in the palace's own directory, unless that was done. What has
/// arrived is served meanwhile.
pub fn move_in(service: &Arc<Service>, palace: &Palace) {
    let dir = service.palace_dir();
    import::sweep(&service.scratch_dir());
    if !service.moves_in() || !upstream::is_palace(dir) {
        return;
    }
    match import::own_verdict(palace) {
        Ok(Some(true)) => return,
        Ok(Some(false)) => return service.stand(Some(unproved(dir))),
        Ok(None) => {}
        Err(error) => {
            let told = format!("whether MemPalace's palace was imported is unknown: {error}");
            return service.stand(Some(told));
        }
    }
    service.journal().info("a palace of MemPalace stands here; importing it");
    let request = JobRequest::Import {
        resume: true,
        source: dir.display().to_string(),
        home: directories::BaseDirs::new().map(|dirs| dirs.home_dir().display().to_string()),
        dry_run: false,
    };
    if let ControlReply::Failed { message, .. } = begin(service, request) {
        service.stand(Some(not_moved_in(&message)));
    }
}

fn unproved(dir: &Path) -> String {
    format!(
        "MemPalace's palace was imported and the proof did not hold: the report is in {}; `palacectl import {}` tries again",
        dir.join(transfer::REPORT_DIR).display(),
        dir.display()
    )
}

fn not_moved_in(why: &str) -> String {
    format!("MemPalace's palace that stands here is not imported, what it holds cannot be found: {why}")
}

/// Has the state of the service say what became of the palace of MemPalace that stands in our own directory.
fn judge(service: &Service, ended: &Result<Finished, JobError>) {
    let holds = |finished: &Finished| finished.report.pointer("/proof/holds").and_then(Value::as_bool);
    service.stand(match ended {
        Ok(finished) if holds(finished) == Some(false) => Some(unproved(service.palace_dir())),
        Ok(_) => None,
        Err(JobError::Cancelled) => Some(not_moved_in("it was stopped; the next start goes on")),
        Err(JobError::Failed(why)) => Some(not_moved_in(why)),
    });
}

/// Begins a job. The daemon stays for it, whoever leaves.
pub fn begin(service: &Arc<Service>, request: JobRequest) -> ControlReply {
    let Some(palace) = service.palace() else { return failed("the daemon is stopping".into()) };
    let scratch = service.scratch_dir();
    let kind = kind(&request);
    let owned = Arc::clone(service);
    let work = move |progress: &Progress| run(&owned, &palace, request, scratch, progress);
    match service.begin_job(kind, work) {
        Ok(id) => watch(service, id, 0),
        Err(busy) => failed(busy.to_string()),
    }
}

fn kind(request: &JobRequest) -> &'static str {
    match request {
        JobRequest::Import { .. } => "import",
        JobRequest::Export { .. } => "export",
        JobRequest::Backup { .. } => "backup",
        JobRequest::Verify => "verify",
        JobRequest::Compact => "compact",
    }
}

fn run(
    service: &Service,
    palace: &Palace,
    request: JobRequest,
    scratch: PathBuf,
    progress: &Progress,
) -> Result<Finished, JobError> {
    match request {
        JobRequest::Import { source, home, dry_run, resume: _ } => {
            // Every import goes on where one of the same source stopped.
            let source = PathBuf::from(source);
            let wanted = import::Wanted {
                is_own: same_directory(&source, service.palace_dir()),
                source,
                home: home.map(PathBuf::from),
                dry_run,
                scratch,
                reports: service.palace_dir().join(transfer::REPORT_DIR),
            };
            let ended = import::run(palace, &wanted, progress);
            if wanted.is_own && !wanted.dry_run {
                judge(service, &ended);
            }
            ended
        }
        JobRequest::Backup { folder, full } => {
            backups::run(service, palace, folder.map(PathBuf::from), full, progress)
        }
        JobRequest::Export { target, format, selection, vectors, overwrite } => {
            let ExportSelection { wing, room, since, before } = selection;
            let wanted = export::Wanted {
                target: target.into(),
                format: match format {
                    ExportFormat::Jsonl => export::Format::Jsonl,
                    ExportFormat::Markdown => export::Format::Markdown,
                },
                selection: Selection { wing, room, since, before },
                vectors,
                overwrite,
                palace_dir: service.palace_dir().to_path_buf(),
            };
            export::run(palace, &wanted, progress)
        }
        JobRequest::Verify => transfer::upkeep::verify(palace, progress),
        JobRequest::Compact => transfer::upkeep::compact(palace, progress),
    }
}

fn same_directory(left: &Path, right: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(left) == real(right)
}

/// Returns a job when there is news of it.
pub fn watch(service: &Arc<Service>, id: u64, version: u64) -> ControlReply {
    match service.board().watch(id, version, WATCH_PATIENCE) {
        Some(seen) => ControlReply::Job(Box::new(status(seen))),
        None => failed(format!("there is no job {id}; `palacectl jobs` lists them")),
    }
}

/// Tells a job to stop.
pub fn cancel(service: &Arc<Service>, id: u64) -> ControlReply {
    service.board().cancel(id);
    watch(service, id, 0)
}

/// Returns a job as it crosses the wire.
pub fn status(seen: Seen) -> JobStatus {
    JobStatus {
        id: seen.id,
        kind: seen.kind.to_owned(),
        state: match seen.state {
            State::Running => JobState::Running,
            State::Done => JobState::Done,
            State::Failed => JobState::Failed,
            State::Cancelled => JobState::Cancelled,
        },
        phase: seen.phase,
        done: seen.done,
        total: seen.total,
        started_at: clock::rfc3339(seen.started_at),
        ended_at: seen.ended_at.map(clock::rfc3339),
        message: seen.message,
        report: seen.report,
        version: seen.version,
    }
}

/// Returns what can be brought back.
pub fn removed(palace: &Palace, limit: usize) -> ControlReply {
    match palace.removed(limit) {
        Ok((listed, total)) => {
            let drawers = listed.into_iter().map(|one| RemovedDrawer {
                drawer_id: one.drawer_id,
                at: one.at,
                why: match one.why {
                    Why::Deleted => "deleted".to_owned(),
                    Why::Replaced => "replaced".to_owned(),
                },
                wing: one.wing,
                room: one.room,
                rows: one.rows,
                preview: one.preview,
            });
            ControlReply::Removed { drawers: drawers.collect(), total }
        }
        Err(error) => failed(error.to_string()),
    }
}

/// Brings drawers back.
pub fn undelete(palace: &Palace, ids: Vec<String>) -> ControlReply {
    let at = clock::now();
    match palace.carry_out(Undelete { ids, at: at.clone() }, &at) {
        Ok(drawers) => {
            let drawers = drawers.into_iter().map(|one| UndeletedDrawer {
                drawer_id: one.drawer_id,
                rows: one.rows,
                was_there: one.was_there,
            });
            ControlReply::Undeleted(drawers.collect())
        }
        Err(error) => failed(error.to_string()),
    }
}

/// Forgets removals, as many commits as that takes.
pub fn purge(palace: &Palace, ids: Vec<String>, older_than_days: Option<u64>) -> ControlReply {
    let (mut removals_gone, mut rows_gone) = (0, 0);
    loop {
        let at = clock::now();
        let before = older_than_days.map(|days| {
            let days = i64::try_from(days).unwrap_or(i64::MAX / DAY_MS);
            crate::palace::Timestamp(at.utc.0.saturating_sub(days.saturating_mul(DAY_MS)))
        });
        let command = Purge { ids: ids.clone(), before, count_max: PURGE_COUNT_MAX };
        match palace.carry_out(command, &at) {
            Ok(Purged { removals, rows, more }) => {
                removals_gone += removals;
                rows_gone += rows;
                if !more {
                    return ControlReply::Purged { removals: removals_gone, rows: rows_gone };
                }
            }
            Err(error) => return failed(error.to_string()),
        }
    }
}
