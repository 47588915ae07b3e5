//! Checks a call's arguments against the catalogue, with the peer's coercions.
//!
//! After the check every value has the shape its parameter names: numbers may have come as strings, `null` counts as
//! absent, numbers are clamped into their range. What does not fit is named with the rule it breaks.

use palace_protocol::catalogue::{Parameter, Shape, Tool};
use serde_json::{Map, Value};

use super::CallError;

/// Sent by some hosts with every call; carries no meaning.
const IGNORED_KEYS: [&str; 1] = ["wait_for_previous"];

/// Arguments that fit their tool's schema.
#[derive(Clone, Debug, Default)]
pub struct Arguments(Map<String, Value>);

impl Arguments {
    /// Checks the arguments of a call.
    ///
    /// # Errors
    /// Names the unknown, missing or ill-typed parameter.
    pub fn check(tool: &Tool, given: Map<String, Value>) -> Result<Self, CallError> {
        let mut checked = Map::new();
        for (key, value) in given {
            if IGNORED_KEYS.contains(&key.as_str()) || value.is_null() {
                continue;
            }
            let Some(parameter) = tool.parameters.iter().find(|parameter| parameter.name == key) else {
                let known: Vec<&str> = tool.parameters.iter().map(|parameter| parameter.name).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(CallError::invalid(format!(
                    "Unknown parameter '{key}' for {}; it takes: {known}",
                    tool.name
                )));
            };
            checked.insert(key, coerce(parameter, value)?);
        }
        let missing: Vec<&str> = tool
            .parameters
            .iter()
            .filter(|parameter| parameter.required && !checked.contains_key(parameter.name))
            .map(|parameter| parameter.name)
            .collect();
        if missing.is_empty() {
            Ok(Self(checked))
        } else {
            Err(CallError::invalid(format!(
                "Missing required parameter(s) for {}: {}",
                tool.name,
                missing.join(", ")
            )))
        }
    }

    /// Returns a text, if it was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Returns a text that is not empty, if one was given: an empty text means "no filter".
    pub fn filter_text(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.trim().is_empty())
    }

    /// Returns a required text.
    pub fn required(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// Returns a count, or its default.
    pub fn count(&self, name: &str, default: usize) -> usize {
        self.0
            .get(name)
            .and_then(Value::as_i64)
            .map_or(default, |count| usize::try_from(count.max(0)).unwrap_or(usize::MAX))
    }

    /// Returns a number, or its default.
    pub fn number(&self, name: &str, default: f32) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "distances and thresholds are small")]
        self.0.get(name).and_then(Value::as_f64).map_or(default, |number| number as f32)
    }

    /// Returns a yes or no, if it was given.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(Value::as_bool)
    }

    /// Returns a list of texts.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let values = self.0.get(name).and_then(Value::as_array);
        values.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Returns a value as it was given.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

fn coerce(parameter: &Parameter, value: Value) -> Result<Value, CallError> {
    let wrong = |expected: &str| {
        CallError::invalid(format!("Invalid value for parameter '{}': expected {expected}", parameter.name))
    };
    match &parameter.shape {
        Shape::Text | Shape::TextUpTo(_) => {
            value.is_string().then_some(value).ok_or_else(|| wrong("a string"))
        }
        Shape::OneOf(words) => match value.as_str() {
            Some(word) if words.contains(&word) => Ok(value),
            _ => Err(wrong(&format!("one of {}", words.join(", ")))),
        },
        Shape::Integer { min, max } => {
            let number = integer(&value).ok_or_else(|| wrong("an integer"))?;
            Ok(Value::from(number.clamp(*min, max.unwrap_or(i64::MAX))))
        }
        Shape::Number => {
            let number = match value.as_str() {
                Some(text) => text.trim().parse::<f64>().ok(),
                None => value.as_f64(),
            };
            number.filter(|number| number.is_finite()).map(Value::from).ok_or_else(|| wrong("a number"))
        }
        Shape::Boolean => match (&value, value.as_str().map(str::to_ascii_lowercase).as_deref()) {
            (Value::Bool(_), _) => Ok(value),
            (_, Some("true")) => Ok(Value::Bool(true)),
            (_, Some("false")) => Ok(Value::Bool(false)),
            _ => Err(wrong("true or false")),
        },
        // Lists and objects are looked at item by item by their tools, which report each bad item in their result.
        Shape::TextList | Shape::Objects(_) | Shape::Object(_) => Ok(value),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the fraction was checked to be zero, the cast saturates"
        )]
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().filter(|number| number.fract() == 0.0).map(|n| n as i64)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palace_protocol::catalogue::tool;
    use serde_json::json;

    fn check(name: &str, given: Value) -> Result<Arguments, String> {
        let given = given.as_object().unwrap().clone();
        Arguments::check(tool(name).unwrap(), given).map_err(|error| error.message)
    }

    #[test]
    fn numbers_come_as_strings_too_and_are_clamped() {
        for (given, expect) in
            [(json!("7"), 7), (json!(7.0), 7), (json!(0), 1), (json!(5000), 100), (json!(-3), 1)]
        {
            assert_eq!(
                check("mempalace_search", json!({"query": "q", "limit": given})).unwrap().count("limit", 5),
                expect
            );
        }
        for bad in [json!("x"), json!(1.5), json!([1]), json!(true)] {
            assert!(
                check("mempalace_search", json!({"query": "q", "limit": bad}))
                    .unwrap_err()
                    .contains("'limit'")
            );
        }
    }

    #[test]
    fn unknown_missing_and_ill_typed_parameters_are_named() {
        assert!(
            check("mempalace_search", json!({"query": "q", "wings": "x"})).unwrap_err().contains("'wings'")
        );
        assert!(check("mempalace_add_drawer", json!({"wing": "w"})).unwrap_err().contains("room, content"));
        assert!(
            check("mempalace_add_drawer", json!({"wing": 1, "room": "r", "content": "c"}))
                .unwrap_err()
                .contains("'wing'")
        );
        assert!(
            check("mempalace_search", json!({"query": "q", "query_task": "x"}))
                .unwrap_err()
                .contains("search, code")
        );
    }

    #[test]
    fn null_is_absent_and_host_noise_is_dropped() {
        let arguments =
            check("mempalace_search", json!({"query": "q", "wing": null, "wait_for_previous": true}))
                .unwrap();
        assert_eq!(arguments.text("wing"), None);
        assert!(check("mempalace_search", json!({"query": null})).is_err());
    }
}
