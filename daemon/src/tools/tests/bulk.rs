//! Many drawers in one call: every id is answered in its place, and whoever waits hears how far it is.

use std::cell::RefCell;

use serde_json::{Value, json};

use super::Ground;
use crate::palace::Timestamp;
use crate::palace::moment::Moment;
use crate::tools::{Call, Caller, call_for};

fn file(ground: &Ground, number: usize) -> Value {
    let content = format!("note number{number} of the harbour master");
    ground.answer("add_drawer", json!({"wing": "w", "room": "r", "content": content}))["drawer_id"].clone()
}

#[test]
fn what_is_no_id_is_reported_in_its_place() {
    let ground = Ground::new();
    let (first, second) = (file(&ground, 1), file(&ground, 2));
    let asked = json!([first, 5, null, true, 1.5, ["a"], {"b": 1}, "", "a\u{0}b", "x".repeat(5_000), second]);
    let given = asked.as_array().unwrap();
    for tool in ["get_drawers", "delete_drawers"] {
        let answer = ground.answer(tool, json!({ "drawer_ids": asked }));
        assert_eq!((&answer["count"], &answer["errors"]), (&json!(11), &json!(9)), "{tool}: {answer}");
        let results = answer["results"].as_array().unwrap();
        for (given, result) in given.iter().zip(results) {
            let is_stored = *given == first || *given == second;
            assert_eq!(
                (&result["drawer_id"], result["error"].is_null()),
                (given, is_stored),
                "{tool}: {result}"
            );
        }
        assert_eq!(results[1]["error"], "drawer_ids must hold strings; this is a number");
    }
    assert_eq!(ground.answer("status", json!({}))["total_drawers"], 0);
    for refused in [json!("x"), json!({"a": 1}), json!([]), json!(vec![5; 501])] {
        let answer = ground.answer("get_drawers", json!({ "drawer_ids": refused }));
        assert!(answer["error"].is_string() && answer["results"].is_null(), "{answer}");
    }
}

/// A caller that stays and keeps what it hears.
#[derive(Default)]
struct Hearing(RefCell<Vec<(usize, usize)>>);

impl Caller for Hearing {
    fn has_left(&self) -> bool {
        false
    }

    fn hear(&self, done: usize, total: usize) {
        self.0.borrow_mut().push((done, total));
    }
}

#[test]
fn whoever_removes_many_drawers_hears_how_far_it_is() {
    let ground = Ground::new();
    let notes: Vec<String> = (0..300).map(|number| format!("note number{number}")).collect();
    let mut ids = Vec::new();
    for note in &notes {
        let drawer = json!({"wing": "w", "room": "r", "content": note, "source_file": "/notes.md"});
        ids.push(ground.answer("add_drawer", drawer)["drawer_id"].clone());
    }
    let hear = |tool: &str, arguments: Value| {
        let caller = Hearing::default();
        let at = Moment { utc: Timestamp(1), local: "2026-01-31T09:00:00.000001".into() };
        let call = Call { at, key: None, enqueued: None, read_only: false, trouble: None };
        let arguments = arguments.as_object().unwrap().clone();
        let answer =
            call_for(&caller, &ground.palace, &format!("mempalace_{tool}"), arguments, call).unwrap();
        (answer.json, caller.0.into_inner())
    };
    let grows = |heard: &[(usize, usize)]| {
        !heard.is_empty()
            && heard.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 == pair[1].1)
            && heard.iter().all(|(done, total)| 0 < *done && done < total)
    };
    let (few, _) = ids.split_at(150);
    let (answer, heard) = hear("delete_drawers", json!({ "drawer_ids": few }));
    assert_eq!((&answer["deleted"], &answer["errors"]), (&json!(150), &json!(0)));
    assert!(grows(&heard) && heard.iter().all(|(_, total)| *total == 150), "{heard:?}");
    let (answer, heard) = hear("delete_by_source", json!({"source_file": "/notes.md", "dry_run": false}));
    assert_eq!(answer["deleted"], 150);
    assert!(grows(&heard), "{heard:?}");
}
