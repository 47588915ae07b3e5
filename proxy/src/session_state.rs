//! What one MCP session needs to survive its daemon: a state machine without I/O.
//!
//! Lines and events go in, actions come out. Handshakes and lists are always answered here, so they never wait for a
//! daemon; only what needs the palace crosses over. Invariants: every request is answered exactly once, or was cancelled;
//! a write carries one idempotency key for all its attempts; a cancelled request is never sent again; requests reach a
//! daemon in the order the host sent them, each under a number that is never used again. What a daemon could not read is
//! refused here: it would not be answered there.

mod pending;
mod subscriptions;

use std::time::Instant;

use palace_protocol::catalogue::{self, Profile};
use palace_protocol::frame::Frame;
use palace_protocol::handshake::Welcome;
use palace_protocol::jsonrpc::{
    self, DAEMON_UNAVAILABLE, Envelope, INTERNAL_TOOL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Kind,
    METHOD_NOT_FOUND, RequestId, error_line, notification_line, outcome_line, peek, relayed_line,
    request_line, result_line,
};
use palace_protocol::limits::{IN_FLIGHT_COUNT_MAX, IN_FLIGHT_LEN_BYTES_MAX, REQUEST_LEN_BYTES_MAX};
use palace_protocol::mcp::{
    self, CLIENT_CAPABILITIES_META_KEY, IDEMPOTENCY_META_KEY, MODERN_VERSION, PROGRESS_TOKEN_META_KEY,
    PROTOCOL_VERSION_META_KEY,
};
use palace_protocol::{prompts, resources};
use serde_json::{Value, json};

use pending::{Owed, Pending, Progress, Requests};
use subscriptions::Subscriptions;

/// How many daemons one request may see crash: it may be the reason.
const CRASH_COUNT_MAX: u8 = 2;
/// How often one request may be given to a daemon at all, orderly restarts included.
const ATTEMPT_COUNT_MAX: u8 = 16;
/// MCP's code for a protocol version that is not spoken (2026-07-28).
const UNSUPPORTED_VERSION: i64 = -32022;

/// Methods that a stateless request may not call.
const REMOVED_METHODS: [&str; 2] = ["initialize", "ping"];

