//! What an installed service leaves in a palace: `<palace>/.daemon/service.json`.
//!
//! The endpoint record lives as long as one daemon; this one lives from `palacectl service install` to `uninstall`, over
//! daemons and boots. While it is there, nobody but the service manager starts the daemon. A client that connects to
//! `address` before the daemon runs must already know the token, so a daemon that the manager starts takes this one
//! instead of a token of its own.

use serde::{Deserialize, Serialize};

use crate::endpoint::{Address, ManagedBy};

/// Version of this record's own format.
pub const SERVICE_FORMAT: u32 = 1;
/// Name of the record inside [`crate::endpoint::DAEMON_DIR`].
pub const SERVICE_FILE: &str = "service.json";
/// Name of the socket that a service manager listens on, inside [`crate::endpoint::DAEMON_DIR`]. It is the manager's: no
/// daemon makes or removes it.
pub const SERVICE_SOCKET: &str = "s.sd";

/// Who keeps a palace served, and where it listens for clients.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// [`SERVICE_FORMAT`].
    pub v: u32,
    /// The service manager.
    pub managed_by: ManagedBy,
    /// Name of the service: a systemd unit with `.service`, or a launchd label.
    pub unit: String,
    /// Where the manager listens and starts the daemon for the first client; `None` when the daemon listens by itself.
    pub address: Option<Address>,
    /// Secret that a hello must carry: 64 hex digits.
    pub token: String,
    /// Canonical path of the palace; a record copied along with its palace counts for nothing.
    pub palace: String,
    /// Identity of the machine whose manager it is, empty where the system tells none, and in records of older builds: a
    /// home that was restored on another machine has no such service there.
    #[serde(default)]
    pub machine: String,
}

impl std::fmt::Debug for ServiceRecord {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { v, managed_by, unit, address, token: _, palace, machine: _ } = self;
        write!(out, "ServiceRecord {{ v: {v}, {managed_by:?} {unit:?} at {address:?} for {palace:?} }}")
    }
}

impl ServiceRecord {
    /// Returns the record as the bytes of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a record has only string keys");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the record of a palace on a machine; `None` for anything that is not one, which means "no service". A machine
    /// without an identity is taken for the one that is meant.
    pub fn from_bytes(bytes: &[u8], palace: &str, machine: &str) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        let kept = match record.managed_by {
            ManagedBy::Systemd | ManagedBy::Launchd => true,
            ManagedBy::Auto => false,
        };
        let here = record.machine.is_empty() || machine.is_empty() || record.machine == machine;
        (record.v == SERVICE_FORMAT && kept && record.palace == palace && here && !record.token.is_empty())
            .then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ServiceRecord {
        ServiceRecord {
            v: SERVICE_FORMAT,
            managed_by: ManagedBy::Systemd,
            unit: "mempalaced-0a1b2c3d.service".into(),
            address: Some(Address::Unix("/p/.daemon/s.sd".into())),
            token: "ab".repeat(32),
            palace: "/p".into(),
            machine: "m".into(),
        }
    }

    #[test]
    fn a_record_counts_for_its_own_palace_only() {
        assert_eq!(ServiceRecord::from_bytes(&record().to_bytes(), "/p", "m"), Some(record()));
        assert_eq!(ServiceRecord::from_bytes(&record().to_bytes(), "/copy", "m"), None);
    }

    /// A home that was restored at the same path of another machine left its hosts waiting for a service that is not there.
    #[test]
    fn a_record_of_another_machine_is_none_and_one_without_a_machine_counts() {
        let read = |record: &ServiceRecord, machine| {
            ServiceRecord::from_bytes(&record.to_bytes(), "/p", machine).is_some()
        };
        assert!(!read(&record(), "other") && read(&record(), ""));
        let text = String::from_utf8(record().to_bytes()).unwrap();
        let older: String = text.lines().filter(|line| !line.contains("machine")).collect();
        let older = older.replace(",}", "}");
        assert!(ServiceRecord::from_bytes(older.as_bytes(), "/p", "m").is_some(), "{older}");
    }

    #[test]
    fn what_is_no_service_record_is_no_service() {
        let bytes = record().to_bytes();
        assert_eq!(ServiceRecord::from_bytes(&bytes[..bytes.len() - 3], "/p", "m"), None);
        let others = [
            ServiceRecord { v: 2, ..record() },
            ServiceRecord { managed_by: ManagedBy::Auto, ..record() },
            ServiceRecord { token: String::new(), ..record() },
        ];
        for other in others {
            assert_eq!(ServiceRecord::from_bytes(&other.to_bytes(), "/p", "m"), None, "{other:?}");
        }
    }

    #[test]
    fn a_token_never_reaches_a_log() {
        assert!(!format!("{:?}", record()).contains(&record().token));
    }
}
