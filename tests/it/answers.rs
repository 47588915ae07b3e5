//! Answers that nobody is owed: second, late, unwanted, torn ones; and daemons with other tools. The daemon is a stand-in.

use palace_protocol::catalogue;
use palace_tests::stand_in::{StandIn, StandInSession, text};
use palace_tests::{Client, Sandbox};
use serde_json::{Value, json};

use crate::sandbox;

/// A host that has introduced itself, and the stand-in's side of its session.
fn session(sandbox: &Sandbox, stand_in: &StandIn) -> (Client, StandInSession, Value) {
    let mut host = sandbox.host("host");
    host.initialize();
    let mut session = stand_in.welcome(&catalogue::fingerprint());
    let initialize = session.introduced();
    (host, session, initialize)
}

/// Asks through everything that was sent before, so that whatever of it reaches the host has reached it.
fn settled(host: &mut Client, session: &mut StandInSession) {
    let call = host.send_call("status", &json!({}));
    let asked = session.heard();
    session.answer(&asked, &text("settled"));
    assert_eq!(host.answer(&json!(call))["result"]["content"][0]["text"], "settled");
}

/// Nothing has reached the host but what it was owed.
fn nothing_else(host: &Client) {
    let (twice, others) = (host.answered_twice(), &host.others);
    assert!(twice.is_empty() && others.is_empty(), "{twice:?}, {others:?}");
}

#[test]
fn an_answer_that_nobody_is_owed_reaches_no_host() {
    let sandbox = sandbox();
    let stand_in = StandIn::publish(&sandbox, "0a1b2c3d");
    let (mut host, mut session, initialize) = session(&sandbox, &stand_in);
    let call = host.send_call("list_wings", &json!({}));
    let asked = session.heard();
    session.answer(&asked, &text("first"));
    session.answer(&asked, &text("second"));
    session.answer(&initialize, &text("second handshake"));
    let number = asked["id"].as_u64().unwrap();
    // Numbers far from the next one's.
    let ids = [json!(number + 1_000), json!(-1), json!("x"), json!(number.to_string()), json!(null)];
    for id in ids {
        session.send(&json!({"jsonrpc": "2.0", "id": id, "result": text("unwanted")}));
        session.send(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": "unwanted"}}));
    }
    // Neither a question of the daemon's own nor a line that is no message.
    session.send(&json!({"jsonrpc": "2.0", "id": number, "method": "sampling/createMessage", "params": {}}));
    session.write(b"{\"jsonrpc\":\"2.0\",\"id\":\n\n[]\nnull\n\xff\xfe\n");
    assert_eq!(host.answer(&json!(call))["result"]["content"][0]["text"], "first");
    settled(&mut host, &mut session);
    nothing_else(&host);
}

#[test]
fn an_answer_to_a_cancelled_request_comes_too_late_for_it_and_for_its_id() {
    let sandbox = sandbox();
    let stand_in = StandIn::publish(&sandbox, "0a1b2c3d");
    let (mut host, mut session, _) = session(&sandbox, &stand_in);
    let call = host.send_call("list_wings", &json!({}));
    let first = session.heard();
    let cancel =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call}});
    host.write(format!("{cancel}\n").as_bytes());
    assert_eq!(
        session.heard()["params"]["requestId"],
        first["id"],
        "the daemon hears of it under its own number"
    );
    // The host uses the id again.
    let again = json!({"jsonrpc": "2.0", "id": call, "method": "tools/call",
                       "params": {"name": "mempalace_list_rooms", "arguments": {}}});
    host.write(format!("{again}\n").as_bytes());
    let second = session.heard();
    assert_ne!(second["id"], first["id"]);
    session.answer(&first, &text("of the cancelled one"));
    session.answer(&second, &text("of the second"));
    assert_eq!(host.answer(&json!(call))["result"]["content"][0]["text"], "of the second");
    settled(&mut host, &mut session);
    nothing_else(&host);
}

/// The first half of an answer went down with its connection; the next one brings the answer again, whole.
#[test]
fn half_an_answer_of_a_lost_connection_reaches_no_host() {
    let sandbox = sandbox();
    let stand_in = StandIn::publish(&sandbox, "0a1b2c3d");
    let (mut host, mut session, _) = session(&sandbox, &stand_in);
    let calls = [host.send_call("list_wings", &json!({})), host.send_call("list_rooms", &json!({}))];
    let asked = [session.heard(), session.heard()];
    session.answer(&asked[0], &text("whole"));
    let torn = json!({"jsonrpc": "2.0", "id": asked[1]["id"], "result": text("torn")}).to_string();
    session.write(&torn.as_bytes()[..torn.len() / 2]);
    assert_eq!(host.answer(&json!(calls[0]))["result"]["content"][0]["text"], "whole");
    drop(session);
    let mut session = stand_in.welcome(&catalogue::fingerprint());
    session.introduced();
    let again = session.heard();
    assert_eq!(again, asked[1], "what was not answered is asked again, under its number");
    // Answered long ago, to somebody else.
    session.answer(&asked[0], &text("late"));
    session.answer(&again, &text("the second time"));
    assert_eq!(host.answer(&json!(calls[1]))["result"]["content"][0]["text"], "the second time");
    settled(&mut host, &mut session);
    nothing_else(&host);
}

/// A daemon of another build has other tools: its hosts are told so once, and get its own list when they ask.
#[test]
fn another_catalogue_is_announced_once_and_its_own_list_given_out() {
    let sandbox = sandbox();
    let stand_in = StandIn::publish(&sandbox, "0a1b2c3d");
    let (mut host, mut session, _) = session(&sandbox, &stand_in);
    let own = host.request("tools/list", &json!({}));
    assert!(own["result"]["tools"].as_array().is_some_and(|tools| tools.len() > 40), "{own}");
    settled(&mut host, &mut session);
    nothing_else(&host);

    let fingerprint = catalogue::fingerprint();
    let mut serving = (stand_in, session);
    let builds = [("other", true), ("other", false), (fingerprint.as_str(), true), (&fingerprint, false)];
    for (number, (catalogue, is_news)) in builds.into_iter().enumerate() {
        drop(serving);
        let next = StandIn::publish(&sandbox, &format!("0000000{number}"));
        let call = host.send_call("list_wings", &json!({}));
        let mut connected = next.welcome(catalogue);
        connected.introduced();
        let asked = connected.heard();
        connected.answer(&asked, &text("of the next one"));
        host.answer(&json!(call));
        settled(&mut host, &mut connected);
        let news: Vec<Value> = host.others.drain(..).map(|line| line["method"].clone()).collect();
        let told = if is_news { vec![json!("notifications/tools/list_changed")] } else { Vec::new() };
        assert_eq!(news, told, "daemon {number}");
        let list = host.send("tools/list", &json!({}));
        if catalogue == "other" {
            let asked = connected.heard();
            assert_eq!(asked["method"], "tools/list");
            connected.answer(&asked, &json!({"tools": [{"name": "of_another_build", "inputSchema": {}}]}));
        }
        let list = host.answer(&json!(list));
        let is_others = list["result"]["tools"][0]["name"] == "of_another_build";
        assert_eq!(is_others, catalogue == "other", "daemon {number}: {list}");
        serving = (next, connected);
    }
    drop(serving);
}
