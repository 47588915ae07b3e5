//! What stateless hosts listen to: one long request each, acknowledged first and answered when the session ends.
//!
//! Subscriptions live here and not in a daemon: only the proxy knows which list its host was given, and they outlive
//! every daemon without being made again. Nothing is sent to a host that did not ask for it.

use palace_protocol::jsonrpc::{RequestId, notification_line, result_line};
use palace_protocol::mcp::{SERVER_INFO_META_KEY, SUBSCRIPTION_ID_META_KEY, server_info};
use serde_json::{Value, json};

/// How many a session may hold.
const COUNT_MAX: usize = 64;

#[derive(Debug)]
struct Subscription {
    id: RequestId,
    tools: bool,
}

/// The open subscriptions of a session.
#[derive(Debug, Default)]
pub struct Subscriptions(Vec<Subscription>);

fn value(id: &RequestId) -> Value {
    serde_json::from_str(id.as_json()).expect("an id is JSON")
}

impl Subscriptions {
    /// Tells whether a request of that id is open.
    pub fn contains(&self, id: &RequestId) -> bool {
        self.0.iter().any(|subscription| subscription.id == *id)
    }

    /// Opens a subscription and returns its acknowledgement: of what was asked, changes of the list of tools are all
    /// that ever happens here.
    ///
    /// # Errors
    /// Says what is wrong with the request.
    pub fn open(&mut self, id: RequestId, params: &Value) -> Result<String, String> {
        let Some(asked) = params["notifications"].as_object() else {
            return Err("subscriptions/listen needs notifications, an object".to_owned());
        };
        if self.0.len() >= COUNT_MAX {
            return Err(format!("more than {COUNT_MAX} subscriptions are open; cancel some"));
        }
        let tools = asked.get("toolsListChanged") == Some(&Value::Bool(true));
        let accepted = if tools { json!({"toolsListChanged": true}) } else { json!({}) };
        let params = json!({"_meta": {SUBSCRIPTION_ID_META_KEY: value(&id)}, "notifications": accepted});
        self.0.push(Subscription { id, tools });
        Ok(notification_line("notifications/subscriptions/acknowledged", &params))
    }

    /// Ends a subscription that its host cancels; tells whether there was one.
    pub fn cancel(&mut self, id: &Value) -> bool {
        let count = self.0.len();
        self.0.retain(|subscription| value(&subscription.id) != *id);
        self.0.len() < count
    }

    /// Returns what the hosts that asked hear when the list of tools has changed.
    pub fn tools_changed(&self) -> Vec<String> {
        let listening = self.0.iter().filter(|subscription| subscription.tools);
        listening
            .map(|subscription| {
                let params = json!({"_meta": {SUBSCRIPTION_ID_META_KEY: value(&subscription.id)}});
                notification_line("notifications/tools/list_changed", &params)
            })
            .collect()
    }

    /// Ends all subscriptions and returns their results.
    pub fn close(&mut self) -> Vec<String> {
        let open = std::mem::take(&mut self.0);
        open.iter()
            .map(|Subscription { id, .. }| {
                let meta = json!({SUBSCRIPTION_ID_META_KEY: value(id), SERVER_INFO_META_KEY: server_info()});
                result_line(id, &json!({"resultType": "complete", "_meta": meta}))
            })
            .collect()
    }
}
