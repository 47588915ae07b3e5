//! Tools against a real palace in a temporary directory: dispatch, idempotency keys, and the peer's result shapes.

use serde_json::json;

use super::*;
use crate::engine::embed::{Embedder, EmbedderSource};
use crate::engine::{Engine, EngineOptions};
use crate::palace::Timestamp;

/// An open palace and the folder it lives in.
struct Ground {
    palace: Palace,
    embedder: Embedder,
    _folder: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let embedder = Embedder::start(EmbedderSource::Hash).unwrap();
        let options = EngineOptions { embedder_identity: embedder.identity(), ..EngineOptions::default() };
        let (engine, reader) = Engine::open(folder.path(), options).unwrap();
        let palace = Palace::new(engine, reader, embedder.clone(), None, |_| {});
        Self { palace, embedder, _folder: folder }
    }

    fn run(&self, tool: &str, arguments: Value, key: Option<&str>) -> Result<Answer, CallError> {
        let at = Moment { utc: Timestamp(1_769_850_000_000), local: "2026-01-31T09:00:00.000001".into() };
        let call = Call { at, key: key.map(str::to_owned), enqueued: None, read_only: false, trouble: None };
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        super::call(&self.palace, tool, arguments, call)
    }

    fn answer(&self, tool: &str, arguments: Value) -> Value {
        self.run(&format!("mempalace_{tool}"), arguments, None).unwrap().json
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.palace.close().unwrap();
    }
}

#[test]
fn keys_of_any_form_are_sixteen_bytes() {
    assert_eq!(
        key("000102030405060708090a0b0c0d0e0f").0,
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    );
    assert_ne!(key("a").0, key("b").0);
}

#[test]
fn every_tool_of_the_catalogue_is_dispatched() {
    let ground = Ground::new();
    for tool in catalogue::tools() {
        let arguments: Map<String, Value> = tool
            .parameters
            .iter()
            // A diary wants either text.
            .filter(|parameter| parameter.required || parameter.name == "entry")
            .map(|parameter| {
                let is_list = matches!(
                    parameter.shape,
                    catalogue::Shape::TextList | catalogue::Shape::EachText | catalogue::Shape::Objects(_)
                );
                let value = if is_list { json!([]) } else { json!("text") };
                (parameter.name.to_owned(), value)
            })
            .collect();
        assert!(ground.run(tool.name, Value::Object(arguments), None).is_ok(), "{}", tool.name);
    }
    assert_eq!(ground.run("mempalace_nope", json!({}), None).unwrap_err().code, METHOD_NOT_FOUND);
}

#[test]
fn a_read_only_session_changes_nothing() {
    let ground = Ground::new();
    let at = Moment { utc: Timestamp(1), local: "2026-01-31T09:00:00.000001".into() };
    let call = Call { at, key: None, enqueued: None, read_only: true, trouble: None };
    let refused = super::call(&ground.palace, "mempalace_add_drawer", Map::new(), call).unwrap_err();
    assert_eq!(refused.code, READ_ONLY);
    assert_eq!(refused.data, Some(json!({"tool": "mempalace_add_drawer"})));
    assert!(!refused.message.contains("palace_query"));
}

#[test]
fn the_same_key_gets_the_same_answer_and_changes_nothing() {
    let ground = Ground::new();
    let entry = json!({"agent_name": "Claude", "entry": "what happened today"});
    let first = ground.run("mempalace_diary_write", entry.clone(), Some("k1")).unwrap();
    let again = ground.run("mempalace_diary_write", entry.clone(), Some("k1")).unwrap();
    assert_eq!(first, again);
    let read = ground.answer("diary_read", json!({"agent_name": "claude"}));
    assert_eq!(read["total"], 1);
    let removed = json!({"drawer_id": first.json["entry_id"]});
    let gone = ground.run("mempalace_delete_drawer", removed.clone(), Some("k2")).unwrap();
    assert_eq!(gone.json["success"], true);
    // Without the key this would be answered "not found".
    assert_eq!(ground.run("mempalace_delete_drawer", removed.clone(), Some("k2")).unwrap(), gone);
    assert_eq!(ground.run("mempalace_delete_drawer", removed, None).unwrap().json["success"], false);
}

