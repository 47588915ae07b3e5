//! Lines and what they stand for; mistakes and where they point.

use super::*;

fn call(tool: &str, field: &str, line: &str) -> Result<(String, Value), String> {
    let arguments = json!({ field: line }).as_object().unwrap().clone();
    match resolve(tool, &arguments, false).unwrap() {
        Ok(resolved) => Ok((resolved.name.replace("mempalace_", ""), Value::Object(resolved.arguments))),
        Err(answer) => Err(answer.json["error"].as_str().unwrap().to_owned()),
    }
}

#[test]
fn questions_become_calls() {
    for (line, tool, arguments) in [
        (
            "FIND \"auth bug\" IN app/api LIMIT 3",
            "search",
            json!({"query": "auth bug", "wing": "app", "room": "api", "limit": "3"}),
        ),
        (
            "find what we decided SINCE 2026-01-01",
            "search",
            json!({"query": "what we decided", "since": "2026-01-01"}),
        ),
        ("SEARCH \"LIMIT is a word\" in:app", "search", json!({"query": "LIMIT is a word", "wing": "app"})),
        ("ROOMS IN app", "list_rooms", json!({"wing": "app"})),
        ("TAXONOMY", "get_taxonomy", json!({})),
        ("taxonomy of birds", "search", json!({"query": "taxonomy of birds"})),
        (
            "DRAWERS IN app/api OFFSET 20",
            "list_drawers",
            json!({"wing": "app", "room": "api", "offset": "20"}),
        ),
        (
            "CHECK DUP \"text\" THRESHOLD 0.8",
            "check_duplicate",
            json!({"content": "text", "threshold": "0.8"}),
        ),
        ("KG Max Weber AS OF 2026-01-01", "kg_query", json!({"entity": "Max Weber", "as_of": "2026-01-01"})),
        ("KG TIMELINE", "kg_timeline", json!({})),
        ("KG TIMELINE Max LIMIT 5", "kg_timeline", json!({"entity": "Max", "limit": "5"})),
        ("KG STATS", "kg_stats", json!({})),
        ("TRAVERSE auth HOPS 3", "traverse", json!({"start_room": "auth", "max_hops": "3"})),
        ("TUNNELS", "list_tunnels", json!({})),
        ("TUNNELS BETWEEN app AND web", "find_tunnels", json!({"wing_a": "app", "wing_b": "web"})),
        ("FOLLOW app/api", "follow_tunnels", json!({"wing": "app", "room": "api"})),
        ("DIARY claude LAST 5", "diary_read", json!({"agent_name": "claude", "last_n": "5"})),
        ("GRAPH STATS", "graph_stats", json!({})),
        ("STATUS", "status", json!({})),
        ("what's the deadline?", "search", json!({"query": "what's the deadline?"})),
        ("FIND [draft] notes {x}", "search", json!({"query": "[draft] notes {x}"})),
        ("FIND std: vec [1] LIMIT 2", "search", json!({"query": "std: vec [1]", "limit": "2"})),
        // In small letters a verb may begin a sentence.
        ("drawer handles are broken", "search", json!({"query": "drawer handles are broken"})),
        ("follow up with Ann", "search", json!({"query": "follow up with Ann"})),
        ("diary of a madman", "search", json!({"query": "diary of a madman"})),
        ("kg stats", "kg_stats", json!({})),
        ("drawer \"d1\"", "get_drawer", json!({"drawer_id": "d1"})),
        ("FILED", "memories_filed_away", json!({})),
        // What the peer's parser takes.
        ("KG Max AS_OF 2026-01-01", "kg_query", json!({"entity": "Max", "as_of": "2026-01-01"})),
        ("KG Max as_of:2026-01-01", "kg_query", json!({"entity": "Max", "as_of": "2026-01-01"})),
        ("ROOMS app", "list_rooms", json!({"wing": "app"})),
        ("rooms in app", "list_rooms", json!({"wing": "app"})),
        ("TUNNELS app", "list_tunnels", json!({"wing": "app"})),
        ("HALLWAYS app LIMIT 3", "list_hallways", json!({"wing": "app", "limit": "3"})),
        ("INFO", "status", json!({})),
        ("CHECK_DUP \"text\"", "check_duplicate", json!({"content": "text"})),
        ("DIARY ann LIMIT 2", "diary_read", json!({"agent_name": "ann", "last_n": "2"})),
        (
            "FIND \"x\" STRATEGY union MAX_DIST 0.5",
            "search",
            json!({"query": "x", "candidate_strategy": "union", "max_distance": "0.5"}),
        ),
        // Words in capitals that are no keywords are words.
        ("FIND the JWT bug of NASA LIMIT 2", "search", json!({"query": "the JWT bug of NASA", "limit": "2"})),
        ("rooms available tomorrow", "search", json!({"query": "rooms available tomorrow"})),
    ] {
        assert_eq!(call("palace_query", "query", line), Ok((tool.to_owned(), arguments)), "{line}");
    }
}

