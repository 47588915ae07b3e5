//! What all connections of a daemon share: the palace once it is open, the phase, the registry, the calls in flight.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use palace_protocol::endpoint::{EndpointState, StartFailure};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::boot::{ActivatedSocket, Manager, Notifier, Place};
use crate::config::Config;
use crate::ingest::job::{Board, Busy, Finished, JobError, JobId, Progress};
use crate::journal::Journal;
use crate::palace::Palace;
use crate::palace::writer::Trouble as WriterTrouble;

use super::backups::Backups;
use super::registry::Registry;
use super::scrub::Times;
use super::trouble::Trouble;

/// How far a daemon is.
#[derive(Clone)]
pub enum Phase {
    /// The store is being opened.
    Starting,
    /// The palace is served.
    Ready(Arc<Palace>),
    /// The daemon is about to end; running calls may finish.
    Draining(Arc<Palace>),
    /// The store cannot be opened.
    Failed(StartFailure),
}

impl Phase {
    /// Returns what the endpoint record says of it.
    pub fn endpoint_state(&self) -> EndpointState {
        match self {
            Phase::Starting => EndpointState::Starting,
            Phase::Ready(_) => EndpointState::Ready,
            Phase::Draining(_) | Phase::Failed(_) => EndpointState::Draining,
        }
    }
}

/// Refused connections that are logged one by one in a window of time.
const REFUSAL_COUNT_MAX: u64 = 10;
/// The window.
const REFUSAL_WINDOW: Duration = Duration::from_secs(10);

/// Refused connections of the present window.
struct Refusals {
    since: Instant,
    count: u64,
}

/// The state all connections share.
pub struct Service {
    place: Arc<Place>,
    journal: Arc<Journal>,
    idle_timeout: Option<Duration>,
    self_check: Duration,
    settled: Duration,
    upgrade_cooldown: Duration,
    phase: watch::Sender<Phase>,
    /// Cancelled when the daemon has been asked to end.
    pub(super) ending: CancellationToken,
    /// Cancelled when connections must close, after running calls have had their time.
    pub(super) closing: CancellationToken,
    in_flight: watch::Sender<usize>,
    /// When the last call began.
    last_call: Mutex<Instant>,
    scrub_times: Times,
    /// Changes when events were appended.
    events: watch::Sender<()>,
    pub(super) registry: Registry,
    trouble: Trouble,
    /// Guards a count; held for one line of the log.
    refusals: Mutex<Refusals>,
    hurried: AtomicBool,
    board: Board,
    scratch_dir: PathBuf,
    moves_in: bool,
    settings_error: Option<String>,
    backups: Backups,
    notifier: Notifier,
    /// Taken once, by the listener.
    #[cfg_attr(windows, expect(dead_code, reason = "no manager hands over sockets there"))]
    activated: Mutex<Option<ActivatedSocket>>,
}

impl Service {
    /// Returns the state of a daemon that is about to open its palace.
    pub fn new(place: Arc<Place>, journal: Arc<Journal>, config: &Config, manager: Manager) -> Self {
        Self {
            place,
            journal,
            idle_timeout: config.idle_timeout,
            self_check: config.self_check,
            settled: config.settled,
            upgrade_cooldown: config.upgrade_cooldown,
            phase: watch::Sender::new(Phase::Starting),
            ending: CancellationToken::new(),
            closing: CancellationToken::new(),
            in_flight: watch::Sender::new(0),
            last_call: Mutex::new(Instant::now()),
            scrub_times: config.scrub,
            events: watch::Sender::new(()),
            registry: Registry::default(),
            trouble: Trouble::default(),
            refusals: Mutex::new(Refusals { since: Instant::now(), count: 0 }),
            hurried: AtomicBool::new(false),
            board: Board::default(),
            scratch_dir: config.scratch_dir.clone(),
            moves_in: config.moves_in,
            settings_error: config.settings_error.clone(),
            backups: Backups::new(config.backups.clone()),
            notifier: manager.notifier,
            activated: Mutex::new(manager.activated),
        }
    }

    /// Tells the service manager that clients can connect, and from here on that the loop turns. Call it on the loop.
    pub fn tell_manager_ready(self: &Arc<Self>, watchdog: Option<Duration>) {
        self.notifier.ready();
        if let Some(limit) = watchdog {
            let service = Arc::clone(self);
            // It ends with the loop, so that closing the store is watched too.
            tokio::spawn(async move { service.notifier.keep_alive(limit).await });
        }
    }

    #[cfg(unix)]
    pub(super) fn take_activated(&self) -> Option<ActivatedSocket> {
        self.activated.lock().take()
    }

    /// Returns the canonical palace directory.
    pub fn palace_dir(&self) -> &Path {
        self.place.palace()
    }

    /// Ends the daemon. A palace whose writer panicked must not look alive for a moment: proxies start a new daemon, which
    /// recovers from the store. One whose store is not in its place refuses writes, and ends in order.
    pub fn writer_in_trouble(&self, trouble: WriterTrouble) {
        match trouble {
            WriterTrouble::Panicked => {
                self.journal
                    .warn("the writer panicked; the process ends so that a new one recovers from the store");
                std::process::abort();
            }
            WriterTrouble::Displaced => {
                self.journal.warn(
                    "the store was removed or replaced under this daemon; a write was refused, it ends",
                );
                self.ending.cancel();
            }
        }
    }

    /// Returns the long jobs.
    pub(super) fn board(&self) -> &Board {
        &self.board
    }

