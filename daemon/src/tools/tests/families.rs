//! Knowledge graph, rooms and tunnels, events: the peer's result shapes, and what a read-only session may do.

use serde_json::{Value, json};

use super::Ground;
use crate::palace::import::ImportBatch;
use crate::palace::moment::Moment;
use crate::palace::{MetaValue, Row, Timestamp};
use crate::tools::Call;

fn file(ground: &Ground, wing: &str, room: &str) -> Value {
    let content = format!("a note in {wing} about {room}");
    ground.answer("add_drawer", json!({"wing": wing, "room": room, "content": content}))["drawer_id"].clone()
}

#[test]
fn facts_carry_ids_and_provenance() {
    let ground = Ground::new();
    let said =
        json!({"subject": "Max", "predicate": "works on", "object": "Orion", "valid_from": "2026-01-15"});
    let mut with_source = said.clone();
    with_source["source_file"] = json!("/notes/max.md");
    let added = ground.answer("kg_add", with_source);
    assert_eq!(added["fact"], "Max → works on → Orion");
    assert_eq!(ground.answer("kg_add", said)["triple_id"], added["triple_id"]);
    let asked = ground.answer("kg_query", json!({"entity": "max"}));
    assert_eq!((&asked["count"], &asked["active_facts"]), (&json!(1), &asked["facts"]));
    let fact = &asked["facts"][0];
    assert_eq!((&fact["id"], &fact["source_file"]), (&added["triple_id"], &json!("/notes/max.md")));
    assert_eq!((&fact["predicate"], &fact["current"]), (&json!("works_on"), &json!(true)));
    assert_eq!(ground.answer("kg_query", json!({"entity": "Max", "as_of": "2026-01-01"}))["count"], 0);

    let claim = json!({"subject": "Max", "predicate": "works on", "object": "Orion", "ended": "2026-02-01"});
    assert_eq!(ground.answer("kg_invalidate", claim.clone())["matched"], 1);
    let fact = ground.answer("kg_query", json!({"entity": "max"}))["facts"][0].clone();
    assert_eq!(
        (&fact["valid_to"], &fact["ended_at"]),
        (&json!("2026-02-01"), &json!("2026-01-31T09:00:00Z"))
    );
    assert_eq!(ground.answer("kg_invalidate", claim)["matched"], 0);
    let stats = ground.answer("kg_stats", json!({}));
    assert_eq!((&stats["triples"], &stats["current_facts"]), (&json!(1), &json!(0)));
    assert_eq!(ground.answer("kg_timeline", json!({}))["total"], 1);
}

#[test]
fn an_inverted_fact_is_the_peers_error() {
    let ground = Ground::new();
    let inverted = json!({
        "subject": "a", "predicate": "b", "object": "c", "valid_from": "2026-02-01", "valid_to": "2026-01-01",
    });
    let error = ground.run("mempalace_kg_add", inverted, None).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (-32000, "Internal tool error"));
    assert_eq!(error.data.unwrap()["error_class"], "ValueError");
    for bad in [json!({"as_of": "soon"}), json!({"direction": "up"}), json!({"direction": ""})] {
        let mut arguments = bad.clone();
        arguments["entity"] = json!("a");
        let refused = ground.answer("kg_query", arguments);
        let named = bad.as_object().unwrap().keys().next().unwrap();
        assert!(refused["error"].as_str().unwrap().contains(named.as_str()), "{refused}");
    }
    assert_eq!(ground.answer("kg_stats", json!({}))["entities"], 0);
}

#[test]
fn rooms_in_two_wings_join_them() {
    let ground = Ground::new();
    for (wing, room) in [("app", "auth"), ("web", "auth"), ("web", "design"), ("home", "garden")] {
        file(&ground, wing, room);
    }
    let walked = ground.answer("traverse", json!({"start_room": "design"}));
    let names: Vec<&str> =
        walked.as_array().unwrap().iter().map(|room| room["room"].as_str().unwrap()).collect();
    assert_eq!(names, ["design", "auth"]);
    assert_eq!(walked[1]["connected_via"], json!(["web"]));
    let unknown = ground.answer("traverse", json!({"start_room": "des"}));
    assert_eq!(unknown["suggestions"], json!(["design"]));
    let found = ground.answer("find_tunnels", json!({"wing_a": "app"}));
    assert_eq!((found.as_array().unwrap().len(), &found[0]["wings"]), (1, &json!(["app", "web"])));
    let stats = ground.answer("graph_stats", json!({}));
    assert_eq!((&stats["total_rooms"], &stats["tunnel_rooms"]), (&json!(3), &json!(1)));
    assert_eq!(stats["rooms_per_wing"]["web"], 2);
}

