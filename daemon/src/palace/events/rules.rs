//! Rules for the fields of events and artifacts, with the peer's limits.

use serde_json::{Map, Value};

use crate::palace::error::InputError;

/// Statuses of an event.
pub const STATUSES: [&str; 7] = ["applied", "blocked", "claimed", "failed", "open", "ready", "superseded"];
/// Kinds of artifacts.
pub const KINDS: [&str; 5] = ["file", "json", "log", "note", "patch"];
/// Longest body, in bytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Longest artifact, in bytes.
pub const ARTIFACT_BYTES_MAX: usize = 4 * 1024 * 1024;
const METADATA_BYTES_MAX: usize = 64 * 1024;
const ROUTING_CHARS_MAX: usize = 256;
const TYPE_CHARS_MAX: usize = 64;
const SLUG_CHARS_MAX: usize = 40;
const COMMIT_CHARS: std::ops::RangeInclusive<usize> = 7..=64;

fn refuse<T>(message: String) -> Result<T, InputError> {
    Err(InputError(message))
}

/// Returns a trimmed stream, room, agent, branch or the like.
///
/// # Errors
/// Names the field and the rule: 1 to 256 characters, no control characters.
pub fn routing(value: &str, field: &str) -> Result<String, InputError> {
    let value = value.trim();
    if value.is_empty() {
        return refuse(format!("{field} must be a non-empty string"));
    }
    if value.chars().count() > ROUTING_CHARS_MAX {
        return refuse(format!("{field} exceeds maximum length of {ROUTING_CHARS_MAX} characters"));
    }
    if value.chars().any(|character| character < ' ' || character == '\u{7f}') {
        return refuse(format!("{field} contains control characters"));
    }
    Ok(value.to_owned())
}

/// Returns an event's type.
///
/// # Errors
/// Names the rule: 1 to 64 lower-case letters, digits, `.`, `_`, `-`, a letter or digit first.
pub fn kind(value: &str) -> Result<String, InputError> {
    let value = value.trim();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let sound = value.bytes().next().is_some_and(plain)
        && value.len() <= TYPE_CHARS_MAX
        && value.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'));
    if sound {
        return Ok(value.to_owned());
    }
    refuse(format!(
        "type={value:?} is not a valid event type (lowercase letters, digits, '.', '_', '-'; max {TYPE_CHARS_MAX} chars)"
    ))
}

/// Returns a status; none when it is empty.
///
/// # Errors
/// Names the allowed ones.
pub fn status(value: &str) -> Result<Option<String>, InputError> {
    match value {
        "" => Ok(None),
        known if STATUSES.contains(&known) => Ok(Some(known.to_owned())),
        other => refuse(format!("status={other:?} is not one of: {}", STATUSES.join(", "))),
    }
}

/// Returns a body as it will be stored.
///
/// # Errors
/// Names the rule: at most 256 KiB, no NUL.
pub fn body(value: &str) -> Result<String, InputError> {
    text(value, "body", BODY_BYTES_MAX)
}

fn text(value: &str, field: &str, most: usize) -> Result<String, InputError> {
    if value.contains('\0') {
        return refuse(format!("{field} contains null bytes"));
    }
    if value.len() > most {
        return refuse(format!("{field} is {} bytes; maximum is {most} bytes", value.len()));
    }
    Ok(value.to_owned())
}

/// Returns an artifact's kind and text.
///
/// # Errors
/// Names the rule: a known kind; 1 byte to 4 MiB, no NUL.
pub fn artifact(kind: &str, content: &str) -> Result<(String, String), InputError> {
    if !KINDS.contains(&kind) {
        return refuse(format!("kind={kind:?} is not one of: {}", KINDS.join(", ")));
    }
    if content.is_empty() {
        return refuse("content must be a non-empty string".to_owned());
    }
    Ok((kind.to_owned(), text(content, "content", ARTIFACT_BYTES_MAX)?))
}

/// Returns free data, sorted by key.
///
/// # Errors
/// Names the rule: an object of at most 64 KiB as JSON.
pub fn metadata(value: Option<&Value>) -> Result<Map<String, Value>, InputError> {
    let Some(value) = value else { return Ok(Map::new()) };
    let Some(object) = value.as_object() else {
        return refuse("metadata must be an object".to_owned());
    };
    if value.to_string().len() > METADATA_BYTES_MAX {
        return refuse(format!("metadata exceeds maximum size of {METADATA_BYTES_MAX} bytes"));
    }
    let mut sorted = object.clone();
    sorted.sort_keys();
    Ok(sorted)
}

/// Returns a commit's hash in lower case.
///
/// # Errors
/// Names the rule: 7 to 64 hex digits, not a branch.
pub fn commit(value: &str) -> Result<String, InputError> {
    let value = value.trim();
    if COMMIT_CHARS.contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(value.to_lowercase());
    }
    refuse(
        "base_commit must be a hexadecimal Git object id (7 to 64 characters), not a branch or tag"
            .to_owned(),
    )
}

/// Returns a short label of a text: lower-case letters, digits and single underscores, at most 40.
pub fn slug(text: &str, fallback: &str) -> String {
    let mut slug = String::new();
    for character in text.to_lowercase().chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('_') {
            slug.push('_');
        }
    }
    let cut = &slug[..slug.len().min(SLUG_CHARS_MAX)];
    let cut = cut.trim_matches('_');
    if cut.is_empty() { fallback.to_owned() } else { cut.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_follow_the_peers_rules() {
        assert_eq!(routing(" project/x ", "stream").unwrap(), "project/x");
        for bad in ["", "  ", "a\nb", "a\0", &"x".repeat(257)] {
            assert!(routing(bad, "stream").unwrap_err().0.starts_with("stream "), "{bad:?}");
        }
        for good in ["task.request", "a", "0-b_c"] {
            assert!(kind(good).is_ok());
        }
        for bad in ["", "Task", ".a", "a b", &"x".repeat(65)] {
            assert!(kind(bad).is_err(), "{bad:?}");
        }
        assert!(status("done").unwrap_err().0.contains("applied, blocked"));
        assert!(body(&"x".repeat(BODY_BYTES_MAX + 1)).unwrap_err().0.contains("maximum is 262144"));
        assert!(artifact("image", "x").is_err() && artifact("note", "").is_err());
        assert!(metadata(Some(&Value::from(1))).is_err());
        assert!(commit("main").is_err() && commit("ABCDEF1").unwrap() == "abcdef1");
    }

    #[test]
    fn slugs_are_short_and_plain() {
        assert_eq!(slug("Fix: the  Login!", "work"), "fix_the_login");
        assert_eq!(slug("日本", "work"), "work");
        assert!(slug(&"ab ".repeat(40), "work").len() <= 40);
    }
}
