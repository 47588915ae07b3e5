//! The control plane: one request line, one reply line, in order.

use std::sync::Arc;

use palace_protocol::control::{ControlReply, ControlRequest, StopMode, VerifyReport};
use palace_protocol::jsonrpc::INTERNAL_TOOL_ERROR;
use palace_protocol::limits::CONTROL_LEN_BYTES_MAX;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::clock;
use crate::tools::{self, Call};

use super::connection::{read_line, send};
use super::service::Service;
use super::status;

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

fn failed(message: String) -> ControlReply {
    ControlReply::Failed { code: INTERNAL_TOOL_ERROR, message }
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
        ControlRequest::Verify => blocking(service, verify).await,
        ControlRequest::Call { tool, arguments, idempotency_key } => {
            let at = clock::now();
            blocking(service, move |service| {
                let Some(palace) = service.palace() else {
                    return failed("the daemon is stopping; nothing was stored; try again".into());
                };
                let call = Call { at, key: idempotency_key, enqueued: None, read_only: false };
                let Value::Object(arguments) = arguments else {
                    return failed("arguments must be an object".into());
                };
                match tools::call(&palace, &tool, arguments, call) {
                    Ok(answer) => ControlReply::Called { result: answer.json, is_error: answer.is_error },
                    Err(error) => ControlReply::Failed { code: error.code, message: error.message },
                }
            })
            .await
        }
    }
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
    let Some(palace) = service.palace() else { return failed("the daemon is stopping".into()) };
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
