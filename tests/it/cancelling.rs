//! A host that changes its mind: what it cancels is not done, and holds nothing up.

use palace_tests::Client;
use serde_json::{Value, json};

use crate::sandbox;

fn cancel(host: &mut Client, id: u64) {
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    host.write(format!("{cancelled}\n").as_bytes());
}

#[test]
fn cancelled_writes_are_not_done_and_the_next_one_is() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    let items: Vec<Value> = (0..500)
        .map(|number| json!({"wing": "w", "room": "r", "content": format!("passage {number}")}))
        .collect();
    let arguments = json!({"items": items, "dedup_threshold": 2});
    let params =
        json!({"name": "mempalace_checkpoint", "arguments": arguments, "_meta": {"progressToken": 7}});
    let long = host.send("tools/call", &params);
    let waiting = host.send_call("add_drawer", &json!({"wing": "w", "room": "r", "content": "never filed"}));
    // The long one is at work, the other waits for its turn.
    let heard = host.other();
    assert_eq!(
        (&heard["method"], &heard["params"]["total"]),
        (&json!("notifications/progress"), &json!(500.0))
    );
    cancel(&mut host, waiting);
    cancel(&mut host, long);
    host.add("w", "r", "filed after all");
    assert_eq!(host.call("status", &json!({}))["total_drawers"], 1);
    assert_eq!(host.found("never filed"), ["filed after all"]);
}
