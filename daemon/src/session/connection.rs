//! One connection from hello to end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use interprocess::local_socket::tokio::Stream;
use palace_protocol::endpoint::StartFailureCode;
use palace_protocol::handshake::{
    Hello, HelloReply, MAGIC, PROTOCOL_MAX, PROTOCOL_MIN, Refusal, RefusalReason, Role, Welcome, negotiate,
};
use palace_protocol::limits::{CONTROL_COUNT_MAX, HELLO_LEN_BYTES_MAX, HELLO_TIMEOUT_MS, SESSION_COUNT_MAX};
use serde::Serialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use crate::failpoint;

use super::registry::Kind;
use super::service::{Phase, Service};
use super::strangers::Stranger;
use super::{control, mcp};

/// How long finished calls have to get their answers out when the daemon closes connections.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// Serves one connection. Every reason to close it early is logged, and told to the client where it can be.
/// `stranger` is the connection's place among those without a hello.
pub async fn handle(service: Arc<Service>, stream: Stream, stranger: Stranger) {
    let _arrival = service.registry.arrive();
    if let Err(reason) = check_peer(&stream) {
        service.note_refusal(&format!("connection refused: {reason}"));
        return;
    }
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    let begun = Instant::now();
    let heard = tokio::select! {
        biased;
        heard = tokio::time::timeout(Duration::from_millis(HELLO_TIMEOUT_MS), hello(&mut reader)) => heard,
        () = stranger.sent_away() => {
            let waited = begun.elapsed().as_millis();
            let reason = format!("no hello within {waited} ms, and others wait for the place");
            return refuse(&service, &mut writer, RefusalReason::Full, reason, Some(50)).await;
        }
    };
    let hello = match heard {
        Ok(Ok(hello)) => hello,
        Ok(Err(reason)) => {
            return refuse(&service, &mut writer, RefusalReason::NotAHello, reason, None).await;
        }
        Err(_) => {
            let reason = format!("no hello within {HELLO_TIMEOUT_MS} ms");
            return refuse(&service, &mut writer, RefusalReason::NotAHello, reason, None).await;
        }
    };
    let Some(protocol) = negotiate(hello.protocol_min, hello.protocol_max) else {
        let reason = format!(
            "the client speaks protocol {} to {}, this daemon {PROTOCOL_MIN} to {PROTOCOL_MAX}; install the same version of both",
            hello.protocol_min, hello.protocol_max
        );
        return refuse(&service, &mut writer, RefusalReason::Protocol, reason, None).await;
    };
    if !same_secret(&hello.token, service.place().token()) {
        let reason = "the token is not this daemon's; read the endpoint record again".to_owned();
        return refuse(&service, &mut writer, RefusalReason::Token, reason, Some(50)).await;
    }
    drop(stranger);
    if !opened(&service, &mut writer).await {
        return;
    }
    let (host, wanted_role) = match &hello.role {
        Role::Mcp { .. } => ("", "mcp"),
        Role::Control { program } => (program.as_str(), "control"),
    };
    let kind = Kind::of(&hello.role);
    let Some(session) = service.registry.enter(kind, host, hello.pid) else {
        let reason = too_many(kind);
        return refuse(&service, &mut writer, RefusalReason::Full, reason, Some(1_000)).await;
    };
    service
        .journal()
        .info(&format!("session {session} opens: {wanted_role}, pid {}, build {}", hello.pid, hello.build));
    let welcome = HelloReply::Welcome(Welcome {
        protocol,
        build: failpoint::build(),
        pid: std::process::id(),
        generation: service.place().generation().to_owned(),
        session,
        catalogue: palace_protocol::catalogue::fingerprint(),
        store: service.palace().and_then(|palace| palace.store_id().ok()),
    });
    if send(&mut writer, &welcome).await.is_ok() {
        let serving = async {
            match hello.role {
                Role::Mcp { profile, read_only } => {
                    mcp::serve(&service, session, profile, read_only, reader, writer).await;
                }
                Role::Control { .. } => control::serve(&service, session, reader, writer).await,
            }
        };
        tokio::select! {
            () = serving => {}
            () = closed(&service) => {}
        }
    }
    service.registry.leave(session);
    service.journal().info(&format!("session {session} closes"));
}

fn too_many(kind: Kind) -> String {
    match kind {
        Kind::Host => format!(
            "too many sessions: {SESSION_COUNT_MAX} hosts are connected, as many as one daemon serves; close some, \
             `palacectl sessions` shows them"
        ),
        Kind::Control => format!(
            "too many control connections: {CONTROL_COUNT_MAX} are open; wait for other palacectl commands to end"
        ),
    }
}

