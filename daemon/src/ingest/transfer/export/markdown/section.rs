//! Pieces of Markdown. Texts of drawers stand verbatim; names are escaped where they would be read as something else.

use std::fmt::Write as _;

use crate::ingest::transfer::lines::Selection;
use crate::palace::Row;

/// Returns the first line of a file.
pub fn title(text: &str) -> String {
    format!("# {}\n", plain(text))
}

/// Returns the first lines of the index: what it is of.
pub fn opening(name: &str, selection: &Selection) -> String {
    let mut text = title(name);
    let Selection { wing, room, since, before } = selection;
    for (word, value) in [("Wing", wing), ("Room", room), ("Filed since", since), ("Filed before", before)] {
        if let Some(value) = value {
            let _ = write!(text, "\n{word}: {}\n", plain(value));
        }
    }
    text
}

/// Returns a drawer: when, what is known of it, and its text.
pub fn drawer(rows: &[Row]) -> String {
    let Some(head) = rows.first() else { return String::new() };
    let filed_at = head.filed_at.split('.').next().unwrap_or_default().replace('T', " ");
    let heading = if filed_at.is_empty() { "undated".to_owned() } else { plain(&filed_at) };
    let mut text = format!("\n---\n\n## {heading}\n\n- id: {}\n", code(head.drawer_id()));
    let known = [
        ("source", head.source_file.as_str()),
        ("topic", head.text("topic")),
        ("by", head.text("added_by")),
        ("agent", head.text("agent")),
        ("wing", if head.text("agent").is_empty() { "" } else { &head.wing }),
    ];
    for (name, value) in known.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "- {name}: {}", code(value));
    }
    text.push('\n');
    text.extend(rows.iter().map(|row| row.document.as_str()));
    text.push('\n');
    text
}

/// Returns a link to a file of the export.
pub fn link(text: &str, path: &[&str]) -> String {
    let path: Vec<String> = path.iter().map(|part| percent(part)).collect();
    format!("[{}]({})", plain(text), path.join("/"))
}

/// Returns a text that is read as nothing but itself, in one line.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '|' | '[' | ']' | '*' | '_' | '`' | '<' | '>' | '#' => {
                plain.push('\\');
                plain.push(letter);
            }
            letter if letter.is_control() => plain.push(' '),
            letter => plain.push(letter),
        }
    }
    plain
}

/// Returns a text in the type of code, in one line.
fn code(text: &str) -> String {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let longest = line.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    if longest == 0 { format!("{fence}{line}{fence}") } else { format!("{fence} {line} {fence}") }
}

fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_themselves() {
        assert_eq!(plain("a|b\n[c]_d"), r"a\|b \[c\]\_d");
        assert_eq!((code("a"), code("a`b")), ("`a`".into(), "`` a`b ``".into()));
        assert_eq!(link("r", &["über uns", "a.md"]), "[r](%C3%BCber%20uns/a.md)");
    }

    #[test]
    fn a_drawer_is_a_section_with_its_text_verbatim() {
        let row = |text: &str, index| Row {
            id: format!("d_{index}"),
            document: text.into(),
            parent_id: Some("d".into()),
            filed_at: "2026-01-31T09:05:07.000001".into(),
            source_file: "/s.md".into(),
            chunk_index: index,
            ..Row::default()
        };
        let expect = "\n---\n\n## 2026-01-31 09:05:07\n\n- id: `d`\n- source: `/s.md`\n\n# one|two\n";
        assert_eq!(drawer(&[row("# one|", 0), row("two", 1)]), expect);
    }
}
