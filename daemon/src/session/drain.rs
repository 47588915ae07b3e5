//! The life of a serving daemon: listen, publish, open, serve, drain, close.
//!
//! Ending is the beginning in reverse: no new calls, running ones finish, connections close, the store closes, the
//! record and the socket go, and the lock ends with the process.

use std::sync::Arc;
use std::time::Duration;

use palace_protocol::advice;
use palace_protocol::endpoint::{Address, StartFailure, StartFailureCode};

use crate::boot::bound_stderr;
use crate::failpoint;
use crate::palace::Palace;

use super::service::{Phase, Service};
use super::{backups, jobs, listener, scrub};

/// How long running calls may delay the end when asked politely.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The same after a signal: whoever sends one waits less.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a job has to stop.
const JOB_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connections that came at the last moment have to be seen.
const LAST_ARRIVALS: Duration = Duration::from_millis(5);
/// How long a failed start stays reachable, so that waiting clients read the reason.
const FAILURE_LINGER: Duration = Duration::from_millis(500);

/// Serves until told to end. `ready` is called once, when the endpoint record is published; `open` runs on a blocking
/// thread.
///
/// # Errors
/// When the socket cannot be made or the store cannot be opened.
pub async fn serve(
    service: Arc<Service>,
    ready: impl FnOnce(String),
    open: impl FnOnce() -> Result<Palace, StartFailure> + Send + 'static,
) -> Result<(), StartFailure> {
    let mut signals =
        Signals::listen().map_err(|error| socket_failure("signals cannot be received", &error))?;
    let (listener, address) = listener::bind(&service)
        .map_err(|error| socket_failure("the palace's socket cannot be made", &error))?;
    publish(&service, &address)?;
    failpoint::reach("daemon.published");
    ready(service.place().generation().to_owned());
    failpoint::reach("daemon.ready");
    let accepting = tokio::spawn(listener::accept(Arc::clone(&service), listener));

    let opening = tokio::task::spawn_blocking(open);
    let opened = tokio::select! {
        opened = opening => opened,
        name = signals.received() => {
            service.journal().info(&format!("{name} received while the palace is opened"));
            return abandon(&service);
        }
        () = service.ending.cancelled() => return abandon(&service),
    };
    let palace = match opened {
        Ok(Ok(palace)) => Arc::new(palace),
        Ok(Err(failure)) => return Err(fail(&service, &address, failure).await),
        Err(_) => {
            let message =
                format!("opening the store panicked; see the daemon's stderr; {}", advice::DAMAGED_STORE);
            let failure = StartFailure { code: StartFailureCode::Damaged, message };
            return Err(fail(&service, &address, failure).await);
        }
    };
    service.place().note_store();
    service.enter(Phase::Ready(Arc::clone(&palace)));
    settle(&service);
    service.journal().info("the palace is open");
    republish(&service, &address);
    move_in(&service, &palace).await;
    tokio::spawn(scrub::keep_scrubbing(Arc::clone(&service)));
    tokio::spawn(backups::keep_making(Arc::clone(&service)));

    let patience = wait_for_end(&service, signals).await;
    service.enter(Phase::Draining(Arc::clone(&palace)));
    republish(&service, &address);
    failpoint::reach("drain.begun");
    stop_jobs(&service).await;
    let mut calls = service.watch_calls();
    let patience = if service.hurried() { Duration::ZERO } else { patience };
    if tokio::time::timeout(patience, calls.wait_for(|count| *count == 0)).await.is_err() {
        service.journal().warn("closing with calls still running; their proxies send them again");
    }
    failpoint::reach("drain.calls_done");
    service.closing.cancel();
    let _ = accepting.await;
    failpoint::reach("drain.deaf");
    let mut sessions = service.registry.watch_count();
    // Answers that were just made are on their way out; a client that does not read them must not hold the palace.
    let _ = tokio::time::timeout(Duration::from_secs(1), sessions.wait_for(|count| *count == 0)).await;
    failpoint::reach("drain.closing");
    let closing = Arc::clone(&palace);
    match tokio::task::spawn_blocking(move || closing.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => service
            .journal()
            .warn(&format!("derived indexes were not saved, the next start rebuilds them: {error}")),
        Err(_) => service.journal().warn("closing the store panicked; the next start recovers it"),
    }
    failpoint::reach("drain.closed");
    // An end in order is no failure, however soon it comes.
    service.place().forget_failed_starts();
    service.place().withdraw();
    failpoint::reach("drain.withdrawn");
    Ok(())
}

/// Ends the starters' memory of failures once this daemon has served for a while: one that opens the palace and crashes
/// over it a moment later is a failure too.
fn settle(service: &Arc<Service>) {
    let settled = service.settled();
    if settled.is_zero() {
        return service.place().forget_failed_starts();
    }
    let owned = Arc::clone(service);
    tokio::spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(settled) => owned.place().forget_failed_starts(),
            () = owned.closing.cancelled() => {}
        }
    });
}

