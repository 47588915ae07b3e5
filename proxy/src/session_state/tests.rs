//! Sessions as scripts: what the host and the daemon do, and what must come of it.

use std::time::Instant;

use palace_protocol::frame::Frame;
use palace_protocol::jsonrpc::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND};
use palace_protocol::limits::IN_FLIGHT_LEN_BYTES_MAX;
use palace_protocol::mcp::{
    CLIENT_CAPABILITIES_META_KEY, IDEMPOTENCY_META_KEY, MODERN_VERSION, PROTOCOL_VERSION_META_KEY,
};

use super::host_side::{LISTS, UNSUPPORTED_VERSION};
use super::*;

fn session() -> SessionState {
    SessionState::new(Profile::Full, false, || "000102030405060708090a0b0c0d0e0f".to_owned())
}

fn welcome() -> Welcome {
    Welcome {
        protocol: 1,
        build: "0".into(),
        pid: 1,
        generation: "g".into(),
        session: 1,
        catalogue: catalogue::fingerprint(),
        store: None,
    }
}

pub fn host(session: &mut SessionState, line: &str) -> Vec<Action> {
    session.host_frame(Frame::Line(line.as_bytes().to_vec()), Instant::now())
}

pub fn call(id: u32, tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"mempalace_{tool}","arguments":{{}}}}}}"#
    )
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"h","version":"1"}}}"#;

/// What reached the daemon, as (id, idempotency key).
pub fn sent(actions: &[Action]) -> Vec<(Value, Value)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::ToDaemon(line) => {
                let message: Value = serde_json::from_slice(line).unwrap();
                Some((message["id"].clone(), message["params"]["_meta"][IDEMPOTENCY_META_KEY].clone()))
            }
            Action::ToHost(_) | Action::Connect | Action::Reconnect => None,
        })
        .collect()
}

/// What reached the host.
pub fn answered(actions: &[Action]) -> Vec<Value> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::ToHost(line) => Some(serde_json::from_str(line).unwrap()),
            Action::ToDaemon(_) | Action::Connect | Action::Reconnect => None,
        })
        .collect()
}

/// Connects, and lets the daemon answer the handshake that comes first.
pub fn connect(session: &mut SessionState) -> Vec<Action> {
    let actions = session.connected(&welcome());
    if session.link.as_ref().unwrap().handshake.is_some() {
        let id = sent(&actions)[0].0.to_string();
        assert_eq!(session.daemon_line(response(&id).as_bytes()), []);
    }
    actions
}

/// The number under which the only request of these actions reached the daemon.
pub fn number(actions: &[Action]) -> String {
    let [(id, _)] = &sent(actions)[..] else { panic!("{actions:?}") };
    id.to_string()
}

pub fn response(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
}

#[test]
fn handshakes_never_wait_for_a_daemon() {
    let mut session = session();
    for line in [
        INITIALIZE,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":3,"method":"server/discover","params":{}}"#,
    ] {
        assert!(answered(&host(&mut session, line))[0]["result"].is_object(), "{line}");
    }
    assert!(!session.has_pending());
}

#[test]
fn a_probe_that_only_discovers_starts_no_daemon() {
    let actions = host(&mut session(), r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{}}"#);
    assert!(!actions.contains(&Action::Connect));
}

#[test]
fn handshakes_out_of_order_are_answered_each() {
    let discover = r#"{"jsonrpc":"2.0","id":9,"method":"server/discover","params":{}}"#;
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    // A notification first, a call before any handshake, a discovery after it, a second handshake.
    let mut session = session();
    assert_eq!(host(&mut session, initialized), []);
    assert_eq!(host(&mut session, &call(1, "search")), [Action::Connect]);
    let made_up = sent(&connect(&mut session));
    assert_eq!(made_up.len(), 3, "a handshake is made up for it");
    for (line, id) in [(INITIALIZE, 0), (discover, 9), (INITIALIZE, 0)] {
        let answers = answered(&host(&mut session, line));
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0]["id"], id);
        assert!(answers[0]["result"].is_object(), "{answers:?}");
    }
    let answer = response(&made_up[2].0.to_string());
    assert_eq!(answered(&session.daemon_line(answer.as_bytes()))[0]["id"], 1);
}