#[test]
fn many_writers_at_once_all_get_their_own_answer() {
    let ground = Ground::new();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let ground = &ground;
            scope.spawn(move || {
                for number in 0..25 {
                    let content = format!("writer {writer} number {number}");
                    let added =
                        ground.answer("add_drawer", json!({"wing": "w", "room": "r", "content": content}));
                    let read = ground.answer("get_drawer", json!({"drawer_id": added["drawer_id"]}));
                    assert_eq!(read["content"], content);
                }
            });
        }
    });
    assert_eq!(ground.answer("status", json!({}))["total_drawers"], 200);
    let stats = ground.palace.stats().unwrap().writer;
    assert_eq!(stats.commands, 200);
    assert!(stats.commits <= stats.commands);
}

#[test]
fn a_long_drawer_is_stored_in_slices_and_read_whole() {
    let ground = Ground::new();
    let content = "Žluťoučký kůň 🐎 ".repeat(150);
    let added = ground.answer("add_drawer", json!({"wing": "w", "room": "r", "content": content}));
    assert_eq!(added["chunks"], 3);
    let read = ground.answer("get_drawer", json!({"drawer_id": added["drawer_id"]}));
    assert_eq!((&read["content"], &read["chunks"]), (&json!(content), &json!(3)));
    let listed = ground.answer("list_drawers", json!({"wing": "w"}));
    let preview: String = content.chars().take(200).chain("...".chars()).collect();
    assert_eq!(listed["drawers"][0]["content_preview"], preview);
    assert_eq!((&listed["total"], &listed["count"]), (&json!(1), &json!(1)));
    let again = ground.answer("add_drawer", json!({"wing": "w", "room": "r", "content": content}));
    assert_eq!(again["reason"], "already_exists");
    let deleted = ground.answer("delete_drawer", json!({"drawer_id": added["drawer_id"]}));
    assert_eq!(deleted["chunks_deleted"], 3);
    assert_eq!(ground.answer("status", json!({}))["total_drawers"], 0);
}

#[test]
fn filters_narrow_a_search() {
    let ground = Ground::new();
    for (wing, room, source) in [("a", "x", "/tmp/one.md"), ("a", "y", ""), ("b", "x", "/tmp/two.md")] {
        let content = format!("the harbour lights of {wing} {room}");
        ground.answer(
            "add_drawer",
            json!({"wing": wing, "room": room, "content": content, "source_file": source}),
        );
    }
    let count = |filter: Value| {
        let mut arguments = json!({"query": "harbour lights", "max_distance": 0});
        for (key, value) in filter.as_object().unwrap() {
            arguments[key] = value.clone();
        }
        ground.answer("search", arguments)["results"].as_array().unwrap().len()
    };
    assert_eq!(count(json!({})), 3);
    assert_eq!(count(json!({"wing": "a"})), 2);
    assert_eq!(count(json!({"wing": "a", "room": "x"})), 1);
    assert_eq!(count(json!({"source_file": "/tmp/two.md"})), 1);
    assert_eq!(count(json!({"since": "2026-01-31", "before": "2026-02-01"})), 3);
    assert_eq!(count(json!({"before": "2026-01-31"})), 0);
    assert_eq!(count(json!({"wing": "nowhere"})), 0);
}