#[test]
fn commands_become_calls() {
    for (line, tool, arguments) in [
        (
            "ADD IN app/api \"the text\"",
            "add_drawer",
            json!({"wing": "app", "room": "api", "content": "the text"}),
        ),
        (
            "UPDATE d1 CONTENT \"new\" ROOM other",
            "update_drawer",
            json!({"drawer_id": "d1", "content": "new", "room": "other"}),
        ),
        (
            "ADD IN app/api Note: the  text {x} -> [y] more",
            "add_drawer",
            json!({"wing": "app", "room": "api", "content": "Note: the  text {x} -> [y] more"}),
        ),
        ("DELETE SOURCE /a/b.md", "delete_by_source", json!({"source_file": "/a/b.md"})),
        (
            "DELETE SOURCE /a/b.md COMMIT",
            "delete_by_source",
            json!({"source_file": "/a/b.md", "dry_run": false}),
        ),
        ("DELETE SOURCE /x APPLY", "delete_by_source", json!({"source_file": "/x", "dry_run": false})),
        ("DELETE drawer_1", "delete_drawer", json!({"drawer_id": "drawer_1"})),
        ("TUNNEL DELETE t1", "delete_tunnel", json!({"tunnel_id": "t1"})),
        ("HALLWAY DELETE h1", "delete_hallway", json!({"hallway_id": "h1"})),
        ("DIARY ADD ann \"text\"", "diary_write", json!({"agent_name": "ann", "entry": "text"})),
        (
            "CREATE TUNNEL a/x -> b/y",
            "create_tunnel",
            json!({"source_wing": "a", "source_room": "x", "target_wing": "b", "target_room": "y"}),
        ),
        ("CHECKPOINT {\"items\": []}", "checkpoint", json!({"items": []})),
        (
            "KG ADD Max -> works on -> Orion FROM 2026-01-15",
            "kg_add",
            json!({"subject": "Max", "predicate": "works on", "object": "Orion", "valid_from": "2026-01-15"}),
        ),
        // Without arrows each is one word or quoted, the object as many as there are.
        (
            "KG ADD Max loves table tennis FROM 2026-01-15",
            "kg_add",
            json!({"subject": "Max", "predicate": "loves", "object": "table tennis", "valid_from": "2026-01-15"}),
        ),
        (
            "KG ADD \"Max Weber\" \"works on\" \"a -> b\" SOURCE x",
            "kg_add",
            json!({"subject": "Max Weber", "predicate": "works on", "object": "a -> b", "source_file": "x"}),
        ),
        (
            "KG ADD Max -> says -> note: all good",
            "kg_add",
            json!({"subject": "Max", "predicate": "says", "object": "note: all good"}),
        ),
        (
            "KG INVALIDATE Max has flu ENDED 2026-01-20",
            "kg_invalidate",
            json!({"subject": "Max", "predicate": "has", "object": "flu", "ended": "2026-01-20"}),
        ),
        (
            "KG SUPERSEDE Max -> grade: 6 => 7",
            "kg_supersede",
            json!({"subject": "Max", "predicate": "grade", "old_object": "6", "new_object": "7"}),
        ),
        (
            "KG INVALIDATE Max -> has -> flu ENDED 2026-01-20",
            "kg_invalidate",
            json!({"subject": "Max", "predicate": "has", "object": "flu", "ended": "2026-01-20"}),
        ),
        (
            "TUNNEL CREATE a/x -> b/y LABEL \"because\"",
            "create_tunnel",
            json!({"source_wing": "a", "source_room": "x", "target_wing": "b", "target_room": "y", "label": "because"}),
        ),
        (
            "DIARY WRITE claude \"done\" TOPIC work",
            "diary_write",
            json!({"agent_name": "claude", "entry": "done", "topic": "work"}),
        ),
    ] {
        assert_eq!(call("palace_exec", "command", line), Ok((tool.to_owned(), arguments)), "{line}");
    }
    for (line, tool, arguments) in [
        (
            "TASK CREATE project:x from:a to:b goal:\"fix it\" branch:m base:abcdef1 done:\"tests pass\"",
            "task_create",
            json!({"project": "x", "from_agent": "a", "to_agent": "b", "goal": "fix it", "branch": "m", "base_commit": "abcdef1", "done": "tests pass"}),
        ),
        (
            "EVENT LIST stream:project/x LIMIT 5 PREVIEW",
            "event_list",
            json!({"stream": "project/x", "limit": "5", "preview": true}),
        ),
        ("EVENT INBOX bob", "event_list", json!({"to_agent": "bob", "preview": true})),
        ("INBOX bob", "event_list", json!({"to_agent": "bob", "preview": true})),
        ("INBOX to:bob PREVIEW:false", "event_list", json!({"to_agent": "bob", "preview": false})),
        ("EVENTS TAIL", "event_list", json!({"order": "desc"})),
        ("EVENTS FROM_START", "event_list", json!({"order": "asc"})),
        ("EVENTS from:ann LATEST", "event_list", json!({"writer": "ann", "order": "desc"})),
        ("EVENT LIST from_agent:ann", "event_list", json!({"from_agent": "ann"})),
        ("EVENT LIST since:evt_1", "event_list", json!({"since_event_id": "evt_1"})),
        ("EVENT LIST since:2026-01-01", "event_list", json!({"since_created_at": "2026-01-01"})),
        ("EVENT LIST to_agent:bob", "event_list", json!({"to_agent": "bob"})),
        (
            "EVENT APPEND type:a.b stream:s room:r from:x metadata:{\"a\": 1} artifacts:[\"x\"] body:\"[1] hi\"",
            "event_append",
            json!({"type": "a.b", "stream": "s", "room": "r", "from_agent": "x", "metadata": {"a": 1}, "artifact_ids": ["x"], "body": "[1] hi"}),
        ),
        (
            "ARTIFACT PUT KIND json BY x METADATA {\"a\": [1, {}]} CONTENT {\"b\": 2}",
            "artifact_put",
            json!({"kind": "json", "created_by": "x", "metadata": {"a": [1, {}]}, "content": "{\"b\": 2}"}),
        ),
        (
            "EVENT WAIT correlation:task_1 TIMEOUT 10",
            "event_wait",
            json!({"correlation_id": "task_1", "timeout_ms": "10"}),
        ),
        (
            "EVENT ACK id:evt_1 from:bob status:claimed",
            "event_ack",
            json!({"event_id": "evt_1", "from_agent": "bob", "status": "claimed"}),
        ),
        ("ARTIFACT GET art_1", "artifact_get", json!({"artifact_id": "art_1"})),
        ("MESH PEERS", "mesh_peers", json!({})),
    ] {
        assert_eq!(call("palace_coordinate", "command", line), Ok((tool.to_owned(), arguments)), "{line}");
    }
}

