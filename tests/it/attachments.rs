//! What hosts offer people beside tools: prompts, resources, completions.

use palace_tests::Client;
use serde_json::{Value, json};

use crate::sandbox;

fn read(host: &mut Client, uri: &str) -> Value {
    host.request("resources/read", &json!({ "uri": uri }))
}

fn completed(host: &mut Client, reference: &Value, name: &str, value: &str) -> Value {
    let params = json!({"ref": reference, "argument": {"name": name, "value": value}});
    host.request("completion/complete", &params)["result"]["completion"].clone()
}

#[test]
fn prompts_and_lists_need_no_daemon() {
    let sandbox = sandbox();
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.env("PALACE_DAEMON", "/nonexistent/palaced").arg("--palace").arg(sandbox.palace());
    let mut host = Client::start("host", command);
    let capabilities = host.initialize()["result"]["capabilities"].clone();
    for offer in ["tools", "prompts", "resources", "completions"] {
        assert!(capabilities[offer].is_object(), "{capabilities}");
    }
    let names = |listed: &Value, list: &str| -> Vec<String> {
        let listed = listed["result"][list].as_array().unwrap();
        listed.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    };
    let listed = host.request("prompts/list", &json!({}));
    assert_eq!(names(&listed, "prompts"), ["recall", "wake-up", "checkpoint"]);
    let prompt = host.request("prompts/get", &json!({"name": "recall", "arguments": {"topic": "Orion"}}));
    assert!(prompt["result"]["messages"][0]["content"]["text"].as_str().unwrap().contains("Orion"));
    let missing = host.request("prompts/get", &json!({"name": "recall"}));
    assert_eq!(missing["error"]["code"], -32602, "{missing}");
    assert_eq!(names(&host.request("resources/list", &json!({})), "resources"), ["overview", "taxonomy"]);
    let templates = host.request("resources/templates/list", &json!({}));
    assert_eq!(names(&templates, "resourceTemplates"), ["drawer", "room", "diary"]);
    // What only a daemon knows is an error, and no list of tools.
    assert!(
        read(&mut host, "palace://overview")["error"]["message"].as_str().unwrap().contains("not available")
    );
}

#[test]
fn addresses_lead_to_what_is_stored() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let id = host.add("my app", "auth", "the exact text");
    host.call("diary_write", &json!({"agent_name": "Claude", "entry": "what was done"}));
    let text =
        |answer: &Value| answer["result"]["contents"][0]["text"].as_str().unwrap_or_default().to_owned();
    let drawer = read(&mut host, &format!("palace://drawer/{}", id.replace(' ', "%20")));
    assert_eq!(text(&drawer), "the exact text", "{drawer}");
    assert_eq!(drawer["result"]["contents"][0]["mimeType"], "text/plain");
    assert!(text(&read(&mut host, "palace://overview")).contains("total_drawers"));
    assert!(text(&read(&mut host, "palace://taxonomy")).contains("auth"));
    assert!(text(&read(&mut host, "palace://room/my%20app/auth")).contains("the exact text"));
    assert!(text(&read(&mut host, "palace://diary/claude")).contains("what was done"));
    for nothing in
        ["palace://drawer/none", "palace://room/my%20app/none", "palace://diary/nobody", "file:///etc/passwd"]
    {
        let refused = read(&mut host, nothing);
        assert_eq!(
            (&refused["error"]["code"], &refused["error"]["data"]["uri"]),
            (&json!(-32002), &json!(nothing))
        );
    }
    assert_eq!(host.request("resources/read", &json!({}))["error"]["code"], -32602);
}

