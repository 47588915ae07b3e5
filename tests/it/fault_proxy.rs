//! Proxies that are killed, suspended or cut off at every named point between their host and the daemon: nobody else
//! notices, nothing is written twice, and no second daemon is started.

use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Askers, Client, Sandbox, daemon};
use serde_json::{Value, json};

use crate::sandbox;

/// Every point of a proxy whose daemon serves. The first two lines each way are the handshake's, and a daemon answers one.
const POINTS: [&str; 5] =
    ["proxy.connect", "proxy.connected", "proxy.greeted", "proxy.forward@3", "proxy.answer@2"];
/// Every point of a proxy that starts a daemon; it holds the starters' lock at all of them.
const START_POINTS: [&str; 3] = ["starter.locked", "starter.launch", "starter.spawned"];

/// Makes a failpoint of a point, which may say how often it is passed before.
fn failpoint(point: &str, action: &str) -> (String, String) {
    match point.split_once('@') {
        Some((name, passes)) => (name.to_owned(), format!("{name}={action}@{passes}")),
        None => (point.to_owned(), format!("{point}={action}")),
    }
}

/// Introduces a host whose server may be gone before it has answered, and lets it file a text.
fn file(host: &mut Client, text: &str) -> Option<u64> {
    let client = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "h", "version": "1"}});
    host.try_send("initialize", &client)?;
    let arguments = json!({"wing": "wing", "room": "room", "content": text});
    host.try_send("tools/call", &json!({"name": "mempalace_add_drawer", "arguments": arguments}))
}

fn copies(host: &mut Client, text: &str) -> usize {
    host.found(text).iter().filter(|found| found.as_str() == text).count()
}

/// A host that is not the one things happen to, its daemon, and the daemon's process.
fn served(sandbox: &Sandbox) -> (Client, u32) {
    let mut bystander = sandbox.host("bystander");
    bystander.initialize();
    bystander.add("wing", "room", "of the bystander");
    (bystander, daemon::ready(&sandbox.palace()).pid)
}

#[test]
fn a_proxy_killed_anywhere_costs_its_own_host_alone() {
    for (point, action) in POINTS.into_iter().flat_map(|point| [(point, "kill"), (point, "exit")]) {
        let sandbox = sandbox();
        let (mut bystander, pid) = served(&sandbox);
        let (name, list) = failpoint(point, action);
        let mut host = sandbox.breaking_host("host", &list);
        file(&mut host, "through a killed proxy");
        wait_until("the proxy at its point", SOON, || sandbox.reached(&name));
        host.wait_stdout_end(SOON);
        // Its answer was on the way: it is written. Before that nothing was given to the daemon.
        let written = usize::from(name == "proxy.answer");
        assert_eq!(copies(&mut bystander, "through a killed proxy"), written, "{list}");
        // The host starts its server again and asks once more.
        let mut again = sandbox.host("again");
        again.initialize();
        again.add("wing", "room", "through a killed proxy");
        assert_eq!(copies(&mut bystander, "through a killed proxy"), 1, "{list}");
        assert_eq!(bystander.call("status", &json!({}))["total_drawers"], 2, "{list}");
        assert_eq!(sandbox.daemons(), [pid], "{list}");
    }
}

#[test]
fn a_starter_killed_anywhere_leaves_the_way_open() {
    for (point, action) in START_POINTS.into_iter().flat_map(|point| [(point, "kill"), (point, "exit")]) {
        let sandbox = sandbox();
        let mut host = sandbox.breaking_host("host", &format!("{point}={action}"));
        file(&mut host, "never sent");
        wait_until("the starter at its point", SOON, || sandbox.reached(point));
        host.wait_stdout_end(SOON);
        let (mut bystander, pid) = served(&sandbox);
        assert_eq!(copies(&mut bystander, "never sent"), 0, "{point}={action}");
        assert_eq!(sandbox.daemons(), [pid], "{point}={action}");
    }
}

