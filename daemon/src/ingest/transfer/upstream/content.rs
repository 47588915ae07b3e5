//! What a row says: its text and its metadata, as tables hold them and as JSON holds them.

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;
use serde_json::Value;

use crate::palace::MetaValue;

use super::database::text;

/// The key under which Chroma keeps the text among the metadata.
pub(super) const DOCUMENT: &str = "chroma:document";
/// What begins the keys that are Chroma's own.
const RESERVED: &str = "chroma:";

/// Text and metadata of one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Content {
    pub document: Option<String>,
    /// Ordered by name, as they are handed on.
    pub metadata: BTreeMap<String, MetaValue>,
}

impl Content {
    /// Takes one pair; the text is told by its key, and what else is Chroma's own is left out, as Chroma does.
    pub fn put(&mut self, key: String, value: MetaValue) {
        if key == DOCUMENT {
            self.document = Some(match value {
                MetaValue::Text(text) => text,
                MetaValue::Integer(number) => number.to_string(),
                MetaValue::Float(number) => number.to_string(),
                MetaValue::Bool(truth) => truth.to_string(),
            });
        } else if !key.starts_with(RESERVED) {
            self.metadata.insert(key, value);
        }
    }

    /// Takes the pairs of a change: named keys are set, keys with null are taken away, all others stay.
    ///
    /// # Errors
    /// When the change is not a JSON object.
    pub fn merge(&mut self, json: &str) -> Result<(), String> {
        let value: Value =
            serde_json::from_str(json).map_err(|error| format!("metadata is not JSON: {error}"))?;
        let Value::Object(pairs) = value else {
            return Err("metadata is not a JSON object".to_owned());
        };
        for (key, value) in pairs {
            match of_json(value) {
                Some(value) => self.put(key, value),
                None if key == DOCUMENT => self.document = None,
                None => drop(self.metadata.remove(&key)),
            }
        }
        Ok(())
    }
}

/// Returns a JSON value as metadata; lists and objects, which no version of MemPalace writes, as their text.
fn of_json(value: Value) -> Option<MetaValue> {
    match value {
        Value::Null => None,
        Value::Bool(truth) => Some(MetaValue::Bool(truth)),
        Value::String(text) => Some(MetaValue::Text(text)),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Some(MetaValue::Integer(number)),
            None => number.as_f64().map(MetaValue::Float),
        },
        list @ (Value::Array(_) | Value::Object(_)) => Some(MetaValue::Text(list.to_string())),
    }
}

/// The four columns one value is spread over; the first that holds something counts.
pub(super) struct Columns<'a> {
    pub string: ValueRef<'a>,
    pub int: ValueRef<'a>,
    pub float: ValueRef<'a>,
    pub bool: ValueRef<'a>,
}

impl Columns<'_> {
    /// Returns the value, and whether it is exactly what is stored.
    pub fn value(&self) -> Option<(MetaValue, bool)> {
        if let Some((text, exact)) = text(self.string) {
            return Some((MetaValue::Text(text), exact));
        }
        let value = match (self.int, self.float, self.bool) {
            (ValueRef::Integer(number), _, _) => MetaValue::Integer(number),
            (_, ValueRef::Real(number), _) => MetaValue::Float(number),
            // SQLite may store a whole number of a column of fractions as an integer.
            (_, ValueRef::Integer(number), _) => MetaValue::Float(number as f64),
            (_, _, ValueRef::Integer(number)) => MetaValue::Bool(number != 0),
            _ => return None,
        };
        Some((value, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_sets_takes_away_and_leaves() {
        let mut content = Content::default();
        content
            .merge(r#"{"chroma:document":"one","a":1,"b":1.0,"c":true,"d":"x","chroma:uri":"u"}"#)
            .unwrap();
        content.merge(r#"{"a":null,"d":"y"}"#).unwrap();
        assert_eq!(content.document.as_deref(), Some("one"));
        let expect = [
            ("b".to_owned(), MetaValue::Float(1.0)),
            ("c".to_owned(), MetaValue::Bool(true)),
            ("d".to_owned(), MetaValue::Text("y".to_owned())),
        ];
        assert_eq!(content.metadata, BTreeMap::from(expect));
        assert!(content.merge("[]").is_err());
        assert!(content.merge("{\"a\":NaN}").is_err());
    }
}
