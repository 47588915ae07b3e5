//! What this server says of itself in MCP: versions, capabilities, instructions, handshake results.
//!
//! The proxy answers handshakes from here without a daemon, the daemon's sessions answer from here too; so a client
//! cannot tell which of the two spoke.

use serde_json::{Value, json};

use crate::catalogue::Profile;

/// Name in `serverInfo`.
pub const SERVER_NAME: &str = "mempalaced";
/// Key in `params._meta` under which a proxy sends the idempotency key of a write.
pub const IDEMPOTENCY_META_KEY: &str = "io.github.mempalaced/idempotencyKey";
/// Key in a failed result's `_meta` under which programs find what they may do: `{"retryable": …, "reason": …}`.
pub const ERROR_META_KEY: &str = "io.github.mempalaced/error";
/// The reason of a write that was given to a daemon and not answered: it may be stored.
pub const OUTCOME_UNKNOWN: &str = "outcome_unknown";
/// Key in `params._meta` that names the protocol version of a stateless request (2026-07-28).
pub const PROTOCOL_VERSION_META_KEY: &str = "io.modelcontextprotocol/protocolVersion";
/// Key in `params._meta` under which a stateless request says what its client can do (2026-07-28).
pub const CLIENT_CAPABILITIES_META_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
/// Key in `params._meta` under which a request asks for progress.
pub const PROGRESS_TOKEN_META_KEY: &str = "progressToken";
/// Versions with the `initialize` lifecycle, oldest first.
pub const LEGACY_VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The stateless version.
pub const MODERN_VERSION: &str = "2026-07-28";
/// How long a client may keep lists, in milliseconds.
pub const LIST_TTL_MS: u64 = 300_000;

/// What a model is told when it connects. Kept short: every session pays for it.
pub const INSTRUCTIONS: &str = "This is the user's long-term memory: verbatim text in wings (a person or project), \
rooms (a topic) and drawers (a passage). Before answering about people, projects, decisions or past events, call \
mempalace_search first; do not guess. File what is worth keeping verbatim with mempalace_add_drawer, or several items \
at once with mempalace_checkpoint, and close a session with mempalace_diary_write. Writes are durable when answered.";

/// The same for the light profile.
pub const INSTRUCTIONS_LIGHT: &str = "This is the user's long-term memory: verbatim text in wings (a person or project), \
rooms (a topic) and drawers (a passage). Before answering about people, projects, decisions or past events, ask palace_query \
first (FIND words); do not guess. File what is worth keeping verbatim with palace_exec (ADD or CHECKPOINT), and close a \
session with DIARY WRITE. Writes are durable when answered.";

/// Key in `params._meta` under which a notification names the `subscriptions/listen` it belongs to (2026-07-28).
pub const SUBSCRIPTION_ID_META_KEY: &str = "io.modelcontextprotocol/subscriptionId";
/// Key in `_meta` under which a result names the server (2026-07-28).
pub const SERVER_INFO_META_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// Says that a list has no such page: every list is one page, so there is no cursor that leads on.
pub fn unknown_cursor(cursor: &str) -> String {
    format!("Invalid params: unknown cursor {cursor:?}; the list is one page")
}

/// Returns what a model is told when it connects.
pub fn instructions(profile: Profile) -> &'static str {
    match profile {
        Profile::Full => INSTRUCTIONS,
        Profile::Light => INSTRUCTIONS_LIGHT,
    }
}

/// Returns the version to speak with a client that asked for `requested` in `initialize`.
pub fn negotiate_version(requested: Option<&str>) -> &'static str {
    match requested {
        None => LEGACY_VERSIONS[0],
        Some(version) => LEGACY_VERSIONS
            .iter()
            .find(|known| **known == version)
            .copied()
            .unwrap_or(LEGACY_VERSIONS[LEGACY_VERSIONS.len() - 1]),
    }
}

/// Returns the server's capabilities.
pub fn capabilities() -> Value {
    json!({"tools": {"listChanged": true}, "prompts": {}, "resources": {}, "completions": {}})
}

/// Returns `serverInfo`.
pub fn server_info() -> Value {
    json!({"name": SERVER_NAME, "title": "MemPalace memory", "version": env!("CARGO_PKG_VERSION")})
}

/// Returns the result of `initialize` for a client that asked for `requested`.
pub fn initialize_result(requested: Option<&str>, profile: Profile) -> Value {
    json!({
        "protocolVersion": negotiate_version(requested),
        "capabilities": capabilities(),
        "serverInfo": server_info(),
        "instructions": instructions(profile),
    })
}

/// Returns the versions offered by `server/discover`.
pub fn supported_versions() -> Vec<&'static str> {
    LEGACY_VERSIONS.iter().copied().chain([MODERN_VERSION]).collect()
}

/// Returns the result of `server/discover` (2026-07-28).
pub fn discover_result(profile: Profile) -> Value {
    json!({
        "resultType": "complete",
        "supportedVersions": supported_versions(),
        "capabilities": capabilities(),
        "instructions": instructions(profile),
        "ttlMs": LIST_TTL_MS,
        "cacheScope": "private",
        "_meta": {SERVER_INFO_META_KEY: server_info()},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_negotiated_as_the_peer_does() {
        assert_eq!(negotiate_version(Some("2025-06-18")), "2025-06-18");
        assert_eq!(negotiate_version(Some("1999-01-01")), "2025-11-25");
        assert_eq!(negotiate_version(None), "2024-11-05");
    }
}