#[test]
fn a_suspended_proxy_holds_up_nobody_and_goes_on() {
    for point in POINTS {
        let sandbox = sandbox();
        let (mut bystander, pid) = served(&sandbox);
        let (name, list) = failpoint(point, "pause");
        let mut host = sandbox.breaking_host("host", &list);
        let call = file(&mut host, "through a suspended proxy").expect("it reads");
        wait_until("the proxy at its point", SOON, || sandbox.reached(&name));
        bystander.add("wing", "room", "meanwhile");
        let mut late = sandbox.host("late");
        late.initialize();
        assert_eq!(copies(&mut late, "meanwhile"), 1, "{point}");
        sandbox.release(&name);
        assert_eq!(host.answer(&json!(call))["result"]["isError"], Value::Null, "{point}");
        assert_eq!(copies(&mut bystander, "through a suspended proxy"), 1, "{point}");
        assert_eq!(sandbox.daemons(), [pid], "{point}");
    }
}

#[test]
fn a_suspended_starter_is_waited_for_and_not_doubled() {
    for point in START_POINTS {
        let sandbox = sandbox();
        let mut host = sandbox.breaking_host("host", &format!("{point}=pause"));
        let call = file(&mut host, "of the starter").expect("it reads");
        wait_until("the starter at its point", SOON, || sandbox.reached(point));
        // Its daemon may have been started; nobody starts another beside it.
        let mut others = Askers::start(&sandbox, 4);
        let _others = if point == "starter.spawned" {
            // It listens already: whoever comes needs no starter.
            let pid = daemon::ready(&sandbox.palace()).pid;
            let others = others.served(SOON);
            assert_eq!(sandbox.daemons(), [pid]);
            sandbox.release(point);
            others
        } else {
            let early = others.first_answer(std::time::Duration::from_millis(500));
            assert!(early.is_err() && sandbox.daemons().is_empty(), "{point}: {early:?}");
            sandbox.release(point);
            others.served(SOON)
        };
        assert_eq!(host.answer(&json!(call))["result"]["isError"], Value::Null, "{point}");
        assert_eq!(sandbox.daemons().len(), 1, "{point}");
        let log = std::fs::read_to_string(sandbox.palace().join(".daemon/log/daemon.log")).unwrap();
        assert_eq!(log.matches(" starts, pid ").count(), 1, "{point}: {log}");
    }
}

/// A diary entry's id holds the time: a write that was carried out twice would be there twice.
#[test]
fn a_connection_that_fails_anywhere_costs_no_answer_and_doubles_nothing() {
    for point in POINTS {
        let sandbox = sandbox();
        let (mut bystander, pid) = served(&sandbox);
        let (name, list) = failpoint(point, "error");
        let mut host = sandbox.breaking_host("host", &list);
        host.initialize();
        let written = host.call("diary_write", &json!({"agent_name": "ada", "entry": "over a broken line"}));
        assert_eq!(written["success"], true, "{point}: {written}");
        assert!(sandbox.reached(&name), "{point}");
        let read = bystander.call("diary_read", &json!({"agent_name": "ada"}));
        assert_eq!(read["entries"].as_array().map(Vec::len), Some(1), "{point}: {read}");
        assert_eq!(sandbox.daemons(), [pid], "{point}: a broken line is no reason for another daemon");
    }
}

/// The daemon goes while its proxy is suspended: before the request was forwarded, and with the answer in its hand.
#[test]
fn a_daemon_that_dies_beside_a_suspended_proxy_has_written_once() {
    for point in ["proxy.forward@3", "proxy.answer@2"] {
        let sandbox = sandbox();
        let (mut bystander, pid) = served(&sandbox);
        let (name, list) = failpoint(point, "pause");
        let mut host = sandbox.breaking_host("host", &list);
        host.initialize();
        let entry = json!({"agent_name": "ada", "entry": "beside a dying daemon"});
        let call = host.send_call("diary_write", &entry);
        wait_until("the proxy at its point", SOON, || sandbox.reached(&name));
        daemon::kill(pid);
        wait_until("the daemon's end", SOON, || !sandbox.daemons().contains(&pid));
        sandbox.release(&name);
        let answer = host.answer(&json!(call));
        assert_eq!(palace_tests::client::tool_json(&answer)["success"], true, "{point}: {answer}");
        let read = bystander.call("diary_read", &json!({"agent_name": "ada"}));
        assert_eq!(read["entries"].as_array().map(Vec::len), Some(1), "{point}: {read}");
        host.close_stdin();
        host.wait_stdout_end(SOON);
        assert_eq!(host.answered_twice(), [""; 0], "{point}");
        assert_eq!(sandbox.daemons().len(), 1, "{point}");
    }
}
