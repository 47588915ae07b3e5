//! `palacectl doctor`: looks at everything that can keep a palace from being served, in the order in which one thing
//! needs the other. It changes nothing and starts nothing; each finding that is not good names the next step.

use std::path::Path;

use palace_protocol::advice;
use palace_protocol::control::{ServiceState, Status};
use palace_protocol::endpoint::{DAEMON_DIR, StartFailure};
use palace_protocol::filesystem::Shared;
use palace_protocol::holder::Holder;
use palace_protocol::limits::SESSION_COUNT_MAX;
use palace_system::files;
use serde::Serialize;
use serde_json::json;

use crate::connect::read_record;

use super::outcome::{Exit, Outcome};
use super::render::{columns, span, unix_seconds};
use super::status::{Seen, look};
use super::{crashes, ground, private, unimported};
use crate::launch::recorded_failure;
use crate::lock::{self, LockState};
use crate::os::{self, Unusable};
use crate::service::{self, Keeper};
use crate::starts::Starts;

/// How a finding is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Nothing is broken; something could be better.
    Note,
    /// This keeps the palace from being served, or soon will.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it is meant.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub next: Option<String>,
}

/// Looks at everything; exit code 1 when something is bad, 4 when the palace is another user's.
pub fn doctor(palace: &Path) -> Outcome {
    let mut findings = vec![ground::program()];
    findings.extend(examine(palace));
    let mut outcome = outcome(palace, &findings);
    if matches!(os::check_palace(palace), Err(Unusable::Owner(_))) {
        outcome.code = Exit::Forbidden.code();
    }
    outcome
}

/// Looks at the palace.
fn examine(palace: &Path) -> Vec<Finding> {
    let seen = look(palace);
    let mut findings = vec![ground::directory(palace), ground::disk(palace)];
    findings.extend(ground::network_filesystem(palace).map(|kind| on_network(kind, &seen)));
    findings.extend(ground::store(palace));
    findings.extend(private::folder(palace));
    findings.extend(private::contents(palace));
    findings.extend(private::leftovers(palace));
    findings.extend(ground::clock(palace));
    findings.extend(ground::host_bound(palace));
    let failure = recorded_failure(&palace.join(DAEMON_DIR));
    findings.extend(failure.as_ref().map(last_failure));
    findings.extend(failed_starts(palace, failure.as_ref(), &seen));
    findings.extend(crashes::last(palace));
    findings.push(writer(palace, &seen));
    findings.push(daemon(palace, &seen));
    findings.extend(service::keeper(palace).map(|keeper| kept(palace, &seen, &keeper)));
    if let Seen::Serving(status) = &seen {
        findings.extend(full_house(status));
        findings.push(model(status));
        findings.push(speed(status));
        findings.extend(backed_up(status));
    }
    findings.extend(unimported::beside(palace, &seen).map(|there| {
        let next = format!("`palacectl import {}` moves it in; it is only read", there.display());
        note("import", format!("a palace of MemPalace stands in {}", there.display()), next)
    }));
    findings
}

fn outcome(palace: &Path, findings: &[Finding]) -> Outcome {
    let rows: Vec<Vec<String>> = findings.iter().flat_map(rows).collect();
    let bad_count = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    let end = match bad_count {
        0 => "nothing is wrong".to_owned(),
        1 => "one thing is wrong".to_owned(),
        count => format!("{count} things are wrong"),
    };
    Outcome {
        code: if bad_count == 0 { Exit::Done.code() } else { Exit::Failed.code() },
        text: format!("{}\n{end}", columns(&rows)),
        json: json!({ "palace": palace, "ok": bad_count == 0, "findings": findings }),
    }
}

fn rows(finding: &Finding) -> Vec<Vec<String>> {
    let mark = match finding.verdict {
        Verdict::Good => "ok",
        Verdict::Note => "note",
        Verdict::Bad => "WRONG",
    };
    let mut rows = vec![vec![mark.to_owned(), finding.what.to_owned(), finding.found.clone()]];
    rows.extend(finding.next.iter().map(|next| vec![String::new(), String::new(), format!("→ {next}")]));
    rows
}

/// Returns a finding that is as it should be.
pub fn good(what: &'static str, found: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Good, found: found.into(), next: None }
}

/// Returns a finding that could be better.
pub fn note(what: &'static str, found: impl Into<String>, next: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Note, found: found.into(), next: Some(next.into()) }
}

/// Returns a finding that is in the way.
pub fn bad(what: &'static str, found: impl Into<String>, next: impl Into<String>) -> Finding {
    Finding { what, verdict: Verdict::Bad, found: found.into(), next: Some(next.into()) }
}