#[test]
fn a_room_is_read_page_by_page() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let items: Vec<Value> = (0..130)
        .map(|number| json!({"wing": "my app", "room": "r", "content": format!("passage {number}")}))
        .collect();
    host.call("checkpoint", &json!({"items": items, "dedup_threshold": 2}));
    let mut page = |uri: &str| -> Value {
        let answer = read(&mut host, uri);
        let text = answer["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
        serde_json::from_str(text).unwrap()
    };
    let first = page("palace://room/my%20app/r");
    assert_eq!((&first["count"], &first["total"]), (&json!(100), &json!(130)));
    let rest = page(first["next"].as_str().unwrap());
    assert_eq!((&rest["count"], &rest["next"]), (&json!(30), &Value::Null));
    assert_ne!(first["drawers"][99]["drawer_id"], rest["drawers"][0]["drawer_id"]);
    assert_eq!(read(&mut host, "palace://room/my%20app/r?after=130")["error"]["code"], -32002);
}

#[test]
fn names_are_completed() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    for (wing, room) in [("app", "auth"), ("app", "api"), ("web", "assets"), ("home", "garden")] {
        host.add(wing, room, &format!("{wing} {room}"));
    }
    host.call("kg_add", &json!({"subject": "Max Weber", "predicate": "knows", "object": "Ann"}));
    let recall = json!({"type": "ref/prompt", "name": "recall"});
    assert_eq!(completed(&mut host, &recall, "wing", "")["values"], json!(["app", "home", "web"]));
    assert_eq!(completed(&mut host, &recall, "room", "a")["values"], json!(["api", "assets", "auth"]));
    assert_eq!(completed(&mut host, &recall, "topic", "max")["values"], json!(["Max Weber"]));
    let room = json!({"type": "ref/resource", "uri": "palace://room/{wing}/{room}"});
    let params = json!({
        "ref": room, "argument": {"name": "room", "value": ""}, "context": {"arguments": {"wing": "app"}},
    });
    let found = host.request("completion/complete", &params)["result"]["completion"].clone();
    assert_eq!((&found["values"], &found["total"]), (&json!(["api", "auth"]), &json!(2)));
    let argument = json!({"name": "wing", "value": ""});
    for bad in [
        json!({}),
        json!({"ref": {"type": "ref/tool", "name": "x"}, "argument": argument}),
        json!({"ref": {"type": "ref/prompt", "name": "nope"}, "argument": argument}),
        json!({"ref": {"type": "ref/resource", "uri": "palace://nope/{id}"}, "argument": argument}),
        json!({"ref": {"type": "ref/resource", "uri": "file:///etc/passwd"}, "argument": argument}),
    ] {
        assert_eq!(host.request("completion/complete", &bad)["error"]["code"], -32602, "{bad}");
    }
    let templates =
        host.request("resources/templates/list", &json!({}))["result"]["resourceTemplates"].clone();
    for template in templates.as_array().unwrap() {
        let reference = json!({"type": "ref/resource", "uri": template["uriTemplate"]});
        assert!(completed(&mut host, &reference, "wing", "")["values"].is_array(), "{template}");
    }
}

#[test]
fn agents_are_those_with_entries_and_all_are_counted() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    // A room of that name makes no agent, and an entry in another's wing does.
    host.add("wing_nobody", "diary", "not an entry");
    host.call("diary_write", &json!({"agent_name": "Ann", "entry": "one"}));
    host.call("diary_write", &json!({"agent_name": "Bob B", "entry": "two", "wing": "wing_ann"}));
    let diary = json!({"type": "ref/resource", "uri": "palace://diary/{agent}"});
    let found = completed(&mut host, &diary, "agent", "");
    assert_eq!((&found["values"], &found["total"]), (&json!(["ann", "bob b"]), &json!(2)));
    for number in 0..60 {
        let fact = json!({"subject": format!("thing a{number}"), "predicate": "is", "object": format!("thing b{number}")});
        host.call("kg_add", &fact);
    }
    let recall = json!({"type": "ref/prompt", "name": "recall"});
    let found = completed(&mut host, &recall, "topic", "thing");
    assert_eq!(found["values"].as_array().unwrap().len(), 100);
    assert_eq!((&found["total"], &found["hasMore"]), (&json!(120), &json!(true)));
}
