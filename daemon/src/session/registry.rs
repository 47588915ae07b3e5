//! Who is connected, for status and for the idle timer.

use std::collections::BTreeMap;

use palace_protocol::control::SessionStatus;
use palace_protocol::handshake::Role;
use palace_protocol::limits::{CONTROL_COUNT_MAX, SESSION_COUNT_MAX};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock;

/// What a connection takes a place among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sessions of hosts.
    Host,
    /// Control connections: they have places of their own, so that a full house can still be looked after.
    Control,
}

impl Kind {
    /// Returns what a connection of that role counts as.
    pub fn of(role: &Role) -> Self {
        match role {
            Role::Mcp { .. } => Self::Host,
            Role::Control { .. } => Self::Control,
        }
    }

    fn count_max(self) -> usize {
        match self {
            Self::Host => SESSION_COUNT_MAX,
            Self::Control => CONTROL_COUNT_MAX,
        }
    }
}

/// Who is connected, by number.
#[derive(Default)]
struct Table {
    last_id: u64,
    sessions: BTreeMap<u64, (Kind, SessionStatus)>,
}

/// The connected sessions.
pub struct Registry {
    /// Guards the table for single reads and writes; never held across anything that waits.
    table: Mutex<Table>,
    /// Connections, those included that have not said hello yet: whoever is on the way in keeps the daemon alive.
    count: watch::Sender<usize>,
}

/// A connection, counted for as long as this lives.
pub struct Arrival<'r>(&'r Registry);

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self { table: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Registry {
    /// Counts a connection from its first byte on.
    pub fn arrive(&self) -> Arrival<'_> {
        self.count.send_modify(|count| *count += 1);
        Arrival(self)
    }

    /// Counts something that keeps the daemon as a connection does, until [`Registry::release`].
    pub fn hold(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    /// Ends what [`Registry::hold`] began.
    pub fn release(&self) {
        self.count.send_modify(|count| *count -= 1);
    }

    /// Enters a session, or returns `None` when there are as many of its kind as there may be.
    pub fn enter(&self, kind: Kind, host: &str, proxy_pid: u32) -> Option<u64> {
        let mut table = self.table.lock();
        let count = table.sessions.values().filter(|(other, _)| *other == kind).count();
        if count >= kind.count_max() {
            return None;
        }
        table.last_id += 1;
        let id = table.last_id;
        let session = SessionStatus {
            id,
            host: host.to_owned(),
            host_version: String::new(),
            proxy_pid,
            connected_at: clock::rfc3339(clock::unix_seconds()),
            protocol_version: String::new(),
            calls: 0,
        };
        table.sessions.insert(id, (kind, session));
        Some(id)
    }

    /// Removes a session.
    pub fn leave(&self, id: u64) {
        self.table.lock().sessions.remove(&id);
    }

    /// Notes how a host introduced itself.
    pub fn introduce(&self, id: u64, host: &str, host_version: &str, protocol_version: &str) {
        if let Some((_, session)) = self.table.lock().sessions.get_mut(&id) {
            host.clone_into(&mut session.host);
            host_version.clone_into(&mut session.host_version);
            protocol_version.clone_into(&mut session.protocol_version);
        }
    }

    /// Counts a call of a session.
    pub fn count_call(&self, id: u64) {
        if let Some((_, session)) = self.table.lock().sessions.get_mut(&id) {
            session.calls += 1;
        }
    }

    /// Returns every session in the order of arrival.
    pub fn list(&self) -> Vec<SessionStatus> {
        self.table.lock().sessions.values().map(|(_, session)| session.clone()).collect()
    }

    /// Returns a watch on the number of connections.
    pub fn watch_count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_only_so_many_sessions() {
        let registry = Registry::default();
        for kind in [Kind::Host, Kind::Control] {
            let ids: Vec<u64> =
                (0..kind.count_max()).map(|_| registry.enter(kind, "h", 1).unwrap()).collect();
            assert_eq!(registry.enter(kind, "h", 1), None);
            registry.leave(ids[0]);
            assert!(registry.enter(kind, "h", 1).is_some_and(|id| !ids.contains(&id)));
        }
    }
}
