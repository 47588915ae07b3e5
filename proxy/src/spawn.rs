//! Connects to the palace's daemon, starting it first when there is none.
//!
//! Many proxies may do this at the same instant. A lock on `start.lock` lets one of them start; it looks once more
//! for a daemon under the lock. Should two daemons be started all the same, the daemon's own writer lock decides.
//! No lock, socket or record is ever unlinked, only what an earlier start wrote of its failure, under the lock; no process
//! is ever ended. Where a service manager keeps the palace served, nothing is
//! started here at all: connecting is what makes the manager start it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use palace_protocol::endpoint::{DAEMON_DIR, EndpointState, LOG_DIR, START_LOCK_FILE, StartFailure};
use palace_protocol::handshake::{Refusal, Role};
use palace_system::files;

use crate::connect::{ConnectError, Connection, check_allowed, connect, read_record};
use crate::known::{KnownPalace, OtherPalace};
use crate::launch::{DAEMON_VARIABLE, Started, launch, program, recorded_failure};
use crate::lock::{self, LockState};
use crate::service::{self, Keeper, NobodyListens};
use crate::starts::{Starts, Tripped};
use crate::{failpoint, os};

/// First pause between two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// Why there is no connection although starting was allowed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The daemon's program was not found.
    #[error("palaced was not found beside {} nor on PATH; install it there, or name it with {DAEMON_VARIABLE}", beside.display())]
    NoProgram {
        /// Where it was looked for.
        beside: PathBuf,
    },
    /// The daemon's program could not be run.
    #[error("{} could not be started: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The daemon said why it will not serve.
    #[error("{0}")]
    Failed(StartFailure),
    /// The daemon ended, or did not get ready in time, without saying why.
    #[error("palaced did not get ready: {0}")]
    Silent(String),
    /// A daemon or the system refused us; starting another would not help.
    #[error(transparent)]
    Connect(ConnectError),
    /// The private folder of the palace cannot be used.
    #[error(
        "{} cannot be used: {source}; {}", path.display(),
        files::advice(source, "the palace directory must be writable")
    )]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The palace, or what is private in it, is another user's or not what it should be; nothing was left in it.
    #[error(transparent)]
    NotOurs(os::Unusable),
    /// What has the palace's name is not the palace this session worked on.
    #[error(transparent)]
    OtherPalace(OtherPalace),
    /// A service manager keeps the palace served, and nobody listens.
    #[error(transparent)]
    Kept(NobodyListens),
    /// Starts have failed too often to try again now.
    #[error(transparent)]
    Tripped(Tripped),
    /// There was no session before the deadline.
    #[error("{obstacle} (tried for {seconds} s); `palacectl doctor` tells more")]
    Deadline {
        /// How long it was tried.
        seconds: u64,
        /// What was in the way.
        obstacle: Obstacle,
    },
}

impl StartError {
    /// Tells whether a look at the palace is enough to know that it can be worked on again: then there is no reason to wait
    /// with the next try.
    pub fn is_over_at_a_look(&self) -> bool {
        matches!(self, Self::OtherPalace(_))
    }
}

/// What was in the way of a session until the deadline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// A daemon answered, and turned us away every time.
    #[error("the palace's daemon turns this session away: {0}")]
    TurnedAway(Refusal),
    /// A process holds the palace and does not answer.
    #[error("no daemon answered; {0}")]
    Held(String),
    /// Nobody was there.
    #[error("no daemon answered")]
    Nobody,
}

/// What to do where starts have failed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insistence {
    /// Wait as long as [`Starts`] asks for: a host's calls must not start a broken daemon again and again.
    Patient,
    /// Try at once: a person asked for it.
    Insistent,
}

/// How long to try, all steps together.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    begun: Instant,
    limit: Duration,
}

impl Patience {
    /// Returns a patience that begins now.
    pub fn new(limit: Duration) -> Self {
        Self { begun: Instant::now(), limit }
    }

    /// Returns one of which at least so much is left from now on.
    pub fn at_least(self, floor: Duration) -> Self {
        if self.left() >= floor { self } else { Self::new(floor) }
    }

    /// Returns what is left of it.
    pub fn left(self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }
}

