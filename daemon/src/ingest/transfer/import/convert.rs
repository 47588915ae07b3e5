//! Rows and records of MemPalace as ours.
//!
//! Everything is kept: what has a column here goes there, everything else stays metadata under its own name and type.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::ingest::transfer::upstream::SourceRow;
use crate::palace::import::Imported;
use crate::palace::{MetaValue, Row};

/// Wing of rows that have none.
pub const NO_WING: &str = "unsorted";
/// Room of rows that have none.
pub const NO_ROOM: &str = "general";

/// A row of ours, and what is known of its vector.
pub struct Converted {
    /// The row.
    pub row: Row,
    /// Its vector, or why it has none.
    pub vector: Result<Vec<f32>, String>,
    /// It had no wing or no room.
    pub unplaced: bool,
}

/// Returns a row of ours.
///
/// # Errors
/// The row's id when it has no text: there is nothing to remember.
pub fn row(source: SourceRow) -> Result<Converted, String> {
    let Some(document) = source.document else { return Err(source.id) };
    let mut row = Row { id: source.id, document, ..Row::default() };
    let mut parent_entry = None;
    for (name, value) in source.metadata {
        match (name.as_str(), value) {
            ("wing", MetaValue::Text(text)) => row.wing = text,
            ("room", MetaValue::Text(text)) => row.room = text,
            ("source_file", MetaValue::Text(text)) => row.source_file = text,
            ("filed_at", MetaValue::Text(text)) => row.filed_at = text,
            ("chunk_index", MetaValue::Integer(index)) if u32::try_from(index).is_ok() => {
                row.chunk_index = u32::try_from(index).unwrap_or_default();
            }
            ("parent_drawer_id", MetaValue::Text(text)) if !text.is_empty() => row.parent_id = Some(text),
            (_, value) => {
                if name == "parent_entry_id"
                    && let MetaValue::Text(text) = &value
                {
                    parent_entry = Some(text.clone());
                }
                row.extra.push((name, value));
            }
        }
    }
    row.parent_id = row.parent_id.take().or(parent_entry).filter(|parent| *parent != row.id);
    let unplaced = row.wing.is_empty() || row.room.is_empty();
    if row.wing.is_empty() {
        NO_WING.clone_into(&mut row.wing);
    }
    if row.room.is_empty() {
        NO_ROOM.clone_into(&mut row.room);
    }
    if row.filed_at.is_empty() {
        // Swept messages say when they were written.
        row.filed_at = row.text("timestamp").to_owned();
    }
    row.extra.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(Converted { row, vector: source.vector, unplaced })
}

/// Returns an index card.
pub fn closet(source: SourceRow) -> Imported {
    let mut card = Map::new();
    card.insert("id".to_owned(), source.id.clone().into());
    card.insert("document".to_owned(), source.document.unwrap_or_default().into());
    let mut source_file = String::new();
    for (name, value) in source.metadata {
        let value = match value {
            MetaValue::Text(text) => Value::String(text),
            MetaValue::Integer(number) => number.into(),
            MetaValue::Float(number) => json!(number),
            MetaValue::Bool(yes) => Value::Bool(yes),
        };
        if name == "source_file" {
            source_file = value.as_str().unwrap_or_default().to_owned();
        }
        card.insert(name, value);
    }
    Imported::Closet { source_file, id: source.id, card: Value::Object(card) }
}

/// Returns an entity of the knowledge graph, or what is wrong with it.
pub fn entity(mut columns: Map<String, Value>) -> Result<Imported, String> {
    let properties = parsed(columns.get("properties"));
    columns.insert("properties".to_owned(), properties);
    fill(&mut columns, &[("type", json!("unknown")), ("created_at", json!(""))]);
    decode(Value::Object(columns), "entity").map(Imported::Entity)
}

/// Returns a fact, or what is wrong with it.
pub fn fact(mut columns: Map<String, Value>) -> Result<Imported, String> {
    fill(&mut columns, &[("confidence", json!(1.0)), ("extracted_at", json!(""))]);
    decode(Value::Object(columns), "fact").map(Imported::Fact)
}

/// Returns a tunnel, or what is wrong with it.
pub fn tunnel(stored: &Value) -> Result<Imported, String> {
    decode(with_dynamics(stored, &[("kind", json!("explicit"))]), "tunnel").map(Imported::Tunnel)
}

/// Returns a hallway, or what is wrong with it.
pub fn hallway(stored: &Value) -> Result<Imported, String> {
    let defaults = [("created_by", json!("")), ("rooms", json!([])), ("co_occurrence_count", json!(0))];
    decode(with_dynamics(stored, &defaults), "hallway").map(Imported::Hallway)
}

/// Links of older versions have no dynamics; their use begins now.
fn with_dynamics(stored: &Value, defaults: &[(&str, Value)]) -> Value {
    let mut link = stored.as_object().cloned().unwrap_or_default();
    let created = link.get("created_at").cloned().unwrap_or_else(|| json!(""));
    fill(&mut link, &[("created_at", created.clone()), ("strength", json!(1.0)), ("stability", json!(1.0))]);
    fill(&mut link, &[("last_activated", created), ("access_count", json!(0))]);
    fill(&mut link, defaults);
    Value::Object(link)
}

/// Returns an artifact, or what is wrong with it.
pub fn artifact(mut columns: Map<String, Value>) -> Result<Imported, String> {
    let metadata = parsed(columns.get("metadata_json").or(columns.get("metadata")));
    columns.insert("metadata".to_owned(), metadata);
    fill(&mut columns, &[("origin_replica", json!(""))]);
    decode(Value::Object(columns), "artifact").map(Imported::Artifact)
}

/// Returns an event, or what is wrong with it. Its place in the stream is given where it is stored.
pub fn event(mut columns: Map<String, Value>) -> Result<Imported, String> {
    let metadata = parsed(columns.get("metadata_json").or(columns.get("metadata")));
    columns.insert("metadata".to_owned(), metadata);
    fill(
        &mut columns,
        &[
            ("seq", json!(0)),
            ("origin_seq", json!(0)),
            ("origin_replica", json!("")),
            ("hlc", json!("")),
            ("artifact_ids", json!([])),
            ("body", json!("")),
        ],
    );
    decode(Value::Object(columns), "event").map(Imported::Event)
}

/// Returns a small file as a setting: its text, or base64 where it is none.
pub fn file(name: &str, bytes: &[u8]) -> Imported {
    let value = match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    };
    Imported::Setting { name: format!("mempalace/{name}"), value }
}

/// Puts values where there are none: an absent column and one without a value are the same here.
fn fill(columns: &mut Map<String, Value>, defaults: &[(&str, Value)]) {
    for (name, default) in defaults {
        if columns.get(*name).is_none_or(Value::is_null) {
            columns.insert((*name).to_owned(), default.clone());
        }
    }
}

/// Returns the object that a column holds as text.
fn parsed(column: Option<&Value>) -> Value {
    let text = match column {
        Some(Value::String(text)) => serde_json::from_str(text).ok(),
        Some(object @ Value::Object(_)) => Some(object.clone()),
        _ => None,
    };
    text.filter(Value::is_object).unwrap_or_else(|| json!({}))
}

fn decode<T: serde::de::DeserializeOwned>(value: Value, what: &str) -> Result<T, String> {
    let id = value.get("id").and_then(Value::as_str).unwrap_or("?").to_owned();
    serde_json::from_value(value).map_err(|error| format!("{what} {id}: {error}"))
}
