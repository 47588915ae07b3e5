//! `palacectl status` and `palacectl sessions`: how the palace fares, without ever starting anything.
//!
//! The exit code is part of the answer: 0 ready, 1 stopped, 2 degraded or no palace can be there or be served, 3 locked but
//! unreachable, 4 forbidden. The JSON has the same keys in every state; what is not known is null.

use std::path::Path;

use palace_protocol::control::{
    BackupStatus, ControlReply, ControlRequest, CrashStatus, IndexStatus, JobState, ScrubStatus,
    ServiceState, SessionStatus, Status, WriterStatus,
};
use palace_protocol::endpoint::{DAEMON_DIR, ManagedBy};
use palace_protocol::holder::Holder;
use serde_json::{Value, json};

use crate::connect::ConnectError;

use super::client::{Client, ClientError};
use super::outcome::{Failure, Outcome};
use super::render::{age, columns, count, grouped, size, span, unix_seconds};
use super::{jobs, lifecycle, obstacle, unimported};
use crate::launch::recorded_failure;
use crate::lock::{self, LockState};
use crate::os::{self, Unusable};
use crate::palace::PalaceError;
use crate::service::{self, Keeper};

/// What asking for a status gives.
pub enum Seen {
    /// The daemon answered.
    Serving(Box<Status>),
    /// Nobody serves the palace.
    Stopped,
    /// A process holds the palace and does not answer.
    Unreachable(String),
    /// Nobody serves the palace, as far as can be told, and nobody could.
    Unusable(String),
    /// The palace is another user's, or the system keeps us from asking.
    Forbidden(String),
}

/// Asks how the palace fares. The asking connection is not among its sessions.
pub fn look(palace: &Path) -> Seen {
    // Whether it is served or not: nothing that this user could do would change it.
    if let Err(Unusable::Owner(reason)) = os::check_palace(palace) {
        return Seen::Forbidden(reason);
    }
    let asked = Client::connect(palace).and_then(|mut client| client.ask(&ControlRequest::Status));
    let error = match asked {
        Ok(ControlReply::Status(mut status)) => {
            status.sessions.retain(|session| session.proxy_pid != std::process::id());
            return Seen::Serving(status);
        }
        Ok(_) => ClientError::Unexpected,
        Err(ClientError::Connect(ConnectError::Forbidden(reason) | ConnectError::Foreign(reason))) => {
            return Seen::Forbidden(reason);
        }
        Err(error) => error,
    };
    // It says why it could not start, or has said so and is about to end.
    let is_over = matches!(error, ClientError::Connect(ConnectError::NotThere))
        && recorded_failure(&palace.join(DAEMON_DIR)).is_some();
    if (error.is_failed_start() || is_over) && lifecycle::outwait_failed(palace) {
        return at_rest(palace);
    }
    match lock::state(palace) {
        LockState::Free => at_rest(palace),
        LockState::Held => Seen::Unreachable(error.to_string()),
        LockState::Unknown(reason) if reason.kind() == std::io::ErrorKind::PermissionDenied => {
            Seen::Forbidden(format!("{} may not be opened: {reason}", lock::path(palace).display()))
        }
        LockState::Unknown(reason) => Seen::Unusable(lock::unknown(palace, &reason)),
    }
}

/// Returns how a palace is that nobody serves.
fn at_rest(palace: &Path) -> Seen {
    obstacle::to_starts(palace).map_or(Seen::Stopped, Seen::Unusable)
}

/// Shows how the palace fares.
pub fn status(palace: &Path) -> Outcome {
    let seen = look(palace);
    let unimported = unimported::beside(palace, &seen);
    let mut outcome = tell(palace, seen, unimported.as_deref());
    outcome.json["unimported"] = json!(unimported);
    outcome
}

fn tell(palace: &Path, seen: Seen, unimported: Option<&Path>) -> Outcome {
    match seen {
        Seen::Serving(status) => Outcome {
            code: match status.state {
                ServiceState::Ready => 0,
                ServiceState::Draining => 1,
                ServiceState::Degraded | ServiceState::Starting => 2,
            },
            text: describe(&status, unix_seconds(), unimported),
            json: with_ground(
                serde_json::to_value(&status).unwrap_or_default(),
                service::keeper(palace),
                Some(&lock::holder(palace)),
            ),
        },
        Seen::Stopped => {
            let failure = recorded_failure(&palace.join(DAEMON_DIR)).map(|failure| failure.message);
            let mut outcome = absent(palace, 1, "stopped", failure, None);
            if let Some(there) = unimported {
                outcome.text.push_str(&format!("\nnote     {}", unimported::sentence(there)));
            }
            outcome
        }
        Seen::Unreachable(reason) => {
            let holder = lock::holder(palace);
            absent(
                palace,
                3,
                "unreachable",
                Some(format!("{holder} holds the palace: {reason}")),
                Some(&holder),
            )
        }
        Seen::Unusable(reason) => absent(palace, 2, "unusable", Some(reason), None),
        Seen::Forbidden(reason) => absent(palace, 4, "forbidden", Some(reason), None),
    }
}