/// Returns a connection, starting the daemon when there is none. A daemon that dies while it starts is started again,
/// as often as [`Starts`] allows.
///
/// # Errors
/// [`StartError`] with what failed and what to do; nothing is left behind but a log.
pub async fn connect_or_start(
    palace: &Path,
    known: &KnownPalace,
    role: Role,
    patience: Patience,
    insistence: Insistence,
) -> Result<Connection, StartError> {
    let mut refusal = None;
    // A daemon that is stopped or swapped out accepts connections and says nothing.
    let trying = keep_trying(palace, known, role, insistence, &mut refusal);
    let tried = tokio::time::timeout(patience.left(), trying).await;
    tried.unwrap_or_else(|_| {
        let obstacle = refusal.map_or_else(|| silence(palace), Obstacle::TurnedAway);
        Err(StartError::Deadline { seconds: patience.limit.as_secs(), obstacle })
    })
}

/// Tries until there is a connection or a reason to give up; `refusal` is the last one of a daemon that answers.
async fn keep_trying(
    palace: &Path,
    known: &KnownPalace,
    role: Role,
    insistence: Insistence,
    refusal: &mut Option<Refusal>,
) -> Result<Connection, StartError> {
    let mut pause = PAUSE_MIN;
    let mut alone_since = None;
    loop {
        match connect(palace, role.clone()).await {
            Ok(connection) => return Ok(connection),
            Err(ConnectError::NotThere | ConnectError::Lost(_))
                if let Some(keeper) = service::keeper(palace) =>
            {
                *refusal = None;
                kept_waiting(palace, keeper, *alone_since.get_or_insert_with(Instant::now))?;
            }
            Err(ConnectError::NotThere | ConnectError::Lost(_)) => {
                *refusal = None;
                known.may_begin(palace).map_err(StartError::OtherPalace)?;
                match start(palace, known, &role, insistence).await {
                    Ok(Some(connection)) => return Ok(connection),
                    Ok(None) => {}
                    // Killed or crashed. It may have been an accident, and `Starts` ends a series of them.
                    Err(StartError::Silent(_)) if insistence == Insistence::Patient => {}
                    Err(error) => return Err(error),
                }
            }
            Err(ConnectError::Draining { retry_ms }) => {
                *refusal = None;
                pause = pause.max(Duration::from_millis(retry_ms.min(250)));
            }
            Err(ConnectError::NotNow(turned_away)) => {
                *refusal = Some(turned_away);
                pause = PAUSE_MAX;
            }
            Err(
                error @ (ConnectError::Refused(_) | ConnectError::Forbidden(_) | ConnectError::Foreign(_)),
            ) => {
                return Err(StartError::Connect(error));
            }
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Ends the waiting for a daemon that its service manager should have started by now.
fn kept_waiting(palace: &Path, keeper: Keeper, alone_since: Instant) -> Result<(), StartError> {
    // Whoever holds the lock is about to listen, or about to end.
    if alone_since.elapsed() < keeper.patience() || matches!(lock::state(palace), LockState::Held) {
        return Ok(());
    }
    Err(StartError::Kept(NobodyListens { keeper, palace: palace.to_path_buf() }))
}

/// Starts a daemon unless somebody else is starting one. `None` means: look again.
async fn start(
    palace: &Path,
    known: &KnownPalace,
    role: &Role,
    insistence: Insistence,
) -> Result<Option<Connection>, StartError> {
    let Some(_starting) = try_start_lock(palace)? else { return Ok(None) };
    failpoint::reach("starter.locked");
    // Whoever held the lock before us may have just succeeded.
    match connect(palace, role.clone()).await {
        Ok(connection) => return Ok(Some(connection)),
        Err(ConnectError::NotThere | ConnectError::Lost(_)) => {}
        Err(ConnectError::Draining { .. } | ConnectError::NotNow(_)) => return Ok(None),
        Err(error @ (ConnectError::Refused(_) | ConnectError::Forbidden(_) | ConnectError::Foreign(_))) => {
            return Err(StartError::Connect(error));
        }
    }
    if is_served_in_silence(palace) {
        return Ok(None);
    }
    if insistence == Insistence::Patient {
        let folder = palace.join(DAEMON_DIR);
        let mut starts = Starts::read(&folder);
        if starts.reason.is_empty() {
            // It got ready and failed only then: it wrote down why.
            starts.reason = recorded_failure(&folder).map(|failure| failure.message).unwrap_or_default();
        }
        starts.check(unix_seconds()).map_err(StartError::Tripped)?;
    }
    // The volume may have gone while the lock was waited for.
    known.may_begin(palace).map_err(StartError::OtherPalace)?;
    start_locked(palace).await.map(|()| None)
}

/// Starts a daemon and waits until it listens or has left the palace to another one. The caller holds the starters'
/// lock, see [`try_start_lock`].
///
/// # Errors
/// What the daemon said, or what is known of one that said nothing; it is remembered for [`Starts`].
pub async fn start_locked(palace: &Path) -> Result<(), StartError> {
    check_allowed(palace).await.map_err(StartError::Connect)?;
    let folder = palace.join(DAEMON_DIR);
    let program = program()?;
    let mut starts = Starts::read(&folder);
    let before = starts.clone();
    starts.begin(unix_seconds());
    starts.write(&folder);
    failpoint::reach("starter.launch");
    let outcome = launch(program, palace).await;
    match &outcome {
        // Another daemon was faster: this start says nothing about the palace.
        Ok(Started::Rival) => before.write(&folder),
        // The daemon removes the memory once it has served for a while.
        Ok(Started::Ready) => {}
        Err(error) => {
            starts.reason = error.to_string();
            starts.write(&folder);
        }
    }
    outcome.map(|_| ())
}

/// Tells whether a daemon holds the palace, says that it serves, and yet cannot be reached: it is stopped, swapped out
/// or busy. Another one could not serve either, so it is waited for.
fn is_served_in_silence(palace: &Path) -> bool {
    let serves = read_record(palace).is_some_and(|record| record.state != EndpointState::Draining);
    serves && matches!(lock::state(palace), LockState::Held)
}

/// Returns what is in the way where nobody answers.
fn silence(palace: &Path) -> Obstacle {
    match lock::state(palace) {
        LockState::Held => Obstacle::Held(format!("{} holds {}", lock::holder(palace), palace.display())),
        LockState::Free | LockState::Unknown(_) => Obstacle::Nobody,
    }
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Takes the starters' lock, or returns `None` while somebody else has it.
///
/// # Errors
/// When the palace's private folder cannot be made or locks do not work there.
pub fn try_start_lock(palace: &Path) -> Result<Option<File>, StartError> {
    // What we made in another user's palace its owner could not use; the daemon would refuse it too late.
    os::check_owned_folder(palace).map_err(StartError::NotOurs)?;
    let folder = palace.join(DAEMON_DIR);
    private_folder(&folder)?;
    private_folder(&folder.join(LOG_DIR))?;
    let path = folder.join(START_LOCK_FILE);
    let failed = |source| StartError::Folder { path: path.clone(), source };
    let file = files::open_lock(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        // Without working locks two daemons could be started, which the writer lock could not settle either.
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Makes a folder for its owner alone, or looks whether the one that is there can be used.
///
/// # Errors
/// When it cannot be made, or is another user's, a link or no folder.
pub fn private_folder(path: &Path) -> Result<(), StartError> {
    match os::make_private_folder(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            os::check_owned_folder(path).map_err(StartError::NotOurs)
        }
        Err(source) => Err(StartError::Folder { path: path.to_path_buf(), source }),
    }
}

/// Spreads the attempts of processes that started together.
fn jittered(pause: Duration) -> Duration {
    let noise = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
    pause / 2 + pause * noise / 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_starter_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = try_start_lock(folder.path()).unwrap();
        assert!(first.is_some());
        assert!(try_start_lock(folder.path()).unwrap().is_none());
        drop(first);
        assert!(try_start_lock(folder.path()).unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link() {
        let (palace, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(elsewhere.path(), palace.path().join(DAEMON_DIR)).unwrap();
        let refused = try_start_lock(palace.path()).unwrap_err().to_string();
        assert!(refused.contains("not a directory"), "{refused}");
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn pauses_differ_and_stay_near_their_length() {
        let pause = Duration::from_millis(100);
        let pauses: Vec<Duration> = (0..32).map(|_| jittered(pause)).collect();
        assert!(pauses.iter().all(|jittered| (pause / 2..=pause).contains(jittered)));
        assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
