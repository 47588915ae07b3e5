//! What the light profile makes of a tool's answer.

use serde_json::Value;

use crate::palace::Palace;

use super::enrich::enrich;

/// How the answer of a call is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// As the tool answers.
    #[default]
    AsItIs,
    /// A search, with how sure it is and where its best room leads.
    Enriched,
    /// The taxonomy of one wing; empty when there is no such wing.
    OneWing(String),
}

impl Shown {
    /// Changes an answer to what is shown.
    pub fn show(&self, palace: &Palace, answer: &mut Value) {
        match self {
            Self::AsItIs => {}
            Self::Enriched => enrich(palace, answer),
            Self::OneWing(wing) => {
                if let Some(wings) = answer.get_mut("taxonomy").and_then(Value::as_object_mut) {
                    wings.retain(|name, _| name == wing);
                }
            }
        }
    }
}
