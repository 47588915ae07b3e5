//! What `palacectl status` shows.

use std::sync::Arc;

use palace_protocol::control::{
    ControlReply, Counts, CrashStatus, DaemonStatus, EmbedderStatus, IndexStatus, PalaceStatus, ServiceState,
    Status, WriterStatus,
};

use crate::clock;
use crate::palace::PalaceStats;

use super::service::{Phase, Service};
use super::{backups, jobs, scrub};

/// Returns the state of everything. Blocks for a few reads of the store.
pub fn status(service: &Arc<Service>) -> ControlReply {
    let (state, palace) = match service.phase() {
        Phase::Ready(palace) => (ServiceState::Ready, palace),
        Phase::Draining(palace) => (ServiceState::Draining, palace),
        Phase::Starting | Phase::Failed(_) => {
            return ControlReply::Failed { code: 0, message: "the store is not open".into() };
        }
    };
    match palace.stats() {
        Ok(stats) => {
            let (last_backup, scrubbed) = (backups::status(service, &palace), scrub::last(&palace));
            let last_error = service
                .last_error()
                .or_else(|| stats.problem())
                .or_else(|| scrub::problem(scrubbed.as_ref()));
            let state = if last_error.is_some() && state == ServiceState::Ready {
                ServiceState::Degraded
            } else {
                state
            };
            let described = describe(service, state, &stats, last_error);
            ControlReply::Status(Box::new(Status { last_backup, scrub: scrubbed, ..described }))
        }
        Err(error) => ControlReply::Failed { code: 0, message: error.to_string() },
    }
}

fn describe(
    service: &Service,
    state: ServiceState,
    stats: &PalaceStats,
    last_error: Option<String>,
) -> Status {
    let place = service.place();
    Status {
        state,
        palace: PalaceStatus {
            path: place.palace().display().to_string(),
            id: stats.store_id(),
            format: stats.store.format,
            store_bytes: stats.engine.file_bytes,
            filesystem: place.filesystem(),
        },
        daemon: DaemonStatus {
            pid: std::process::id(),
            started_at: clock::rfc3339(place.started_at()),
            uptime_secs: u64::try_from(clock::unix_seconds() - place.started_at()).unwrap_or(0),
            version: crate::failpoint::build(),
            generation: place.generation().to_owned(),
            rss_bytes: resident_bytes(),
            managed_by: place.managed_by(),
            idle_timeout_secs: service.idle_timeout().map_or(0, |timeout| timeout.as_secs()),
            dies_with_host: place.dies_with_host(),
        },
        sessions: service.registry.list(),
        counts: Counts {
            drawers: stats.counts.rows(),
            vectors: stats.engine.vectors,
            text_documents: stats.engine.text_documents,
            wings: stats.counts.wings.len() as u64,
            rooms: stats.counts.wings.values().map(|rooms| rooms.len() as u64).sum(),
            triples: stats.facts,
        },
        writer: WriterStatus {
            queue_len: stats.writer.queue_len,
            commits: stats.writer.commits,
            commands: stats.writer.commands,
            last_commit_at: stats.writer.last_commit.map(|time| clock::rfc3339(time.0 / 1_000)),
        },
        index: IndexStatus {
            kind: stats.index_kind().to_owned(),
            seq: stats.store.seq.0,
            applied_seq: stats.engine.applied_seq.0,
            snapshot_seq: stats.engine.snapshot_seq.0,
        },
        embedder: EmbedderStatus {
            model: stats.embedder.model.clone(),
            dimension: stats.embedder.dimension,
            runtime: stats.embedder.runtime.clone(),
            runtime_note: stats.embedder.runtime_note.clone(),
            state: stats.embedder_state(),
            loaded: u32::from(stats.embedder_loaded()),
        },
        scrub: None,
        jobs: service.board().all().into_iter().map(jobs::status).collect(),
        last_error,
        last_backup: None,
        last_crash: place.last_crash().map(|crash| CrashStatus {
            noticed_at: clock::rfc3339(crash.noticed_at),
            pid: crash.pid,
            started_at: clock::rfc3339(crash.started_at),
            version: crash.build,
            rebooted: crash.rebooted,
        }),
    }
}

/// Returns the process's resident memory where the system tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1_024)
}