/// Shows that there can be no palace of that name: not stopped, for nothing could be started.
pub fn unusable(error: &PalaceError) -> Outcome {
    let (code, state) = if error.is_forbidden() { (4, "forbidden") } else { (2, "unusable") };
    let text = columns(&[row(state, error.to_string())]);
    Outcome {
        code,
        text,
        json: with_ground(nothing_known(state, &Value::Null, Some(&error.to_string())), None, None),
    }
}

/// Shows who is connected.
///
/// # Errors
/// When no daemon answers.
pub fn sessions(palace: &Path) -> Result<Outcome, Failure> {
    let ControlReply::Status(status) = Client::connect(palace)?.ask(&ControlRequest::Status)? else {
        return Err(ClientError::Unexpected.into());
    };
    let sessions = status.sessions;
    let sessions: Vec<SessionStatus> =
        sessions.into_iter().filter(|session| session.proxy_pid != std::process::id()).collect();
    let text = if sessions.is_empty() {
        "nobody is connected".to_owned()
    } else {
        session_table(&sessions, unix_seconds())
    };
    Ok(Outcome::done(text, serde_json::to_value(&sessions).unwrap_or_default()))
}

fn absent(palace: &Path, code: u8, state: &str, reason: Option<String>, holder: Option<&Holder>) -> Outcome {
    let at = palace.display().to_string();
    let mut rows = vec![row(state, at.clone())];
    let keeper = service::keeper(palace);
    rows.extend(keeper.iter().map(|keeper| row("service", kept(keeper))));
    rows.extend(reason.iter().map(|reason| row("problem", reason.clone())));
    let json = nothing_known(state, &json!({ "path": at }), reason.as_deref());
    Outcome { code, text: columns(&rows), json: with_ground(json, keeper, holder) }
}

/// Returns the status of a palace that no daemon tells of.
fn nothing_known(state: &str, palace: &Value, reason: Option<&str>) -> Value {
    json!({
        "state": state, "palace": palace, "daemon": null, "sessions": null, "counts": null, "writer": null,
        "index": null, "embedder": null, "jobs": null, "scrub": null, "last_error": reason, "last_backup": null,
        "last_crash": null,
    })
}

/// Adds what is known without a daemon: who holds the lock, and who keeps the palace served, which a daemon that runs need
/// not be from.
fn with_ground(mut status: Value, keeper: Option<Keeper>, holder: Option<&Holder>) -> Value {
    status["unimported"] = Value::Null;
    status["lock"] = holder.map_or(Value::Null, |holder| match holder {
        Holder::Daemon { pid, .. } => json!({ "pid": pid, "program": "palaced" }),
        Holder::Task { pid, task } => json!({ "pid": pid, "program": "palaced", "task": task }),
        Holder::Other { pid, program } => json!({ "pid": pid, "program": program }),
        Holder::Unknown => json!({ "pid": null, "program": null }),
    });
    status["service"] = keeper.map_or(
        Value::Null,
        |keeper| json!({ "managed_by": keeper.managed_by, "name": keeper.unit, "listens": keeper.listens }),
    );
    status
}

fn kept(keeper: &Keeper) -> String {
    let manager = keeper.manager();
    if keeper.listens {
        format!("{manager} starts the daemon for the first client")
    } else {
        format!("kept by {manager}; `palacectl start` starts it")
    }
}

/// Returns a status as aligned lines.
pub fn describe(status: &Status, now: i64, unimported: Option<&Path>) -> String {
    let mut rows = vec![
        row(state_name(status.state), status.palace.path.clone()),
        row("daemon", daemon(status)),
        row("stored", stored(status)),
        row("writer", writer(&status.writer, now)),
        row("index", index(&status.index)),
        row("model", model(status)),
        row(
            "sessions",
            if status.sessions.is_empty() { "none".to_owned() } else { status.sessions.len().to_string() },
        ),
    ];
    let running = status.jobs.iter().filter(|job| job.state == JobState::Running);
    rows.extend(running.map(|job| row("job", jobs::line(job))));
    rows.extend(status.scrub.iter().map(|scrub| row("checked", checked(scrub, now))));
    rows.extend(unimported.map(|there| row("note", unimported::sentence(there))));
    rows.extend(status.last_error.iter().map(|error| row("problem", error.clone())));
    rows.extend(status.last_crash.iter().map(|crash| row("crash", crashed(crash, now))));
    rows.extend(status.last_backup.iter().map(|last| row("backup", backup(last, now))));
    let mut text = columns(&rows);
    if !status.sessions.is_empty() {
        for line in session_table(&status.sessions, now).lines() {
            text.push_str("\n  ");
            text.push_str(line);
        }
    }
    text
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}

