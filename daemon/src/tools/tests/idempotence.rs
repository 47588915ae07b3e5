//! What a tool's annotations promise: a call that is sent twice leaves what one call leaves.

use std::collections::BTreeSet;

use palace_protocol::catalogue;
use serde_json::{Value, json};

use super::Ground;

/// Returns what is stored, as far as calls can tell.
fn stored(ground: &Ground) -> Value {
    let questions = [
        ("list_drawers", json!({"limit": 100})),
        ("kg_timeline", json!({"limit": 100})),
        ("kg_stats", json!({})),
        ("list_tunnels", json!({})),
        ("list_hallways", json!({})),
        ("event_list", json!({})),
        ("hook_settings", json!({})),
        ("get_taxonomy", json!({})),
    ];
    let mut answers: Value = questions.map(|(tool, arguments)| ground.answer(tool, arguments)).into();
    strip(&mut answers);
    answers
}

/// Takes out when something was changed last: the second call is later.
fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| name != "updated_at");
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn what_says_that_it_is_idempotent_is() {
    let ground = Ground::new();
    let add = |room: &str, content: &str, source: &str| {
        let drawer = json!({"wing": "w", "room": room, "content": content, "source_file": source});
        ground.answer("add_drawer", drawer)["drawer_id"].clone()
    };
    let (first, second) = (add("a", "the first text", ""), add("b", "the second text", ""));
    let third = add("a", "the third text", "");
    add("b", "a text of a file", "/s.md");
    let fact = json!({"subject": "Max", "predicate": "works on", "object": "Orion"});
    ground.answer("kg_add", fact.clone());
    ground.answer("kg_add", json!({"subject": "Ann", "predicate": "works on", "object": "Orion"}));
    let ends = json!({"source_wing": "w", "source_room": "a", "target_wing": "w", "target_room": "b"});
    let mut labelled = ends.clone();
    labelled["label"] = json!("because");
    let tunnel = ground.answer("create_tunnel", labelled)["id"].clone();
    let calls = [
        ("add_drawer", json!({"wing": "w", "room": "c", "content": "something new"})),
        ("update_drawer", json!({"drawer_id": first, "content": "the first text, better", "room": "d"})),
        ("delete_drawer", json!({"drawer_id": second})),
        ("delete_drawers", json!({"drawer_ids": [third]})),
        ("delete_by_source", json!({"source_file": "/s.md", "dry_run": false})),
        (
            "create_tunnel",
            json!({"source_wing": "w", "source_room": "c", "target_wing": "w", "target_room": "d"}),
        ),
        ("delete_tunnel", json!({"tunnel_id": tunnel})),
        ("delete_hallway", json!({"hallway_id": "none"})),
        ("kg_invalidate", fact),
        (
            "kg_supersede",
            json!({"subject": "Ann", "predicate": "works on", "old_object": "Orion", "new_object": "Vega"}),
        ),
        ("hook_settings", json!({"desktop_toast": true})),
        ("memories_filed_away", json!({})),
    ];
    let tried: BTreeSet<String> = calls.iter().map(|(tool, _)| format!("mempalace_{tool}")).collect();
    let promised =
        catalogue::tools().into_iter().filter(|tool| tool.idempotent).map(|tool| tool.name.to_owned());
    assert_eq!(promised.collect::<BTreeSet<_>>(), tried);
    for (tool, arguments) in calls {
        let before = stored(&ground);
        ground.answer(tool, arguments.clone());
        let once = stored(&ground);
        ground.answer(tool, arguments);
        assert_eq!(stored(&ground), once, "{tool}");
        let changes_nothing = matches!(tool, "delete_hallway" | "memories_filed_away");
        assert_eq!(before == once, changes_nothing, "{tool} is tried on nothing");
    }
}
