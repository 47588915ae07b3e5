//! Searches as a client sees them: the peer's keys, its refusals, and words alone when there is no model.

use serde_json::{Value, json};

use super::Ground;
use crate::engine::ReadError;
use crate::palace::error::QueryError;

fn harbour() -> Ground {
    let ground = Ground::new();
    for (room, content, source) in
        [("x", "the harbour lights burn all night", "/notes/one.md"), ("y", "a garden of herbs", "")]
    {
        ground.answer(
            "add_drawer",
            json!({"wing": "w", "room": room, "content": content, "source_file": source}),
        );
    }
    ground
}

#[test]
fn bounds_are_compared_by_what_they_mean_and_echoed_as_sent() {
    let ground = harbour();
    let ask = |since: &str, before: &str| {
        ground.answer("search", json!({"query": "harbour", "since": since, "before": before}))
    };
    let found = ask("20260131", "2026-W05-7");
    assert_eq!(found["results"].as_array().unwrap().len(), 2, "{found}");
    assert_eq!(
        (&found["filters"]["since"], &found["filters"]["before"]),
        (&json!("20260131"), &json!("2026-W05-7"))
    );
    let refused = ask("2026-W05-7", "20260131");
    assert!(refused["error"].as_str().unwrap().contains("earlier than"), "{refused}");
    assert!(ask("2026-01-31", "20260131")["error"].is_string(), "equal bounds leave nothing");
    assert_eq!(found["results"][0]["content_date_source"], "unknown");
}

#[test]
fn what_needs_another_model_is_refused_with_a_hint() {
    let ground = harbour();
    for given in [json!({"include_media": true}), json!({"query_task": "code"})] {
        let mut arguments = given.clone();
        arguments["query"] = json!("harbour");
        let refused = ground.answer("search", arguments.clone());
        assert!(refused["error"].as_str().unwrap().contains("embeddinggemma2"), "{refused}");
        assert!(refused["hint"].is_string());
        arguments["cli_compatible"] = json!(true);
        let refused = ground.answer("search", arguments);
        assert!(refused["error"].as_str().unwrap().starts_with("cli_compatible cannot"), "{refused}");
    }
    let plain = json!({"query": "harbour", "include_media": false, "query_task": "search"});
    assert!(ground.answer("search", plain)["results"][0].is_object());
}

#[test]
fn the_command_lines_answer_is_its_text() {
    let ground = harbour();
    let ask = |given: Value| {
        let mut arguments = json!({"query": "harbour lights", "cli_compatible": true});
        arguments.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        ground.answer("search", arguments)
    };
    let found = ask(json!({"limit": 1, "wing": "w"}));
    let text = found["cli_output"].as_str().unwrap();
    let (head, match_line) = text.split_once("      Match:  cosine_sim=").unwrap();
    let rule = "=".repeat(60);
    assert_eq!(
        head,
        format!(
            "\n{rule}\n  Results for: \"harbour lights\"\n  Wing: w\n{rule}\n\n  [1] w / x\n      Source: one.md\n"
        )
    );
    let body = format!("\n\n      the harbour lights burn all night\n\n  {}\n\n", "-".repeat(56));
    assert!(match_line.ends_with(&body) && match_line.contains("  bm25="), "{match_line}");
    let nothing = ask(json!({"wing": "nowhere"}));
    assert_eq!(nothing["cli_output"], "\n  No results found for: \"harbour lights\"\n");
    for (given, named) in [
        (json!({"source_file": "/notes/one.md"}), "source_file"),
        (json!({"candidate_strategy": "union", "max_distance": 1.0}), "candidate_strategy, max_distance"),
        (json!({"context": "why"}), "context"),
        (json!({"query": " harbour"}), "unchanged query"),
    ] {
        let refused = ask(given);
        assert!(refused["error"].as_str().unwrap().ends_with(named), "{refused}");
    }
}

#[test]
fn words_are_searched_alone_without_a_model() {
    let ground = harbour();
    ground.embedder.stop();
    let found = ground.answer("search", json!({"query": "harbour"}));
    assert_eq!((&found["fallback"], &found["vector_disabled"]), (&json!("bm25_only"), &json!(true)));
    assert!(found["vector_disabled_reason"].as_str().unwrap().contains("stopped"), "{found}");
    let hits = found["results"].as_array().unwrap();
    assert_eq!((hits.len(), &hits[0]["distance"], &hits[0]["similarity"]), (1, &Value::Null, &Value::Null));
    assert_eq!((&hits[0]["matched_via"], &hits[0]["room"]), (&json!("bm25_backend"), &json!("x")));
}

#[test]
fn a_hit_in_a_long_drawer_has_its_surroundings() {
    let ground = Ground::new();
    let content: String = (0..600).map(|n| format!("word{n} ")).collect();
    ground.answer("add_drawer", json!({"wing": "w", "room": "r", "content": content}));
    let found = ground.answer("search", json!({"query": "word300", "limit": 1}));
    let hit = &found["results"][0];
    let text = hit["text"].as_str().unwrap();
    assert!(content.contains(text) && text.len() > 1_600, "{}", text.len());
    assert!(text.starts_with("word") && text.contains("word300 "));
    assert_eq!((&hit["drawer_index"], &hit["total_drawers"]), (&hit["chunk_index"], &json!(6)));
}

#[test]
fn a_refused_search_has_no_hits_and_does_not_say_that_nothing_matched() {
    let ground = harbour();
    for given in [
        json!({"query": "harbour", "since": "yesterday"}),
        json!({"query": 5}),
        json!({"query": "harbour", "wing": ["w"]}),
    ] {
        let mut refused = ground.answer("search", given);
        assert!(refused["error"].is_string(), "{refused}");
        assert_eq!(refused["results"], json!([]), "{refused}");
        let before = refused.clone();
        crate::tools::Shown::Enriched.show(&ground.palace, &mut refused);
        assert_eq!(refused, before);
    }
    let damaged = QueryError::from(ReadError::NeedsReopen);
    let mut failed = crate::tools::Answer::query_failed(&damaged).json;
    failed["results"] = json!([]);
    let before = failed.clone();
    crate::tools::Shown::Enriched.show(&ground.palace, &mut failed);
    assert_eq!(failed, before);
    let mut nothing = ground.answer("search", json!({"query": "harbour", "wing": "nowhere"}));
    crate::tools::Shown::Enriched.show(&ground.palace, &mut nothing);
    assert_eq!(nothing["status"], "no_matching_memories_found");
}
