//! What the host sends: refused, answered here, or taken to be given to a daemon.

use std::time::Instant;

use palace_protocol::catalogue;
use palace_protocol::frame::Frame;
use palace_protocol::jsonrpc::{
    Envelope, INVALID_PARAMS, INVALID_REQUEST, Kind, METHOD_NOT_FOUND, RequestId, error_line,
    notification_line, peek, relayed_line, result_line,
};
use palace_protocol::limits::{IN_FLIGHT_COUNT_MAX, IN_FLIGHT_LEN_BYTES_MAX, REQUEST_LEN_BYTES_MAX};
use palace_protocol::mcp::{
    self, CLIENT_CAPABILITIES_META_KEY, IDEMPOTENCY_META_KEY, MODERN_VERSION, PROGRESS_TOKEN_META_KEY,
    PROTOCOL_VERSION_META_KEY,
};
use palace_protocol::{prompts, resources};
use serde_json::{Value, json};

use super::daemon_side::id_near_the_beginning;
use super::doubtful::{Digest, KeyedCall};
use super::mended;
use super::pending::{Owed, Pending, Progress};
use super::{Action, Era, SessionState};

/// MCP's code for a protocol version that is not spoken (2026-07-28).
pub const UNSUPPORTED_VERSION: i64 = -32022;

/// Methods that a stateless request may not call.
const REMOVED_METHODS: [&str; 2] = ["initialize", "ping"];

/// Methods whose answer is a list that may have pages.
pub const LISTS: [&str; 4] = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"];

impl SessionState {
    /// Takes what the host sent.
    pub fn host_frame(&mut self, frame: Frame, now: Instant) -> Vec<Action> {
        let line = match frame {
            Frame::Line(line) => mended::utf8(line),
            Frame::TooLong { head } => return vec![Action::ToHost(too_long(&head))],
        };
        let envelope = match peek(&line) {
            Ok(envelope) => envelope,
            Err(error) => return vec![Action::ToHost(error.answer())],
        };
        let mended = envelope.params.and_then(mended::surrogates);
        let envelope = Envelope { params: mended.as_deref().or(envelope.params), ..envelope };
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
        // A first attempt is the host's to judge; what was in doubt before stays so.
        pending
            .write
            .iter()
            .filter(|write| write.is_doubtful)
            .for_each(|write| self.doubtful.remember(write));
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
            "completion/complete" if !is_known(&params["ref"]) => {
                let reference = &params["ref"];
                let (kind, named) = match reference["name"].as_str() {
                    Some(name) => ("prompt", name),
                    None => ("resource", reference["uri"].as_str().unwrap_or_default()),
                };
                vec![refused(&id, &format!("unknown {kind} {named:?}"))]
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
        let write = is_write.then(|| {
            let digest = Digest::of(params);
            self.doubtful.take(digest, now).unwrap_or_else(|| KeyedCall {
                digest,
                key: (self.mint_key)(),
                since: now,
                is_doubtful: false,
            })
        });
        self.relay(id, envelope, write, now)
    }

    /// Takes a request that a daemon must answer.
    fn relay(
        &mut self,
        id: RequestId,
        envelope: &Envelope<'_>,
        write: Option<KeyedCall>,
        now: Instant,
    ) -> Vec<Action> {
        let doubtful = write.clone().filter(|write| write.is_doubtful);
        let actions = self.try_relay(id, envelope, write, now);
        match actions {
            Ok(actions) => actions,
            Err(refused) => {
                // It is in doubt as before.
                doubtful.iter().for_each(|write| self.doubtful.remember(write));
                vec![refused]
            }
        }
    }

    fn try_relay(
        &mut self,
        id: RequestId,
        envelope: &Envelope<'_>,
        write: Option<KeyedCall>,
        now: Instant,
    ) -> Result<Vec<Action>, Action> {
        if self.requests.len() >= IN_FLIGHT_COUNT_MAX {
            let message = format!("more than {IN_FLIGHT_COUNT_MAX} requests are running; wait for answers");
            return Err(Action::ToHost(error_line(Some(&id), INVALID_REQUEST, &message, None)));
        }
        let number = self.next_number();
        let method = envelope.method.as_deref().unwrap_or_default();
        let progress = progress_of(envelope);
        let mut entries = Vec::new();
        entries.extend(write.as_ref().map(|write| (IDEMPOTENCY_META_KEY, json!(write.key))));
        entries.extend(progress.as_ref().map(|_| (PROGRESS_TOKEN_META_KEY, json!(number))));
        let line = match relayed_line(&RequestId::from_number(number), method, envelope.params, &entries) {
            Ok(line) => line.into_bytes(),
            Err(why) => return Err(refused(&id, &why)),
        };
        if !self.requests.is_empty() && self.requests.len_bytes() + line.len() > IN_FLIGHT_LEN_BYTES_MAX {
            let message = format!(
                "more than {IN_FLIGHT_LEN_BYTES_MAX} bytes of requests are running; wait for answers"
            );
            return Err(Action::ToHost(error_line(Some(&id), INVALID_REQUEST, &message, None)));
        }
        let owed = match method {
            "tools/call" => Owed::Result,
            "tools/list" => Owed::Tools,
            _ => Owed::Anything,
        };
        Ok(self.accept(Pending { progress, write, ..Pending::new(id, number, line, owed, now) }))
    }

    fn accept(&mut self, mut pending: Pending) -> Vec<Action> {
        let action = if self.link.is_some() { pending.send() } else { Action::Connect };
        self.requests.push(pending);
        vec![action]
    }
}

/// Returns the parameters of the `initialize` that connections replay: what the host says of itself, in a form that every
/// daemon can read. An incomplete introduction is completed, not refused, as the peer does.
pub fn introduction(params: &Value, negotiated: &Value) -> Value {
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

/// Tells whether what a completion is for is one of the prompts or resources that are listed.
fn is_known(reference: &Value) -> bool {
    match reference["type"].as_str() {
        Some("ref/prompt") => reference["name"].as_str().is_some_and(prompts::exists),
        Some(_) | None => reference["uri"].as_str().is_some_and(resources::is_known),
    }
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

/// Returns the answer to a line that was too long, with its id if that stands near the beginning.
fn too_long(head: &[u8]) -> String {
    let message = format!(
        "invalid request: the line is longer than {REQUEST_LEN_BYTES_MAX} bytes; send the text in several calls"
    );
    error_line(id_near_the_beginning(head).as_ref(), INVALID_REQUEST, &message, None)
}
