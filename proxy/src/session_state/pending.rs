//! Requests that wait for an answer, in the order they arrived.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use palace_protocol::jsonrpc::RequestId;
use serde_json::Value;

use super::doubtful::KeyedCall;
use super::{Action, Loss};

/// What a host expects for a request; without a daemon it gets the next best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// A tool's result.
    Result,
    /// The list of tools.
    Tools,
    /// Something only a daemon knows.
    Anything,
}

/// One request of the host that is owed an answer.
#[derive(Debug)]
pub struct Pending {
    /// Its id as the host wrote it.
    pub id: RequestId,
    /// Its id as daemons see it: never used again, so that a late answer cannot be taken for another's.
    pub number: u64,
    /// The line to send, idempotency key included.
    pub line: Vec<u8>,
    /// What its answer is.
    pub owed: Owed,
    /// How often it was given to a daemon.
    pub attempt_count: u8,
    /// How many daemons crashed while they had it.
    pub crash_count: u8,
    /// Whether the present connection has it.
    pub is_sent: bool,
    /// When it arrived.
    pub since: Instant,
    /// How its host wants to hear of progress.
    pub progress: Option<Progress>,
    /// What it writes, if it may write.
    pub write: Option<KeyedCall>,
}

/// What a host has heard of a request's progress.
#[derive(Debug)]
pub struct Progress {
    /// The host's token. Daemons know the request's number instead.
    token: Value,
    /// What it heard last: after a daemon's end the work begins anew, and progress must not go back.
    last: Option<f64>,
}

impl Progress {
    /// Returns a request for progress under a token; only texts and numbers are tokens.
    pub fn of(token: &Value) -> Option<Self> {
        (token.is_string() || token.is_number()).then(|| Self { token: token.clone(), last: None })
    }

    /// Returns what the host is to hear when a daemon has got so far.
    pub fn heard(&mut self, mut params: Value) -> Option<Value> {
        let now = params["progress"].as_f64()?;
        if self.last.is_some_and(|last| now <= last) {
            return None;
        }
        self.last = Some(now);
        params["progressToken"] = self.token.clone();
        Some(params)
    }
}

impl Pending {
    /// Returns a request that has not been sent.
    pub fn new(id: RequestId, number: u64, line: Vec<u8>, owed: Owed, since: Instant) -> Self {
        Self {
            id,
            number,
            line,
            owed,
            attempt_count: 0,
            crash_count: 0,
            is_sent: false,
            since,
            progress: None,
            write: None,
        }
    }

    /// Marks the request as given to the present connection and returns the action that gives it.
    pub fn send(&mut self) -> Action {
        self.attempt_count += 1;
        self.is_sent = true;
        Action::ToDaemon(self.line.clone())
    }

    /// Returns the write of this request if a daemon may have carried it out.
    pub fn in_doubt(&self) -> Option<&KeyedCall> {
        self.write.as_ref().filter(|write| write.is_doubtful || self.attempt_count > 0)
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
    /// By number, which is the order in which they arrived.
    in_order: BTreeMap<u64, Pending>,
    by_id: HashMap<RequestId, u64>,
    len_bytes: usize,
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

    /// Returns the length of all lines that wait.
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Tells whether a request of that id waits.
    pub fn contains(&self, id: &RequestId) -> bool {
        self.by_id.contains_key(id)
    }

    /// Adds a request.
    pub fn push(&mut self, pending: Pending) {
        self.len_bytes += pending.line.len();
        self.by_id.insert(pending.id.clone(), pending.number);
        self.in_order.insert(pending.number, pending);
    }

    /// Returns how the host of the request with that number wants to hear of progress.
    pub fn progress(&mut self, number: u64) -> Option<&mut Progress> {
        self.in_order.get_mut(&number)?.progress.as_mut()
    }

    /// Removes the request that daemons know by that number.
    pub fn remove(&mut self, number: u64) -> Option<Pending> {
        let pending = self.in_order.remove(&number)?;
        self.len_bytes -= pending.line.len();
        self.by_id.remove(&pending.id);
        Some(pending)
    }

    /// Removes the request whose id is this JSON value, however it was spelled.
    pub fn remove_json(&mut self, id: &Value) -> Option<Pending> {
        let spelled = |known: &RequestId| {
            serde_json::from_str::<Value>(known.as_json()).is_ok_and(|known| known == *id)
        };
        let number = self.by_id.iter().find(|(known, _)| spelled(known)).map(|(_, number)| *number)?;
        self.remove(number)
    }

    /// Removes all requests, in order.
    pub fn take_all(&mut self) -> Vec<Pending> {
        self.by_id.clear();
        self.len_bytes = 0;
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
