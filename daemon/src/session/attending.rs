//! A request that is being worked on, as the worker sees its client: whether it still waits, and what it hears.
//!
//! Invariants: progress grows with every notification, and there is none after the answer; a client that reads slowly
//! hears less often and holds up no worker.

use std::time::Duration;

use rmcp::model::{ErrorData, ProgressNotificationParam, ProgressToken};
use rmcp::service::{RequestContext, RoleServer};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::tools::{CallError, Caller};

use super::mcp::error_data;

/// Shortest time between two notifications of one request.
const PAUSE: Duration = Duration::from_millis(100);

/// The client, on the worker's thread.
pub struct Attending {
    cancelled: CancellationToken,
    /// How many items of how many are done: only the newest counts.
    told: watch::Sender<(usize, usize)>,
}

/// What the client hears, on the session's side.
pub struct Progress {
    token: Option<ProgressToken>,
    told: watch::Receiver<(usize, usize)>,
}

impl Attending {
    /// Returns both sides of a request.
    pub fn new(context: &RequestContext<RoleServer>) -> (Self, Progress) {
        let (sender, receiver) = watch::channel((0, 0));
        let token = context.meta.get_progress_token();
        (Self { cancelled: context.ct.clone(), told: sender }, Progress { token, told: receiver })
    }
}

impl Caller for Attending {
    fn has_left(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    fn hear(&self, done: usize, total: usize) {
        // What is done a second time is not told again.
        self.told.send_if_modified(|told| {
            let grows = done > told.0 || told.1 == 0;
            if grows {
                *told = (done, total);
            }
            grows
        });
    }
}

impl Progress {
    /// Tells the client of progress, if it asked for it, until the work is done.
    pub async fn told_until<T>(
        mut self,
        mut work: JoinHandle<T>,
        context: &RequestContext<RoleServer>,
    ) -> Result<T, JoinError> {
        let Some(token) = self.token else { return work.await };
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                told = self.told.changed() => if told.is_err() { return work.await },
            }
            let (done, total) = *self.told.borrow_and_update();
            // Counts of items are far below what a float holds exactly.
            #[expect(clippy::cast_precision_loss, reason = "a call has at most some hundred items")]
            let heard = ProgressNotificationParam::new(token.clone(), done as f64).with_total(total as f64);
            // A client that is gone is noticed by whoever answers it.
            let _ = context.peer.notify_progress(heard).await;
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

/// A client that waits for something to happen: nothing is done meanwhile but time passes.
pub struct Waiting<'c> {
    context: &'c RequestContext<RoleServer>,
    token: Option<ProgressToken>,
    begun: Instant,
    patience: Duration,
    /// When it heard last.
    heard: Instant,
}

impl<'c> Waiting<'c> {
    /// Returns a client that waits from `begun` on for at most `patience`.
    pub fn new(context: &'c RequestContext<RoleServer>, begun: Instant, patience: Duration) -> Self {
        Self { context, token: context.meta.get_progress_token(), begun, patience, heard: begun }
    }

    /// Tells the client, so long after it heard last, how many seconds of how many are over; never returns for one that
    /// did not ask for it. May be dropped at any time and begun again.
    pub async fn told_every(&mut self, pause: Duration) {
        let Some(token) = &self.token else { return std::future::pending().await };
        tokio::time::sleep_until(self.heard + pause).await;
        self.heard += pause;
        let seconds = (self.heard - self.begun).as_secs_f64();
        let heard = ProgressNotificationParam::new(token.clone(), seconds)
            .with_total(self.patience.as_secs_f64())
            .with_message("waiting for an event".to_owned());
        // A client that is gone is noticed by whoever answers it.
        let _ = self.context.peer.notify_progress(heard).await;
    }
}

/// The answer to a request that its client has cancelled.
pub fn cancelled() -> ErrorData {
    let error = CallError::cancelled();
    error_data(error.code, error.message, error.data)
}
