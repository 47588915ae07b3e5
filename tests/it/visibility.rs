//! What one session was told is stored, every other session finds at once.

use crate::sandbox;

#[test]
fn another_sessions_search_finds_an_acknowledged_write_at_once() {
    let sandbox = sandbox();
    let (mut writer, mut reader) = (sandbox.host("writer"), sandbox.host("reader"));
    writer.initialize();
    reader.initialize();
    for number in 0..100 {
        let text = format!("the password of vault{number} is swordfish{number}");
        writer.add("wing", "secrets", &text);
        let found = reader.found(&format!("vault{number}"));
        assert!(found.contains(&text), "{number}: {found:?}");
    }
}
