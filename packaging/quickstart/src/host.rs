//! A host, as far as this demonstration needs one: spawns the server, asks, waits for answers.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::build::Programs;

/// One host with its spawned server.
pub struct Host {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    next_id: u64,
}

impl Host {
    /// Spawns the server on a palace.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(programs: &Programs, palace: &Path) -> Result<Self> {
        let mut child = Command::new(&programs.palace_mcp)
            .arg("--palace")
            .arg(palace)
            .env("PALACE_DAEMON", &programs.palaced)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("palace-mcp could not be started")?;
        let stdin = child.stdin.take().context("a piped stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("a piped stdout")?);
        Ok(Self { child, stdin, stdout, next_id: 0 })
    }

    /// Introduces the host.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn initialize(&mut self, name: &str) -> Result<()> {
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": name, "version": "1"},
        });
        self.request("initialize", &params)?;
        self.stdin.write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")?;
        Ok(())
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// When the call fails.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value> {
        let params = json!({"name": format!("mempalace_{tool}"), "arguments": arguments});
        let result = self.request("tools/call", &params)?;
        let text = result["content"][0]["text"].as_str().context("a tool result")?;
        if result["isError"] == true {
            bail!("{tool}: {text}");
        }
        Ok(serde_json::from_str(text)?)
    }

    /// Files a text and returns the id it was acknowledged under.
    ///
    /// # Errors
    /// When it is not acknowledged.
    pub fn file(&mut self, wing: &str, room: &str, content: &str) -> Result<String> {
        let added = self.call("add_drawer", &json!({"wing": wing, "room": room, "content": content}))?;
        if added["success"] != true {
            bail!("not filed: {added}");
        }
        Ok(added["drawer_id"].as_str().context("a drawer id")?.to_owned())
    }

    fn request(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
        self.stdin.write_all(format!("{request}\n").as_bytes())?;
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line)? == 0 {
                bail!("the server ended");
            }
            let answer: Value = serde_json::from_str(&line)?;
            if answer["id"] == self.next_id {
                if answer["result"].is_null() {
                    bail!("{method}: {}", answer["error"]);
                }
                return Ok(answer["result"].clone());
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The demonstration is over; the server ends as a host would end it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
