//! Every tool by itself with one client, and all of them mixed with eight, in a palace of a given size.

use std::time::Instant;

use palace_tests::Client;
use serde_json::{Value, json};

use crate::measure::{milliseconds, note, quantile, together, tool};
use crate::sizes::fill;
use crate::subject::{Ground, Subject};
use crate::table::{Table, say};

/// Rooms of the palace are called room0 to room6.
const ROOM_COUNT: usize = 7;
const MIX_CLIENTS: usize = 8;

/// One tool and how it is called for the `n`-th time.
struct Measured {
    tool: &'static str,
    arguments: fn(&Known, usize) -> Value,
}

/// What calls refer to.
struct Known {
    /// Ids of stored drawers.
    drawers: Vec<String>,
    /// Ids of drawers that are there to be removed; each is used once, then removing finds nothing.
    doomed: Vec<String>,
    tunnels: Vec<String>,
    event: String,
    artifact: String,
}

impl Known {
    fn doomed(&self, number: usize) -> &str {
        self.doomed.get(number).map_or("drawer_none", String::as_str)
    }
}

const fn measured(tool: &'static str, arguments: fn(&Known, usize) -> Value) -> Measured {
    Measured { tool, arguments }
}

/// Reads first; then writes, which change what reads would find.
const TOOLS: [Measured; 45] = [
    measured("status", |_, _| json!({})),
    measured("list_wings", |_, _| json!({})),
    measured("list_rooms", |_, _| json!({"wing": "bench"})),
    measured("get_taxonomy", |_, _| json!({})),
    measured("get_aaak_spec", |_, _| json!({})),
    measured("search", |_, n| json!({"query": note(n * 13 + 7), "limit": 5})),
    measured("check_duplicate", |_, n| json!({"content": note(n * 17 + 3)})),
    measured("get_drawer", |known, n| json!({"drawer_id": known.drawers[n % known.drawers.len()]})),
    measured("get_drawers", |known, _| json!({"drawer_ids": known.drawers})),
    measured("list_drawers", |_, n| json!({"wing": "bench", "offset": n * 7, "limit": 20})),
    measured("diary_read", |_, _| json!({"agent_name": "bench"})),
    measured("kg_query", |_, n| json!({"entity": format!("Person {}", n % 50)})),
    measured("kg_timeline", |_, n| json!({"limit": 20, "offset": n})),
    measured("kg_stats", |_, _| json!({})),
    measured("traverse", |_, _| json!({"start_room": "room1"})),
    measured("find_tunnels", |_, _| json!({})),
    measured("graph_stats", |_, _| json!({})),
    measured("list_tunnels", |_, _| json!({})),
    measured("list_hallways", |_, _| json!({})),
    measured("event_list", |_, n| json!({"stream": format!("project/{}", n % 5), "limit": 20})),
    measured("event_wait", |_, _| json!({"type": "note.left", "timeout_ms": 1, "limit": 5})),
    measured("artifact_get", |known, _| json!({"artifact_id": known.artifact})),
    measured("mesh_peers", |_, _| json!({})),
    measured("reconnect", |_, _| json!({})),
    measured("follow_tunnels", |_, _| json!({"wing": "bench", "room": "room1"})),
    measured("add_drawer", |_, n| json!({"wing": "bench", "room": "new", "content": note(3_000_000 + n)})),
    measured(
        "update_drawer",
        |known, n| json!({"drawer_id": known.drawers[n % known.drawers.len()], "room": format!("room{}", n % ROOM_COUNT)}),
    ),
    measured("diary_write", |_, n| json!({"agent_name": "bench", "entry": note(4_000_000 + n)})),
    measured(
        "checkpoint",
        |_, n| json!({"items": [{"wing": "bench", "room": "new", "content": note(5_000_000 + n)}]}),
    ),
    measured(
        "kg_add",
        |_, n| json!({"subject": format!("Person {}", n % 50), "predicate": "knows", "object": format!("Other {n}")}),
    ),
    measured("kg_supersede", |_, n| {
        json!({
            "subject": "Counter", "predicate": "is at", "old_object": format!("{n}"),
            "new_object": format!("{}", n + 1),
        })
    }),
    measured("create_tunnel", |_, n| {
        json!({
            "source_wing": "bench", "source_room": format!("room{}", n % 6), "target_wing": "bench",
            "target_room": format!("room{}", n % 6 + 1), "label": format!("label {n}"),
        })
    }),
    measured("event_append", |_, n| event(n)),
    measured(
        "event_ack",
        |known, _| json!({"event_id": known.event, "from_agent": "bob", "status": "claimed"}),
    ),
    measured("artifact_put", |_, n| json!({"kind": "note", "content": note(n), "created_by": "bench"})),
    measured("task_create", |_, n| {
        json!({
            "project": "bench", "from_agent": "ann", "to_agent": "bob", "goal": note(n), "branch": "main",
            "base_commit": "abcdef1", "done": "it is measured",
        })
    }),
    measured("patch_submit", |_, n| {
        json!({
            "content": format!("--- a/file\n+++ b/file\n@@ -1 +1 @@\n-old\n+{}\n", note(n)), "from_agent": "bob",
            "stream": format!("project/{}", n % 5),
        })
    }),
    measured("hook_settings", |_, n| json!({"desktop_toast": n % 2 == 0})),
    measured("memories_filed_away", |_, _| json!({})),
    measured(
        "kg_invalidate",
        |_, n| json!({"subject": format!("Person {}", n % 50), "predicate": "likes", "object": format!("Thing {n}")}),
    ),
    measured("delete_tunnel", |known, n| json!({"tunnel_id": known.tunnels[n % known.tunnels.len()]})),
    // Only mining makes hallways.
    measured("delete_hallway", |_, n| json!({"hallway_id": format!("hallway_none_{n}")})),
    measured("delete_drawer", |known, n| json!({"drawer_id": known.doomed(n * 2)})),
    measured("delete_drawers", |known, n| json!({"drawer_ids": [known.doomed(n * 2 + 1)]})),
    measured("delete_by_source", |_, n| json!({"source_file": format!("/bench/{n}.md"), "dry_run": false})),
];

