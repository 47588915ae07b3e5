//! Who is connected, for status and for the idle timer.

use std::collections::BTreeMap;

use palace_protocol::control::SessionStatus;
use palace_protocol::limits::SESSION_COUNT_MAX;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock;

/// The connected sessions.
pub struct Registry {
    /// Guards the table for single reads and writes; never held across anything that waits.
    sessions: Mutex<(u64, BTreeMap<u64, SessionStatus>)>,
    count: watch::Sender<usize>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { sessions: Mutex::new((0, BTreeMap::new())), count: watch::Sender::new(0) }
    }
}

impl Registry {
    /// Enters a session, or returns `None` when there are as many as there may be.
    pub fn enter(&self, host: &str, proxy_pid: u32) -> Option<u64> {
        let mut sessions = self.sessions.lock();
        if sessions.1.len() >= SESSION_COUNT_MAX {
            return None;
        }
        sessions.0 += 1;
        let id = sessions.0;
        sessions.1.insert(
            id,
            SessionStatus {
                id,
                host: host.to_owned(),
                host_version: String::new(),
                proxy_pid,
                connected_at: clock::rfc3339(clock::unix_seconds()),
                protocol_version: String::new(),
                calls: 0,
            },
        );
        self.count.send_replace(sessions.1.len());
        Some(id)
    }

    /// Removes a session.
    pub fn leave(&self, id: u64) {
        let mut sessions = self.sessions.lock();
        sessions.1.remove(&id);
        self.count.send_replace(sessions.1.len());
    }

    /// Notes how a host introduced itself.
    pub fn introduce(&self, id: u64, host: &str, host_version: &str, protocol_version: &str) {
        if let Some(session) = self.sessions.lock().1.get_mut(&id) {
            host.clone_into(&mut session.host);
            host_version.clone_into(&mut session.host_version);
            protocol_version.clone_into(&mut session.protocol_version);
        }
    }

    /// Counts a call of a session.
    pub fn count_call(&self, id: u64) {
        if let Some(session) = self.sessions.lock().1.get_mut(&id) {
            session.calls += 1;
        }
    }

    /// Returns every session in the order of arrival.
    pub fn list(&self) -> Vec<SessionStatus> {
        self.sessions.lock().1.values().cloned().collect()
    }

    /// Returns a watch on the number of sessions.
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
        let ids: Vec<u64> = (0..SESSION_COUNT_MAX).map(|_| registry.enter("h", 1).unwrap()).collect();
        assert_eq!(registry.enter("h", 1), None);
        registry.leave(ids[0]);
        assert!(registry.enter("h", 1).is_some_and(|id| !ids.contains(&id)));
    }
}
