//! A newer build asks the daemon to make way, and starts its own.
//!
//! Nobody is ended against its will: the daemon refuses while calls run, when it has just started and when a service
//! manager runs it. The starters' lock is held from the question to the new daemon, so that no older build starts its
//! daemon in between. Older builds attach to newer daemons and ask nothing.

use std::path::Path;
use std::time::Duration;

use palace_protocol::control::{ControlReply, ControlRequest};
use palace_protocol::handshake::{Role, is_newer};
use palace_protocol::limits::CONTROL_LEN_BYTES_MAX;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use crate::connect::{Connection, connect};
use crate::failpoint;
use crate::lock::{self, LockState};
use crate::service;
use crate::spawn::{self, StartError};

/// How often one session asks at most.
const ASK_COUNT_MAX: usize = 5;
/// How long the daemon may take to answer: starters wait meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause after a daemon that said nothing.
const SILENCE_PAUSE: Duration = Duration::from_secs(60);
/// How long the old daemon may take to let go of the palace.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is looked whether it has.
const RELEASE_LOOK: Duration = Duration::from_millis(10);
/// Pause while somebody else starts a daemon.
const START_PAUSE: Duration = Duration::from_secs(1);

/// Tells whether a daemon's build is older than this one.
pub fn is_outdated(build: &str) -> bool {
    is_newer(&failpoint::build(), build)
}

/// What came of asking.
enum Asked {
    /// A daemon of this build runs, or one that is as new.
    Done,
    /// To be asked again after a while.
    Later(Duration),
}

/// Asks the palace's daemon to make way until it does, says no too often, or is not outdated any more. A session goes on
/// with the old daemon meanwhile, and with the new one afterwards.
pub async fn run(palace: &Path) {
    for _ in 0..ASK_COUNT_MAX {
        match ask(palace).await {
            // What could not be started is started by the next call, which tells why it cannot.
            Ok(Asked::Done) | Err(_) => return,
            Ok(Asked::Later(pause)) => tokio::time::sleep(pause).await,
        }
    }
}

async fn ask(palace: &Path) -> Result<Asked, StartError> {
    // Its manager decides what runs there, and nobody else starts it.
    if service::keeper(palace).is_some() {
        return Ok(Asked::Done);
    }
    let Some(_starting) = spawn::try_start_lock(palace)? else { return Ok(Asked::Later(START_PAUSE)) };
    match tokio::time::timeout(ANSWER_TIMEOUT, answer(palace)).await {
        Ok(Some(ControlReply::Stopping)) => {}
        Ok(Some(ControlReply::Later { retry_secs, .. })) => {
            return Ok(Asked::Later(Duration::from_secs(retry_secs.max(1))));
        }
        // An older daemon does not know the question; whoever wants the new one says `palacectl restart`.
        Ok(Some(_) | None) => return Ok(Asked::Done),
        // It is suspended or busy; starters must not wait for it behind us.
        Err(_) => return Ok(Asked::Later(SILENCE_PAUSE)),
    }
    let released = async {
        while matches!(lock::state(palace), LockState::Held) {
            tokio::time::sleep(RELEASE_LOOK).await;
        }
    };
    if tokio::time::timeout(RELEASE_TIMEOUT, released).await.is_ok() {
        spawn::start_locked(palace).await?;
    }
    Ok(Asked::Done)
}

/// Asks the daemon; `None` when there is nothing to ask it, or it does not answer like one of ours.
async fn answer(palace: &Path) -> Option<ControlReply> {
    let connection = connect(palace, Role::Control { program: "palace-mcp".into() }).await.ok()?;
    if is_outdated(&connection.welcome.build) { exchange(connection).await } else { None }
}

async fn exchange(mut connection: Connection) -> Option<ControlReply> {
    let mut line = serde_json::to_vec(&ControlRequest::Upgrade { build: failpoint::build() }).ok()?;
    line.push(b'\n');
    connection.writer.write_all(&line).await.ok()?;
    connection.writer.flush().await.ok()?;
    let mut reply = Vec::new();
    let mut limited = (&mut connection.reader).take(CONTROL_LEN_BYTES_MAX as u64);
    limited.read_until(b'\n', &mut reply).await.ok()?;
    serde_json::from_slice(&reply).ok()
}
