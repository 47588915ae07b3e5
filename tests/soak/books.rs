//! What the hosts were told, and whether the palace agrees.

use std::collections::BTreeMap;

use palace_tests::{Client, Sandbox};
use serde_json::{Value, json};

/// What must be true of a text at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Acknowledged: there, once.
    There,
    /// Deleted, acknowledged: not there.
    Gone,
    /// Nobody was told: there at most once.
    Unknown,
}

/// The books of one host, or of all.
#[derive(Debug, Default)]
pub struct Books {
    fates: BTreeMap<String, Fate>,
    failures: BTreeMap<String, u64>,
    /// Calls made.
    pub calls: u64,
    /// Calls of living hosts that got no answer at all.
    pub silent: Vec<String>,
    /// Requests that were answered more than once.
    twice: Vec<String>,
    /// Servers the hosts killed themselves.
    pub killed_hosts: u64,
    /// Acknowledged texts that a later read did not give back.
    pub missed: Vec<String>,
}

impl Books {
    /// Enters what is known of a text.
    pub fn enter(&mut self, text: String, fate: Fate) {
        self.fates.insert(text, fate);
    }

    /// Counts an answered failure by its text.
    pub fn failed(&mut self, answer: &Value) {
        let text = answer["result"]["content"][0]["text"].as_str().or(answer["error"]["message"].as_str());
        // Numbers differ from case to case and say nothing about the kind of failure.
        let kind: String =
            text.unwrap_or("?").chars().filter(|letter| !letter.is_ascii_digit()).take(120).collect();
        *self.failures.entry(kind).or_default() += 1;
    }

    /// Enters which requests a server has answered more than once.
    pub fn answered_twice(&mut self, host: &Client) {
        self.twice
            .extend(host.answered_twice().iter().map(|id| format!("request {id} of pid {}", host.pid())));
    }

    /// Adds another host's books.
    pub fn merge(&mut self, other: Books) {
        self.fates.extend(other.fates);
        for (kind, count) in other.failures {
            *self.failures.entry(kind).or_default() += count;
        }
        self.calls += other.calls;
        self.silent.extend(other.silent);
        self.twice.extend(other.twice);
        self.killed_hosts += other.killed_hosts;
        self.missed.extend(other.missed);
    }

    /// Compares the books with the palace; returns what is wrong.
    pub fn check(&self, sandbox: &Sandbox) -> Vec<String> {
        let mut problems = self.compare(&stored(sandbox));
        let daemons = sandbox.daemons();
        if daemons.len() > 1 {
            problems.push(format!("{} daemons: {daemons:?}", daemons.len()));
        }
        problems
    }

    /// Compares the books with texts and how often each is there.
    fn compare(&self, stored: &BTreeMap<String, usize>) -> Vec<String> {
        let mut problems: Vec<String> =
            self.missed.iter().map(|text| format!("a read did not give back: {text}")).collect();
        problems.extend(self.silent.iter().map(|call| format!("a call of {call} was never answered")));
        problems.extend(self.twice.iter().map(|request| format!("{request} was answered twice")));
        for (text, fate) in &self.fates {
            let copies = stored.get(text).copied().unwrap_or_default();
            let as_told = match fate {
                Fate::There => copies == 1,
                Fate::Gone => copies == 0,
                Fate::Unknown => copies <= 1,
            };
            if !as_told {
                problems.push(format!("{copies} copies of {text:?}, which should be {fate:?}"));
            }
        }
        problems.extend(
            stored
                .keys()
                .filter(|text| !self.fates.contains_key(*text))
                .map(|text| format!("nobody wrote {text:?}")),
        );
        problems
    }
}

impl std::fmt::Display for Books {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |fate: Fate| self.fates.values().filter(|found| **found == fate).count();
        write!(
            f,
            "books: {} calls, {} texts acknowledged, {} deleted, {} unknown; {} servers killed by their hosts, {} calls without answer, {} answered twice",
            self.calls,
            count(Fate::There),
            count(Fate::Gone),
            count(Fate::Unknown),
            self.killed_hosts,
            self.silent.len(),
            self.twice.len()
        )?;
        for (kind, count) in &self.failures {
            write!(f, "\n  answered {count} times: {kind}")?;
        }
        Ok(())
    }
}

/// Reads every drawer of the palace: texts and how often each is there.
fn stored(sandbox: &Sandbox) -> BTreeMap<String, usize> {
    let mut reader = sandbox.host("auditor");
    reader.initialize();
    let mut found = BTreeMap::new();
    let mut offset = 0;
    loop {
        let page = reader.call("list_drawers", &json!({"wing": "soak", "limit": 100, "offset": offset}));
        let ids: Vec<Value> = page["drawers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|drawer| drawer["drawer_id"].clone())
            .collect();
        if ids.is_empty() {
            return found;
        }
        offset += ids.len();
        let drawers = reader.call("get_drawers", &json!({"drawer_ids": ids}));
        for drawer in drawers["results"].as_array().into_iter().flatten() {
            let text = drawer["content"].as_str().unwrap_or_default().to_owned();
            *found.entry(text).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_as_it_was_told_is_a_problem() {
        let stored = |texts: &[(&str, usize)]| {
            texts.iter().map(|(text, count)| ((*text).to_owned(), *count)).collect::<BTreeMap<_, _>>()
        };
        let mut books = Books::default();
        for (text, fate) in [("there", Fate::There), ("gone", Fate::Gone), ("perhaps", Fate::Unknown)] {
            books.enter(text.to_owned(), fate);
        }
        assert_eq!(books.compare(&stored(&[("there", 1)])), [""; 0]);
        assert_eq!(books.compare(&stored(&[("there", 1), ("perhaps", 1)])), [""; 0]);
        for wrong in [
            stored(&[]),
            stored(&[("there", 2)]),
            stored(&[("there", 1), ("gone", 1)]),
            stored(&[("there", 1), ("perhaps", 2)]),
            stored(&[("there", 1), ("nobody's", 1)]),
        ] {
            assert_eq!(books.compare(&wrong).len(), 1, "{wrong:?}");
        }
        books.silent.push("host 3 to status".into());
        books.twice.push("request 7 of pid 9".into());
        let problems = books.compare(&stored(&[("there", 1)]));
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
