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
        /// How many drawers come before the first one shown.
        after: usize,
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
            template(
                "room/{wing}/{room}{?after}", "room", "Room",
                "up to 100 drawers of one room, with previews; next, if there, is the address of those that follow",
                "application/json",
            ),
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

/// Returns the address of a room's drawers that come after so many.
pub fn room_uri(wing: &str, room: &str, after: usize) -> String {
    format!("{SCHEME}room/{}/{}?after={after}", encoded(wing), encoded(room))
}

/// Percent-encodes what is not unreserved (RFC 3986 §2.3).
fn encoded(part: &str) -> String {
    part.bytes().fold(String::new(), |mut uri, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
        uri
    })
}

/// Tells whether an address, or the template of addresses, is one of ours.
pub fn is_known(uri: &str) -> bool {
    parse(uri.strip_suffix("{?after}").unwrap_or(uri)).is_some()
}

/// Reads an address; `None` when it is none of ours.
pub fn parse(uri: &str) -> Option<Resource> {
    let path = uri.strip_prefix(SCHEME)?;
    let (path, after) = match path.split_once("?after=") {
        Some((path, after)) => (path, Some(after.parse().ok()?)),
        None => (path, None),
    };
    let parts: Vec<String> = path.split('/').map(decoded).collect::<Option<_>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["room", wing, room] if !wing.is_empty() && !room.is_empty() => Some(Resource::Room {
            wing: (*wing).to_owned(),
            room: (*room).to_owned(),
            after: after.unwrap_or_default(),
        }),
        // Only rooms have pages.
        _ if after.is_some() => None,
        ["overview"] => Some(Resource::Overview),
        ["taxonomy"] => Some(Resource::Taxonomy),
        ["drawer", id] if !id.is_empty() => Some(Resource::Drawer((*id).to_owned())),
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
        let room = |after| Some(Resource::Room { wing: "my app".into(), room: "caché".into(), after });
        assert_eq!(parse("palace://room/my%20app/cach%C3%A9"), room(0));
        assert_eq!(parse(&room_uri("my app", "caché", 100)), room(100));
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
            "palace://overview?after=1",
            "palace://room/a/b?after=x",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