fn state_name(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Starting => "starting",
        ServiceState::Ready => "ready",
        ServiceState::Degraded => "degraded",
        ServiceState::Draining => "stopping",
    }
}

fn daemon(status: &Status) -> String {
    let daemon = &status.daemon;
    let memory = daemon.rss_bytes.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
    let stays = match (daemon.managed_by, daemon.idle_timeout_secs) {
        (ManagedBy::Systemd, _) => "kept by systemd".to_owned(),
        (ManagedBy::Launchd, _) => "kept by launchd".to_owned(),
        (ManagedBy::Auto, _) if daemon.dies_with_host => "ends with the host that started it".to_owned(),
        (ManagedBy::Auto, 0) => "stays until stopped".to_owned(),
        (ManagedBy::Auto, idle) => format!("ends after {} without a client", span(idle)),
    };
    format!("pid {}, up {}{memory}, {}, {stays}", daemon.pid, span(daemon.uptime_secs), daemon.version)
}

fn stored(status: &Status) -> String {
    let counts = &status.counts;
    let mut text = format!(
        "{} in {} and {}, {}, {}",
        count(counts.drawers, "drawer"),
        count(counts.wings, "wing"),
        count(counts.rooms, "room"),
        count(counts.triples, "fact"),
        size(status.palace.store_bytes),
    );
    if !status.palace.filesystem.is_empty() {
        text.push_str(&format!(" on {}", status.palace.filesystem));
    }
    if counts.vectors != counts.drawers {
        text.push_str(&format!("; {} so far", count(counts.vectors, "vector")));
    }
    text
}

fn checked(scrub: &ScrubStatus, now: i64) -> String {
    let ago = age(&scrub.at, now);
    match scrub.problem_count {
        0 => format!("all of it {ago} ago, nothing was wrong"),
        wrong => format!("all of it {ago} ago, {} wrong", grouped(wrong)),
    }
}

fn crashed(crash: &CrashStatus, now: i64) -> String {
    let (pid, noticed) = (crash.pid, age(&crash.noticed_at, now));
    if crash.rebooted {
        format!(
            "pid {pid} went down with the machine, noticed {noticed} ago; what it had acknowledged is stored"
        )
    } else {
        format!("pid {pid} ended without a word, noticed {noticed} ago; what it had acknowledged is stored")
    }
}

fn backup(last: &BackupStatus, now: i64) -> String {
    let made = match (&last.at, &last.file) {
        (Some(at), Some(file)) => format!("{} ago, {file}", age(at, now)),
        (Some(_) | None, Some(_) | None) => "none yet".to_owned(),
    };
    match &last.error {
        Some(error) => format!("{made}; THE LAST ATTEMPT FAILED: {error}"),
        None => made,
    }
}

fn writer(writer: &WriterStatus, now: i64) -> String {
    let queue =
        if writer.queue_len == 0 { "idle".to_owned() } else { format!("{} waiting", writer.queue_len) };
    let last = writer.last_commit_at.as_ref().map_or_else(
        || "nothing written since the start".to_owned(),
        |time| {
            let commands = count(writer.commands, "write");
            let commits = count(writer.commits, "commit");
            format!("{commands} in {commits}, last {} ago", age(time, now))
        },
    );
    format!("{queue}, {last}")
}

fn index(index: &IndexStatus) -> String {
    match index.seq.saturating_sub(index.applied_seq) {
        0 => format!("{}, up to date", index.kind),
        behind => format!("{}, {} behind", index.kind, count(behind, "change")),
    }
}

fn model(status: &Status) -> String {
    let embedder = &status.embedder;
    format!("{}, {} numbers, {}, on {}", embedder.model, embedder.dimension, embedder.state, embedder.runtime)
}

fn session_table(sessions: &[SessionStatus], now: i64) -> String {
    let rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|session| {
            let name = if session.host.is_empty() { "(not introduced)" } else { &session.host };
            vec![
                format!("{name} {}", session.host_version).trim_end().to_owned(),
                format!("pid {}", session.proxy_pid),
                count(session.calls, "call"),
                age(&session.connected_at, now),
                if session.protocol_version.is_empty() {
                    String::new()
                } else {
                    format!("MCP {}", session.protocol_version)
                },
            ]
        })
        .collect();
    columns(&rows)
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
