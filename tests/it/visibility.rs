//! What one session was told is stored, every other session finds at once.

use serde_json::json;

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

/// A host that heard nothing in time asks again, and two hosts note the same: it is filed once, and both are told so.
#[test]
fn the_same_text_of_two_hosts_at_once_is_filed_once() {
    let sandbox = sandbox();
    let (mut left, mut right) = (sandbox.host("left"), sandbox.host("right"));
    left.initialize();
    right.initialize();
    for number in 0..25 {
        let filing =
            json!({"wing": "wing", "room": "room", "content": format!("the same thought, number {number}")});
        let calls = [left.send_call("add_drawer", &filing), right.send_call("add_drawer", &filing)];
        let answers = [left.answer(&json!(calls[0])), right.answer(&json!(calls[1]))];
        let told = answers.map(|answer| palace_tests::client::tool_json(&answer));
        assert!(told.iter().all(|told| told["success"] == true), "{told:?}");
        assert_eq!(told[0]["drawer_id"], told[1]["drawer_id"]);
        assert_eq!(told.iter().filter(|told| told["reason"] == "already_exists").count(), 1, "{told:?}");
        assert_eq!(left.call("add_drawer", &filing)["reason"], "already_exists", "asked again");
    }
    assert_eq!(right.call("status", &json!({}))["total_drawers"], 25);
}
