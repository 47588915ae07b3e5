//! Requests that wait for an answer, in the order they arrived.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use palace_protocol::jsonrpc::RequestId;
use serde_json::Value;

use super::{Action, Loss};

/// One request of the host that is owed an answer.
#[derive(Debug)]
pub struct Pending {
    /// Its id as the host wrote it.
    pub id: RequestId,
    /// The line to send, idempotency key included.
    pub line: Vec<u8>,
    /// Whether it calls a tool; otherwise it asks for the list of tools.
    pub is_call: bool,
    /// How often it was given to a daemon.
    pub attempt_count: u8,
    /// How many daemons crashed while they had it.
    pub crash_count: u8,
    /// Whether the present connection has it.
    pub is_sent: bool,
    /// When it arrived.
    pub since: Instant,
}

impl Pending {
    /// Returns a request that has not been sent.
    pub fn new(id: RequestId, line: Vec<u8>, is_call: bool, since: Instant) -> Self {
        Self { id, line, is_call, attempt_count: 0, crash_count: 0, is_sent: false, since }
    }

    /// Marks the request as given to the present connection and returns the action that gives it.
    pub fn send(&mut self) -> Action {
        self.attempt_count += 1;
        self.is_sent = true;
        Action::ToDaemon(self.line.clone())
    }

    /// Returns the request as waiting for the next connection.
    pub fn unsent(mut self, loss: Loss) -> Self {
        if self.is_sent && loss == Loss::Crash {
            self.crash_count += 1;
        }
        self.is_sent = false;
        self
    }
}

/// The waiting requests.
#[derive(Debug, Default)]
pub struct Requests {
    next: u64,
    in_order: BTreeMap<u64, Pending>,
    by_id: HashMap<RequestId, u64>,
}

impl Requests {
    /// Tells whether none waits.
    pub fn is_empty(&self) -> bool {
        self.in_order.is_empty()
    }

    /// Returns how many wait.
    pub fn len(&self) -> usize {
        self.in_order.len()
    }

    /// Tells whether a request of that id waits.
    pub fn contains(&self, id: &RequestId) -> bool {
        self.by_id.contains_key(id)
    }

    /// Adds a request behind all others.
    pub fn push(&mut self, pending: Pending) {
        self.next += 1;
        self.by_id.insert(pending.id.clone(), self.next);
        self.in_order.insert(self.next, pending);
    }

    /// Removes the request of that id.
    pub fn remove(&mut self, id: &RequestId) -> Option<Pending> {
        self.by_id.remove(id).and_then(|place| self.in_order.remove(&place))
    }

    /// Removes the request whose id is this JSON value, however it was spelled.
    pub fn remove_json(&mut self, id: &Value) -> Option<Pending> {
        let spelled = self
            .by_id
            .keys()
            .find(|known| serde_json::from_str::<Value>(known.as_json()).is_ok_and(|known| known == *id));
        let spelled = spelled.cloned()?;
        self.remove(&spelled)
    }

    /// Removes all requests, in order.
    pub fn take_all(&mut self) -> Vec<Pending> {
        self.by_id.clear();
        std::mem::take(&mut self.in_order).into_values().collect()
    }

    /// Returns all requests, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.in_order.values()
    }

    /// Returns all requests, in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Pending> {
        self.in_order.values_mut()
    }
}