    /// Tells whether a palace of MemPalace in the same directory is to be imported.
    pub(super) fn moves_in(&self) -> bool {
        self.moves_in
    }

    /// Returns where jobs may put what they need only while they run.
    pub(super) fn scratch_dir(&self) -> PathBuf {
        self.scratch_dir.clone()
    }

    /// Returns what is known of the palace's backups.
    pub(super) fn backups(&self) -> &Backups {
        &self.backups
    }

    /// Begins a long job. It counts as a connection: the daemon does not end as idle while it runs.
    pub(super) fn begin_job(
        self: &Arc<Self>,
        kind: &'static str,
        work: impl FnOnce(&Progress) -> Result<Finished, JobError> + Send + 'static,
    ) -> Result<JobId, Busy> {
        self.registry.hold();
        let present = Present(Arc::clone(self));
        let ended = Arc::clone(self);
        self.journal.info(&format!("job {kind} begins"));
        self.board.begin(kind, work, move || {
            drop(present);
            let last = ended.board.all().pop().map(|seen| format!("{:?}", seen.state)).unwrap_or_default();
            ended.journal.info(&format!("job {kind} ends: {last}"));
        })
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Returns the daemon's log.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout
    }

    pub(super) fn upgrade_cooldown(&self) -> Duration {
        self.upgrade_cooldown
    }

    pub(super) fn calls_in_flight(&self) -> usize {
        *self.in_flight.borrow()
    }

    pub(super) fn self_check(&self) -> Duration {
        self.self_check
    }

    /// Returns how long this daemon must serve until its start counts as a success. One that ends with its host is ended
    /// often, and by no fault.
    pub(super) fn settled(&self) -> Duration {
        if self.place.dies_with_host() { Duration::ZERO } else { self.settled }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    pub(super) fn watch_phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(super) fn enter(&self, phase: Phase) {
        match &phase {
            Phase::Starting => {}
            Phase::Ready(_) => {
                self.notifier.status(&format!("serving {}", self.place.palace().display()));
            }
            Phase::Draining(_) => self.notifier.stopping("finishing the calls that run"),
            Phase::Failed(failure) => self.notifier.stopping(&failure.message),
        }
        self.phase.send_replace(phase);
    }

    /// Returns the palace while calls may be made.
    pub(super) fn palace(&self) -> Option<Arc<Palace>> {
        match self.phase() {
            Phase::Ready(palace) => Some(palace),
            Phase::Starting | Phase::Draining(_) | Phase::Failed(_) => None,
        }
    }

    /// Waits until calls may no longer be made.
    pub(super) async fn until_not_ready(&self) {
        // An error means that the service is gone, and with it whoever could wait.
        drop(self.watch_phase().wait_for(|phase| !matches!(phase, Phase::Ready(_))).await);
    }

    /// Makes the end not wait for running calls.
    pub(super) fn hurry(&self) {
        self.hurried.store(true, Ordering::SeqCst);
    }

    pub(super) fn hurried(&self) -> bool {
        self.hurried.load(Ordering::SeqCst)
    }

    /// Counts a call for as long as the guard lives.
    pub(super) fn count_call(self: &Arc<Self>) -> CallGuard {
        self.in_flight.send_modify(|count| *count += 1);
        CallGuard(Arc::clone(self))
    }

    /// Notes that somebody uses the palace.
    pub(super) fn note_call(&self) {
        *self.last_call.lock() = Instant::now();
    }

    /// Returns how long ago somebody used the palace.
    pub(super) fn quiet_for(&self) -> Duration {
        self.last_call.lock().elapsed()
    }

    pub(super) fn scrub_times(&self) -> Times {
        self.scrub_times
    }

    pub(super) fn watch_calls(&self) -> watch::Receiver<usize> {
        self.in_flight.subscribe()
    }

    /// Logs that a connection was refused. A flood of them must not rotate the log's history away.
    pub(super) fn note_refusal(&self, message: &str) {
        let mut refusals = self.refusals.lock();
        if refusals.since.elapsed() >= REFUSAL_WINDOW {
            if refusals.count > REFUSAL_COUNT_MAX {
                let left_out = refusals.count - REFUSAL_COUNT_MAX;
                self.journal.warn(&format!("{left_out} more connections were refused meanwhile"));
            }
            *refusals = Refusals { since: Instant::now(), count: 0 };
        }
        refusals.count += 1;
        if refusals.count <= REFUSAL_COUNT_MAX {
            self.journal.warn(message);
        }
    }

    /// Wakes whoever waits for events.
    pub(super) fn tell_of_events(&self) {
        self.events.send_replace(());
    }

    pub(super) fn watch_events(&self) -> watch::Receiver<()> {
        self.events.subscribe()
    }

    pub(super) fn note_error(&self, message: String) {
        self.journal.warn(&message);
        self.trouble.note(message, Instant::now());
    }

    /// Says what is wrong until something is done about it; none when that has been done.
    pub(super) fn stand(&self, message: Option<String>) {
        if let Some(message) = &message {
            self.journal.warn(message);
        }
        self.trouble.stand(message);
    }

    /// Returns what is wrong, or went wrong lately; the palace's own settings that do not hold among it.
    pub(super) fn last_error(&self) -> Option<String> {
        self.trouble.present(Instant::now()).or_else(|| self.settings_error.clone())
    }
}

/// One call in flight.
pub(super) struct CallGuard(Arc<Service>);

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.0.in_flight.send_modify(|count| *count -= 1);
    }
}

/// Keeps the daemon from ending as idle.
struct Present(Arc<Service>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.registry.release();
    }
}