#[test]
fn a_tunnel_is_one_from_both_ends_and_grows_when_followed() {
    let ground = Ground::new();
    let drawer = file(&ground, "db", "schema");
    file(&ground, "app", "api");
    let ends = |from: (&str, &str), to: (&str, &str), label: &str| {
        json!({
            "source_wing": from.0, "source_room": from.1, "target_wing": to.0, "target_room": to.1, "label": label,
        })
    };
    let mut first = ends(("app", "api"), ("db", "schema"), "stores");
    first["target_drawer_id"] = drawer;
    let drawn = ground.answer("create_tunnel", first);
    assert_eq!((&drawn["kind"], &drawn["access_count"]), (&json!("explicit"), &json!(0)));
    let followed = ground.answer("follow_tunnels", json!({"wing": "app", "room": "api"}));
    assert_eq!(followed[0]["drawer_preview"], "a note in db about schema");
    assert_eq!(followed[0]["direction"], "outgoing");
    let again = ground.answer("create_tunnel", ends(("db", "schema"), ("app", "api"), "is stored by"));
    assert_eq!((&again["id"], &again["access_count"]), (&drawn["id"], &json!(1)));
    assert!(again["strength"].as_f64().unwrap() > 1.0);
    let listed = ground.answer("list_tunnels", json!({"wing": "APP"}));
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["label"]), (1, &json!("is stored by")));
    let mut unlabelled = ends(("app", "api"), ("db", "schema"), "");
    unlabelled.as_object_mut().unwrap().shift_remove("label");
    assert_eq!(ground.answer("create_tunnel", unlabelled)["label"], "is stored by");
    let nowhere = ground.answer("create_tunnel", ends(("app", "api"), ("db", "none"), ""));
    assert!(nowhere["error"].as_str().unwrap().contains("'none' does not exist"));
    let deleted = ground.answer("delete_tunnel", json!({"tunnel_id": drawn["id"]}));
    assert_eq!(deleted["deleted"], drawn["id"]);
    assert_eq!(ground.answer("list_tunnels", json!({})), json!([]));
}

/// A room that a miner's note alone stands in is listed nowhere, and was a place for tunnels all the same.
#[test]
fn a_tunnel_leads_to_no_room_that_is_not_listed() {
    let ground = Ground::new();
    file(&ground, "app", "api");
    let flag = vec![("is_sentinel".to_owned(), MetaValue::Bool(true))];
    let note = Row {
        id: "sentinel_app_1".into(),
        document: "[empty]".into(),
        wing: "app".into(),
        room: "documents".into(),
        extra: flag,
        ..Row::default()
    };
    let vector = ground.palace.embed(&["[empty]"]).unwrap().remove(0);
    let rows = vec![ground.palace.preparer().unwrap().prepare(note, vector).unwrap()];
    let at = Moment { utc: Timestamp(1), local: "2026-01-31T09:00:00.000001".into() };
    ground.palace.import(ImportBatch { rows, ..ImportBatch::default() }, &at).unwrap().wait().unwrap();
    assert_eq!(ground.answer("list_rooms", json!({}))["rooms"], json!({"api": 1}));
    let draw = || {
        ground.answer(
            "create_tunnel",
            json!({
                "source_wing": "app", "source_room": "api", "target_wing": "app", "target_room": "documents",
            }),
        )
    };
    assert_eq!(draw(), json!({"error": "Target room 'documents' does not exist in wing 'app'"}));
    assert_eq!(ground.answer("list_tunnels", json!({})), json!([]));
    file(&ground, "app", "documents");
    assert_eq!(draw()["target"]["room"], "documents");
}

#[test]
fn a_status_tells_what_is_wrong_with_the_service() {
    let ground = Ground::new();
    let at = Moment { utc: Timestamp(1), local: "2026-01-31T09:00:00.000001".into() };
    let status = |trouble: Option<String>| {
        let call = Call { at: at.clone(), key: None, enqueued: None, read_only: true, trouble };
        crate::tools::call(&ground.palace, "mempalace_status", serde_json::Map::new(), call).unwrap().json
    };
    assert_eq!(status(Some("an old palace is missing".into()))["problem"], "an old palace is missing");
    assert_eq!(status(None).get("problem"), None);
}

#[test]
fn a_read_only_session_follows_without_recording() {
    let ground = Ground::new();
    file(&ground, "a", "x");
    file(&ground, "b", "y");
    let ends = json!({"source_wing": "a", "source_room": "x", "target_wing": "b", "target_room": "y"});
    ground.answer("create_tunnel", ends);
    let at = Moment { utc: Timestamp(1), local: "2026-01-31T09:00:00.000001".into() };
    let call = Call { at, key: None, enqueued: None, read_only: true, trouble: None };
    let place = json!({"wing": "b", "room": "y"}).as_object().unwrap().clone();
    let followed = crate::tools::call(&ground.palace, "mempalace_follow_tunnels", place, call).unwrap();
    assert_eq!(followed.json[0]["direction"], "incoming");
    assert_eq!(ground.answer("list_tunnels", json!({}))[0]["access_count"], 0);
}

