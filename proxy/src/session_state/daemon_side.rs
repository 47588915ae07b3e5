//! What the daemon sends: answers to who is owed them, progress, notifications.

use palace_protocol::jsonrpc::{
    self, Envelope, INTERNAL_TOOL_ERROR, Kind, RequestId, error_line, notification_line, outcome_line, peek,
};
use palace_protocol::mcp::PROGRESS_TOKEN_META_KEY;
use serde_json::Value;

use super::pending::Pending;
use super::{Action, Era, SessionState};

impl SessionState {
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
}

/// Returns the id of a message of which only the beginning is there.
pub fn id_near_the_beginning(head: &[u8]) -> Option<RequestId> {
    let text = String::from_utf8_lossy(head);
    let (_, rest) = text.split_once("\"id\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest.find([',', '}'])?;
    let probe = format!(r#"{{"jsonrpc":"2.0","method":"x","id":{}}}"#, &rest[..end]);
    jsonrpc::peek(probe.as_bytes()).ok()?.id
}
