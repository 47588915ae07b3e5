//! The one open redb handle, who uses it, and how it is exchanged.
//!
//! A handle that met an I/O error refuses every further write until the file is closed and opened
//! again, and the file is closed only when nobody uses the handle. So users are counted: an exchange
//! lets no new ones in and waits for the rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use redb::Database;

use super::error::let_go;

/// Longest wait of a newcomer for an exchange to end.
const NEWCOMER_WAIT: Duration = Duration::from_secs(10);

pub(super) struct Handle {
    /// Guards three words, never held over I/O.
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    db: Option<Arc<Database>>,
    leases: usize,
    exchanging: bool,
    /// A transaction ended so badly that nobody knows whether the next one could begin.
    spoiled: bool,
}

/// The right to use the handle. The file stays open as long as one lives.
pub(super) struct Lease {
    handle: Arc<Handle>,
    /// `None` only while the lease is being dropped.
    db: Option<Arc<Database>>,
}

impl Lease {
    pub fn db(&self) -> &Database {
        self.db.as_deref().expect("a living lease has its handle")
    }

    /// Tells whether an exchange waits for this lease.
    pub fn is_awaited(&self) -> bool {
        self.handle.state.lock().exchanging
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // First the handle, then the count: who sees zero may take the handle for his own.
        self.db = None;
        self.handle.state.lock().leases -= 1;
        self.handle.changed.notify_all();
    }
}

impl Handle {
    pub fn new(db: Database) -> Arc<Handle> {
        let state = State { db: Some(Arc::new(db)), leases: 0, exchanging: false, spoiled: false };
        Arc::new(Handle { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Takes a lease for long use; waits for an exchange. `None` when there is no handle, or when
    /// the exchange does not end: it may be waiting for an older lease of this very thread.
    pub fn lease(self: &Arc<Self>) -> Option<Lease> {
        self.enter(|state| !state.exchanging)
    }

    /// Takes a lease for one short read. Such reads are made by holders of longer leases too, so
    /// they are let in as long as anyone is.
    pub fn lease_briefly(self: &Arc<Self>) -> Option<Lease> {
        self.enter(|state| !state.exchanging || state.leases > 0)
    }

    fn enter(self: &Arc<Self>, may_enter: impl Fn(&State) -> bool) -> Option<Lease> {
        let deadline = Instant::now() + NEWCOMER_WAIT;
        let mut state = self.state.lock();
        while !may_enter(&state) {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return None;
            }
        }
        let db = Some(Arc::clone(state.db.as_ref()?));
        state.leases += 1;
        Some(Lease { handle: Arc::clone(self), db })
    }

    /// Keeps newcomers out, waits until nobody uses the handle and hands it over. `None` when the
    /// deadline passes (newcomers are let in again) or when there was no handle.
    ///
    /// After success the caller ends the exchange with `install`.
    pub fn withdraw(&self, deadline: Option<Instant>) -> Result<Option<Database>, StillUsed> {
        let mut state = self.state.lock();
        state.exchanging = true;
        while state.leases > 0 {
            let timed_out = match deadline {
                Some(deadline) => self.changed.wait_until(&mut state, deadline).timed_out(),
                None => {
                    self.changed.wait(&mut state);
                    false
                }
            };
            if timed_out {
                state.exchanging = false;
                self.changed.notify_all();
                return Err(StillUsed);
            }
        }
        Ok(state.db.take().map(|db| Arc::into_inner(db).expect("no lease, no other owner")))
    }

    /// Notes that no further transaction may begin before the handle is exchanged.
    pub fn spoil(&self) {
        self.state.lock().spoiled = true;
    }

    /// Tells whether no transaction may begin.
    pub fn is_spoiled(&self) -> bool {
        self.state.lock().spoiled
    }

    /// Ends an exchange; with `None` every later lease is refused.
    pub fn install(&self, db: Option<Database>) {
        let mut state = self.state.lock();
        state.db = db.map(Arc::new);
        state.exchanging = false;
        state.spoiled = false;
        self.changed.notify_all();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let_go(self.state.get_mut().db.take());
    }
}

/// The handle was still in use at the deadline.
#[derive(Debug)]
pub(super) struct StillUsed;