#[test]
fn mistakes_are_pointed_at() {
    for (tool, field, line, expected, column) in [
        ("palace_query", "query", "FIND \"open", "closing quote", 5),
        ("palace_query", "query", "FIND x LIMIT", "a value for LIMIT", 12),
        ("palace_query", "query", "ROOMS app web", "one of IN", 10),
        ("palace_query", "query", "FIND x LIMIT abc", "LIMIT takes a whole number", 13),
        ("palace_query", "query", "FIND x limit:abc", "LIMIT takes a whole number", 13),
        ("palace_query", "query", "FIND x SINCE yesterday", "SINCE takes an ISO date", 13),
        ("palace_query", "query", "FIND x MAX_DISTANCE far", "MAX_DISTANCE takes a number", 20),
        ("palace_query", "query", "FIND x STRATEGY both", "one of vector, union", 16),
        ("palace_query", "query", "TRAVERSE app HOPS many", "HOPS takes a whole number", 18),
        ("palace_query", "query", "DIARY ann LAST x", "LAST takes a whole number", 15),
        ("palace_query", "query", "KG Max AS OF tomorrow", "AS OF takes a date", 13),
        ("palace_query", "query", "FIND x LIMIT 1 LIMIT 3", "limit is given twice", 15),
        ("palace_query", "query", "FIND x IN a wing:b", "wing is given twice", 12),
        ("palace_query", "query", "FIND auth bug OFFSET 5", "one of IN", 14),
        ("palace_query", "query", "FIND auth bug SORT date", "in quotes when SORT", 14),
        ("palace_exec", "command", "KG ADD a -> b -> c FROM soon", "FROM takes a date", 24),
        ("palace_exec", "command", "DELETE DRAWR x", "nothing more", 13),
        ("palace_coordinate", "command", "EVENT LIST preview:maybe", "true or false", 19),
        (
            "palace_coordinate",
            "command",
            "EVENT APPEND type:a.b",
            "EVENT APPEND needs STREAM, ROOM, FROM",
            21,
        ),
        ("palace_coordinate", "command", "ARTIFACT GET", "needs ID", 12),
        ("palace_query", "query", "TUNNELS BETWEEN a b", "AND", 18),
        ("palace_query", "query", "FOLLOW app", "wing/room", 7),
        ("palace_query", "query", "STATUS now", "nothing more", 7),
        ("palace_exec", "command", "ADD IN app/api", "content", 14),
        ("palace_exec", "command", "KG ADD Max -> loves chess", "->", 25),
        ("palace_exec", "command", "KG ADD Max loves", "object of subject -> predicate -> object", 16),
        ("palace_exec", "command", "KG ADD a b c SOURCE x->y", "one of FROM", 21),
        ("palace_exec", "command", "KG ADD Max FROM 2026-01-01", "predicate of", 11),
        ("palace_query", "query", "TAXONOMY IN", "a value for IN", 11),
        ("palace_query", "query", "TAXONOMY app web", "one of IN", 13),
        ("palace_exec", "command", "KG FORGET x", "KG ADD, KG INVALIDATE, KG SUPERSEDE", 0),
        ("palace_exec", "command", "CHECKPOINT now", "a JSON object", 11),
        ("palace_coordinate", "command", "DANCE", "one of TASK CREATE", 0),
        ("palace_exec", "command", "CHECKPOINT {\"items\": [1 2]}", "no JSON: expected `,` or `]`", 24),
        ("palace_coordinate", "command", "EVENT APPEND metadata:{a:1}", "no JSON: key must be a string", 23),
        ("palace_coordinate", "command", "EVENT APPEND metadata:none", "a JSON object or list", 22),
        ("palace_coordinate", "command", "EVENT APPEND METADATA x", "a JSON object or list", 22),
    ] {
        let message = call(tool, field, line).unwrap_err();
        let rows: Vec<&str> = message.lines().collect();
        assert!(rows[0].contains(expected), "{line}: {message}");
        assert_eq!((rows[1], rows[2].len() - 1), (line, column), "{message}");
    }
}

