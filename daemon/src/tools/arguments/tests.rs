//! What fits a parameter, what is made of it, and how the rest is refused.

use super::*;
use palace_protocol::catalogue::tool;
use serde_json::json;

/// Returns the code of a protocol's error, or none for a refusal, with the message.
fn check(name: &str, given: Value) -> Result<Arguments, (Option<i64>, String)> {
    let given = given.as_object().unwrap().clone();
    Arguments::check(tool(name).unwrap(), given).map_err(|misfit| match misfit {
        Misfit::Call(error) => (Some(error.code), error.message),
        Misfit::Refused(message) => (None, message),
    })
}

fn found(given: &Value) -> Result<Arguments, (Option<i64>, String)> {
    let mut arguments = json!({"query": "q"});
    arguments.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
    check("mempalace_search", arguments)
}

#[test]
fn numbers_come_as_strings_too_and_are_clamped() {
    for (given, expect) in [
        (json!("7"), 7),
        (json!(7.0), 7),
        (json!(1.5), 1),
        (json!(true), 1),
        (json!(0), 1),
        (json!(5000), 100),
        (json!(1e300), 100),
        (json!(-3), 1),
    ] {
        assert_eq!(found(&json!({"limit": given})).unwrap().count("limit", 5), expect, "{given}");
    }
    for bad in [json!("x"), json!("1.5"), json!([1]), json!(null), json!({})] {
        let (code, message) = found(&json!({"limit": bad})).unwrap_err();
        assert!(code == Some(-32602) && message.contains("'limit'"), "{bad}: {message}");
    }
    assert!(found(&json!({"max_distance": "0.5"})).unwrap().number("max_distance", 0.0) > 0.4);
    assert_eq!(found(&json!({"max_distance": "nan"})).unwrap_err().0, Some(-32602));
}

#[test]
fn unknown_and_missing_parameters_are_errors_of_the_protocol() {
    for (name, given, named) in [
        ("search", json!({"query": "q", "wings": "x"}), "'wings'"),
        ("add_drawer", json!({"wing": "w"}), "room, content"),
        ("diary_write", json!({"agent_name": "claude"}), "entry"),
        ("diary_write", json!({"agent_name": "claude", "entry": null}), "entry"),
    ] {
        let (code, message) = check(&format!("mempalace_{name}"), given).unwrap_err();
        assert!(code == Some(-32602) && message.contains(named), "{message}");
    }
    assert!(check("mempalace_diary_write", json!({"agent_name": "a", "content": "x"})).is_ok());
}

#[test]
fn values_of_the_wrong_kind_are_refused_with_the_rule() {
    let long = "x".repeat(SHORT_TEXT_CHARS_MAX + 1);
    for (given, rule) in [
        (json!({"query": 7}), "query must be a string, not a number"),
        (json!({"query": null}), "query must be a string, not null"),
        (json!({"wing": ["w"]}), "wing must be a string, not a list"),
        (json!({"wing": "a\u{0}b"}), "wing contains null bytes"),
        (json!({ "wing": long }), "wing exceeds maximum length of 4096 characters"),
        (json!({"query_task": "x"}), "query_task=\"x\" is not one of: search, code"),
        (json!({"candidate_strategy": 1}), "candidate_strategy must be one of vector, union"),
        (json!({"include_media": "perhaps"}), "include_media must be true or false"),
    ] {
        let (code, message) = found(&given).unwrap_err();
        assert!(code.is_none() && message.starts_with(rule), "{given}: {message}");
    }
    let event = |name: &str, value: Value| {
        let mut given = json!({"type": "a.b", "stream": "s", "room": "r", "from_agent": "x"});
        given[name] = value;
        check("mempalace_event_append", given)
    };
    for (name, value, rule) in [
        ("artifact_ids", json!("none"), "artifact_ids must be a list of strings, not this text"),
        ("artifact_ids", json!([5]), "artifact_ids must be a list of strings"),
        ("artifact_ids", json!(["a\u{0}"]), "artifact_ids contains null bytes"),
        ("metadata", json!([]), "metadata must be an object, not a list"),
    ] {
        let (code, message) = event(name, value).unwrap_err();
        assert!(code.is_none() && message.starts_with(rule), "{message}");
    }
    let (_, message) = check("mempalace_checkpoint", json!({"items": {}})).unwrap_err();
    assert_eq!(message, "items must be a list of {wing, room, content} objects, not an object");
}

#[test]
fn only_a_plain_false_removes_something() {
    let dry = |given: Value| {
        let given = json!({"source_file": "/a", "dry_run": given});
        check("mempalace_delete_by_source", given).map(|arguments| arguments.flag("dry_run"))
    };
    for (given, expect) in [
        (json!(false), Some(false)),
        (json!("false"), Some(true)),
        (json!(""), Some(true)),
        (json!(null), None),
    ] {
        assert_eq!(dry(given).unwrap(), expect);
    }
    assert!(dry(json!(0)).is_err());
}

#[test]
fn null_is_absent_and_host_noise_is_dropped() {
    let arguments = found(&json!({"wing": null, "wait_for_previous": true})).unwrap();
    assert_eq!(arguments.text("wing"), None);
}
