//! Rules for names, texts and dates, with the peer's limits and wording.
//!
//! A name that passes is stored as it is, after trimming: case and inner spaces are the user's.

use palace_protocol::limits::{CONTENT_CHARS_MAX, NAME_CHARS_MAX, SOURCE_FILE_CHARS_MAX};

use super::dates;
use super::error::InputError;

/// Returns the trimmed name of a wing, room, agent or topic.
///
/// # Errors
/// Names the field and the rule: 1 to 128 characters, letters, digits, space, `_`, `.`, `'` and `-`, a letter or digit
/// first and last, no path parts.
pub fn name(value: &str, field: &str) -> Result<String, InputError> {
    let refuse = |rule: &str| Err(InputError(format!("{field} {rule}")));
    let value = value.trim();
    if value.is_empty() {
        return refuse("must be a non-empty string");
    }
    if value.chars().count() > NAME_CHARS_MAX {
        return refuse(&format!("exceeds maximum length of {NAME_CHARS_MAX} characters"));
    }
    if value.contains("..") || value.contains(['/', '\\']) {
        return refuse("contains invalid path characters ('..', '/' or '\\')");
    }
    if value.contains('\0') {
        return refuse("contains null bytes");
    }
    let edge = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    let inner =
        |character: char| character.is_alphanumeric() || matches!(character, '_' | ' ' | '.' | '\'' | '-');
    if !edge(value.chars().next()) || !edge(value.chars().next_back()) || !value.chars().all(inner) {
        return refuse(
            "contains invalid characters; use letters, digits, spaces, _ . ' and -, with a letter or digit first and last",
        );
    }
    Ok(value.to_owned())
}

/// Returns the text as it will be stored.
///
/// # Errors
/// Names the field and the rule: 1 to 100,000 characters that are not all white space, no NUL.
pub fn content<'a>(value: &'a str, field: &str) -> Result<&'a str, InputError> {
    if value.trim().is_empty() {
        return Err(InputError(format!("{field} must be a non-empty string")));
    }
    let count = value.chars().count();
    if count > CONTENT_CHARS_MAX {
        return Err(InputError(format!(
            "{field} exceeds maximum length of {CONTENT_CHARS_MAX} characters (it has {count}); split it into several drawers"
        )));
    }
    if value.contains('\0') {
        return Err(InputError(format!("{field} contains null bytes")));
    }
    Ok(value)
}

/// Returns the trimmed name of an entity of the knowledge graph: more is allowed than in names of wings.
///
/// # Errors
/// Names the field and the rule: 1 to 128 characters, no NUL.
pub fn entity(value: &str, field: &str) -> Result<String, InputError> {
    let value = value.trim();
    let refuse = |rule: &str| Err(InputError(format!("{field} {rule}")));
    if value.is_empty() {
        return refuse("must be a non-empty string");
    }
    if value.chars().count() > NAME_CHARS_MAX {
        return refuse(&format!("exceeds maximum length of {NAME_CHARS_MAX} characters"));
    }
    if value.contains('\0') {
        return refuse("contains null bytes");
    }
    Ok(value.to_owned())
}

/// Returns a date or a UTC time to the second as the knowledge graph compares it; none when it is empty.
///
/// # Errors
/// Names the field and shows the accepted forms.
pub fn instant(value: &str, field: &str) -> Result<Option<String>, InputError> {
    let value = value.trim();
    let canonical = match value.strip_suffix("+00:00") {
        Some(naive) => format!("{naive}Z"),
        None => value.to_owned(),
    };
    let is_bound = |text: &str, full: &str| dates::bound(text, field).is_ok_and(|bound| bound == full);
    let sound = match canonical.len() {
        0 => return Ok(None),
        10 => is_bound(&canonical, &format!("{canonical}T00:00:00")),
        20 => canonical.strip_suffix('Z').is_some_and(|naive| is_bound(naive, naive)),
        _ => false,
    };
    if sound {
        return Ok(Some(canonical));
    }
    Err(InputError(format!(
        "{field}={value:?} is not a valid ISO-8601 date or UTC datetime (expected YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ)"
    )))
}

/// Returns a source file's name as it will be stored or compared.
///
/// # Errors
/// Names the rule: at most 4,096 characters, no NUL.
pub fn source_file(value: &str) -> Result<String, InputError> {
    if value.chars().count() > SOURCE_FILE_CHARS_MAX {
        return Err(InputError(format!(
            "source_file exceeds maximum length of {SOURCE_FILE_CHARS_MAX} characters"
        )));
    }
    if value.contains('\0') {
        return Err(InputError("source_file contains null bytes".into()));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_peers_rules() {
        for good in ["a", "wing_myapp", " padded ", "Émile's room", "日本", "v3.11", "a-b c"] {
            assert!(name(good, "wing").is_ok(), "{good}");
        }
        for bad in
            ["", "  ", "_a", "a_", "a/b", "a\\b", "..", "a..b", "a\0b", "-x", "semi;colon", "a\u{1F600}b"]
        {
            assert!(name(bad, "wing").is_err(), "{bad:?}");
        }
        // A blank is the only white space inside a name.
        for bad in ["a\nb", "a\tb", "a\u{2028}b", "a\u{A0}b", "a\u{3000}b", "a\u{7}b", "a\u{85}b"] {
            assert!(
                name(bad, "wing").unwrap_err().0.starts_with("wing contains invalid characters"),
                "{bad:?}"
            );
        }
        assert!(name(&"x".repeat(128), "room").is_ok());
        let error = name(&"x".repeat(129), "room").unwrap_err();
        assert!(error.0.starts_with("room exceeds maximum length of 128"));
    }

    #[test]
    fn content_is_bounded_in_characters_not_bytes() {
        assert!(content(&"é".repeat(CONTENT_CHARS_MAX), "content").is_ok());
        assert!(content(&"é".repeat(CONTENT_CHARS_MAX + 1), "content").is_err());
        assert!(content(" \n", "content").is_err());
        assert!(content("a\0", "content").is_err());
    }

    #[test]
    fn instants_are_dates_or_utc_seconds() {
        for (good, stored) in [
            ("2026-01-31", Some("2026-01-31")),
            ("2026-01-31T09:00:00Z", Some("2026-01-31T09:00:00Z")),
            ("2026-01-31T09:00:00+00:00", Some("2026-01-31T09:00:00Z")),
            (" ", None),
        ] {
            assert_eq!(instant(good, "at").unwrap().as_deref(), stored);
        }
        for bad in [
            "2026",
            "2026-02-30",
            "2026-01-31T09:00",
            "2026-01-31 09:00:00Z",
            "2026-01-31T09:00:00+02:00",
            "日本-01-31T09:00:00Z",
        ] {
            assert!(instant(bad, "at").unwrap_err().0.starts_with("at="), "{bad}");
        }
    }
}
