//! Checks a call's arguments against the catalogue, with the peer's coercions.
//!
//! After the check every value has the shape its parameter names: numbers may have come as strings, fractions are cut,
//! numbers are clamped into their range, `null` counts as absent where that harms nothing. What does not fit is named
//! with the rule it breaks. As the peer does, unknown and missing parameters and what is no number are errors of the
//! protocol; texts, lists and objects of the wrong kind are refusals of the tool, which models read.

use palace_protocol::catalogue::{Parameter, Shape, Tool};
use palace_protocol::limits::SHORT_TEXT_CHARS_MAX;
use serde_json::{Map, Value};

use super::CallError;

/// Sent by some hosts with every call; carries no meaning.
const IGNORED_KEYS: [&str; 1] = ["wait_for_previous"];
/// Tools that want one of two parameters.
const EITHER: [(&str, [&str; 2]); 1] = [("mempalace_diary_write", ["entry", "content"])];

/// Why arguments do not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// An error of the protocol.
    Call(CallError),
    /// A refusal of the tool, which names the parameter and the rule.
    Refused(String),
}

/// Arguments that fit their tool's schema.
#[derive(Clone, Debug, Default)]
pub struct Arguments(Map<String, Value>);

impl Arguments {
    /// Checks the arguments of a call.
    ///
    /// # Errors
    /// Names the unknown, missing or ill-typed parameter.
    pub fn check(tool: &Tool, given: Map<String, Value>) -> Result<Self, Misfit> {
        let invalid = |message| Err(Misfit::Call(CallError::invalid(message)));
        let known = |name: &str| tool.parameters.iter().find(|parameter| parameter.name == name);
        if let Some(unknown) =
            given.keys().find(|key| known(key).is_none() && !IGNORED_KEYS.contains(&key.as_str()))
        {
            let names: Vec<&str> = tool.parameters.iter().map(|parameter| parameter.name).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return invalid(format!("Unknown parameter '{unknown}' for {}; it takes: {names}", tool.name));
        }
        let either = EITHER.iter().find(|(name, _)| *name == tool.name).map(|(_, names)| names);
        let mut missing: Vec<&str> = tool
            .parameters
            .iter()
            .filter(|parameter| parameter.required)
            .map(|parameter| parameter.name)
            .filter(|name| !given.contains_key(*name))
            .collect();
        if let Some(names) = either
            && names.iter().all(|name| given.get(*name).is_none_or(Value::is_null))
        {
            missing.push(names[0]);
        }
        if !missing.is_empty() {
            return invalid(format!(
                "Missing required parameter(s) for {}: {}",
                tool.name,
                missing.join(", ")
            ));
        }
        let mut checked = Map::new();
        for (key, value) in given {
            let Some(parameter) = known(&key) else { continue };
            if value.is_null() && !parameter.required && !parameter.is_number() {
                continue;
            }
            checked.insert(key, coerce(parameter, value)?);
        }
        Ok(Self(checked))
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

    /// Returns a whole number, negative ones too, or its default.
    pub fn integer(&self, name: &str, default: i64) -> i64 {
        self.0.get(name).and_then(Value::as_i64).unwrap_or(default)
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

    /// Returns the items of a list as they were given, each with its text or why it has none.
    pub fn each_text<'a>(&'a self, name: &str) -> Vec<(&'a Value, Result<&'a str, String>)> {
        let text = |value: &'a Value| match value {
            Value::String(text) => short(name, text).map(|()| text.as_str()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                Err(format!("{name} must hold strings; this is {}", kind(value)))
            }
        };
        let values = self.0.get(name).and_then(Value::as_array);
        values.into_iter().flatten().map(|value| (value, text(value))).collect()
    }

    /// Returns a value as it was given.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

fn coerce(parameter: &Parameter, value: Value) -> Result<Value, Misfit> {
    let name = parameter.name;
    let no_number = |expected: &str| {
        let message =
            format!("Invalid value for parameter '{name}': expected {expected}, not {}", kind(&value));
        Misfit::Call(CallError::invalid(message))
    };
    let refused = |rule: &str| Misfit::Refused(format!("{name} must be {rule}, not {}", kind(&value)));
    match &parameter.shape {
        Shape::Text => match value.as_str() {
            Some(text) => short(name, text).map(|()| value).map_err(Misfit::Refused),
            None => Err(refused("a string")),
        },
        Shape::LongText | Shape::TextUpTo(_) if value.is_string() => Ok(value),
        Shape::LongText | Shape::TextUpTo(_) => Err(refused("a string")),
        Shape::OneOf(words) => match value.as_str() {
            Some(word) if words.contains(&word) => Ok(value),
            Some(word) => {
                Err(Misfit::Refused(format!("{name}={word:?} is not one of: {}", words.join(", "))))
            }
            None => Err(refused(&format!("one of {}", words.join(", ")))),
        },
        Shape::Integer { min, max } => {
            let number = integer(&value).ok_or_else(|| no_number("an integer"))?;
            Ok(Value::from(number.clamp(*min, max.unwrap_or(i64::MAX))))
        }
        Shape::Clamped { min, max } => {
            let number = integer(&value).ok_or_else(|| no_number("an integer"))?;
            Ok(Value::from(number.clamp(*min, *max)))
        }
        Shape::Number => {
            let found = number(&value).filter(|number| number.is_finite());
            found.map(Value::from).ok_or_else(|| no_number("a number"))
        }
        Shape::Boolean => match value.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("true") => Ok(Value::Bool(true)),
            Some("false") => Ok(Value::Bool(false)),
            Some(_) | None if value.is_boolean() => Ok(value),
            Some(_) | None => Err(refused("true or false")),
        },
        Shape::Guard if value.is_boolean() => Ok(value),
        // Only a plain false removes something.
        Shape::Guard if value.is_string() => Ok(Value::Bool(true)),
        Shape::Guard => Err(refused("true or false")),
        Shape::TextList => match value.as_array() {
            Some(items) if items.iter().all(Value::is_string) => {
                let mut texts = items.iter().filter_map(Value::as_str);
                texts.try_for_each(|text| short(name, text)).map(|()| value).map_err(Misfit::Refused)
            }
            Some(_) => Err(Misfit::Refused(format!("{name} must be a list of strings"))),
            None => Err(refused("a list of strings")),
        },
        Shape::EachText if value.is_array() => Ok(value),
        Shape::EachText => Err(refused("a list of strings")),
        Shape::Objects(_) if value.is_array() => Ok(value),
        Shape::Objects(members) => {
            let names: Vec<&str> = members.iter().map(|member| member.name).collect();
            Err(refused(&format!("a list of {{{}}} objects", names.join(", "))))
        }
        // An object with members of its own is reported in its place, beside what was done without it.
        Shape::Object(members) if !members.is_empty() || value.is_object() => Ok(value),
        Shape::Object(_) => Err(refused("an object")),
    }
}

/// Checks a name, an id, a label or a date; most of them have tighter rules of their own.
fn short(name: &str, text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err(format!("{name} contains null bytes"));
    }
    if text.len() > SHORT_TEXT_CHARS_MAX && text.chars().count() > SHORT_TEXT_CHARS_MAX {
        return Err(format!("{name} exceeds maximum length of {SHORT_TEXT_CHARS_MAX} characters"));
    }
    Ok(())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "this text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_f64(),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Fractions are cut and truth values count as 0 and 1, as the peer's language does.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        #[expect(clippy::cast_possible_truncation, reason = "a fraction is cut, a large number saturates")]
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|number| number as i64)),
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests;
