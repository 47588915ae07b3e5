//! Hosts that leave in the middle: of a request, of an answer, of a pipeline. What they asked for is done once or not at
//! all, what was answered is done, and nobody beside them notices.

use std::io::{Read, Write};
use std::process::Stdio;

use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, daemon};
use serde_json::{Value, json};

use crate::sandbox;

/// Hosts that leave, one after another.
const LEAVING_COUNT: usize = 24;

#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// Its server is killed with the request on its way.
    Killed,
    /// It hangs up at once.
    HungUp,
    /// It takes the request back and hangs up.
    Cancelled,
}

#[test]
fn a_write_of_a_host_that_left_is_there_once_or_not_at_all() {
    let sandbox = sandbox();
    let mut bystander = sandbox.host("bystander");
    bystander.initialize();
    bystander.add("wing", "room", "of the bystander");
    let record = daemon::ready(&sandbox.palace());
    for number in 0..LEAVING_COUNT {
        let mut host = sandbox.host("leaving");
        host.initialize();
        if number % 2 == 0 {
            host.call("list_wings", &json!({}));
        }
        let entry = json!({"agent_name": "ada", "entry": format!("of host {number}")});
        let call = host.send_call("diary_write", &entry);
        match [Leaving::Killed, Leaving::HungUp, Leaving::Cancelled][number % 3] {
            Leaving::Killed => host.kill(),
            Leaving::HungUp => host.close_stdin(),
            Leaving::Cancelled => {
                let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call}});
                host.write(format!("{cancelled}\n").as_bytes());
                host.close_stdin();
            }
        }
        let answer = host.answer_within(&json!(call), SOON).ok();
        host.wait_stdout_end(SOON);
        let count = entries(&mut bystander, number);
        match &answer {
            Some(answer) => {
                assert_eq!((count, &answer["result"]["isError"]), (1, &Value::Null), "{number}: {answer}")
            }
            None => assert!(count <= 1, "{number}: {count}"),
        }
        bystander.add("wing", "room", &format!("beside host {number}"));
    }
    assert_eq!(
        bystander.call("status", &json!({}))["total_drawers"].as_u64().map(|rows| rows > 24),
        Some(true)
    );
    assert_eq!(daemon::ready(&sandbox.palace()), record, "the daemon served all the while");
}

/// How often that host's entry is in the diary.
fn entries(reader: &mut Client, number: usize) -> usize {
    let read = reader.call("diary_read", &json!({"agent_name": "ada", "last_n": 100}));
    let wanted = format!("of host {number}");
    let entries = read["entries"].as_array().cloned().unwrap_or_default();
    entries.iter().filter(|entry| entry["content"] == wanted.as_str()).count()
}

#[test]
fn a_pipeline_is_answered_to_its_end_after_the_host_hung_up() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.call("list_wings", &json!({}));
    let calls: Vec<u64> = (0..20)
        .map(|number| {
            let text = format!("number {number} of a pipeline");
            host.send_call("add_drawer", &json!({"wing": "wing", "room": "room", "content": text}))
        })
        .collect();
    host.close_stdin();
    for call in calls {
        assert_eq!(palace_tests::client::tool_json(&host.answer(&json!(call)))["success"], true);
    }
    assert!(host.wait_exit(SOON).success());
    let mut next = sandbox.host("next");
    next.initialize();
    assert_eq!(next.call("status", &json!({}))["total_drawers"], 20);
}

/// The answer is larger than any pipe, and its reader goes after the first bytes of it.
#[test]
fn a_reader_that_leaves_in_the_middle_of_an_answer_ends_its_server_alone() {
    let sandbox = sandbox();
    let mut bystander = sandbox.host("bystander");
    bystander.initialize();
    let id = bystander.add("wing", "room", &"a long text ".repeat(8_000));
    let record = daemon::ready(&sandbox.palace());
    for _ in 0..5 {
        let mut command = sandbox.command(&sandbox.programs().palace_mcp);
        command.arg("--palace").arg(sandbox.palace()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut stdin = server.stdin.take().unwrap();
        let arguments = json!({"drawer_ids": vec![id.as_str(); 20]});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                          "params": {"name": "mempalace_get_drawers", "arguments": arguments}});
        writeln!(stdin, "{call}").unwrap();
        let mut stdout = server.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 4_096]).unwrap();
        drop(stdout);
        // Its stdin stays open: it ends over the reader that is gone.
        wait_until("the server's end", SOON, || server.try_wait().unwrap().is_some());
        bystander.add("wing", "room", "beside it");
    }
    assert_eq!(daemon::ready(&sandbox.palace()), record);
}
