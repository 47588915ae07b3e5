//! The daemon killed at any point of many writes: what was acknowledged is there once, what was not is there at most
//! once, and the same sessions go on.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use palace_tests::wait::{SOON, wait_for};
use palace_tests::{Client, daemon};

use crate::sandbox;

/// Rounds, and in the long mode.
const ROUND_COUNT: (usize, usize) = (30, 300);
const WRITE_COUNT: usize = 200;
/// Calls that a host keeps open at once.
const PIPELINE_COUNT: usize = 4;
/// How long a proxy waits for the next daemon at most; in the middle of all rounds it takes far less.
const RESUMED_MAX: Duration = Duration::from_secs(30);
/// What the middle of all rounds keeps to.
const RESUMED_USUALLY: Duration = Duration::from_secs(5);

/// A small generator with a fixed seed: the same points in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What came of a round.
struct Written {
    /// The texts that were acknowledged, with the ids they got.
    acknowledged: Vec<(String, String)>,
    /// From the kill to the first answer to a call that was made after it.
    resumed: Option<Duration>,
}

/// Writes `texts` through a pipeline. The daemon is killed when `kill_after` of them are acknowledged.
fn write(host: &mut Client, texts: &[String], kill_after: usize, palace: &std::path::Path) -> Written {
    let mut acknowledged = Vec::new();
    let mut open: Vec<(u64, &String)> = Vec::new();
    let mut waiting = texts.iter();
    let mut killed: Option<(Instant, u64)> = None;
    let mut resumed = None;
    loop {
        while open.len() < PIPELINE_COUNT
            && let Some(text) = waiting.next()
        {
            open.push((
                host.send_call("add_drawer", &json!({"wing": "wing", "room": "crash", "content": text})),
                text,
            ));
        }
        if acknowledged.len() >= kill_after
            && killed.is_none()
            && let Some((newest, _)) = open.last()
        {
            let pid = wait_for("a daemon to kill", SOON, || daemon::record(palace)).pid;
            daemon::kill(pid);
            killed = Some((Instant::now(), *newest));
        }
        if open.is_empty() {
            return Written { acknowledged, resumed };
        }
        let (id, text) = open.remove(0);
        let answer = host.answer(&json!(id));
        if let Some((at, newest)) = killed
            && id > newest
        {
            resumed.get_or_insert(at.elapsed());
        }
        let result = palace_tests::client::tool_json(&answer);
        assert_eq!(result["success"], true, "{answer}");
        // The same text is filed once: a write that was sent again under its key is answered as the first was.
        assert_eq!(result["reason"], Value::Null, "{answer}");
        acknowledged.push((text.clone(), result["drawer_id"].as_str().unwrap().to_owned()));
    }
}

#[test]
fn acknowledged_writes_survive_kills_exactly_once() {
    let sandbox = sandbox();
    let palace = sandbox.palace();
    let mut random = Random(7);
    let mut hosts = [sandbox.host("left"), sandbox.host("right")];
    for host in &mut hosts {
        host.initialize();
        host.call("status", &json!({}));
    }
    let mut acknowledged = Vec::new();
    let mut resumptions = Vec::new();
    let round_count = palace_tests::rounds(ROUND_COUNT);
    for round in 0..round_count {
        let kills = [random.below((WRITE_COUNT / 2) as u64), WRITE_COUNT as u64 * 2];
        let writers: Vec<_> = hosts
            .into_iter()
            .zip(kills)
            .enumerate()
            .map(|(side, (mut host, kill_after))| {
                let palace = palace.clone();
                std::thread::spawn(move || {
                    let texts: Vec<String> = (0..WRITE_COUNT / 2)
                        .map(|number| format!("round {round} side {side} text {number}"))
                        .collect();
                    let kill_after = usize::try_from(kill_after).unwrap();
                    let done = write(&mut host, &texts, kill_after, &palace);
                    (host, done)
                })
            })
            .collect();
        let mut results = writers.into_iter().map(|writer| writer.join().unwrap());
        let ((left, left_done), (right, right_done)) = (results.next().unwrap(), results.next().unwrap());
        for done in [left_done, right_done] {
            acknowledged.extend(done.acknowledged);
            resumptions.extend(done.resumed);
        }
        hosts = [left, right];
    }
    let ids: BTreeSet<&String> = acknowledged.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), acknowledged.len());
    let [host, _] = &mut hosts;
    let ids: Vec<&String> = ids.into_iter().collect();
    for ids in ids.chunks(500) {
        let read = host.call("get_drawers", &json!({"drawer_ids": ids}));
        assert_eq!((&read["count"], &read["errors"]), (&json!(ids.len()), &json!(0)));
    }
    assert_eq!(host.call("status", &json!({}))["total_drawers"], round_count * WRITE_COUNT);
    assert_eq!(sandbox.daemons().len(), 1);
    resumptions.sort_unstable();
    let (middle, longest) = (resumptions[resumptions.len() / 2], resumptions[resumptions.len() - 1]);
    assert!(resumptions.len() * 2 > round_count, "{} of {round_count} kills were watched", resumptions.len());
    assert!(middle <= RESUMED_USUALLY && longest <= RESUMED_MAX, "{middle:?} usually, {longest:?} once");
}
