//! File names made of names of wings, rooms and agents, such that every system takes them and no two are one.

use std::collections::HashSet;

/// Longest name without its ending; most systems take 255 bytes.
const LEN_BYTES_MAX: usize = 120;
/// Names of devices on Windows, with whatever ending.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Names that are given in one directory.
pub struct Names {
    /// In lower case: some systems tell no case.
    taken: HashSet<String>,
}

impl Names {
    /// Returns a directory in which these are taken.
    pub fn without(taken: &[&str]) -> Self {
        Self { taken: taken.iter().map(|name| name.to_lowercase()).collect() }
    }

    /// Returns a name that nobody has, always the same for the same calls.
    pub fn take(&mut self, name: &str, ending: &str) -> String {
        let safe = safe(name);
        let mut given = format!("{safe}{ending}");
        let mut number = 1;
        while !self.taken.insert(given.to_lowercase()) {
            number += 1;
            given = format!("{safe}-{number}{ending}");
        }
        given
    }
}

/// Returns a name of letters, digits and what means nothing to any system.
fn safe(name: &str) -> String {
    let kept = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | ' ');
    let mut safe: String = name.chars().map(|letter| if kept(letter) { letter } else { '-' }).collect();
    while safe.len() > LEN_BYTES_MAX {
        safe.pop();
    }
    let safe = safe.trim_matches(['.', ' ']);
    let stem = safe.split('.').next().unwrap_or_default().to_lowercase();
    let port = ["com", "lpt"].iter().any(|port| {
        stem.strip_prefix(port).is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit())
    });
    if safe.is_empty() || port || DEVICES.contains(&stem.as_str()) {
        format!("_{safe}")
    } else {
        safe.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_differ() {
        let mut names = Names::without(&["diary"]);
        let mut take = |name: &str| names.take(name, "");
        for (name, given) in [
            ("notes", "notes"),
            ("Notes", "Notes-2"),
            ("diary", "diary-2"),
            ("a/b", "a-b"),
            ("a:b", "a-b-2"),
            ("../../etc", "-..-etc"),
            ("..", "_"),
            ("con.txt", "_con.txt"),
            ("LPT1", "_LPT1"),
            ("über uns.", "über uns"),
        ] {
            assert_eq!(take(name), given);
        }
        assert_eq!(take(&"é".repeat(200)).len(), LEN_BYTES_MAX);
        assert_eq!(names.take("room", ".md"), "room.md");
        assert_eq!(names.take("ROOM", ".md"), "ROOM-2.md");
    }
}
