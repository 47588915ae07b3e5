//! One host: it files, changes, deletes and searches, keeps books of what was acknowledged, and starts a new server
//! when its own was killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use palace_tests::{Client, Sandbox};
use serde_json::{Value, json};

use crate::Dice;
use crate::books::{Books, Fate};

/// Longest wait for one answer: the time a proxy waits for a daemon, and some.
const PATIENCE: Duration = Duration::from_secs(45);

/// Works until told that it is over; returns the books, and the host with the server it ended up with.
pub fn run(sandbox: &Sandbox, number: usize, seed: u64, over: &AtomicBool) -> (Books, Client) {
    let mut worker = Worker {
        number,
        dice: Dice(seed ^ (number as u64) << 32),
        books: Books::default(),
        host: start(sandbox, number),
        filed: Vec::new(),
        count: 0,
    };
    while !over.load(Ordering::SeqCst) {
        worker.step(sandbox);
    }
    worker.books.answered_twice(&worker.host);
    (worker.books, worker.host)
}

fn start(sandbox: &Sandbox, number: usize) -> Client {
    let mut host = sandbox.host(&format!("host{number}"));
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {},
                        "clientInfo": {"name": format!("host{number}"), "version": "1"}});
    // A server that is killed before it answers is noticed by the next call.
    if host.try_send("initialize", &params).is_some() {
        host.try_write(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    }
    host
}

struct Worker {
    number: usize,
    dice: Dice,
    books: Books,
    host: Client,
    /// Drawers that are there for sure: id and text.
    filed: Vec<(String, String)>,
    count: u64,
}

impl Worker {
    fn step(&mut self, sandbox: &Sandbox) {
        match self.dice.below(10) {
            0..5 => self.add(sandbox),
            5 => self.delete(sandbox),
            6..8 => self.search(sandbox),
            8 => drop(self.call(sandbox, "status", &json!({}))),
            _ => drop(self.call(sandbox, "list_drawers", &json!({"limit": 20}))),
        }
        // Hosts are killed too: by themselves, so that nobody else's books are wrong.
        if self.dice.below(120) == 0 {
            self.books.killed_hosts += 1;
            self.replace(sandbox);
        }
    }

    /// Calls a tool; `None` when the server or the daemon could not answer.
    fn call(&mut self, sandbox: &Sandbox, tool: &str, arguments: &Value) -> Option<Value> {
        self.books.calls += 1;
        let params = json!({"name": format!("mempalace_{tool}"), "arguments": arguments});
        let answer = self
            .host
            .try_send("tools/call", &params)
            .and_then(|id| self.host.answer_within(&json!(id), PATIENCE).ok());
        let Some(answer) = answer else {
            self.books.silent.push(format!("host {} to {tool}", self.number));
            self.replace(sandbox);
            return None;
        };
        let failed = answer["result"]["isError"] == true || answer["error"].is_object();
        if failed {
            self.books.failed(&answer);
            return None;
        }
        Some(palace_tests::client::tool_json(&answer))
    }

    /// Kills the server, which nobody waits for, and starts the next one.
    fn replace(&mut self, sandbox: &Sandbox) {
        self.host.kill();
        // What it wrote before is read to the end: a second answer may be among it.
        self.host.wait_stdout_end(PATIENCE);
        self.books.answered_twice(&self.host);
        self.host = start(sandbox, self.number);
    }

    fn add(&mut self, sandbox: &Sandbox) {
        self.count += 1;
        let text = format!("host {} wrote number {} of its own", self.number, self.count);
        let arguments = json!({"wing": "soak", "room": format!("room{}", self.number), "content": text});
        let answer = self.call(sandbox, "add_drawer", &arguments);
        match answer.as_ref().and_then(|answer| answer["drawer_id"].as_str()) {
            Some(id) => {
                self.filed.push((id.to_owned(), text.clone()));
                self.books.enter(text, Fate::There);
            }
            None => self.books.enter(text, Fate::Unknown),
        }
    }

    fn delete(&mut self, sandbox: &Sandbox) {
        if self.filed.is_empty() {
            return;
        }
        let victim = usize::try_from(self.dice.below(self.filed.len() as u64)).unwrap_or_default();
        let (id, text) = self.filed.swap_remove(victim);
        let deleted = self.call(sandbox, "delete_drawer", &json!({"drawer_id": id}));
        let fate =
            if deleted.is_some_and(|answer| answer["success"] == true) { Fate::Gone } else { Fate::Unknown };
        self.books.enter(text, fate);
    }

    /// What was acknowledged is found at once, whoever serves.
    fn search(&mut self, sandbox: &Sandbox) {
        let Some((id, text)) = self.filed.last().cloned() else { return };
        let found = self.call(sandbox, "get_drawer", &json!({"drawer_id": id}));
        if found.is_some_and(|drawer| drawer["content"] != text.as_str()) {
            self.books.missed.push(text.clone());
        }
        self.call(sandbox, "search", &json!({"query": text, "limit": 5}));
    }
}