/// Methods whose answer is a list that may have pages.
const LISTS: [&str; 4] = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"];

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

    /// Takes what the host sent.
    pub fn host_frame(&mut self, frame: Frame, now: Instant) -> Vec<Action> {
        let line = match frame {
            Frame::Line(line) => line,
            Frame::TooLong { head } => return vec![Action::ToHost(too_long(&head))],
        };
        let envelope = match peek(&line) {
            Ok(envelope) => envelope,
            Err(error) => return vec![Action::ToHost(error.answer())],
        };
        match envelope.kind {
            // The daemon asks hosts nothing, so a response answers nobody.
            Kind::Response => Vec::new(),
            Kind::Notification => self.host_notification(&envelope),
            Kind::Request => {
                let id = envelope.id.clone().expect("a request has an id");
                if self.requests.contains(&id) || self.subscriptions.contains(&id) {
                    let message = "invalid request: a request with this id is still running";
                    return vec![Action::ToHost(error_line(Some(&id), INVALID_REQUEST, message, None))];
                }
                self.host_request(id, &envelope, now)
            }
        }
    }

    fn host_notification(&mut self, envelope: &Envelope<'_>) -> Vec<Action> {
        if envelope.method.as_deref() != Some("notifications/cancelled") {
            return Vec::new();
        }
        let params: Value =
            envelope.params.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        if self.subscriptions.cancel(&params["requestId"]) {
            return Vec::new();
        }
        let Some(pending) = self.requests.remove_json(&params["requestId"]) else { return Vec::new() };
        if pending.is_sent && self.link.is_some() {
            let params = json!({"requestId": pending.number});
            let line = notification_line("notifications/cancelled", &params);
            vec![Action::ToDaemon(line.into_bytes())]
        } else {
            Vec::new()
        }
    }

    fn host_request(&mut self, id: RequestId, envelope: &Envelope<'_>, now: Instant) -> Vec<Action> {
        let params: Value = match envelope.params.map(|raw| serde_json::from_str(raw.get())) {
            None => Value::Null,
            Some(Ok(params)) => params,
            Some(Err(error)) => return vec![refused(&id, &format!("params cannot be read: {error}"))],
        };
        let version = params["_meta"][PROTOCOL_VERSION_META_KEY].as_str();
        if let Some(version) = version {
            if !mcp::supported_versions().contains(&version) {
                let data = json!({"supported": mcp::supported_versions(), "requested": version});
                let message = format!("unsupported protocol version {version}");
                return vec![Action::ToHost(error_line(
                    Some(&id),
                    UNSUPPORTED_VERSION,
                    &message,
                    Some(data),
                ))];
            }
            if self.era == Era::Unknown {
                self.era = Era::Modern;
            }
        }
        let is_modern = version == Some(MODERN_VERSION);
        let method = envelope.method.as_deref().unwrap_or_default();
        if is_modern && !params["_meta"][CLIENT_CAPABILITIES_META_KEY].is_object() {
            return vec![refused(&id, &format!("_meta needs {CLIENT_CAPABILITIES_META_KEY}, an object"))];
        }
        if is_modern && REMOVED_METHODS.contains(&method) {
            let message = format!("Method not found: {method} is no method of {MODERN_VERSION}");
            return vec![Action::ToHost(error_line(Some(&id), METHOD_NOT_FOUND, &message, None))];
        }
        if LISTS.contains(&method)
            && let Some(why) = wrong_cursor(&params)
        {
            return vec![Action::ToHost(error_line(Some(&id), INVALID_PARAMS, &why, None))];
        }
        match method {
            "subscriptions/listen" if is_modern => match self.subscriptions.open(id.clone(), &params) {
                Ok(acknowledged) => vec![Action::ToHost(acknowledged)],
                Err(why) => vec![refused(&id, &why)],
            },
            "initialize" => self.initialize(&id, &params),
            "server/discover" => vec![Action::ToHost(result_line(&id, &mcp::discover_result(self.profile)))],
            "ping" => vec![Action::ToHost(result_line(&id, &json!({})))],
            "tools/list" => self.list_tools(id, envelope, is_modern, now),
            "tools/call" => self.call_tool(id, &params, envelope, now),
            "prompts/list" => vec![Action::ToHost(result_line(&id, &prompts::list_result(is_modern)))],
            "prompts/get" => match prompts::get_result(&params, self.profile, is_modern) {
                Ok(result) => vec![Action::ToHost(result_line(&id, &result))],
                Err(why) => vec![refused(&id, &why)],
            },
            "resources/list" => vec![Action::ToHost(result_line(&id, &resources::list_result(is_modern)))],
            "resources/templates/list" => {
                vec![Action::ToHost(result_line(&id, &resources::templates_result(is_modern)))]
            }
            "resources/read" if !params["uri"].is_string() => {
                vec![refused(&id, "resources/read needs the resource's uri")]
            }
            "completion/complete" if !completes(&params) => {
                vec![refused(&id, "completion/complete needs ref and argument, each an object with texts")]
            }
            "resources/read" | "completion/complete" => self.relay(id, envelope, None, now),
            other => {
                let message = format!("Method not found: {other}");
                vec![Action::ToHost(error_line(Some(&id), METHOD_NOT_FOUND, &message, None))]
            }
        }
    }

    fn initialize(&mut self, id: &RequestId, params: &Value) -> Vec<Action> {
        let result = mcp::initialize_result(params["protocolVersion"].as_str(), self.profile);
        self.era = Era::Legacy { params: introduction(params, &result["protocolVersion"]) };
        let begins_anew = self.link.as_ref().is_some_and(|link| !link.legacy);
        let connect = if begins_anew { Action::Reconnect } else { Action::Connect };
        vec![Action::ToHost(result_line(id, &result)), connect]
    }

    fn list_tools(
        &mut self,
        id: RequestId,
        envelope: &Envelope<'_>,
        is_modern: bool,
        now: Instant,
    ) -> Vec<Action> {
        match &self.link {
            Some(link) if link.catalogue != catalogue::fingerprint() => {
                self.listed = Some(link.catalogue.clone());
                self.relay(id, envelope, None, now)
            }
            Some(_) | None => {
                self.listed = Some(catalogue::fingerprint());
                let result = catalogue::list_result(self.profile, self.read_only, is_modern);
                vec![Action::ToHost(result_line(&id, &result)), Action::Connect]
            }
        }
    }

    fn call_tool(
        &mut self,
        id: RequestId,
        params: &Value,
        envelope: &Envelope<'_>,
        now: Instant,
    ) -> Vec<Action> {
        let Some(name) = params["name"].as_str() else {
            return vec![refused(&id, "tools/call needs the tool's name")];
        };
        if !params["arguments"].is_object() && !params["arguments"].is_null() {
            return vec![refused(&id, "arguments must be an object")];
        }
        // A tool this build does not know may be a write of a newer daemon: a key harms no read.
        let is_write = catalogue::tool(name).is_none_or(|tool| tool.class.may_write());
        let key = is_write.then(|| (self.mint_key)());
        self.relay(id, envelope, key.as_deref(), now)
    }

    /// Takes a request that a daemon must answer.
    fn relay(
        &mut self,
        id: RequestId,
        envelope: &Envelope<'_>,
        key: Option<&str>,
        now: Instant,
    ) -> Vec<Action> {
        if self.requests.len() >= IN_FLIGHT_COUNT_MAX {
            let message = format!("more than {IN_FLIGHT_COUNT_MAX} requests are running; wait for answers");
            return vec![Action::ToHost(error_line(Some(&id), INVALID_REQUEST, &message, None))];
        }
        let number = self.next_number();
        let method = envelope.method.as_deref().unwrap_or_default();
        let progress = progress_of(envelope);
        let mut entries = Vec::new();
        entries.extend(key.map(|key| (IDEMPOTENCY_META_KEY, json!(key))));
        entries.extend(progress.as_ref().map(|_| (PROGRESS_TOKEN_META_KEY, json!(number))));
        let line = match relayed_line(&RequestId::from_number(number), method, envelope.params, &entries) {
            Ok(line) => line.into_bytes(),
            Err(why) => return vec![refused(&id, &why)],
        };
        if !self.requests.is_empty() && self.requests.len_bytes() + line.len() > IN_FLIGHT_LEN_BYTES_MAX {
            let message = format!(
                "more than {IN_FLIGHT_LEN_BYTES_MAX} bytes of requests are running; wait for answers"
            );
            return vec![Action::ToHost(error_line(Some(&id), INVALID_REQUEST, &message, None))];
        }
        let owed = match method {
            "tools/call" => Owed::Result,
            "tools/list" => Owed::Tools,
            _ => Owed::Anything,
        };
        self.accept(Pending { progress, ..Pending::new(id, number, line, owed, now) })
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn accept(&mut self, mut pending: Pending) -> Vec<Action> {
        let action = if self.link.is_some() { pending.send() } else { Action::Connect };
        self.requests.push(pending);
        vec![action]
    }

    /// Takes a line of the daemon.
    pub fn daemon_line(&mut self, line: &[u8]) -> Vec<Action> {
        let Ok(envelope) = peek(line) else { return Vec::new() };
        match (envelope.kind, envelope.id.clone(), envelope.outcome) {
            (Kind::Response, Some(id), Some(outcome)) => {
                // An answer to a cancelled request, or a second answer: nobody waits for it.
                let Some(pending) = self.answered(&id) else { return Vec::new() };
                vec![Action::ToHost(outcome_line(&pending.id, outcome))]
            }
            (Kind::Notification, ..) => self.daemon_notification(&envelope, line),
            (Kind::Response | Kind::Request, ..) => Vec::new(),
        }
    }

    /// Hosts hear of progress under their own tokens, never of a request that is answered or cancelled; a stateless host
    /// hears nothing else that it did not ask for.
    fn daemon_notification(&mut self, envelope: &Envelope<'_>, line: &[u8]) -> Vec<Action> {
        if envelope.method.as_deref() == Some("notifications/progress") {
            let params: Value =
                envelope.params.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
            let heard = params[PROGRESS_TOKEN_META_KEY]
                .as_u64()
                .and_then(|number| self.requests.progress(number))
                .and_then(|progress| progress.heard(params));
            return heard
                .map(|params| Action::ToHost(notification_line("notifications/progress", &params)))
                .into_iter()
                .collect();
        }
        match self.era {
            Era::Modern => Vec::new(),
            Era::Unknown | Era::Legacy { .. } => {
                vec![Action::ToHost(String::from_utf8_lossy(line).into_owned())]
            }
        }
    }

    /// Ends what is open when the session ends in order.
    pub fn ended(&mut self) -> Vec<Action> {
        self.subscriptions.close().into_iter().map(Action::ToHost).collect()
    }

    /// Takes the beginning of a daemon's line that is too long for any host.
    pub fn daemon_line_too_long(&mut self, head: &[u8]) -> Vec<Action> {
        let Some(pending) = id_near_the_beginning(head).and_then(|id| self.answered(&id)) else {
            return Vec::new();
        };
        let message = "the answer is larger than hosts accept; ask for less at once";
        vec![Action::ToHost(error_line(Some(&pending.id), INTERNAL_TOOL_ERROR, message, None))]
    }

    /// Removes the request that was answered; the handshake's is the link's own.
    fn answered(&mut self, id: &RequestId) -> Option<Pending> {
        let number = id.as_number()?;
        if let Some(link) = &mut self.link
            && link.handshake == Some(number)
        {
            link.handshake = None;
            return None;
        }
        self.requests.remove(number)
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
            let why = "the daemon ended twice while it worked on this request; it is not sent again. \
                       Whether it was carried out is unknown: look with mempalace_status or mempalace_search, \
                       and see `palacectl doctor`";
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

    fn give_up(&self, pending: &Pending, why: &str) -> Action {
        let text = format!("The palace is not available: {why}");
        match pending.owed {
            Owed::Result => {
                // Models read the text of a failed tool; protocol errors are hidden from them by most hosts.
                let mut result = json!({"content": [{"type": "text", "text": text}], "isError": true});
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

/// Returns the parameters of the `initialize` that connections replay: what the host says of itself, in a form that every
/// daemon can read. An incomplete introduction is completed, not refused, as the peer does.
fn introduction(params: &Value, negotiated: &Value) -> Value {
    let text = |value: &Value, default: &str| value.as_str().unwrap_or(default).to_owned();
    let client = &params["clientInfo"];
    json!({
        "protocolVersion": params["protocolVersion"].as_str().map_or(negotiated.clone(), Value::from),
        "capabilities": {},
        "clientInfo": {"name": text(&client["name"], "unknown"), "version": text(&client["version"], "0")},
    })
}

/// Returns what is wrong with the page that a list is asked for.
fn wrong_cursor(params: &Value) -> Option<String> {
    match &params["cursor"] {
        Value::Null => None,
        Value::String(cursor) => Some(mcp::unknown_cursor(cursor)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some("Invalid params: cursor must be a string".to_owned())
        }
    }
}

/// Tells whether parameters are a question for a completion that a daemon can read.
fn completes(params: &Value) -> bool {
    let reference = match params["ref"]["type"].as_str() {
        Some("ref/prompt") => &params["ref"]["name"],
        Some("ref/resource") => &params["ref"]["uri"],
        Some(_) | None => return false,
    };
    let argument = &params["argument"];
    let context = &params["context"]["arguments"];
    let plain = context.as_object().is_none_or(|given| given.values().all(Value::is_string));
    reference.is_string() && argument["name"].is_string() && argument["value"].is_string() && plain
}

/// Returns how a host wants to hear of a request's progress; most do not, and their parameters may be long.
fn progress_of(envelope: &Envelope<'_>) -> Option<Progress> {
    let params = envelope.params?.get();
    let params: Value =
        params.contains(PROGRESS_TOKEN_META_KEY).then(|| serde_json::from_str(params).ok())??;
    Progress::of(&params["_meta"][PROGRESS_TOKEN_META_KEY])
}

fn refused(id: &RequestId, why: &str) -> Action {
    Action::ToHost(error_line(Some(id), INVALID_PARAMS, &format!("Invalid params: {why}"), None))
}

/// Returns the id of a message of which only the beginning is there.
fn id_near_the_beginning(head: &[u8]) -> Option<RequestId> {
    let text = String::from_utf8_lossy(head);
    let (_, rest) = text.split_once("\"id\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest.find([',', '}'])?;
    let probe = format!(r#"{{"jsonrpc":"2.0","method":"x","id":{}}}"#, &rest[..end]);
    jsonrpc::peek(probe.as_bytes()).ok()?.id
}

/// Returns the answer to a line that was too long, with its id if that stands near the beginning.
fn too_long(head: &[u8]) -> String {
    let message = format!(
        "invalid request: the line is longer than {REQUEST_LEN_BYTES_MAX} bytes; send the text in several calls"
    );
    error_line(id_near_the_beginning(head).as_ref(), INVALID_REQUEST, &message, None)
}

#[cfg(test)]
mod tests;