#[test]
fn requests_wait_in_order_and_follow_the_handshake() {
    let mut session = session();
    host(&mut session, INITIALIZE);
    assert_eq!(host(&mut session, &call(1, "add_drawer")), [Action::Connect]);
    assert_eq!(host(&mut session, &call(2, "search")), [Action::Connect]);
    let ids: Vec<Value> = sent(&connect(&mut session)).into_iter().map(|(id, _)| id).collect();
    assert!(ids[0].is_u64() && ids[1].is_null() && ids[2].as_u64() < ids[3].as_u64(), "{ids:?}");
    assert_eq!(answered(&session.daemon_line(response(&ids[3].to_string()).as_bytes()))[0]["id"], 2);
    assert!(session.has_pending());
}

#[test]
fn a_lost_write_is_sent_again_with_its_key_and_a_read_without() {
    let mut session = session();
    host(&mut session, INITIALIZE);
    connect(&mut session);
    let first = sent(&host(&mut session, &call(1, "add_drawer")));
    let read = sent(&host(&mut session, &call(2, "search")));
    assert!(first[0].1.is_string() && read[0].1.is_null());
    assert_eq!(session.lost(Loss::Crash), [Action::Connect]);
    let again = sent(&connect(&mut session));
    assert_eq!(again[2..], [first[0].clone(), read[0].clone()]);
}

#[test]
fn a_request_that_ends_two_daemons_is_answered_not_sent_a_third_time() {
    let mut session = session();
    connect(&mut session);
    host(&mut session, &call(1, "add_drawer"));
    session.lost(Loss::Crash);
    connect(&mut session);
    let actions = session.lost(Loss::Crash);
    let answers = answered(&actions);
    assert_eq!(answers[0]["id"], 1);
    assert_eq!(answers[0]["result"]["isError"], true);
    assert!(!session.has_pending() && !actions.contains(&Action::Connect));
}

#[test]
fn orderly_restarts_count_against_no_request() {
    let mut session = session();
    connect(&mut session);
    let number = number(&host(&mut session, &call(1, "add_drawer")));
    for _ in 0..5 {
        assert_eq!(session.lost(Loss::Orderly), [Action::Connect]);
        connect(&mut session);
    }
    assert_eq!(session.lost(Loss::Crash), [Action::Connect]);
    connect(&mut session);
    assert_eq!(answered(&session.daemon_line(response(&number).as_bytes())).len(), 1);
}

#[test]
fn a_request_that_was_not_sent_saw_no_crash() {
    let mut session = session();
    host(&mut session, &call(1, "add_drawer"));
    for _ in 0..5 {
        assert_eq!(session.lost(Loss::Crash), [Action::Connect]);
    }
    assert_eq!(sent(&connect(&mut session)).len(), 3);
}

#[test]
fn a_cancelled_request_is_never_sent_again_and_never_answered() {
    let mut session = session();
    connect(&mut session);
    let cancelled = number(&host(&mut session, &call(1, "add_drawer")));
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let told = cancel.replace(":1}", &format!(":{cancelled}}}"));
    assert_eq!(host(&mut session, cancel), [Action::ToDaemon(told.into_bytes())]);
    // The id may be used again, and a late answer to the first use is not one to the second.
    let again = number(&host(&mut session, &call(1, "search")));
    assert_eq!(session.daemon_line(response(&cancelled).as_bytes()), []);
    assert_eq!(answered(&session.daemon_line(response(&again).as_bytes()))[0]["id"], 1);
    assert_eq!(session.lost(Loss::Crash), []);
    assert_eq!(sent(&connect(&mut session)).len(), 2);
}

#[test]
fn a_second_answer_and_a_second_use_of_an_id_are_stopped() {
    let mut session = session();
    connect(&mut session);
    let first = response(&number(&host(&mut session, &call(1, "search"))));
    let twice = answered(&host(&mut session, &call(1, "search")));
    assert_eq!(twice[0]["error"]["code"], INVALID_REQUEST);
    assert_eq!(answered(&session.daemon_line(first.as_bytes())).len(), 1);
    assert_eq!(session.daemon_line(first.as_bytes()), []);
    assert_eq!(sent(&host(&mut session, &call(1, "search"))).len(), 1);
}

#[test]
fn without_work_a_lost_connection_stays_lost() {
    let mut session = session();
    host(&mut session, INITIALIZE);
    connect(&mut session);
    assert_eq!(session.lost(Loss::Crash), []);
}