/// A daemon that serves there was allowed to.
fn on_network(kind: Shared, seen: &Seen) -> Finding {
    let (found, next) = (kind.to_string(), kind.advice());
    match seen {
        Seen::Serving(_) => note("disk", found, next),
        Seen::Stopped | Seen::Unreachable(_) | Seen::Unusable(_) | Seen::Forbidden(_) => {
            bad("disk", found, next)
        }
    }
}

/// The daemon removes the file at its next successful start, so that one that is there still counts.
fn last_failure(failure: &StartFailure) -> Finding {
    let what = "last start";
    match failure.message.strip_suffix(advice::DAMAGED_STORE) {
        Some(found) => bad(what, found.trim_end_matches([';', ' ']), advice::DAMAGED_STORE),
        None => bad(what, failure.message.clone(), "mend it, then `palacectl start`"),
    }
}

/// What is there while nobody serves is a series of failures; a daemon that serves is the last of these starts until it
/// has served for a while.
fn failed_starts(palace: &Path, failure: Option<&StartFailure>, seen: &Seen) -> Option<Finding> {
    if matches!(seen, Seen::Serving(_)) {
        return None;
    }
    let starts = Starts::read(&palace.join(DAEMON_DIR));
    let tripped = starts.check(unix_seconds()).err();
    (starts.attempts > 1).then(|| {
        let wait = tripped
            .map(|tripped| format!("; hosts try again in {} s", tripped.retry_secs))
            .unwrap_or_default();
        let series = format!("{} failed in a row{wait}", starts.attempts);
        // Who started them heard nothing of a daemon that failed after it was ready; it wrote down why, see above.
        if failure.is_some_and(|failure| starts.reason.is_empty() || starts.reason == failure.message) {
            return bad("starts", series, "see the last start; `palacectl start` then tries at once");
        }
        let reason = if starts.reason.is_empty() { "it ended without a word" } else { &starts.reason };
        bad(
            "starts",
            format!("{series}: {reason}"),
            "mend it, then `palacectl start`, which tries at once; `palacectl logs` tells more",
        )
    })
}

fn writer(palace: &Path, seen: &Seen) -> Finding {
    let what = "lock";
    let record = read_record(palace);
    match (&lock::state(palace), seen) {
        (LockState::Held, Seen::Serving(status)) => {
            let (pid, since, hosts) = (status.daemon.pid, since(palace), hosts(status));
            good(what, format!("held by the daemon, pid {pid}{since}, {hosts}"))
        }
        (LockState::Held, Seen::Stopped | Seen::Unreachable(_) | Seen::Unusable(_) | Seen::Forbidden(_)) => {
            let holder = lock::holder(palace);
            let next = "`palacectl stop --force`, then `palacectl start`; if it is a backup or another program that holds the file, end that";
            bad(what, format!("held by {holder}{}, which does not answer", since(palace)), next)
        }
        (LockState::Free, Seen::Serving(status)) => bad(
            what,
            format!(
                "free although pid {} serves; its file was replaced, or this file system has no locks",
                status.daemon.pid
            ),
            "`palacectl restart`; keep the palace on a local file system",
        ),
        (LockState::Free, Seen::Stopped | Seen::Unreachable(_) | Seen::Unusable(_) | Seen::Forbidden(_)) => {
            match record {
                Some(record) => good(
                    what,
                    format!("free; pid {} ended without saying so, the next start recovers", record.pid),
                ),
                None => good(what, "free"),
            }
        }
        // Its kind is found above, where other systems than Windows have others.
        (LockState::Unknown(error), _) if cfg!(unix) && files::is_odd(error) => {
            note(what, "not asked: it is no file", "see above")
        }
        (LockState::Unknown(error), _) => bad(
            what,
            format!("{} cannot be asked: {error}", lock::path(palace).display()),
            files::advice(error, "keep the palace on a local file system that you may write"),
        ),
    }
}

/// Names the hosts that a daemon serves.
fn hosts(status: &Status) -> String {
    let mut names: Vec<&str> = status
        .sessions
        .iter()
        .map(|session| if session.host.is_empty() { "a host that is not introduced" } else { &session.host })
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { "for nobody at present".to_owned() } else { format!("for {}", names.join(", ")) }
}

/// Tells for how long the daemon that wrote itself down has held the palace; of others it is not known.
fn since(palace: &Path) -> String {
    match lock::holder(palace) {
        Holder::Daemon { started_at, .. } => {
            let seconds = u64::try_from(unix_seconds() - started_at).unwrap_or_default();
            format!(" for {}", span(seconds))
        }
        Holder::Task { .. } | Holder::Other { .. } | Holder::Unknown => String::new(),
    }
}

