//! Lines and what they stand for; mistakes and where they point.

use super::*;

fn call(tool: &str, field: &str, line: &str) -> Result<(String, Value), String> {
    let arguments = json!({ field: line }).as_object().unwrap().clone();
    match resolve(tool, &arguments).unwrap() {
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
        ("CHECKPOINT {\"items\": []}", "checkpoint", json!({"items": []})),
        (
            "KG ADD Max -> works on -> Orion FROM 2026-01-15",
            "kg_add",
            json!({"subject": "Max", "predicate": "works on", "object": "Orion", "valid_from": "2026-01-15"}),
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
        ("EVENT INBOX bob", "event_list", json!({"to_agent": "bob"})),
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
        ("palace_query", "query", "ROOMS app", "one of IN", 6),
        ("palace_query", "query", "TUNNELS BETWEEN a b", "AND", 18),
        ("palace_query", "query", "FOLLOW app", "wing/room", 7),
        ("palace_query", "query", "STATUS now", "nothing more", 7),
        ("palace_exec", "command", "ADD IN app/api", "content", 14),
        ("palace_exec", "command", "KG ADD Max loves chess", "->", 22),
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
    let refused = resolve("palace_query", fields.as_object().unwrap()).unwrap().unwrap_err();
    assert!(refused.json["error"].as_str().unwrap().contains("palace_exec"), "{refused:?}");
}

#[test]
fn a_question_changes_nothing() {
    let read_only =
        |tool: &str, fields: Value| resolve(tool, fields.as_object().unwrap()).unwrap().unwrap().read_only;
    assert!(read_only("palace_query", json!({"query": "FOLLOW app/api"})));
    assert!(read_only("palace_query", json!({"target": "filed"})));
    assert!(!read_only("palace_exec", json!({"command": "FILED"})));
    assert!(!read_only("palace_coordinate", json!({"command": "EVENT LIST"})));
}

#[test]
fn fields_name_a_tool_instead() {
    let call = |tool: &str, fields: Value| resolve(tool, fields.as_object().unwrap()).unwrap();
    let found = call("palace_query", json!({"target": "kg", "entity": "Max"})).unwrap();
    assert_eq!(
        (found.name.as_str(), found.arguments["entity"].as_str()),
        ("mempalace_kg_query", Some("Max"))
    );
    let found = call("palace_query", json!({"target": "search", "query": "FIND", "limit": 3})).unwrap();
    assert_eq!((found.name.as_str(), &found.arguments["query"]), ("mempalace_search", &json!("FIND")));
    let refused = call("palace_exec", json!({"action": "dance", "query": "x"})).unwrap_err();
    assert!(refused.json["error"].as_str().unwrap().contains("add_drawer"), "{refused:?}");
    let empty = call("palace_exec", json!({})).unwrap_err();
    assert!(empty.json["error"].as_str().unwrap().contains("'command'"));
    assert!(resolve("mempalace_search", &Map::new()).is_none());
}