#[test]
fn lines_for_another_tool_are_sent_there() {
    for (tool, field, line, other) in [
        ("palace_query", "query", "ADD IN app/api \"text\"", "ADD is a line for palace_exec"),
        ("palace_query", "query", "KG ADD Max -> has -> flu", "KG ADD is a line for palace_exec"),
        ("palace_query", "query", "DIARY WRITE claude \"x\"", "DIARY WRITE is a line for palace_exec"),
        ("palace_query", "query", "EVENT LIST", "EVENT LIST is a line for palace_coordinate"),
        ("palace_exec", "command", "FIND x", "FIND is a line for palace_query"),
        ("palace_coordinate", "command", "CHECKPOINT {}", "CHECKPOINT is a line for palace_exec"),
    ] {
        let message = call(tool, field, line).unwrap_err();
        assert!(message.starts_with(other), "{line}: {message}");
    }
    let fields = json!({"target": "add_drawer", "wing": "w"});
    let refused = resolve("palace_query", fields.as_object().unwrap(), false).unwrap().unwrap_err();
    assert!(refused.json["error"].as_str().unwrap().contains("palace_exec"), "{refused:?}");
}

#[test]
fn a_question_changes_nothing() {
    let read_only = |tool: &str, fields: Value| {
        resolve(tool, fields.as_object().unwrap(), false).unwrap().unwrap().read_only
    };
    assert!(read_only("palace_query", json!({"query": "FOLLOW app/api"})));
    assert!(read_only("palace_query", json!({"target": "filed"})));
    assert!(!read_only("palace_exec", json!({"command": "FILED"})));
    assert!(!read_only("palace_coordinate", json!({"command": "EVENT LIST"})));
}