#[test]
fn a_stateless_session_replays_nothing() {
    let mut session = session();
    let line = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"mempalace_status","_meta":{{"{PROTOCOL_VERSION_META_KEY}":"{MODERN_VERSION}","{CLIENT_CAPABILITIES_META_KEY}":{{}}}}}}}}"#
    );
    host(&mut session, &line);
    let sent = sent(&connect(&mut session));
    assert_eq!(sent.len(), 1);
    let unsupported = line.replace(MODERN_VERSION, "2099-01-01");
    let unsupported = unsupported.replace(r#""id":1"#, r#""id":2"#);
    assert_eq!(answered(&host(&mut session, &unsupported))[0]["error"]["code"], UNSUPPORTED_VERSION);
    let undeclared =
        line.replace(CLIENT_CAPABILITIES_META_KEY, "capabilities").replace(r#""id":1"#, r#""id":3"#);
    assert_eq!(answered(&host(&mut session, &undeclared))[0]["error"]["code"], INVALID_PARAMS);
    let removed = line.replace("tools/call", "ping").replace(r#""id":1"#, r#""id":4"#);
    assert_eq!(answered(&host(&mut session, &removed))[0]["error"]["code"], METHOD_NOT_FOUND);
    assert!(host(&mut session, INITIALIZE).contains(&Action::Reconnect));
}

#[test]
fn another_catalogue_is_announced_once_and_then_asked_for() {
    let mut session = session();
    host(&mut session, INITIALIZE);
    host(&mut session, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let other = Welcome { catalogue: "other".into(), ..welcome() };
    let changed = |actions: &[Action]| {
        answered(actions).iter().filter(|line| line["method"] == "notifications/tools/list_changed").count()
    };
    assert_eq!(changed(&session.connected(&other)), 1);
    session.lost(Loss::Crash);
    assert_eq!(changed(&session.connected(&other)), 0);
    assert_eq!(sent(&host(&mut session, r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#)).len(), 1);
}

#[test]
fn what_cannot_be_served_is_answered_at_once() {
    let mut session = session();
    host(&mut session, &call(1, "search"));
    let answers = answered(&session.unavailable("no program"));
    assert_eq!(answers[0]["result"]["isError"], true);
    assert!(answers[0]["result"]["content"][0]["text"].as_str().unwrap().contains("no program"));
    let unknown = answered(&host(&mut session, r#"{"jsonrpc":"2.0","id":2,"method":"logging/setLevel"}"#));
    assert_eq!(unknown[0]["error"]["code"], METHOD_NOT_FOUND);
    let nameless = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{}}"#;
    assert_eq!(answered(&host(&mut session, nameless))[0]["error"]["code"], INVALID_PARAMS);
}

#[test]
fn an_over_long_line_is_answered_with_its_id() {
    let head = br#"{"jsonrpc":"2.0","id":"seven","method":"tools/call","params":{"x":"aaaa"#.to_vec();
    let actions = session().host_frame(Frame::TooLong { head }, Instant::now());
    assert_eq!(answered(&actions)[0]["id"], "seven");
}

#[test]
fn ids_of_any_spelling_are_answered_as_they_were_written() {
    let mut session = session();
    connect(&mut session);
    for id in ["1.0", "1e2", "-0", "9223372036854775808", r#""a\u0062""#, r#""\/x""#] {
        let line = call(1, "search").replace("\"id\":1", &format!("\"id\":{id}"));
        let number = number(&host(&mut session, &line));
        let actions = session.daemon_line(response(&number).as_bytes());
        assert_eq!(actions, [Action::ToHost(response(id))]);
    }
}

#[test]
fn what_a_daemon_could_not_read_is_refused_here() {
    let mut session = session();
    connect(&mut session);
    let deep = format!(
        r#"{{"name":"mempalace_search","arguments":{{"query":{}{}}}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    for params in [
        "[]",
        "7",
        r#"{"name":"mempalace_status","_meta":[]}"#,
        r#"{"name":"mempalace_status","arguments":[]}"#,
        r#"{"name":"mempalace_status","arguments":"x"}"#,
        &deep,
    ] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let answers = answered(&host(&mut session, &line));
        assert_eq!(answers[0]["error"]["code"], INVALID_PARAMS, "{params}");
    }
    assert!(!session.has_pending());
}

#[test]
fn half_a_character_costs_no_request() {
    let mut session = session();
    connect(&mut session);
    let head = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"mempalace_search","arguments":{"query":""#;
    for half in [br"\ud800".as_slice(), b"\xff"] {
        let line = [head, half, br#""}}}"#].concat();
        let actions = session.host_frame(Frame::Line(line), Instant::now());
        let [Action::ToDaemon(sent)] = actions.as_slice() else { panic!("{actions:?}") };
        let sent: Value = serde_json::from_slice(sent).unwrap();
        assert_eq!(sent["params"]["arguments"]["query"], "\u{FFFD}");
        session.daemon_line(response(&sent["id"].to_string()).as_bytes());
    }
}

#[test]
fn a_write_has_its_key_whatever_meta_the_host_sent() {
    let mut session = session();
    connect(&mut session);
    for meta in ["null", "{}", r#"{"progressToken":1}"#] {
        let params = format!(r#"{{"name":"mempalace_add_drawer","_meta":{meta}}}"#);
        let line = format!(r#"{{"jsonrpc":"2.0","id":{meta:?},"method":"tools/call","params":{params}}}"#);
        assert!(sent(&host(&mut session, &line))[0].1.is_string(), "{meta}");
    }
}

#[test]
fn every_daemon_can_read_the_introduction() {
    for client in [
        r#""clientInfo":{}"#,
        r#""clientInfo":{"name":"h","version":1}"#,
        r#""capabilities":[]"#,
        r#""capabilities":{"roots":true},"clientInfo":7"#,
    ] {
        let mut session = session();
        let params = format!(r#"{{"protocolVersion":"2025-06-18",{client}}}"#);
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#);
        assert!(answered(&host(&mut session, &line))[0]["result"].is_object());
        let Action::ToDaemon(line) = &connect(&mut session)[0] else { panic!("a handshake") };
        let message: Value = serde_json::from_slice(line).unwrap();
        let params = &message["params"];
        assert!(params["clientInfo"]["name"].is_string() && params["clientInfo"]["version"].is_string());
        assert_eq!((&params["protocolVersion"], &params["capabilities"]), (&json!("2025-06-18"), &json!({})));
    }
}

#[test]
fn a_daemon_that_never_answered_the_handshake_saw_no_request() {
    let mut session = session();
    host(&mut session, &call(1, "add_drawer"));
    for _ in 0..5 {
        session.connected(&welcome());
        assert_eq!(session.lost(Loss::Crash), [Action::Connect]);
    }
    assert!(session.has_pending());
}

#[test]
fn an_answer_no_host_accepts_is_told_to_whom_it_belongs() {
    let mut session = session();
    connect(&mut session);
    let number = number(&host(&mut session, &call(1, "get_drawers")));
    let head = format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{"content":[{{"text":"aaaa"#);
    let answers = answered(&session.daemon_line_too_long(head.as_bytes()));
    assert_eq!((&answers[0]["id"], answers[0]["error"].is_object()), (&json!(1), true));
    assert!(!session.has_pending());
}

#[test]
fn requests_that_weigh_too_much_are_refused() {
    let mut session = session();
    let heavy = |id: usize| {
        let text = "x".repeat(IN_FLIGHT_LEN_BYTES_MAX / 4);
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"mempalace_status","arguments":{{"a":"{text}"}}}}}}"#
        )
    };
    let refused: Vec<bool> = (0..5).map(|id| !answered(&host(&mut session, &heavy(id))).is_empty()).collect();
    assert_eq!(refused, [false, false, false, true, true]);
}

/// A call of 2026-07-28 or before, with entries of `_meta`.
fn call_with_meta(id: u32, meta: &Value) -> String {
    let params = json!({"name": "mempalace_checkpoint", "arguments": {}, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
}

fn modern(id: &str, method: &str, params: Value) -> String {
    let mut params = params;
    params["_meta"] = json!({PROTOCOL_VERSION_META_KEY: MODERN_VERSION, CLIENT_CAPABILITIES_META_KEY: {}});
    let id: Value = serde_json::from_str(id).unwrap();
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

fn progress(number: &str, progress: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{number},"progress":{progress},"total":9}}}}"#
    )
}

#[test]
fn progress_reaches_the_host_under_its_own_token_and_never_goes_back() {
    let mut session = session();
    host(&mut session, INITIALIZE);
    connect(&mut session);
    let first = number(&host(&mut session, &call_with_meta(1, &json!({"progressToken": "mine"}))));
    let second = number(&host(&mut session, &call_with_meta(2, &json!({"progressToken": 1}))));
    let silent = number(&host(&mut session, &call_with_meta(3, &json!({}))));
    let mut heard = |number: &str, step: u32| {
        let heard = answered(&session.daemon_line(progress(number, step).as_bytes()));
        heard
            .first()
            .map(|line| (line["params"]["progressToken"].clone(), line["params"]["progress"].clone()))
    };
    assert_eq!(heard(&first, 0), Some((json!("mine"), json!(0))));
    assert_eq!(heard(&second, 1), Some((json!(1), json!(1))), "daemons know numbers, not tokens");
    assert_eq!(heard(&first, 3), Some((json!("mine"), json!(3))));
    assert_eq!(heard(&first, 3), None);
    assert_eq!(heard(&silent, 1), None);
    // The next daemon begins anew.
    session.lost(Loss::Crash);
    connect(&mut session);
    let mut heard =
        |number: &str, step: u32| answered(&session.daemon_line(progress(number, step).as_bytes())).len();
    assert_eq!((heard(&first, 1), heard(&first, 4)), (0, 1));
    // Nobody hears of what is answered or cancelled.
    session.daemon_line(response(&first).as_bytes());
    host(&mut session, r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#);
    for number in [&first, &second] {
        assert_eq!(session.daemon_line(progress(number, 8).as_bytes()), []);
    }
}

#[test]
fn a_stateless_host_hears_only_what_it_listens_to() {
    let mut newer = welcome();
    newer.catalogue = "other".into();
    // Without a subscription: nothing.
    let mut session = session();
    host(&mut session, &modern("1", "tools/list", json!({})));
    assert_eq!(answered(&session.connected(&newer)), Vec::<Value>::new());
    // With one: acknowledged first, told by its id, over daemons, answered at the end.
    let mut session = SessionState::new(Profile::Full, false, || "0".repeat(32));
    host(&mut session, &modern("1", "tools/list", json!({})));
    let asked = json!({"notifications": {"toolsListChanged": true, "promptsListChanged": true}});
    let opened = answered(&host(&mut session, &modern("\"l\"", "subscriptions/listen", asked.clone())));
    assert_eq!(opened[0]["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(opened[0]["params"]["notifications"], json!({"toolsListChanged": true}));
    let id = |line: &Value| line["params"]["_meta"][mcp::SUBSCRIPTION_ID_META_KEY].clone();
    assert_eq!(id(&opened[0]), "l");
    assert!(!session.has_pending(), "a subscription holds nothing up");
    let again = answered(&host(&mut session, &modern("\"l\"", "subscriptions/listen", asked.clone())));
    assert_eq!(again[0]["error"]["code"], INVALID_REQUEST);
    host(&mut session, &modern("2", "subscriptions/listen", json!({"notifications": {}})));
    host(&mut session, &modern("3", "subscriptions/listen", asked));
    host(&mut session, r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#);
    session.connected(&welcome());
    session.lost(Loss::Crash);
    let told = answered(&session.connected(&newer));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["method"], id(&told[0])), (&json!("notifications/tools/list_changed"), json!("l")));
    let ended = answered(&session.ended());
    let ids: Vec<&Value> = ended.iter().map(|line| &line["id"]).collect();
    assert_eq!(ids, [&json!("l"), &json!(2)]);
    assert_eq!(ended[0]["result"]["_meta"][mcp::SUBSCRIPTION_ID_META_KEY], "l");
    // It is no method of the older revisions, and needs its parameter.
    let plain = r#"{"jsonrpc":"2.0","id":8,"method":"subscriptions/listen","params":{"notifications":{}}}"#;
    assert_eq!(answered(&host(&mut session, plain))[0]["error"]["code"], METHOD_NOT_FOUND);
    let bare = answered(&host(&mut session, &modern("9", "subscriptions/listen", json!({}))));
    assert_eq!(bare[0]["error"]["code"], INVALID_PARAMS);
}

#[test]
fn lists_are_one_page() {
    let mut session = session();
    for method in LISTS {
        let line = |cursor: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"cursor":{cursor}}}}}"#)
        };
        assert!(answered(&host(&mut session, &line("null")))[0]["result"].is_object(), "{method}");
        for unknown in ["\"x\"", "\"\"", "7"] {
            let refused = answered(&host(&mut session, &line(unknown)));
            assert_eq!(refused[0]["error"]["code"], INVALID_PARAMS, "{method} {unknown}");
        }
    }
}
