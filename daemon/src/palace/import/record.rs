//! A record beside the rows as it stands outside a palace.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::palace::events::{Artifact, Event};
use crate::palace::facts::{Entity, Fact};
use crate::palace::hallways::Hallway;
use crate::palace::tunnels::Tunnel;

/// Beginnings of the names of settings in which a palace keeps its own books. They say nothing of its content and stay
/// where they are when it is exported or imported.
const BOOKKEEPING: [&str; 4] = ["import/", "backup/", "scrub", "hook_checkpoint"];

/// A record beside the rows, as exports and foreign palaces hold it. In JSON it is `{"type": …, "record": {…}}`: events
/// and entities have a `type` of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "record", rename_all = "snake_case")]
pub enum Imported {
    /// A node of the knowledge graph.
    Entity(Entity),
    /// An edge of the knowledge graph.
    Fact(Fact),
    /// A link between rooms.
    Tunnel(Tunnel),
    /// A link between entities.
    Hallway(Hallway),
    /// An event of the stream.
    Event(Event),
    /// A text events refer to.
    Artifact(Artifact),
    /// An index card of a source.
    Closet {
        /// The source.
        source_file: String,
        /// Its id.
        id: String,
        /// Everything else.
        card: Value,
    },
    /// A setting of the palace.
    Setting {
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
    },
}

impl Imported {
    /// Tells whether this is a palace's own bookkeeping, which nobody else has a use for.
    pub fn is_bookkeeping(&self) -> bool {
        matches!(self, Imported::Setting { name, .. } if BOOKKEEPING.iter().any(|own| name.starts_with(own)))
    }

    /// Returns its type.
    pub fn kind(&self) -> &'static str {
        self.keys().0
    }

    /// Returns what it is called: its type and its id.
    pub fn name(&self) -> String {
        let (kind, parts) = self.keys();
        format!("{kind} {}", parts.first().copied().unwrap_or_default())
    }

    /// Checks that it can be stored: no text of a key is empty where it names the record, and none holds a zero byte.
    ///
    /// # Errors
    /// Says which text cannot be part of a key.
    pub fn check(&self) -> Result<(), String> {
        let (kind, parts) = self.keys();
        match parts.iter().find(|part| part.contains('\0')) {
            _ if parts.first().is_some_and(|id| id.is_empty()) => Err(format!("the {kind} has no id")),
            Some(part) => Err(format!("{kind} {part:?}: a zero byte cannot be part of a key")),
            None => Ok(()),
        }
    }

    /// Returns its type and the texts that become part of keys, its id first.
    fn keys(&self) -> (&'static str, Vec<&str>) {
        match self {
            Imported::Entity(entity) => ("entity", vec![&entity.id]),
            Imported::Fact(fact) => {
                let begin = fact.valid_from.as_deref().unwrap_or_default();
                ("fact", vec![&fact.id, &fact.subject, &fact.predicate, &fact.object, begin])
            }
            Imported::Tunnel(tunnel) => ("tunnel", vec![&tunnel.id]),
            Imported::Hallway(hallway) => ("hallway", vec![&hallway.id]),
            Imported::Event(event) => ("event", vec![&event.id]),
            Imported::Artifact(artifact) => ("artifact", vec![&artifact.id]),
            Imported::Closet { source_file, id, .. } => ("closet", vec![id, source_file]),
            Imported::Setting { name, .. } => ("setting", vec![name]),
        }
    }
}
