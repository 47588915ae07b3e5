//! Tells from an event's stored text that a filter refuses it, without decoding it.
//!
//! Most events a question walks over are not wanted, and decoding them is most of the cost. What passes is decoded and
//! judged by the filter itself: a sieve may let too much through, never too little. It relies on how events are stored:
//! compact JSON whose fields stand in the order of [`super::Event`], routing before the body.

use super::query::EventFilter;

/// Begin of the field after all that a filter looks at.
const BODY: &str = ",\"body\":\"";

/// Texts an event must hold before its body.
pub(super) struct Sieve {
    fields: Vec<String>,
    /// One of these, when not empty.
    addressees: Vec<String>,
}

impl Sieve {
    pub fn of(filter: &EventFilter) -> Self {
        let wanted = [
            ("stream", &filter.stream),
            ("room", &filter.room),
            ("topic", &filter.topic),
            ("type", &filter.kind),
            ("from_agent", &filter.writer),
            ("correlation_id", &filter.correlation_id),
            ("status", &filter.status),
        ];
        let addressees =
            filter.to_agent.iter().map(String::as_str).chain(filter.to_agent.is_some().then_some("*"));
        Self {
            fields: wanted
                .into_iter()
                .filter_map(|(name, value)| Some(field(name, value.as_deref()?)))
                .collect(),
            addressees: addressees.map(|agent| field("to_agent", agent)).collect(),
        }
    }

    /// Tells whether the filter may admit the event stored as `value`.
    pub fn may_admit(&self, value: &[u8]) -> bool {
        if self.fields.is_empty() && self.addressees.is_empty() {
            return true;
        }
        // What is no text is for the decoder to complain about.
        let Ok(text) = std::str::from_utf8(value) else { return true };
        let head = text.find(BODY).map_or(text, |end| &text[..end]);
        self.fields.iter().all(|field| head.contains(field))
            && (self.addressees.is_empty() || self.addressees.iter().any(|field| head.contains(field)))
    }
}

/// Returns a field as it is stored.
fn field(name: &str, value: &str) -> String {
    format!("\"{name}\":{}", serde_json::Value::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::palace::events::Event;

    fn event(stream: &str, to: Option<&str>, body: &str) -> Vec<u8> {
        let event = serde_json::json!({
            "id": "evt", "seq": 1, "origin_replica": "rep", "origin_seq": 1, "hlc": "1", "type": "a.b",
            "stream": stream, "room": "r", "topic": null, "from_agent": "me", "to_agent": to,
            "correlation_id": null, "branch": null, "base_commit": null, "status": "open", "artifact_ids": [],
            "body": body, "created_at": "2026-01-31T09:00:00Z", "metadata": {"stream": "other"},
        });
        serde_json::to_vec(&serde_json::from_value::<Event>(event).unwrap()).unwrap()
    }

    #[test]
    fn what_the_filter_admits_passes_and_most_else_does_not() {
        let odd = "a \"quoted\" \\ stream, 日本";
        let ask =
            |stream: &str| Sieve::of(&EventFilter { stream: Some(stream.into()), ..EventFilter::default() });
        assert!(ask(odd).may_admit(&event(odd, None, "")));
        assert!(ask("s").may_admit(&event("s", None, "")));
        assert!(!ask("s").may_admit(&event("ss", None, "")));
        assert!(!ask("s").may_admit(&event("x", None, "\"stream\":\"s\"")));
        assert!(!ask("other").may_admit(&event("x", None, "")), "metadata is no routing");
        assert!(ask("s").may_admit(b"\xff"));
    }

    #[test]
    fn events_to_all_are_for_everyone() {
        let inbox = Sieve::of(&EventFilter { to_agent: Some("bob".into()), ..EventFilter::default() });
        assert!(inbox.may_admit(&event("s", Some("bob"), "")));
        assert!(inbox.may_admit(&event("s", Some("*"), "")));
        assert!(!inbox.may_admit(&event("s", Some("bobby"), "")));
        assert!(!inbox.may_admit(&event("s", None, "")));
    }
}
