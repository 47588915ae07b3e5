//! The first lines of every connection: one hello, then zero or more `starting` lines, then welcome or refusal.
//!
//! Both sides name the range of protocol versions they speak; the daemon picks the highest common one. After a
//! welcome an MCP connection carries unmodified newline-framed MCP, a control connection [`crate::control`] frames.

use serde::{Deserialize, Serialize};

use crate::catalogue::Profile;

/// Oldest protocol version this build speaks.
pub const PROTOCOL_MIN: u32 = 1;
/// Newest protocol version this build speaks.
pub const PROTOCOL_MAX: u32 = 1;
/// First member of every hello: tells our clients from anything else that connects.
pub const MAGIC: &str = "mempalaced";

/// What a client says first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`MAGIC`].
    pub magic: String,
    /// Oldest version the client speaks.
    pub protocol_min: u32,
    /// Newest version the client speaks.
    pub protocol_max: u32,
    /// The token of the endpoint record.
    pub token: String,
    /// Version of the client's build.
    pub build: String,
    /// Process id of the client.
    pub pid: u32,
    /// What the connection is for.
    pub role: Role,
}

/// A hand-written form that keeps the token out of logs.
impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello")
            .field("protocol", &(self.protocol_min..=self.protocol_max))
            .field("build", &self.build)
            .field("pid", &self.pid)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An MCP session of a host.
    Mcp {
        /// Which tools the session sees.
        profile: Profile,
        /// Whether tools that change the palace are refused.
        read_only: bool,
    },
    /// Requests of `palacectl`, hooks and other programs of ours.
    Control {
        /// Name of the program, for `palacectl sessions`.
        program: String,
    },
}

/// What a daemon answers to a hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HelloReply {
    /// The store is being opened; another line follows on this connection.
    Starting {
        /// What the daemon is doing.
        doing: String,
    },
    /// The connection is open for its role.
    Welcome(Welcome),
    /// The connection will be closed.
    Refusal(Refusal),
}

/// An accepted connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version both sides speak from here on.
    pub protocol: u32,
    /// Version of the daemon's build.
    pub build: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Generation of the daemon; a change of it means a restart.
    pub generation: String,
    /// Number of the session, as `palacectl sessions` shows it.
    pub session: u64,
    /// Fingerprint of the daemon's tool catalogue; equal to the proxy's when both came from one build.
    pub catalogue: String,
    /// Identity of the store that is served; daemons before it do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

/// A refused connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What to branch on.
    pub reason: RefusalReason,
    /// What was refused, why, and what to do.
    pub message: String,
    /// When to try again, in milliseconds; absent when trying again is useless.
    pub retry_ms: Option<u64>,
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The first line is not a hello.
    NotAHello,
    /// No common protocol version.
    Protocol,
    /// The token is not the one of this generation.
    Token,
    /// The peer is another user.
    Peer,
    /// Too many sessions.
    Full,
    /// The daemon is about to end.
    Draining,
    /// The store is open in another process; the daemon ends.
    StoreLocked,
    /// The store could not be opened; the daemon ends. Also what only a newer build knows.
    #[serde(other)]
    Store,
}

/// Returns the highest version both ranges hold.
pub fn negotiate(client_min: u32, client_max: u32) -> Option<u32> {
    let version = client_max.min(PROTOCOL_MAX);
    (version >= client_min.max(PROTOCOL_MIN)).then_some(version)
}

/// Tells whether a version is newer than another; what is no version of three numbers is never newer.
pub fn is_newer(version: &str, than: &str) -> bool {
    fn numbers(version: &str) -> Option<[u64; 3]> {
        // A pre-release ranks as its release: between such builds nobody is made to give way.
        let release = version.split(['-', '+']).next()?;
        let numbers: Option<Vec<u64>> = release.split('.').map(|part| part.parse().ok()).collect();
        numbers?.try_into().ok()
    }
    matches!((numbers(version), numbers(than)), (Some(version), Some(than)) if version > than)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_meet_at_the_highest_common_one() {
        assert_eq!(negotiate(1, 1), Some(1));
        assert_eq!(negotiate(1, 9), Some(PROTOCOL_MAX));
        assert_eq!(negotiate(PROTOCOL_MAX + 1, PROTOCOL_MAX + 3), None);
        assert_eq!(negotiate(0, 0), None);
    }

    #[test]
    fn a_token_never_reaches_a_log() {
        let hello = Hello {
            magic: MAGIC.into(),
            protocol_min: 1,
            protocol_max: 1,
            token: "secret".into(),
            build: "b".into(),
            pid: 1,
            role: Role::Control { program: "palacectl".into() },
        };
        assert!(!format!("{hello:?}").contains("secret"));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_newer("0.10.0", "0.9.9") && is_newer("1.0.0", "0.99.99"));
        assert!(!is_newer("0.1.0", "0.1.0") && !is_newer("0.1.0", "0.1.0-rc.1"));
        assert!(!is_newer("latest", "0.1.0") && !is_newer("1.0", "0.1.0") && !is_newer("0.2.0", ""));
    }
}
