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

/// Returns the id of a chunk of a mined file.
pub fn file_chunk(wing: &str, room: &str, source_file: &str, index: u32) -> String {
    format!("drawer_{wing}_{room}_{}", parts_hash(&[source_file, &index.to_string()], 24))
}

/// Returns the id of a chunk of a mined conversation; `mode` is `exchange` or `general`.
pub fn conversation_chunk(wing: &str, room: &str, source_file: &str, mode: &str, index: u32) -> String {
    format!("drawer_{wing}_{room}_{}", parts_hash(&[source_file, mode, &index.to_string()], 24))
}

/// Returns the id of one exchange that was filed as it happened.
pub fn exchange(wing: &str, room: &str, source_file: &str, filed_at: &str, content: &str) -> String {
    format!("drawer_{wing}_{room}_{}", parts_hash(&[source_file, filed_at, content], 24))
}

/// Returns the id of the row that says a conversation was looked at.
pub fn conversation_sentinel(source_file: &str, mode: &str) -> String {
    format!("_reg_{}", parts_hash(&[source_file, mode], 24))
}

/// Returns the id of the row that says a document held no text.
pub fn document_sentinel(wing: &str, source_file: &str) -> String {
    format!("sentinel_{wing}_{}", sha256_hex(source_file.as_bytes(), 24))
}

/// Returns the id of one swept message.
pub fn swept(session: &str, message: &str) -> String {
    format!("sweep_{session}_{message}")
}

/// Returns the id of a chunk that a source adapter gave.
pub fn adapted(source_file: &str, index: u32) -> String {
    format!("{}_{index}", sha256_hex(source_file.as_bytes(), 24))
}

/// Returns the id of a chunk of an entry of a day's diary file.
pub fn file_diary(wing: &str, date: &str, entry_index: u32, chunk_index: u32) -> String {
    let place = format!("{wing}|{date}|{entry_index}|{chunk_index}");
    format!("drawer_diary_v2_{}", sha256_hex(place.as_bytes(), 24))
}

/// Returns the id of an index card of a source; cards are counted from one.
pub fn closet(wing: &str, room: &str, source_file: &str, number: u32) -> String {
    format!("closet_{wing}_{room}_{}_{number:02}", sha256_hex(source_file.as_bytes(), 24))
}

/// Returns the id of an index card of a day's diary file.
pub fn diary_closet(wing: &str, date: &str, number: u32) -> String {
    format!("closet_diary_{}_{number:02}", sha256_hex(format!("{wing}|{date}").as_bytes(), 24))
}

/// Returns the id of a link between two entities of a wing, the same in either order.
pub fn hallway(wing: &str, left: &str, right: &str) -> String {
    let (first, second) = if left <= right { (left, right) } else { (right, left) };
    let hash = sha256_hex(format!("{wing}::{first}::{second}").as_bytes(), 8);
    format!("hallway_{wing}_{first}_{second}_{hash}")
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

    /// As above, for what mining, sweeping and imports of other kinds file.
    #[test]
    fn ids_of_sources_are_the_peers() {
        let source = "/src/é.md";
        for (made, expect) in [
            (file_chunk("wing_a", "room", source, 7), "drawer_wing_a_room_60c6473f8351a07effa5af99"),
            (
                conversation_chunk("wing_a", "room", source, "exchange", 7),
                "drawer_wing_a_room_2777a9ffc7645948f8ff6a2d",
            ),
            (
                exchange("wing_a", "room", source, "2026-01-31T09:05:07.000123", "User: hi"),
                "drawer_wing_a_room_9d3574d3279a99233c0fb2f2",
            ),
            (conversation_sentinel(source, "exchange"), "_reg_4f4fb60d1045645fc1423c9b"),
            (document_sentinel("wing_a", source), "sentinel_wing_a_c11c2837380972087e74a52f"),
            (swept("s1", "u1"), "sweep_s1_u1"),
            (adapted(source, 7), "c11c2837380972087e74a52f_7"),
            (file_diary("wing_a", "2026-01-31", 2, 0), "drawer_diary_v2_298f86082090b64ba8e97b2c"),
            (closet("wing_a", "room", source, 3), "closet_wing_a_room_c11c2837380972087e74a52f_03"),
            (diary_closet("wing_a", "2026-01-31", 1), "closet_diary_30c2167751050bd3242d2526_01"),
            (hallway("wing_a", "Bob", "Ann"), "hallway_wing_a_Ann_Bob_5f0047ca"),
        ] {
            assert_eq!(made, expect);
        }
    }

    #[test]
    fn ids_of_facts_are_the_peers() {
        let recorded = "2026-01-31T09:05:07.000123";
        assert_eq!(
            fact("max", "works_on", "orion", Some("2026-01-15"), recorded),
            "t_max_works_on_orion_435a76782f70"
        );
        assert_eq!(fact("max", "works_on", "orion", None, recorded), "t_max_works_on_orion_ee9563c1f24e");
    }

    #[test]
    fn lengths_count_characters() {
        assert_eq!(parts_hash(&["é"], 8), sha256_hex("1:é".as_bytes(), 8));
    }
}
