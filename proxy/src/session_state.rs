//! What one MCP session needs to survive its daemon: a state machine without I/O.
//!
//! Lines and events go in, actions come out. Handshakes and lists are always answered here, so they never wait for a
//! daemon; only what needs the palace crosses over. Invariants: every request is answered exactly once, or was cancelled;
//! a write carries one idempotency key for all its attempts; a cancelled request is never sent again; requests reach a
//! daemon in the order the host sent them, each under a number that is never used again. What a daemon could not read is
//! refused here: it would not be answered there.

mod daemon_side;
mod doubtful;
mod host_side;
mod mended;
mod pending;
mod subscriptions;

use std::time::Instant;

use palace_protocol::catalogue::{self, Profile};
use palace_protocol::handshake::Welcome;
use palace_protocol::jsonrpc::{
    DAEMON_UNAVAILABLE, RequestId, error_line, notification_line, request_line, result_line,
};
use palace_protocol::mcp::{self, ERROR_META_KEY, OUTCOME_UNKNOWN};
use serde_json::{Value, json};

use doubtful::Doubtful;
use host_side::introduction;
use pending::{Owed, Pending, Requests};
use subscriptions::Subscriptions;

/// How many daemons one request may see crash: it may be the reason.
const CRASH_COUNT_MAX: u8 = 2;
/// How often one request may be given to a daemon at all, orderly restarts included.
const ATTEMPT_COUNT_MAX: u8 = 16;

/// What the relay must do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Write this line to the host.
    ToHost(String),
    /// Write this line to the daemon.
    ToDaemon(Vec<u8>),
    /// Get a connection, unless there is one or one is being made.
    Connect,
    /// Give up the present connection and get a new one.
    Reconnect,
}

/// How a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The daemon had said that it ends. What it had not answered it has not done, or can be asked for again.
    Orderly,
    /// The daemon was killed or crashed, perhaps over one of the requests it worked on.
    Crash,
}

/// How the host speaks MCP.
#[derive(Clone, Debug, PartialEq)]
enum Era {
    /// Nothing but discovery so far.
    Unknown,
    /// With an `initialize`, whose parameters every new connection replays.
    Legacy { params: Value },
    /// Stateless, 2026-07-28: nothing to replay.
    Modern,
}

/// A connection as the state sees it.
#[derive(Debug)]
struct Link {
    catalogue: String,
    legacy: bool,
    /// Number of the handshake's request while it is unanswered.
    handshake: Option<u64>,
}

/// One MCP session of one host.
#[derive(Debug)]
pub struct SessionState {
    profile: Profile,
    read_only: bool,
    era: Era,
    link: Option<Link>,
    requests: Requests,
    /// Writes that were given up and may be stored.
    doubtful: Doubtful,
    subscriptions: Subscriptions,
    /// The fingerprint of the tool list the host was given, once it was given one.
    listed: Option<String>,
    /// Numbers given to requests so far.
    number: u64,
    mint_key: fn() -> String,
}

impl SessionState {
    /// Returns the state of a session that has not begun. `mint_key` makes idempotency keys, 32 hex digits each.
    pub fn new(profile: Profile, read_only: bool, mint_key: fn() -> String) -> Self {
        Self {
            profile,
            read_only,
            era: Era::Unknown,
            link: None,
            requests: Requests::default(),
            doubtful: Doubtful::default(),
            subscriptions: Subscriptions::default(),
            listed: None,
            number: 0,
            mint_key,
        }
    }

