//! Writes that may be stored although nobody answered: what the host is told, and what a repetition is.

use super::tests::{answered, call, connect, host, number, response, sent};
use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Keys that differ.
fn mint() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{:032x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn session() -> SessionState {
    let mut session = SessionState::new(Profile::Full, false, mint);
    connect(&mut session);
    session
}

fn key(actions: &[Action]) -> Value {
    sent(actions).last().unwrap().1.clone()
}

#[test]
fn a_write_that_was_sent_and_given_up_may_be_stored_and_is_repeated_under_its_key() {
    let mut session = session();
    let first = key(&host(&mut session, &call(1, "add_drawer")));
    host(&mut session, &call(2, "search"));
    session.lost(Loss::Crash);
    let told = answered(&session.unavailable("no program"));
    let text = told[0]["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("may be stored") && text.contains("no program"), "{text}");
    let error = json!({"retryable": false, "reason": "outcome_unknown"});
    assert_eq!(told[0]["result"]["_meta"][ERROR_META_KEY], error);
    let read = told[1]["result"]["content"][0]["text"].as_str().unwrap();
    assert!(read.contains("not available") && told[1]["result"]["_meta"].is_null(), "{read}");

    // Not sent at all this time, and in doubt as before.
    host(&mut session, &call(3, "add_drawer"));
    let again = answered(&session.unavailable("no program"));
    assert_eq!(again[0]["result"]["_meta"][ERROR_META_KEY], error);
    connect(&mut session);
    let other = key(&host(&mut session, &call(4, "delete_drawer")));
    let repeated = host(&mut session, &call(5, "add_drawer"));
    assert_eq!(key(&repeated), first);
    assert_ne!(other, first);
    // Answered, so the next one is a new one.
    session.daemon_line(response(&number(&repeated)).as_bytes());
    assert_ne!(key(&host(&mut session, &call(6, "add_drawer"))), first);
}

#[test]
fn a_write_that_no_daemon_had_is_not_stored() {
    let mut session = SessionState::new(Profile::Full, false, mint);
    host(&mut session, &call(1, "add_drawer"));
    let told = answered(&session.unavailable("no program"));
    assert!(told[0]["result"]["_meta"].is_null(), "{told:?}");
}

#[test]
fn a_write_that_ended_two_daemons_is_in_doubt_and_a_cancelled_repetition_leaves_it_so() {
    let mut session = session();
    let first = key(&host(&mut session, &call(1, "add_drawer")));
    session.lost(Loss::Crash);
    connect(&mut session);
    let told = answered(&session.lost(Loss::Crash));
    assert_eq!(told[0]["result"]["_meta"][ERROR_META_KEY]["reason"], OUTCOME_UNKNOWN);
    connect(&mut session);
    for id in [2, 3] {
        assert_eq!(key(&host(&mut session, &call(id, "add_drawer"))), first);
        let cancel = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        );
        host(&mut session, &cancel);
    }
}

#[test]
fn a_key_that_daemons_have_forgotten_is_used_no_more() {
    let mut doubtful = Doubtful::default();
    let digest = doubtful::Digest::of(&json!({"name": "x", "arguments": {}}));
    let now = Instant::now();
    let write = doubtful::KeyedCall { digest, key: "k".into(), since: now, is_doubtful: false };
    let day = std::time::Duration::from_secs(palace_protocol::limits::IDEMPOTENCY_KEEP_SECS);
    doubtful.remember(&write);
    assert!(doubtful.take(digest, now + day).is_none());
    doubtful.remember(&write);
    assert!(doubtful.take(digest, now + day / 2).is_some_and(|write| write.is_doubtful));
    assert!(doubtful.take(digest, now).is_none(), "it was taken");
}