fn event(number: usize) -> Value {
    json!({
        "type": "note.left", "stream": format!("project/{}", number % 5), "room": "talk", "from_agent": "ann",
        "to_agent": "bob", "body": note(number),
    })
}

/// Measures every tool, then the mix, with so many drawers, and so many facts, events and diary entries.
pub fn all(subject: &Subject, size: usize, records: usize, repeats: usize, table: &mut Table) {
    let ground = Ground::new();
    if !subject.lay_out(&ground) {
        say(&format!("  {}: filling a palace with {size} drawers", subject.name));
        fill(subject, &ground, 0, size);
    }
    let mut host = subject.start("bench", &ground);
    host.initialize();
    let known = prepare(&mut host, records, repeats);
    for measured in &TOOLS {
        // The first call may load what the others share.
        let mut times: Vec<f64> = (0..=repeats)
            .map(|number| {
                let arguments = (measured.arguments)(&known, number);
                let begun = Instant::now();
                let answer = tool(&mut host, measured.tool, &arguments);
                let time = milliseconds(begun);
                assert!(
                    answer.is_ok_and(|answer| answer["result"].is_object()),
                    "{} is answered",
                    measured.tool
                );
                time
            })
            .skip(1)
            .collect();
        for (name, share) in [("p50", 0.5), ("p95", 0.95)] {
            let row = format!("{size} drawers: {}, ms {name}", measured.tool);
            table.add(subject.name, &row, quantile(&mut times, share));
        }
    }
    drop(host);
    mix(subject, &ground, size, repeats, known, table);
}

