//! What hosts can attach to a conversation: the palace at a glance, its taxonomy, a drawer, a room, a diary. Lists are
//! answered without a daemon; what is behind an address only a daemon knows.

use serde_json::{Value, json};

use crate::mcp::LIST_TTL_MS;

/// What an address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Counts, and how to use the memory.
    Overview,
    /// Wings, their rooms and how much is in them.
    Taxonomy,
    /// One drawer's text.
    Drawer(String),
    /// The drawers of a room.
    Room {
        /// Wing.
        wing: String,
        /// Room.
        room: String,
    },
    /// An agent's diary.
    Diary(String),
}

const SCHEME: &str = "palace://";

/// Returns the result of `resources/list`.
pub fn list_result(modern: bool) -> Value {
    let resource = |uri: &str, name: &str, title: &str, description: &str| {
        json!({
            "uri": format!("{SCHEME}{uri}"), "name": name, "title": title, "description": description,
            "mimeType": "application/json",
        })
    };
    cached(
        json!({"resources": [
            resource("overview", "overview", "Palace at a glance", "counts per wing and room, and how to use the memory"),
            resource("taxonomy", "taxonomy", "Taxonomy", "wings, their rooms and how much is in them"),
        ]}),
        modern,
    )
}

/// Returns the result of `resources/templates/list`.
pub fn templates_result(modern: bool) -> Value {
    let template = |uri: &str, name: &str, title: &str, description: &str, mime: &str| {
        json!({
            "uriTemplate": format!("{SCHEME}{uri}"), "name": name, "title": title, "description": description,
            "mimeType": mime,
        })
    };
    cached(
        json!({"resourceTemplates": [
            template("drawer/{id}", "drawer", "Drawer", "the whole text of one drawer", "text/plain"),
            template("room/{wing}/{room}", "room", "Room", "the drawers of one room, with previews", "application/json"),
            template("diary/{agent}", "diary", "Diary", "the last entries of an agent's diary", "application/json"),
        ]}),
        modern,
    )
}

fn cached(mut result: Value, modern: bool) -> Value {
    if modern {
        result["resultType"] = json!("complete");
        result["ttlMs"] = json!(LIST_TTL_MS);
        result["cacheScope"] = json!("private");
    }
    result
}

/// Reads an address; `None` when it is none of ours.
pub fn parse(uri: &str) -> Option<Resource> {
    let path = uri.strip_prefix(SCHEME)?;
    let parts: Vec<String> = path.split('/').map(decoded).collect::<Option<_>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["overview"] => Some(Resource::Overview),
        ["taxonomy"] => Some(Resource::Taxonomy),
        ["drawer", id] if !id.is_empty() => Some(Resource::Drawer((*id).to_owned())),
        ["room", wing, room] if !wing.is_empty() && !room.is_empty() => {
            Some(Resource::Room { wing: (*wing).to_owned(), room: (*room).to_owned() })
        }
        ["diary", agent] if !agent.is_empty() => Some(Resource::Diary((*agent).to_owned())),
        _ => None,
    }
}

/// Undoes percent encoding (RFC 3986 §2.1).
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        assert_eq!(parse("palace://overview"), Some(Resource::Overview));
        assert_eq!(parse("palace://drawer/drawer_a_b_1"), Some(Resource::Drawer("drawer_a_b_1".into())));
        let room = Resource::Room { wing: "my app".into(), room: "caché".into() };
        assert_eq!(parse("palace://room/my%20app/cach%C3%A9"), Some(room));
        assert_eq!(parse("palace://diary/claude"), Some(Resource::Diary("claude".into())));
        for bad in [
            "",
            "palace://",
            "palace://drawer",
            "palace://drawer/",
            "palace://room/a",
            "file:///etc/passwd",
            "palace://drawer/%zz",
            "palace://drawer/%ff",
            "palace://overview/x",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