#[test]
fn a_checkpoint_reports_each_item_in_its_place() {
    let ground = Ground::new();
    let stored = "the committee meets on the second tuesday of every month";
    ground.answer("add_drawer", json!({"wing": "w", "room": "r", "content": stored}));
    let made = ground.answer(
        "checkpoint",
        json!({
            "items": [
                {"wing": "w", "room": "other", "content": stored},
                {"wing": "w", "room": "new", "content": "a boat was bought in lisbon"},
                {"wing": "w/x", "room": "bad", "content": "text"},
                "not an object",
            ],
            "diary": {"agent_name": "Claude", "entry": "checkpoint made"},
        }),
    );
    assert_eq!(made["added"].as_array().unwrap().len(), 1, "{made}");
    assert_eq!(made["duplicates"][0]["room"], "other");
    let refused: Vec<&Value> =
        made["errors"].as_array().unwrap().iter().map(|error| &error["index"]).collect();
    assert_eq!(refused, [2, 3]);
    assert_eq!(made["diary"]["agent"], "claude");
    let again =
        ground.answer("checkpoint", json!({"items": [{"wing": "w", "room": "r", "content": stored}]}));
    assert_eq!(again["added"], json!([]), "{again}");
    assert_eq!(again["duplicates"][0]["matches"][0]["similarity"], 1.0);
    for name in [json!("  "), json!(5), json!("a/b"), json!(null)] {
        let diary = json!({"agent_name": name, "entry": "checkpoint made"});
        let made = ground.answer("checkpoint", json!({"items": [], "diary": diary}));
        assert_eq!((&made["diary"]["success"], &made["errors"]), (&json!(false), &json!([])), "{made}");
        assert!(made["diary"]["error"].as_str().unwrap().starts_with("agent_name"), "{made}");
    }
    let twice = json!({"wing": "w", "room": "r", "content": "a lighthouse was painted white"});
    let both = ground.answer("checkpoint", json!({"items": [twice, twice]}));
    assert_eq!(both["added"].as_array().unwrap().len(), 1, "{both}");
    assert_eq!(both["duplicates"][0]["matches"][0]["similarity"], 1.0);
}

#[test]
fn checkpoints_at_the_same_time_do_not_file_one_text_twice() {
    let ground = Ground::new();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let ground = &ground;
            scope.spawn(move || {
                for number in 0..10 {
                    let content = format!("note number{number} of the harbour master about the lights");
                    let room = format!("room{writer}");
                    let made = ground.answer(
                        "checkpoint",
                        json!({"items": [{"wing": "w", "room": room, "content": content}], "dedup_threshold": 0.999}),
                    );
                    let filed = made["added"].as_array().unwrap().len() + made["duplicates"].as_array().unwrap().len();
                    assert_eq!(filed, 1, "{made}");
                }
            });
        }
    });
    assert_eq!(ground.answer("status", json!({}))["total_drawers"], 10);
}

/// A caller that leaves after so many items.
struct Leaving {
    after: usize,
    heard: std::cell::RefCell<Vec<(usize, usize)>>,
}

impl Caller for Leaving {
    fn has_left(&self) -> bool {
        self.heard.borrow().len() > self.after
    }

    fn hear(&self, done: usize, total: usize) {
        self.heard.borrow_mut().push((done, total));
    }
}

#[test]
fn a_caller_that_leaves_in_the_middle_changes_nothing() {
    let ground = Ground::new();
    let items: Vec<Value> = (0..5)
        .map(|number| json!({"wing": "w", "room": "r", "content": format!("item number {number}")}))
        .collect();
    let checkpoint = |after: usize| {
        let caller = Leaving { after, heard: std::cell::RefCell::default() };
        let at = Moment { utc: Timestamp(1), local: "2026-01-31T09:00:00.000001".into() };
        let arguments = json!({"items": items}).as_object().unwrap().clone();
        let call = Call { at, key: None, enqueued: None, read_only: false, trouble: None };
        let answer = call_for(&caller, &ground.palace, "mempalace_checkpoint", arguments, call);
        (answer, caller.heard.into_inner())
    };
    let (answer, heard) = checkpoint(2);
    assert_eq!(answer.unwrap_err(), CallError::cancelled());
    assert_eq!(heard, [(0, 5), (1, 5), (2, 5)]);
    assert_eq!(ground.answer("status", json!({}))["total_drawers"], 0);
    let (answer, heard) = checkpoint(9);
    assert_eq!(answer.unwrap().json["added"].as_array().unwrap().len(), 5);
    assert_eq!(heard.len(), 5);
}

mod bulk;
mod families;
mod finding;
mod idempotence;
