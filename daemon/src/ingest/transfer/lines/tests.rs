//! Lines of exports: what is written is read, and what is not whole is refused.

use serde_json::json;

use super::*;

fn header() -> Header {
    Header {
        format: FORMAT.into(),
        version: VERSION,
        embedder: Some("hash".into()),
        dimension: Some(2),
        vectors: true,
        selection: Selection { wing: Some("w".into()), ..Selection::default() },
    }
}

fn row(id: &str) -> PortableRow {
    serde_json::from_value(json!({"id": id, "document": "one\ntwo", "wing": "w", "room": "r"})).unwrap()
}

fn written() -> String {
    let mut writer = Writer::begin(Vec::new(), &header()).unwrap();
    writer.row(&row("a")).unwrap();
    writer.record(Imported::Setting { name: "hooks".into(), value: json!({"z": 1, "a": 2.0}) }).unwrap();
    let (out, end, bytes) = writer.finish().unwrap();
    assert_eq!((end.rows, end.records, bytes), (1, 1, out.len() as u64));
    String::from_utf8(out).unwrap()
}

/// Reads a text as a file, to its end.
fn read(text: &str) -> Result<Vec<Line>, LinesError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.jsonl");
    std::fs::write(&path, text).unwrap();
    let mut reader = Reader::open(&path)?;
    let mut lines = Vec::new();
    loop {
        let line = reader.next_line()?;
        let is_end = matches!(line, Line::End(_));
        lines.push(line);
        if is_end {
            assert_eq!(reader.bytes(), text.len() as u64);
            return Ok(lines);
        }
    }
}

#[test]
fn what_is_written_is_read() {
    let text = written();
    let first = r#"{"format":"mempalaced-export","version":1,"embedder":"hash","dimension":2,"vectors":true,"selection":{"wing":"w"}}"#;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], first);
    assert!(lines[1].starts_with(r#"{"type":"row","id":"a","document":"one\ntwo","wing":"w","room":"r""#));
    assert_eq!(lines[2], r#"{"type":"setting","record":{"name":"hooks","value":{"z":1,"a":2.0}}}"#);
    assert!(lines[3].starts_with(r#"{"type":"end","rows":1,"records":1,"sha256":""#));
    let read = read(&text).unwrap();
    assert!(matches!(&read[0], Line::Row(found) if **found == row("a")));
    assert!(matches!(read[2], Line::End(_)));
    // A later version may know more; what it adds is passed over.
    assert_eq!(parse(br#"{"type":"song","record":{}}"#), Ok(Line::Unknown("song".into())));
}

#[test]
fn what_is_not_whole_is_refused_and_says_where() {
    let text = written();
    let lines: Vec<&str> = text.lines().collect();
    let cut = |count: usize| lines[..count].join("\n") + "\n";
    for (bad, expect) in [
        (cut(3), "is truncated: it ends after line 3"),
        (text[..text.len() - 9].to_owned(), "is truncated: it ends after line 3"),
        (text[..cut(2).len() + 20].to_owned(), "is truncated: it ends after line 2"),
        (text.replace("one", "One"), "SHA-256"),
        (text.replace(r#""rows":1"#, r#""rows":2"#), "counts 2 rows and 1 records, there are 1 and 1"),
        (format!("{text}\n"), "something follows its last line"),
        (text.replace(r#"{"type":"row","#, r#"{"type":"row" "#), "line 2: "),
        (text.replace(r#""document""#, r#""text""#), "line 2: missing field `document`"),
        (text.replace(r#""version":1"#, r#""version":9"#), "version 9 of the export format"),
        (text.replace("mempalaced-export", "other"), "is not an export"),
        ("SQLite format 3\0".to_owned(), "is not an export"),
        (String::new(), "is not an export"),
        ("x".repeat(100_000), "is not an export"),
    ] {
        let error = read(&bad).unwrap_err().to_string();
        assert!(error.contains(expect), "{expect:?} is not in {error:?}");
    }
}
