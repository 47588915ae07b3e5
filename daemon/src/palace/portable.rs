//! A row as JSON: what exports hold, and what is kept of removed rows. Everything of it, and nothing computed.
//!
//! Metadata keeps its types: text is a string, a whole number has no fraction, another number has one even when it is
//! zero. Numbers that JSON does not have are written as `{"float": "NaN"}`. A vector is base64 of the stored halves, so
//! that it comes back without a bit changed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};

use crate::engine::{MetaValue, Row, StoredVector};

/// A row as it stands in JSON. Field names are part of the export format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortableRow {
    /// Unique name.
    pub id: String,
    /// The text, verbatim.
    pub document: String,
    /// Wing.
    pub wing: String,
    /// Room.
    pub room: String,
    /// Where the text came from; empty when it was typed in.
    #[serde(default)]
    pub source_file: String,
    /// When it was filed, verbatim.
    #[serde(default)]
    pub filed_at: String,
    /// Position among the chunks of its drawer.
    #[serde(default)]
    pub chunk_index: u32,
    /// The drawer it is a chunk of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Every other metadata key.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// The vector, base64 of little-endian IEEE halves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<String>,
}

/// Why JSON is not a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id}: {reason}")]
pub struct NotARow {
    /// The row.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

impl PortableRow {
    /// Returns a row with its vector, if it is to have one.
    pub fn new(row: Row, vector: Option<&StoredVector>) -> Self {
        Self {
            id: row.id,
            document: row.document,
            wing: row.wing,
            room: row.room,
            source_file: row.source_file,
            filed_at: row.filed_at,
            chunk_index: row.chunk_index,
            parent_id: row.parent_id,
            metadata: row.extra.into_iter().map(|(key, value)| (key, to_json(value))).collect(),
            vector: vector.map(|vector| STANDARD.encode(vector.bytes())),
        }
    }

    /// Returns the row, and its vector if it has one.
    ///
    /// # Errors
    /// Names the member that no row can have.
    pub fn into_row(self) -> Result<(Row, Option<StoredVector>), NotARow> {
        let wrong = |reason: String| NotARow { id: self.id.clone(), reason };
        let vector = match &self.vector {
            Some(text) => {
                let bytes = STANDARD.decode(text).map_err(|error| wrong(format!("vector: {error}")))?;
                Some(StoredVector::from_bytes(bytes))
            }
            None => None,
        };
        let mut extra = Vec::with_capacity(self.metadata.len());
        for (key, value) in &self.metadata {
            let value = from_json(value)
                .ok_or_else(|| wrong(format!("metadata {key}: text, number, true or false is expected")))?;
            extra.push((key.clone(), value));
        }
        extra.sort_by(|left, right| left.0.cmp(&right.0));
        let row = Row {
            id: self.id,
            document: self.document,
            wing: self.wing,
            room: self.room,
            source_file: self.source_file,
            filed_at: self.filed_at,
            chunk_index: self.chunk_index,
            parent_id: self.parent_id,
            extra,
        };
        Ok((row, vector))
    }
}

fn to_json(value: MetaValue) -> Value {
    match value {
        MetaValue::Text(text) => Value::String(text),
        MetaValue::Integer(number) => number.into(),
        MetaValue::Float(number) => match Number::from_f64(number) {
            Some(number) => Value::Number(number),
            None => json!({ "float": number.to_string() }),
        },
        MetaValue::Bool(yes) => Value::Bool(yes),
    }
}

fn from_json(value: &Value) -> Option<MetaValue> {
    match value {
        Value::String(text) => Some(MetaValue::Text(text.clone())),
        Value::Bool(yes) => Some(MetaValue::Bool(*yes)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(MetaValue::Integer(whole)),
            None => number.as_f64().map(MetaValue::Float),
        },
        Value::Object(tagged) => tagged.get("float")?.as_str()?.parse().ok().map(MetaValue::Float),
        Value::Null | Value::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_whole() {
        let extra = [
            ("bool", MetaValue::Bool(false)),
            ("float", MetaValue::Float(2.0)),
            ("infinite", MetaValue::Float(f64::NEG_INFINITY)),
            ("integer", MetaValue::Integer(i64::MIN)),
            ("text", MetaValue::Text("7".into())),
            ("tiny", MetaValue::Float(1.797_693_134_862_315_7e-300)),
        ];
        let row = Row {
            id: "a".into(),
            document: "line\nzero \0 and \u{1F3DB}".into(),
            wing: "w".into(),
            room: "r".into(),
            source_file: "/s".into(),
            filed_at: "2026-01-01".into(),
            chunk_index: 3,
            parent_id: Some("p".into()),
            extra: extra.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        };
        let vector = StoredVector::encode(&[0.6, -0.8]).unwrap();
        let text = serde_json::to_string(&PortableRow::new(row.clone(), Some(&vector))).unwrap();
        let again: PortableRow = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
        assert_eq!(again.into_row().unwrap(), (row, Some(vector)));
    }

    #[test]
    fn what_is_no_row_is_named() {
        let of = |member: &str| -> NotARow {
            let text = format!(r#"{{"id":"a","document":"d","wing":"w","room":"r",{member}}}"#);
            serde_json::from_str::<PortableRow>(&text).unwrap().into_row().unwrap_err()
        };
        assert!(of(r#""metadata":{"tags":[]}"#).to_string().starts_with("a: metadata tags"));
        assert!(of(r#""vector":"!""#).to_string().starts_with("a: vector"));
    }
}