#[test]
fn fields_name_a_tool_instead() {
    let call = |tool: &str, fields: Value| resolve(tool, fields.as_object().unwrap(), false).unwrap();
    let found = call("palace_query", json!({"target": "kg", "entity": "Max"})).unwrap();
    assert_eq!(
        (found.name.as_str(), found.arguments["entity"].as_str()),
        ("mempalace_kg_query", Some("Max"))
    );
    let found = call("palace_query", json!({"target": "search", "query": "FIND", "limit": 3})).unwrap();
    assert_eq!((found.name.as_str(), &found.arguments["query"]), ("mempalace_search", &json!("FIND")));
    for (action, fields, tool, field) in [
        ("add", json!({"text": "x"}), "add_drawer", "content"),
        ("create_drawer", json!({"document": "x"}), "add_drawer", "content"),
        ("add_fact", json!({"obj": "x"}), "kg_add", "object"),
        ("invalidate", json!({"valid_to": "x"}), "kg_invalidate", "ended"),
        ("diary", json!({"agent": "x"}), "diary_write", "agent_name"),
    ] {
        let mut fields = fields;
        fields["action"] = json!(action);
        let found = call("palace_exec", fields).unwrap();
        assert_eq!((found.name, &found.arguments[field]), (format!("mempalace_{tool}"), &json!("x")));
    }
    assert_eq!(call("palace_query", json!({"target": "diary"})).unwrap().name, "mempalace_diary_read");
    let refused = call("palace_exec", json!({"action": "dance", "query": "x"})).unwrap_err();
    assert!(refused.json["error"].as_str().unwrap().contains("add_drawer"), "{refused:?}");
    let empty = call("palace_exec", json!({})).unwrap_err();
    assert!(empty.json["error"].as_str().unwrap().contains("'command'"));
    assert!(resolve("mempalace_search", &Map::new(), false).is_none());
}

#[test]
fn a_session_is_told_of_no_tool_that_it_does_not_list() {
    for fields in [json!({"query": "ADD IN app/api \"text\""}), json!({"target": "add_drawer"})] {
        let refused = resolve("palace_query", fields.as_object().unwrap(), true).unwrap().unwrap_err();
        assert_eq!(refused.json["success"], false);
        let error = refused.json["error"].as_str().unwrap();
        assert!(error.contains("changes the palace") && !error.contains("palace_exec"), "{error}");
    }
    let refused = refused("Unknown parameter 'x' for mempalace_kg_query; it takes: entity");
    assert_eq!(refused.json["error"], "Unknown parameter 'x' for kg_query; it takes: entity");
}

#[test]
fn a_taxonomy_may_be_of_one_wing() {
    for fields in [
        json!({"query": "TAXONOMY IN app"}),
        json!({"query": "TAXONOMY app"}),
        json!({"query": "taxonomy in:app"}),
        json!({"query": "TAXONOMY", "wing": "app"}),
        json!({"target": "taxonomy", "wing": "app"}),
    ] {
        let found = resolve("palace_query", fields.as_object().unwrap(), false).unwrap().unwrap();
        assert_eq!(
            (found.name.as_str(), &found.arguments),
            ("mempalace_get_taxonomy", &Map::new()),
            "{fields}"
        );
        assert_eq!(found.shown, Shown::OneWing("app".into()));
    }
    for (wing, rule) in [(json!("../x"), "path characters"), (json!(5), "must be a string")] {
        let fields = json!({"target": "taxonomy", "wing": wing});
        let refused = resolve("palace_query", fields.as_object().unwrap(), false).unwrap().unwrap_err();
        assert!(refused.json["error"].as_str().unwrap().contains(rule), "{refused:?}");
    }
}

#[test]
fn an_inbox_shows_the_beginnings_of_texts_unless_it_is_told_otherwise() {
    for (fields, preview) in [
        (json!({"action": "inbox"}), json!(true)),
        (json!({"action": "event_inbox"}), json!(true)),
        (json!({"action": "inbox", "preview": false}), json!(false)),
        (json!({"command": "INBOX bob", "preview": false}), json!(false)),
        (json!({"action": "events"}), Value::Null),
    ] {
        let found = resolve("palace_coordinate", fields.as_object().unwrap(), false).unwrap().unwrap();
        assert_eq!(found.arguments.get("preview").unwrap_or(&Value::Null), &preview, "{fields}");
    }
}
