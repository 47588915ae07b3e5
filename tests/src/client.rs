//! An MCP host: a spawned proxy, its pipes, and what it has answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::wait::{SOON, wait_for};

/// A host with one spawned server. The server is killed when dropped.
pub struct Client {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    next_id: u64,
    early: BTreeMap<String, Value>,
    /// Ids whose answers were handed out, as JSON.
    answered: BTreeSet<String>,
    /// Ids that were answered more than once, as JSON.
    twice: Vec<String>,
    /// Notifications and id-less answers, in order.
    pub others: Vec<Value>,
    /// Every line, once asked for.
    recorded: Option<Vec<Value>>,
}

impl Client {
    /// Starts a server with pipes.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Nobody reads it, and a server that fills the pipe would stop.
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} starts: {error}"));
        let stdout = child.stdout.take().expect("stdout was piped");
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Self {
            name: name.to_owned(),
            child,
            stdin,
            lines,
            next_id: 0,
            early: BTreeMap::new(),
            answered: BTreeSet::new(),
            twice: Vec::new(),
            others: Vec::new(),
            recorded: None,
        }
    }

    /// Keeps every line from now on.
    pub fn record(&mut self) {
        self.recorded = Some(Vec::new());
    }

    /// Returns the lines that were kept.
    pub fn recorded(&mut self) -> Vec<Value> {
        self.recorded.take().unwrap_or_default()
    }

    fn keep(&mut self, line: &Value) {
        if let Some(recorded) = &mut self.recorded {
            recorded.push(line.clone());
        }
    }

    /// Returns the server's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes bytes as they are.
    ///
    /// # Panics
    /// When the server has closed its stdin.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("the server reads its stdin");
    }

    /// Writes bytes to a server that may be gone; tells whether they were taken.
    pub fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.stdin.as_mut().is_some_and(|stdin| stdin.write_all(bytes).and_then(|()| stdin.flush()).is_ok())
    }

    /// Sends a request to a server that may be gone; returns its id if it was taken.
    pub fn try_send(&mut self, method: &str, params: &Value) -> Option<u64> {
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
        self.try_write(format!("{request}\n").as_bytes()).then_some(self.next_id)
    }

    /// Sends a request and returns its id.
    pub fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        self.write(
            format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
                .as_bytes(),
        );
        id
    }

    /// Waits for the answer to a request.
    ///
    /// # Panics
    /// When it does not come in time, stdout ends, or a request was answered twice.
    pub fn answer(&mut self, id: &Value) -> Value {
        let answer = self.answer_within(id, SOON);
        assert_eq!(self.twice, [""; 0], "{}: ids that were answered twice", self.name);
        answer.unwrap_or_else(|error| panic!("{}: answer {id}: {error}", self.name))
    }

    /// Returns the ids that were answered more than once so far, as far as lines were read.
    pub fn answered_twice(&self) -> &[String] {
        &self.twice
    }

    /// Sorts a line that the server has written.
    fn take(&mut self, line: Value) {
        self.keep(&line);
        if line["id"].is_null() {
            self.others.push(line);
            return;
        }
        let id = line["id"].to_string();
        let is_second = self.answered.contains(&id) | self.early.insert(id.clone(), line).is_some();
        if is_second {
            self.twice.push(id);
        }
    }

    /// Waits for the answer to a request.
    ///
    /// # Errors
    /// When it does not come in time, or stdout ends.
    pub fn answer_within(&mut self, id: &Value, deadline: Duration) -> Result<Value, String> {
        let begun = Instant::now();
        loop {
            if let Some(answer) = self.early.remove(&id.to_string()) {
                self.answered.insert(id.to_string());
                return Ok(answer);
            }
            let left = deadline.checked_sub(begun.elapsed()).ok_or("too late")?;
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let line = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
                    self.take(line);
                }
                Err(RecvTimeoutError::Timeout) => return Err("too late".into()),
                Err(RecvTimeoutError::Disconnected) => return Err("stdout ended".into()),
            }
        }
    }

    /// Waits for a line without an id.
    ///
    /// # Panics
    /// When none comes in time.
    pub fn other(&mut self) -> Value {
        let _ = self.answer_within(&json!("none"), Duration::from_millis(1));
        wait_for("a line without id", SOON, || {
            if self.others.is_empty() {
                let _ = self.answer_within(&json!("none"), Duration::from_millis(5));
            }
            (!self.others.is_empty()).then(|| self.others.remove(0))
        })
    }

    /// Sends a request and waits for its answer.
    pub fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = self.send(method, params);
        self.answer(&json!(id))
    }

    /// Introduces the host as MCP before 2026 wants it.
    pub fn initialize(&mut self) -> Value {
        let params = json!({
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": self.name, "version": "1.0"},
        });
        let answer = self.request("initialize", &params);
        self.write(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
        answer
    }

    /// Sends a tool call and returns its id.
    pub fn send_call(&mut self, tool: &str, arguments: &Value) -> u64 {
        self.send("tools/call", &json!({"name": format!("mempalace_{tool}"), "arguments": arguments}))
    }

    /// Calls a tool and returns the JSON of its text block.
    ///
    /// # Panics
    /// When the call is a JSON-RPC error or the text is no JSON.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let id = self.send_call(tool, arguments);
        let answer = self.answer(&json!(id));
        tool_json(&answer)
    }

    /// Files a drawer and returns its id.
    ///
    /// # Panics
    /// When it is not acknowledged.
    pub fn add(&mut self, wing: &str, room: &str, content: &str) -> String {
        let added = self.call("add_drawer", &json!({"wing": wing, "room": room, "content": content}));
        assert_eq!(added["success"], true, "{added}");
        added["drawer_id"].as_str().expect("a drawer id").to_owned()
    }

    /// Returns the texts a search finds.
    pub fn found(&mut self, query: &str) -> Vec<String> {
        let found = self.call("search", &json!({"query": query, "max_distance": 0}));
        let results = found["results"].as_array().cloned().unwrap_or_default();
        results.iter().filter_map(|hit| hit["text"].as_str()).map(str::to_owned).collect()
    }

    /// Tells whether the server has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Closes the server's stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for the server's end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        wait_for("the server's end", deadline, || self.child.try_wait().expect("a child can be waited for"))
    }

    /// Waits until stdout has ended: nobody else holds the pipe.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait_stdout_end(&mut self, deadline: Duration) {
        let begun = Instant::now();
        loop {
            let left = deadline.checked_sub(begun.elapsed()).expect("stdout ends in time");
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Ok(line) = serde_json::from_str(&line) {
                        self.take(line);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("stdout is still open after {deadline:?}"),
            }
        }
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the JSON of a tool result's text block.
///
/// # Panics
/// When the answer is no tool result.
pub fn tool_json(answer: &Value) -> Value {
    let text =
        answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no tool result: {answer}"));
    serde_json::from_str(text).unwrap_or_else(|_| json!({"error": text}))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A server that answers as the script says.
    fn scripted(lines: &str) -> Client {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "printf '%s' \"$0\"", lines]);
        Client::start("scripted", command)
    }

    #[test]
    fn a_second_answer_is_noticed_whenever_it_comes() {
        let answers = "{\"id\":1}\n{\"id\":1}\n{\"id\":2}\n";
        let mut host = scripted(answers);
        assert_eq!(host.answer_within(&json!(2), SOON).unwrap()["id"], 2);
        assert_eq!(host.answered_twice(), ["1"], "neither was looked at");
        let mut host = scripted(answers);
        assert_eq!(host.answer_within(&json!(1), SOON).unwrap()["id"], 1);
        assert_eq!(host.answered_twice(), [""; 0]);
        host.wait_stdout_end(SOON);
        assert_eq!(host.answered_twice(), ["1"], "the first was handed out before");
        assert!(host.answer_within(&json!(3), SOON).is_err(), "an answer that never came");
    }
}
