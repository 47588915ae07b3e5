//! Servers that are started only to be asked once and ended at once.

use std::time::Duration;

use serde_json::json;

use palace_tests::daemon;
use palace_tests::wait::{SOON, wait_for};

use crate::sandbox;

#[test]
fn a_probe_is_answered_without_a_daemon_and_leaves_nothing() {
    let sandbox = sandbox();
    for _ in 0..10 {
        let mut probe = sandbox.host("probe");
        let answer = probe.request("server/discover", &json!({}));
        assert!(
            answer["result"]["supportedVersions"].as_array().is_some_and(|versions| !versions.is_empty())
        );
        probe.close_stdin();
        daemon::terminate(probe.pid());
        assert!(probe.wait_exit(Duration::from_secs(5)).success());
    }
    assert_eq!(sandbox.daemons(), Vec::<u32>::new());
}

#[test]
fn a_daemon_survives_the_sibling_that_was_starting_it() {
    let sandbox = sandbox();
    for round in 0..5 {
        let mut sibling = sandbox.host("sibling");
        // Initializing begins the start of a daemon; the kill comes at whatever point that has reached.
        sibling.initialize();
        let started = wait_for("the sibling's daemon", SOON, || sandbox.daemons().first().copied());
        sibling.kill();
        let mut host = sandbox.host("host");
        host.initialize();
        host.add("wing", "room", &format!("round {round}"));
        assert_eq!(sandbox.daemons(), [started], "round {round}");
        drop(host);
        daemon::stop(&sandbox.palace());
    }
}
