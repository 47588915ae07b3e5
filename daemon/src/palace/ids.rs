//! Id recipes, byte for byte those of MemPalace 3.11 (`id_recipe` v3), so that filing a text again finds it.

use sha2::{Digest, Sha256};

/// Name of the recipe, stored with each row it made.
pub const RECIPE: &str = "v3";

/// Returns the first `len` hex digits of the sha256 of all parts, each preceded by its length in characters.
pub fn parts_hash(parts: &[&str], len: usize) -> String {
    let framed: String = parts.iter().map(|part| format!("{}:{part}", part.chars().count())).collect();
    sha256_hex(framed.as_bytes(), len)
}

/// Returns the first `len` hex digits of a sha256.
pub fn sha256_hex(bytes: &[u8], len: usize) -> String {
    let mut hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(len);
    hex
}

/// Returns the id of a drawer filed by hand: the same wing, room and text always give the same id.
pub fn drawer(wing: &str, room: &str, content: &str) -> String {
    format!("drawer_{wing}_{room}_{}", parts_hash(&[wing, room, content], 24))
}

/// Returns the id of one chunk of a drawer or diary entry.
pub fn chunk(parent: &str, index: usize) -> String {
    format!("{parent}_chunk_{index:06}")
}

/// Returns the id of a diary entry; `stamp` is [`super::moment::Moment::stamp`].
pub fn diary(wing: &str, stamp: &str, entry: &str) -> String {
    format!("diary_{wing}_{stamp}_{}", sha256_hex(entry.as_bytes(), 12))
}

/// Returns the id of a fact; `recorded` is naive local ISO text.
pub fn fact(
    subject: &str,
    predicate: &str,
    object: &str,
    valid_from: Option<&str>,
    recorded: &str,
) -> String {
    let hash = parts_hash(&[valid_from.unwrap_or("None"), recorded], 12);
    format!("t_{subject}_{predicate}_{object}_{hash}")
}

/// Returns the id of an event (`evt`) or artifact (`art`) that is made up now.
pub fn stamped(prefix: &str, stamp: &str) -> String {
    let noise = uuid::Uuid::new_v4().simple().to_string();
    format!("{prefix}_{stamp}_{}", &noise[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values computed from the recipe's definition with an independent program (Python's hashlib).
    #[test]
    fn ids_are_the_peers() {
        assert_eq!(drawer("wing_a", "room", "hello"), "drawer_wing_a_room_d33f1d84287cbccbda24280b");
        assert_eq!(chunk("drawer_x", 7), "drawer_x_chunk_000007");
        assert_eq!(
            diary("wing_a", "20260131_090507000123", "entry"),
            "diary_wing_a_20260131_090507000123_923fe53966c6"
        );
    }

    #[test]
    fn lengths_count_characters() {
        assert_eq!(parts_hash(&["é"], 8), sha256_hex("1:é".as_bytes(), 8));
    }
}
