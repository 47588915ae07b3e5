//! Hosts that have introduced themselves and asked for something, and wait for it together.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{Client, Sandbox};

/// Hosts, each with a call under way.
pub struct Askers(Vec<(Client, u64)>);

impl Askers {
    /// Starts hosts that list the palace's wings. None waits for an answer.
    pub fn start(sandbox: &Sandbox, count: usize) -> Self {
        let hosts: Vec<Client> = (0..count).map(|number| sandbox.host(&format!("asker{number}"))).collect();
        let asking = |mut host: Client| {
            host.initialize();
            let call = host.send_call("list_wings", &json!({}));
            (host, call)
        };
        // All have been spawned before the first one is spoken to.
        Self(hosts.into_iter().map(asking).collect())
    }

    /// Waits for the first one's answer, which may be looked for again.
    ///
    /// # Errors
    /// When it does not come in time.
    pub fn first_answer(&mut self, deadline: Duration) -> Result<Value, String> {
        let (host, call) = self.0.first_mut().expect("there are askers");
        host.answer_within(&json!(call), deadline)
    }

    /// Waits until each of them has what it asked for, and returns the hosts.
    ///
    /// # Panics
    /// When one does not in time, or hears an error.
    pub fn served(self, deadline: Duration) -> Vec<Client> {
        let served = |(mut host, call): (Client, u64)| {
            let answer = host.answer_within(&json!(call), deadline);
            let answer = answer.unwrap_or_else(|error| panic!("call {call}: {error}"));
            assert_eq!(answer["result"]["isError"], Value::Null, "{answer}");
            host
        };
        self.0.into_iter().map(served).collect()
    }
}