/// Ends a moment after the daemon began to close connections. Calls that were running are answered by then; those that
/// came too late wait for the connection's end, and are sent to the next daemon.
async fn closed(service: &Service) {
    service.closing.cancelled().await;
    tokio::time::sleep(LAST_ANSWERS).await;
}

/// Reads the hello line.
async fn hello(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Hello, String> {
    let line = read_line(reader, HELLO_LEN_BYTES_MAX).await?.ok_or("the connection closed before a hello")?;
    let hello: Hello =
        serde_json::from_slice(&line).map_err(|_| "the first line is not a hello".to_owned())?;
    if hello.magic == MAGIC { Ok(hello) } else { Err("the first line is not a hello of mempalaced".into()) }
}

/// Reads one line of limited length; `None` at the end of the stream.
pub async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    len_bytes_max: usize,
) -> Result<Option<Vec<u8>>, String> {
    let mut line = Vec::new();
    loop {
        let available = reader.fill_buf().await.map_err(|error| error.to_string())?;
        if available.is_empty() {
            return if line.is_empty() { Ok(None) } else { Err("the line has no end".into()) };
        }
        let newline = available.iter().position(|byte| *byte == b'\n');
        let taken = newline.map_or(available.len(), |at| at + 1);
        line.extend_from_slice(&available[..taken]);
        reader.consume(taken);
        if line.len() > len_bytes_max {
            return Err(format!("a line is longer than {len_bytes_max} bytes"));
        }
        if newline.is_some() {
            line.pop();
            return Ok(Some(line));
        }
    }
}

/// Writes one line and flushes it.
pub async fn send(writer: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    writer.flush().await
}

/// Waits until the store is open, telling the client so; refuses it when the store will not open.
async fn opened(service: &Arc<Service>, writer: &mut (impl AsyncWrite + Unpin)) -> bool {
    let mut phase = service.watch_phase();
    loop {
        let now = phase.borrow_and_update().clone();
        match now {
            Phase::Ready(_) => return true,
            Phase::Starting => {
                let waiting = HelloReply::Starting { doing: "opening the palace's store".into() };
                if send(writer, &waiting).await.is_err() || phase.changed().await.is_err() {
                    return false;
                }
            }
            Phase::Draining(_) => {
                let reason = "the daemon is stopping; a new one can be started in a moment".to_owned();
                refuse(service, writer, RefusalReason::Draining, reason, Some(100)).await;
                return false;
            }
            Phase::Failed(failure) => {
                let reason = match failure.code {
                    StartFailureCode::Locked => RefusalReason::StoreLocked,
                    StartFailureCode::Owner
                    | StartFailureCode::Palace
                    | StartFailureCode::NewerFormat
                    | StartFailureCode::Damaged
                    | StartFailureCode::EmbedderMismatch
                    | StartFailureCode::Socket
                    | StartFailureCode::Other => RefusalReason::Store,
                };
                refuse(service, writer, reason, failure.message, None).await;
                return false;
            }
        }
    }
}

async fn refuse(
    service: &Service,
    writer: &mut (impl AsyncWrite + Unpin),
    reason: RefusalReason,
    message: String,
    retry_ms: Option<u64>,
) {
    service.note_refusal(&format!("connection refused: {message}"));
    // The client may be gone; the reason is in the log.
    let _ = send(writer, &HelloReply::Refusal(Refusal { reason, message, retry_ms })).await;
    let _ = writer.shutdown().await;
}

/// Refuses connections of other users, whatever the folder's mode says.
#[cfg(unix)]
fn check_peer(stream: &Stream) -> Result<(), String> {
    let Stream::UdSocket(socket) = stream;
    let user = rustix::process::geteuid().as_raw();
    match palace_system::peer::user(socket) {
        Ok(found) if found == user => Ok(()),
        Ok(found) => Err(format!("the peer is user {found}, the daemon runs as {user}")),
        Err(error) => Err(format!("the peer's user is unknown: {error}")),
    }
}

/// The pipe's security descriptor admits its owner alone.
#[cfg(windows)]
fn check_peer(_stream: &Stream) -> Result<(), String> {
    Ok(())
}

/// Compares in a time that does not depend on where they differ.
fn same_secret(left: &str, right: &str) -> bool {
    left.len() == right.len()
        && left.bytes().zip(right.bytes()).fold(0, |differing, (left, right)| differing | (left ^ right)) == 0
}
