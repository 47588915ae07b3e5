//! Writes that were given to a daemon and given up without an answer: they may be stored.
//!
//! Invariant: who repeats such a write repeats it under its first key, so that it is stored once. An answer ends the
//! doubt: the same call after it is a new one.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use palace_protocol::limits::IDEMPOTENCY_KEEP_SECS;
use serde_json::Value;

/// Writes that are remembered; the oldest is forgotten for the next one.
const COUNT_MAX: usize = 1_024;

/// What is written, by its digest: texts are long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64, usize);

impl Digest {
    /// Returns the digest of a tool's call.
    pub fn of(params: &Value) -> Self {
        let mut hasher = DefaultHasher::new();
        let text = format!("{}{}", params["name"], params["arguments"]);
        text.hash(&mut hasher);
        Self(hasher.finish(), text.len())
    }
}

/// A write and the key that it is known by.
#[derive(Clone, Debug)]
pub struct KeyedCall {
    /// What is written.
    pub digest: Digest,
    /// The key of all its attempts.
    pub key: String,
    /// When it was given to a daemon first, or a little earlier.
    pub since: Instant,
    /// Whether an earlier request of the same write was given up.
    pub is_doubtful: bool,
}

/// The writes of a session that may be stored.
#[derive(Debug, Default)]
pub struct Doubtful(VecDeque<KeyedCall>);

impl Doubtful {
    /// Remembers a write that was given up.
    pub fn remember(&mut self, write: &KeyedCall) {
        if self.0.len() == COUNT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(KeyedCall { is_doubtful: true, ..write.clone() });
    }

    /// Returns the write of that digest, if one was given up while daemons still know its key.
    pub fn take(&mut self, digest: Digest, now: Instant) -> Option<KeyedCall> {
        let kept = Duration::from_secs(IDEMPOTENCY_KEEP_SECS);
        self.0.retain(|write| now.saturating_duration_since(write.since) < kept);
        let at = self.0.iter().position(|write| write.digest == digest)?;
        self.0.remove(at)
    }
}