fn daemon(palace: &Path, seen: &Seen) -> Finding {
    let what = "daemon";
    match seen {
        Seen::Serving(status) => match (status.state, &status.last_error) {
            (ServiceState::Degraded, error) => {
                let problem = error.as_deref().unwrap_or("it does not say what is wrong");
                bad(
                    what,
                    format!("serves, but: {problem}"),
                    "`palacectl logs` tells more, `palacectl restart` may help",
                )
            }
            (ServiceState::Ready | ServiceState::Starting | ServiceState::Draining, _) => {
                let same = status.daemon.version == env!("CARGO_PKG_VERSION");
                let found = format!("answers, pid {}, version {}", status.daemon.pid, status.daemon.version);
                if same { good(what, found) } else { note(what, found, older()) }
            }
        },
        Seen::Stopped => {
            good(what, "not running; it starts with the first client, or with `palacectl start`")
        }
        Seen::Unreachable(reason) => bad(what, reason.clone(), "`palacectl stop --force` ends it safely"),
        // What is in the way is found above, there too.
        Seen::Unusable(_) if cfg!(unix) => note(what, "not running, and cannot be started", "see above"),
        Seen::Unusable(reason) => bad(what, reason.clone(), "do that, then `palacectl start`"),
        // Whose it is, is found above; no sandbox is in the way.
        Seen::Forbidden(_) if matches!(os::check_palace(palace), Err(Unusable::Owner(_))) => {
            note(what, "not asked: not everything in the palace is yours", "see above")
        }
        Seen::Forbidden(reason) => {
            bad(what, reason.clone(), "run outside of the sandbox, or as the user of the daemon")
        }
    }
}

/// A palace that a service manager keeps is served by nobody else: when the manager does not, clients get errors.
fn kept(palace: &Path, seen: &Seen, keeper: &Keeper) -> Finding {
    let what = "service";
    let manager = keeper.manager();
    let serving = matches!(seen, Seen::Serving(_));
    if serving && matches!(seen, Seen::Serving(status) if status.daemon.managed_by == keeper.managed_by) {
        return good(what, format!("{manager} keeps the daemon running"));
    }
    let next = format!("`palacectl start`, or `{}` for the reason", keeper.inspection());
    if serving {
        let found = format!("{manager} should keep the daemon running, but it was started by other means");
        return note(what, found, "`palacectl restart`");
    }
    let socket = service::socket(palace);
    match (keeper.listens, socket.exists()) {
        (true, true) => good(what, format!("{manager} listens and starts the daemon for the first client")),
        (true, false) => {
            bad(what, format!("{manager} should listen on {}, which is not there", socket.display()), next)
        }
        (false, _) => bad(what, format!("{manager} should keep the daemon running and does not"), next),
    }
}

fn older() -> String {
    format!(
        "palacectl is {}; `palacectl restart` takes the installed daemon into use",
        env!("CARGO_PKG_VERSION")
    )
}

/// Notices that no further host would be let in.
fn full_house(status: &Status) -> Option<Finding> {
    let count = status.sessions.len();
    (count >= SESSION_COUNT_MAX).then(|| {
        let found =
            format!("{count} are connected, as many as one daemon serves: the next one is turned away");
        bad("sessions", found, "close some hosts; `palacectl sessions` shows them")
    })
}

fn model(status: &Status) -> Finding {
    let embedder = &status.embedder;
    let found = format!("{}, {}", embedder.model, embedder.state);
    if embedder.state.starts_with("failed") {
        bad("model", found, "`palacectl restart`; words are still searched without it")
    } else {
        good("model", found)
    }
}

fn speed(status: &Status) -> Finding {
    let runtime = &status.embedder.runtime;
    if runtime.starts_with("rten") {
        let why = status.embedder.runtime_note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        note(
            "runtime",
            format!("{runtime}{why}"),
            "`palacectl runtime install`, then `palacectl restart`: embeds a little faster",
        )
    } else {
        good("runtime", runtime.clone())
    }
}

/// An empty palace needs no backup.
fn backed_up(status: &Status) -> Option<Finding> {
    let last = status.last_backup.clone().unwrap_or_default();
    let drawers = status.counts.drawers;
    let by_itself = "`palacectl backup`, or {\"backup_every_hours\": 24, \"backup_folder\": \"/another/disk\"} in palaced.json";
    match (last.error, last.at) {
        (Some(error), _) => Some(note("backup", format!("the last one failed: {error}"), by_itself)),
        (None, Some(at)) => Some(good("backup", format!("the last one is of {at}"))),
        (None, None) if drawers == 0 => None,
        (None, None) => {
            Some(note("backup", format!("none yet: {drawers} drawers are on this disk only"), by_itself))
        }
    }
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