/// Imports what stands in the palace's directory from before, if there is something.
async fn move_in(service: &Arc<Service>, palace: &Arc<Palace>) {
    let (owned, palace) = (Arc::clone(service), Arc::clone(palace));
    if tokio::task::spawn_blocking(move || jobs::move_in(&owned, &palace)).await.is_err() {
        service.note_error("looking for a palace of MemPalace panicked; the palace goes on".to_owned());
    }
}

/// Ends the job that runs: it stops where everything it did is stored, and can be taken up again.
async fn stop_jobs(service: &Arc<Service>) {
    let owned = Arc::clone(service);
    let stopping = tokio::task::spawn_blocking(move || owned.board().stop(JOB_TIMEOUT)).await;
    if !stopping.unwrap_or(false) {
        service.journal().warn("a job did not stop in time; the store is closed without waiting for it");
    }
}

/// Ends while the palace is being opened. The thread that opens it ends with the process, which is what a kill would do:
/// the store is made for that.
fn abandon(service: &Service) -> Result<(), StartFailure> {
    service.closing.cancel();
    service.place().withdraw();
    Ok(())
}

fn publish(service: &Service, address: &Address) -> Result<(), StartFailure> {
    let state = service.phase().endpoint_state();
    service
        .place()
        .publish(address, state)
        .map_err(|error| socket_failure("the endpoint record cannot be written", &error))
}

/// Publishes a change of state. Clients that read the old one find out from the hello.
fn republish(service: &Service, address: &Address) {
    // A daemon that was replaced must not write over its successor's record, who would take that for its own end.
    if service.place().has_successor() {
        return;
    }
    if let Err(failure) = publish(service, address) {
        service.note_error(failure.message);
    }
}

fn socket_failure(what: &str, error: &std::io::Error) -> StartFailure {
    let next = advice::about(error.kind()).unwrap_or("the palace must be on a local, writable file system");
    StartFailure { code: StartFailureCode::Socket, message: format!("{what}: {error}; {next}") }
}

/// Tells waiting clients why the palace does not open, then gives up the address.
async fn fail(service: &Service, address: &Address, failure: StartFailure) -> StartFailure {
    service.enter(Phase::Failed(failure.clone()));
    // Whoever wants the palace next waits for the end of this daemon instead of taking it for one that serves.
    republish(service, address);
    let mut sessions = service.watch_calls();
    // Whoever waits behind its hello gets the reason now; whoever connects within a moment gets it too.
    let _ = tokio::time::timeout(FAILURE_LINGER, sessions.wait_for(|_| false)).await;
    service.closing.cancel();
    service.place().withdraw();
    failure
}

/// Waits for a reason to end and returns how long running calls may delay it.
async fn wait_for_end(service: &Arc<Service>, mut signals: Signals) -> Duration {
    let mut check = tokio::time::interval(service.self_check());
    // Made once: a new one with every self-check would never have waited long enough.
    let mut idle = std::pin::pin!(idle_time(service));
    loop {
        tokio::select! {
            () = service.ending.cancelled() => return DRAIN_TIMEOUT,
            name = signals.received() => {
                service.journal().info(&format!("{name} received"));
                return SIGNAL_TIMEOUT;
            }
            () = &mut idle => {
                failpoint::reach("drain.idle");
                // Whoever is at the door keeps the daemon: the listener gets its turn before the decision.
                tokio::time::sleep(LAST_ARRIVALS).await;
                if *service.registry.watch_count().borrow() > 0 {
                    idle.set(idle_time(service));
                    continue;
                }
                service.journal().info("no client for the idle time");
                return DRAIN_TIMEOUT;
            }
            _ = check.tick() => {
                bound_stderr(&service.place().log_dir());
                if let Some(reason) = service.place().lost() {
                    service.journal().warn(&format!("this palace is no longer ours: {reason}"));
                    return SIGNAL_TIMEOUT;
                }
            }
        }
    }
}

/// Ends once nobody has been connected for the idle time.
async fn idle_time(service: &Service) {
    let Some(timeout) = service.idle_timeout() else { return std::future::pending().await };
    let mut count = service.registry.watch_count();
    loop {
        if count.wait_for(|count| *count == 0).await.is_err() {
            return;
        }
        if tokio::time::timeout(timeout, count.wait_for(|count| *count > 0)).await.is_err() {
            return;
        }
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    /// Received and ignored: a closing terminal is no reason to end a palace.
    _hangup: tokio::signal::unix::Signal,
    /// Received and ignored: a file size limit is reported by the write that meets it, as a full disk is.
    _file_size: tokio::signal::unix::Signal,
}

/// SIGXFSZ, the same number on Linux and macOS.
#[cfg(unix)]
const SIGNAL_FILE_SIZE: i32 = 25;

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _hangup: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(SIGNAL_FILE_SIZE))?,
        })
    }

    async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn received(&mut self) -> &'static str {
        self.0.recv().await;
        "Ctrl+C"
    }
}
