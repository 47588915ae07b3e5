//! The daemon's own check of its palace: it comes when nobody calls, outlives daemons, and says what is wrong.

use std::time::Duration;

use serde_json::Value;

use palace_tests::wait::wait_for;
use palace_tests::{Sandbox, daemon};

use crate::sandbox;

const SOON: Duration = Duration::from_secs(30);

/// Starts a daemon that checks its palace as soon as nobody calls.
fn start(sandbox: &Sandbox) -> std::process::Child {
    let mut command = sandbox.palaced();
    let child = command.env("PALACE_SCRUB_QUIET_SECS", "0").spawn().unwrap();
    daemon::ready(&sandbox.palace());
    child
}

fn stop(sandbox: &Sandbox, mut child: std::process::Child) {
    daemon::stop(&sandbox.palace());
    child.wait().unwrap();
}

fn status(sandbox: &Sandbox) -> Value {
    let output = sandbox.palacectl(&["status", "--json"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn checked(sandbox: &Sandbox) -> Value {
    wait_for("a check", SOON, || Some(status(sandbox)).filter(|status| status["scrub"].is_object()))
}

#[test]
fn a_palace_nobody_uses_is_checked_once_and_every_daemon_knows() {
    let sandbox = sandbox();
    let child = start(&sandbox);
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("w", "r", "something to check");
    let first = checked(&sandbox);
    assert_eq!((&first["scrub"]["problem_count"], &first["state"]), (&0.into(), &"ready".into()), "{first}");
    drop(host);
    stop(&sandbox, child);
    let child = start(&sandbox);
    assert_eq!(status(&sandbox)["scrub"], first["scrub"]);
    stop(&sandbox, child);
}

#[test]
fn a_damaged_record_is_found_before_anybody_asks_for_it() {
    let sandbox = sandbox();
    let child = start(&sandbox);
    let mut host = sandbox.host("host");
    host.initialize();
    let id = host.add("w", "r", "a text in which a bit will flip");
    drop(host);
    stop(&sandbox, child);
    let database = redb::Database::open(sandbox.palace().join("palace.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    let rows = redb::TableDefinition::<&[u8], &[u8]>::new("rows");
    {
        let mut rows = txn.open_table(rows).unwrap();
        let key = 1u64.to_be_bytes();
        let mut value = rows.remove(key.as_slice()).unwrap().unwrap().value().to_vec();
        value[20] ^= 1;
        rows.insert(key.as_slice(), value.as_slice()).unwrap();
        let settings = redb::TableDefinition::<&[u8], &[u8]>::new("settings");
        // The last check is forgotten: the next one is due at once.
        txn.open_table(settings).unwrap().remove(b"scrub".as_slice()).unwrap();
    }
    txn.commit().unwrap();
    drop(database);
    let child = start(&sandbox);
    let found = checked(&sandbox);
    assert_eq!(found["state"], "degraded", "{found}");
    let error = found["last_error"].as_str().unwrap();
    assert!(error.contains("palacectl repair"), "{error}");
    assert!(found["scrub"]["problems"].to_string().contains(&id), "{found}");
    stop(&sandbox, child);
}
