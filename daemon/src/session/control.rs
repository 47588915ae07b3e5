//! The control plane: one request line, one reply line, in order.

use std::sync::Arc;

use palace_protocol::control::{ControlReply, ControlRequest, StopMode, VerifyReport};
use palace_protocol::endpoint::ManagedBy;
use palace_protocol::handshake::is_newer;
use palace_protocol::jsonrpc::{DAEMON_UNAVAILABLE, INTERNAL_TOOL_ERROR};
use palace_protocol::limits::CONTROL_LEN_BYTES_MAX;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::clock;
use crate::palace::Palace;
use crate::tools::{self, Call};

use super::connection::{read_line, send};
use super::service::Service;
use super::{jobs, status};

/// When a refused upgrade is asked for again.
const UPGRADE_RETRY_SECS: u64 = 3_600;
/// When an upgrade is asked for again that came at a busy moment.
const UPGRADE_BUSY_RETRY_SECS: u64 = 2;

/// Serves a control connection until its client goes or the daemon closes connections.
pub async fn serve(
    service: &Arc<Service>,
    session: u64,
    mut reader: impl AsyncBufRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
) {
    loop {
        let line = tokio::select! {
            () = service.closing.cancelled() => return,
            line = read_line(&mut reader, CONTROL_LEN_BYTES_MAX) => line,
        };
        let reply = match line {
            Ok(None) => return,
            Err(message) => failed(message),
            Ok(Some(line)) => match serde_json::from_slice(&line) {
                Ok(request) => {
                    service.registry.count_call(session);
                    reply(service, request).await
                }
                Err(error) => failed(format!("not a control request: {error}")),
            },
        };
        if send(&mut writer, &reply).await.is_err() {
            return;
        }
    }
}

pub(super) fn failed(message: String) -> ControlReply {
    ControlReply::Failed { code: INTERNAL_TOOL_ERROR, message }
}

/// Nothing was done; the next daemon can be asked the same.
fn stopping(message: &str) -> ControlReply {
    ControlReply::Failed { code: DAEMON_UNAVAILABLE, message: message.to_owned() }
}

async fn reply(service: &Arc<Service>, request: ControlRequest) -> ControlReply {
    match request {
        ControlRequest::Status => blocking(service, status::status).await,
        ControlRequest::Stop { mode } => {
            service.journal().info(match mode {
                StopMode::Drain => "asked to stop after running calls",
                StopMode::Now => "asked to stop now",
            });
            if mode == StopMode::Now {
                service.hurry();
            }
            service.ending.cancel();
            ControlReply::Stopping
        }
        ControlRequest::Upgrade { build } => upgrade(service, &build),
        ControlRequest::Verify => blocking(service, verify).await,
        ControlRequest::Begin { job } => blocking(service, move |service| jobs::begin(service, job)).await,
        ControlRequest::Watch { id, version } => {
            // Watching is no work that an end would wait for.
            let owned = Arc::clone(service);
            let watching = tokio::task::spawn_blocking(move || jobs::watch(&owned, id, version)).await;
            watching.unwrap_or_else(|_| failed("internal error; see the daemon's stderr".into()))
        }
        ControlRequest::Cancel { id } => blocking(service, move |service| jobs::cancel(service, id)).await,
        ControlRequest::Removed { limit } => {
            on_palace(service, move |palace| jobs::removed(palace, limit)).await
        }
        ControlRequest::Undelete { ids } => {
            on_palace(service, move |palace| jobs::undelete(palace, ids)).await
        }
        ControlRequest::Purge { ids, older_than_days } => {
            on_palace(service, move |palace| jobs::purge(palace, ids, older_than_days)).await
        }
        ControlRequest::Call { tool, arguments, idempotency_key } => {
            let at = clock::now();
            service.note_call();
            blocking(service, move |service| {
                let Some(palace) = service.palace() else {
                    return stopping("the daemon is stopping; nothing was stored; try again");
                };
                let key = idempotency_key;
                let call = Call { at, key, enqueued: None, read_only: false, trouble: service.last_error() };
                let Value::Object(arguments) = arguments else {
                    return failed("arguments must be an object".into());
                };
                let called = tools::call(&palace, &tool, arguments, call);
                if tools::appends_events(&tool) {
                    service.tell_of_events();
                }
                match called {
                    Ok(answer) => ControlReply::Called { result: answer.json, is_error: answer.is_error },
                    Err(error) => ControlReply::Failed { code: error.code, message: error.message },
                }
            })
            .await
        }
    }
}

/// Makes way for a newer build, unless somebody else decides what runs here or this daemon has just come itself: two
/// programs of different versions must not take turns.
fn upgrade(service: &Arc<Service>, build: &str) -> ControlReply {
    let own = crate::failpoint::build();
    let later = |retry_secs, reason: &str| ControlReply::Later { retry_secs, reason: reason.to_owned() };
    if service.place().managed_by() != ManagedBy::Auto {
        return later(UPGRADE_RETRY_SECS, "a service manager runs this daemon; upgrade it there");
    }
    if !is_newer(build, &own) {
        return later(UPGRADE_RETRY_SECS, "this daemon is as new");
    }
    let age = u64::try_from(clock::unix_seconds() - service.place().started_at()).unwrap_or_default();
    let cooldown = service.upgrade_cooldown().as_secs();
    if age < cooldown {
        return later(cooldown - age, "this daemon has just started");
    }
    if service.calls_in_flight() > 0 {
        return later(UPGRADE_BUSY_RETRY_SECS, "calls are running");
    }
    service.journal().info(&format!("build {build} asks to take over from {own}; making way"));
    service.ending.cancel();
    ControlReply::Stopping
}

/// Runs something that needs the palace.
async fn on_palace(
    service: &Arc<Service>,
    work: impl FnOnce(&Palace) -> ControlReply + Send + 'static,
) -> ControlReply {
    blocking(service, move |service| match service.palace() {
        Some(palace) => work(&palace),
        None => failed("the daemon is stopping; nothing was stored; try again".into()),
    })
    .await
}

/// Runs something that may block, counted as a call in flight.
async fn blocking(
    service: &Arc<Service>,
    work: impl FnOnce(&Arc<Service>) -> ControlReply + Send + 'static,
) -> ControlReply {
    let _counted = service.count_call();
    let owned = Arc::clone(service);
    match tokio::task::spawn_blocking(move || work(&owned)).await {
        Ok(reply) => reply,
        Err(_) => {
            service.note_error("a control request panicked; the palace goes on".into());
            failed("internal error; see the daemon's stderr".into())
        }
    }
}

fn verify(service: &Arc<Service>) -> ControlReply {
    let Some(palace) = service.palace() else { return stopping("the daemon is stopping; try again") };
    match palace.verify() {
        Ok(report) => ControlReply::Verified(VerifyReport {
            ok: report.problems.is_empty(),
            checked: report.checked,
            not_checked: report.not_checked,
            problems: report.problems,
        }),
        Err(error) => failed(error.to_string()),
    }
}