    /// Tells whether requests wait for an answer.
    pub fn has_pending(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Returns when the oldest waiting request arrived.
    pub fn oldest_pending(&self) -> Option<Instant> {
        self.requests.iter().map(|pending| pending.since).min()
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Ends what is open when the session ends in order.
    pub fn ended(&mut self) -> Vec<Action> {
        self.subscriptions.close().into_iter().map(Action::ToHost).collect()
    }

    /// Takes a new connection: replays the handshake and sends what waits, in order.
    pub fn connected(&mut self, welcome: &Welcome) -> Vec<Action> {
        let mut actions = Vec::new();
        let handshake = match &self.era {
            Era::Legacy { params } => Some(params.clone()),
            // A host that calls before it introduces itself speaks the oldest version.
            Era::Unknown => Some(introduction(&Value::Null, &json!(mcp::LEGACY_VERSIONS[0]))),
            Era::Modern => None,
        };
        let mut link =
            Link { catalogue: welcome.catalogue.clone(), legacy: handshake.is_some(), handshake: None };
        if let Some(params) = handshake {
            let number = self.next_number();
            link.handshake = Some(number);
            let id = RequestId::from_number(number);
            actions.push(Action::ToDaemon(request_line(&id, "initialize", &params).into_bytes()));
            let initialized = notification_line("notifications/initialized", &Value::Null);
            actions.push(Action::ToDaemon(initialized.into_bytes()));
        }
        if self.listed.as_ref().is_some_and(|listed| *listed != link.catalogue) {
            self.listed = Some(link.catalogue.clone());
            actions.extend(self.subscriptions.tools_changed().into_iter().map(Action::ToHost));
            if self.era != Era::Modern {
                let changed = notification_line("notifications/tools/list_changed", &Value::Null);
                actions.push(Action::ToHost(changed));
            }
        }
        self.link = Some(link);
        actions.extend(self.requests.iter_mut().map(Pending::send));
        actions
    }

    /// Takes the loss of the connection. What saw too many daemons end is answered; the rest waits for the next.
    pub fn lost(&mut self, loss: Loss) -> Vec<Action> {
        // Without an answer to the handshake the daemon has not begun to work on anything that follows it.
        let unheard = self.link.take().is_some_and(|link| link.handshake.is_some());
        let loss = if unheard { Loss::Orderly } else { loss };
        let mut actions = Vec::new();
        for pending in self.requests.take_all() {
            let pending = pending.unsent(loss);
            if pending.crash_count < CRASH_COUNT_MAX && pending.attempt_count < ATTEMPT_COUNT_MAX {
                self.requests.push(pending);
                continue;
            }
            let why = "the daemon ended twice while it worked on this request; it is not sent again, see `palacectl \
                       doctor`";
            actions.push(self.give_up(&pending, why));
        }
        // Without work a new daemon is started by the next request, so that `palacectl stop` stays in effect.
        if self.has_pending() {
            actions.push(Action::Connect);
        }
        actions
    }

    /// Answers everything that waits: there is no daemon, for the given reason.
    pub fn unavailable(&mut self, why: &str) -> Vec<Action> {
        let pending = self.requests.take_all();
        pending.iter().map(|pending| self.give_up(pending, why)).collect()
    }

    fn give_up(&mut self, pending: &Pending, why: &str) -> Action {
        let in_doubt = pending.in_doubt();
        in_doubt.iter().for_each(|write| self.doubtful.remember(write));
        let text = if in_doubt.is_some() {
            format!(
                "The outcome of this write is unknown, it may be stored: {why}. Look with mempalace_search, \
                 mempalace_diary_read or another reading tool before you repeat it; the same call of this session, with the \
                 same arguments, is not carried out twice"
            )
        } else {
            format!("The palace is not available: {why}")
        };
        match pending.owed {
            Owed::Result => {
                // Models read the text of a failed tool; protocol errors are hidden from them by most hosts.
                let mut result = json!({"content": [{"type": "text", "text": text}], "isError": true});
                if in_doubt.is_some() {
                    result["_meta"] =
                        json!({ERROR_META_KEY: {"retryable": false, "reason": OUTCOME_UNKNOWN}});
                }
                if self.era == Era::Modern {
                    result["resultType"] = json!("complete");
                }
                Action::ToHost(result_line(&pending.id, &result))
            }
            Owed::Tools => {
                let modern = self.era == Era::Modern;
                let result = catalogue::list_result(self.profile, self.read_only, modern);
                Action::ToHost(result_line(&pending.id, &result))
            }
            Owed::Anything => Action::ToHost(error_line(Some(&pending.id), DAEMON_UNAVAILABLE, &text, None)),
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod doubtful_tests;