fn prepare(host: &mut Client, records: usize, repeats: usize) -> Known {
    let mut call = |name: &str, arguments: Value| {
        let answer = tool(host, name, &arguments).expect("an answer");
        palace_tests::client::tool_json(&answer)
    };
    let id = |added: &Value| added["drawer_id"].as_str().expect("a drawer's id").to_owned();
    for number in 0..records {
        let fact = json!({
            "subject": format!("Person {}", number % 50), "predicate": "likes", "object": format!("Thing {number}"),
            "valid_from": format!("2026-01-{:02}", number % 28 + 1),
        });
        call("kg_add", fact);
        call("event_append", event(number));
        call("diary_write", json!({"agent_name": "bench", "entry": note(9_000_000 + number)}));
    }
    let mut drawers = Vec::new();
    for number in 0..20 {
        let kept = json!({"wing": "bench", "room": "room1", "content": note(6_000_000 + number)});
        drawers.push(id(&call("add_drawer", kept)));
    }
    let mut doomed = Vec::new();
    for number in 0..=repeats {
        for copy in 0..2 {
            let content = note(7_000_000 + number * 2 + copy);
            let added = call("add_drawer", json!({"wing": "bench", "room": "doomed", "content": content}));
            doomed.push(id(&added));
        }
        let content = note(7_500_000 + number);
        let source = format!("/bench/{number}.md");
        call(
            "add_drawer",
            json!({"wing": "bench", "room": "doomed", "content": content, "source_file": source}),
        );
    }
    // Every room is there even in a small palace.
    for room in 0..ROOM_COUNT {
        let kept = json!({"wing": "bench", "room": format!("room{room}"), "content": note(6_500_000 + room)});
        call("add_drawer", kept);
    }
    let tunnels = (0..ROOM_COUNT - 1)
        .map(|room| {
            let drawn = call(
                "create_tunnel",
                json!({
                    "source_wing": "bench", "source_room": format!("room{room}"), "target_wing": "bench",
                    "target_room": format!("room{}", room + 1), "label": "before",
                }),
            );
            drawn["id"].as_str().expect("a tunnel's id").to_owned()
        })
        .collect();
    call("diary_write", json!({"agent_name": "bench", "entry": "a first entry"}));
    let event = call("event_append", event(0))["event"]["id"].as_str().expect("an event's id").to_owned();
    let artifact = call("artifact_put", json!({"kind": "note", "content": "text", "created_by": "bench"}));
    let artifact = artifact["artifact"]["id"].as_str().expect("an artifact's id").to_owned();
    Known { drawers, doomed, tunnels, event, artifact }
}

/// Eight clients, each calling every tool in turn from another beginning. Writes that a client may not make are refused
/// by the peer; they count as answered.
fn mix(subject: &Subject, ground: &Ground, size: usize, repeats: usize, known: Known, table: &mut Table) {
    let mut hosts: Vec<Client> =
        (0..MIX_CLIENTS).map(|number| subject.start(&format!("mix{number}"), ground)).collect();
    for host in &mut hosts {
        host.initialize();
    }
    let calls = repeats.max(TOOLS.len());
    let times = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = std::sync::Arc::clone(&times);
    let known = std::sync::Arc::new(known);
    let (_, answered, seconds) = together(
        hosts,
        move |client, call, host| {
            let measured = &TOOLS[(client * TOOLS.len() / MIX_CLIENTS + call) % TOOLS.len()];
            let arguments = (measured.arguments)(&known, (client + 1) * 10_000 + call);
            let begun = Instant::now();
            let answered = tool(host, measured.tool, &arguments).is_ok();
            kept.lock().expect("no client panicked").push(milliseconds(begun));
            answered
        },
        calls,
    );
    let mut times = std::mem::take(&mut *times.lock().expect("no client panicked"));
    let what = format!("{size} drawers: mix of {} tools, {MIX_CLIENTS} clients", TOOLS.len());
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let rate = answered as f64 / seconds;
    table.add(subject.name, &format!("{what}, calls per s"), rate);
    for (name, share) in [("p50", 0.5), ("p95", 0.95)] {
        table.add(subject.name, &format!("{what}, ms {name}"), quantile(&mut times, share));
    }
}
