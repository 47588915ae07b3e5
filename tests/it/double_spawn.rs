//! The double spawn of a desktop host, in compressed time: a second server while the first lives, and servers that are
//! started again after everything had ended.

use std::time::Duration;

use serde_json::json;

use palace_tests::{Client, daemon, rounds};

use crate::sandbox;

/// Writes of each server.
const WRITE_COUNT: usize = 500;
/// When a desktop's second server comes after the first, in seconds, and in the long mode: at any time of it.
const SECOND_AFTER_SECS: [(usize, usize); 3] = [(0, 1), (0, 70), (0, 120)];

fn write(mut host: Client, room: &'static str) -> std::thread::JoinHandle<(Client, Vec<String>)> {
    std::thread::spawn(move || {
        let ids =
            (0..WRITE_COUNT).map(|number| host.add("wing", room, &format!("{room} note {number}"))).collect();
        (host, ids)
    })
}

fn all_there(host: &mut Client, ids: &[String]) {
    for ids in ids.chunks(500) {
        let read = host.call("get_drawers", &json!({"drawer_ids": ids}));
        assert_eq!((&read["count"], &read["errors"]), (&json!(ids.len()), &json!(0)));
    }
}

#[test]
fn two_servers_of_one_host_are_two_clients() {
    let sandbox = sandbox();
    let mut first = sandbox.host("first");
    first.initialize();
    let first_tools = first.request("tools/list", &json!({}));
    // The first is at work when the second comes.
    let first = write(first, "first");
    let mut second = sandbox.host("second");
    second.initialize();
    assert_eq!(second.request("tools/list", &json!({}))["result"], first_tools["result"]);
    let writers = [first, write(second, "second")];
    let [(mut first, first_ids), (mut second, second_ids)] = writers.map(|writer| writer.join().unwrap());
    let ids = [first_ids, second_ids].concat();
    all_there(&mut first, &ids);
    first.kill();
    // The second server never notices the end of the first.
    second.add("wing", "after", "still here");
    all_there(&mut second, &ids);
    assert_eq!(second.call("status", &json!({}))["total_drawers"], ids.len() + 1);
    assert_eq!(sandbox.daemons().len(), 1);
}

#[test]
fn a_second_server_may_come_much_later() {
    for after in SECOND_AFTER_SECS.map(rounds) {
        let sandbox = sandbox();
        let mut first = sandbox.host("first");
        first.initialize();
        let id = first.add("wing", "room", "of the first");
        // Nothing is asked meanwhile, and nothing answers.
        let idle = first.answer_within(&json!("nothing"), Duration::from_secs(after as u64));
        assert!(idle.is_err());
        let mut second = sandbox.host("second");
        second.initialize();
        all_there(&mut second, &[id]);
        first.kill();
        second.add("wing", "room", "of the second");
        assert_eq!(second.call("status", &json!({}))["total_drawers"], 2);
        assert_eq!(sandbox.daemons().len(), 1);
    }
}

#[test]
fn servers_started_after_a_shutdown_find_everything() {
    let sandbox = sandbox();
    let mut ids = Vec::new();
    for generation in 0..3 {
        let mut first = sandbox.host("first");
        first.initialize();
        ids.push(first.add("wing", "again", &format!("generation {generation}")));
        let mut second = sandbox.host("second");
        second.initialize();
        first.kill();
        ids.push(second.add("wing", "again", &format!("generation {generation}, second server")));
        all_there(&mut second, &ids);
        drop(second);
        daemon::stop(&sandbox.palace());
    }
}