#[test]
fn events_are_appended_listed_and_acknowledged() {
    let ground = Ground::new();
    let task = ground.answer(
        "task_create",
        json!({
            "project": "My App", "from_agent": "ann", "to_agent": "bob", "goal": "Fix the login!", "branch": "main",
            "base_commit": "ABCDEF1", "done": "tests pass",
        }),
    );
    assert_eq!(task["task"]["stream"], "project/my_app");
    let correlation = task["task"]["correlation_id"].as_str().unwrap();
    assert!(correlation.starts_with("task_fix_the_login_"), "{correlation}");
    let inbox = ground.answer("event_list", json!({"to_agent": "bob", "from_agent": "bob"}));
    assert_eq!(inbox["count"], 1);
    assert!(inbox["note"].is_string());
    let ack = ground.answer(
        "event_ack",
        json!({"event_id": task["task"]["id"], "from_agent": "bob", "status": "claimed"}),
    );
    assert_eq!((&ack["event"]["to_agent"], &ack["event"]["seq"]), (&json!("ann"), &json!(2)));
    assert_eq!(ack["event"]["correlation_id"], correlation);
    assert!(ack["event"]["hlc"].as_str() > task["task"]["hlc"].as_str());
    let patch = ground.answer(
        "patch_submit",
        json!({"content": "--- a\n+++ b", "from_agent": "bob", "stream": "project/my_app", "to_agent": "*"}),
    );
    assert_eq!(patch["event"]["artifact_ids"], json!([patch["artifact"]["id"]]));
    assert!(patch["artifact"]["warnings"].is_array());
    let artifact = ground.answer("artifact_get", json!({"artifact_id": patch["artifact"]["id"]}));
    assert_eq!(artifact["artifact"]["content"], "--- a\n+++ b");

    let seqs = |arguments: Value| -> Vec<u64> {
        let listed = ground.answer("event_list", arguments);
        listed["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs(json!({})), [3, 2, 1]);
    assert_eq!(seqs(json!({"since_event_id": task["task"]["id"]})), [2, 3]);
    assert_eq!(seqs(json!({"to_agent": "bob"})), [3, 1]);
    assert_eq!(seqs(json!({"before_event_id": patch["event"]["id"], "order": "asc"})), [1, 2]);
    assert_eq!(seqs(json!({"writer": "bob", "limit": 1})), [3]);
    assert!(
        ground.answer("event_list", json!({"order": ""}))["error"].as_str().unwrap().starts_with("order")
    );
}

#[test]
fn events_that_break_a_rule_are_refused_by_name() {
    let ground = Ground::new();
    let event = |field: &str, value: Value| {
        let mut event = json!({"type": "a.b", "stream": "s", "room": "r", "from_agent": "me"});
        event[field] = value;
        event
    };
    for (field, value, named) in [
        ("type", json!("Not A Type"), "type="),
        ("stream", json!(" "), "stream "),
        ("room", json!("a\nb"), "room "),
        ("status", json!("done"), "status="),
        ("body", json!("a\0b"), "body "),
        ("metadata", json!([1]), "metadata "),
        ("artifact_ids", json!(["art_none"]), "artifact_ids "),
        ("to_agent", json!("x".repeat(300)), "to_agent "),
    ] {
        let refused = ground.answer("event_append", event(field, value));
        assert_eq!(refused["success"], false, "{refused}");
        assert!(refused["error"].as_str().unwrap().starts_with(named), "{refused}");
    }
    assert!(ground.answer("event_list", json!({"since_event_id": "evt_none"}))["error"].is_string());
    assert!(
        ground.answer("artifact_put", json!({"kind": "x", "content": "y", "created_by": "z"}))["error"]
            .as_str()
            .unwrap()
            .starts_with("kind=")
    );
    assert_eq!(ground.answer("event_list", json!({}))["count"], 0, "nothing half written");
}

#[test]
fn a_source_is_removed_only_when_asked_twice() {
    let ground = Ground::new();
    for (room, source) in [("a", "/s.md"), ("b", "/s.md"), ("c", "/other.md")] {
        let content = format!("text of {room}");
        ground.answer(
            "add_drawer",
            json!({"wing": "w", "room": room, "content": content, "source_file": source}),
        );
    }
    let looked = ground.answer("delete_by_source", json!({"source_file": "/s.md"}));
    assert_eq!((&looked["dry_run"], &looked["match_count"]), (&json!(true), &json!(2)));
    let done = ground.answer("delete_by_source", json!({"source_file": "/s.md", "dry_run": false}));
    assert_eq!((&done["dry_run"], &done["deleted"]), (&json!(false), &json!(2)));
    assert_eq!(ground.answer("status", json!({}))["total_drawers"], 1);
}

#[test]
fn hook_settings_are_kept() {
    let ground = Ground::new();
    let shown = ground.answer("hook_settings", json!({}));
    assert_eq!(shown["settings"], json!({"silent_save": true, "desktop_toast": false}));
    let changed = ground.answer("hook_settings", json!({"desktop_toast": "true"}));
    assert_eq!(changed["updated"], json!(["desktop_toast → True"]));
    assert_eq!(ground.answer("hook_settings", json!({}))["settings"]["desktop_toast"], true);
    assert_eq!(ground.answer("memories_filed_away", json!({}))["status"], "quiet");
}
