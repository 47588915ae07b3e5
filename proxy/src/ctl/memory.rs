//! `palacectl search` and `palacectl verify`: questions about what is stored. They start the daemon when needed.

use std::path::Path;

use clap::Args;
use palace_protocol::control::{ControlReply, ControlRequest, JobRequest, VerifyReport};
use serde_json::{Map, Value, json};

use super::client::{ClientError, ask_serving};
use super::jobs::run_job;
use super::outcome::{Exit, Failure, Outcome};

/// Finds stored passages by meaning and by words.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// What to look for
    #[arg(required = true)]
    pub query: Vec<String>,
    /// Only in this wing
    #[arg(long)]
    pub wing: Option<String>,
    /// Only in rooms of this name
    #[arg(long)]
    pub room: Option<String>,
    /// Number of hits
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub limit: u64,
    /// Only what was filed at or after this ISO date or time
    #[arg(long)]
    pub since: Option<String>,
    /// Only what was filed before this ISO date or time
    #[arg(long)]
    pub before: Option<String>,
}

impl SearchArgs {
    /// Returns the arguments of the search tool; what was not given is not there.
    pub fn tool_arguments(&self) -> Value {
        let mut arguments = Map::new();
        arguments.insert("query".into(), json!(self.query.join(" ")));
        arguments.insert("limit".into(), json!(self.limit));
        let named =
            [("wing", &self.wing), ("room", &self.room), ("since", &self.since), ("before", &self.before)];
        for (name, value) in named {
            if let Some(value) = value {
                arguments.insert(name.into(), json!(value));
            }
        }
        Value::Object(arguments)
    }
}

/// Shows what the palace holds on a question.
///
/// # Errors
/// When the daemon cannot be reached or refuses the question.
pub fn search(palace: &Path, args: &SearchArgs) -> Result<Outcome, Failure> {
    let result = call(palace, "mempalace_search", args.tool_arguments())?;
    if let Some(error) = result.get("error").and_then(Value::as_str) {
        return Err(Failure::failed(error));
    }
    Ok(Outcome::done(hits(&result), result))
}

/// Calls a tool that changes nothing: it may be called twice.
fn call(palace: &Path, tool: &str, arguments: Value) -> Result<Value, Failure> {
    let request = ControlRequest::Call { tool: tool.to_owned(), arguments, idempotency_key: None };
    let ControlReply::Called { result, is_error } = ask_serving(palace, &request)? else {
        return Err(ClientError::Unexpected.into());
    };
    if !is_error {
        return Ok(result);
    }
    let message = result.get("error").and_then(Value::as_str).map(str::to_owned);
    Err(Failure::failed(message.unwrap_or_else(|| result.to_string())))
}

/// Returns hits as people read them: where, how close, when, and the text indented below.
fn hits(result: &Value) -> String {
    let empty = Vec::new();
    let found = result.get("results").and_then(Value::as_array).unwrap_or(&empty);
    if found.is_empty() {
        return "nothing found".to_owned();
    }
    let shown: Vec<String> =
        found.iter().enumerate().map(|(position, hit)| one_hit(position + 1, hit)).collect();
    shown.join("\n\n")
}

fn one_hit(number: usize, hit: &Value) -> String {
    let text = |key: &str| hit.get(key).and_then(Value::as_str).unwrap_or_default();
    let similarity = hit.get("similarity").and_then(Value::as_f64).unwrap_or_default();
    let filed: String = text("filed_at").chars().take(10).collect();
    let source = match text("source_file") {
        "" | "?" => String::new(),
        name => format!("  {name}"),
    };
    let head = format!(
        "{number}  {similarity:.2}  {}/{}  {filed}{source}  {}",
        text("wing"),
        text("room"),
        text("drawer_id")
    );
    let lines: Vec<String> =
        text("text").lines().map(|line| format!("   {line}").trim_end().to_owned()).collect();
    format!("{head}\n{}", lines.join("\n"))
}

/// Checks store and indexes without changing anything.
///
/// # Errors
/// When the check cannot be made; a palace that fails it is an outcome with exit code 1.
pub fn verify(palace: &Path, quiet: bool) -> Result<Outcome, Failure> {
    let job = run_job(palace, JobRequest::Verify, quiet)?;
    let report = serde_json::from_value(job.report.unwrap_or_default());
    report.map(|report| verified(&report)).map_err(|_| ClientError::Unexpected.into())
}

fn verified(report: &VerifyReport) -> Outcome {
    let marked = |mark: &'static str, lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| format!("{mark} {line}")).collect()
    };
    let mut lines = marked("ok     ", &report.checked);
    lines.extend(marked("skipped", &report.not_checked));
    lines.extend(marked("WRONG  ", &report.problems));
    lines.push(if report.ok {
        "the palace is sound".to_owned()
    } else {
        "something is wrong; `palacectl backup list` shows what could be restored, `palacectl repair` what could be \
         repaired".to_owned()
    });
    Outcome {
        code: if report.ok { Exit::Done.code() } else { Exit::Failed.code() },
        text: lines.join("\n"),
        json: serde_json::to_value(report).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_show_where_and_what() {
        let result = json!({"results": [
            {"similarity": 0.8312, "wing": "w", "room": "r", "filed_at": "2026-10-01T10:00:00.0", "drawer_id": "d1",
             "source_file": "a.md", "text": "one\n\ntwo"},
            {"similarity": 0.5, "wing": "w", "room": "s", "filed_at": "", "drawer_id": "d2", "source_file": "?",
             "text": "three"},
        ]});
        let expect = "\
1  0.83  w/r  2026-10-01  a.md  d1
   one

   two

2  0.50  w/s    d2
   three";
        assert_eq!(hits(&result), expect);
        assert_eq!(hits(&json!({"results": []})), "nothing found");
    }

    #[test]
    fn a_failed_check_is_seen_by_scripts() {
        let mut report = VerifyReport { ok: true, checked: vec!["3 rows".into()], ..VerifyReport::default() };
        assert_eq!(verified(&report).code, 0);
        report.ok = false;
        report.problems.push("row 7 has no vector".into());
        let outcome = verified(&report);
        assert_eq!(outcome.code, 1);
        assert!(outcome.text.contains("WRONG   row 7 has no vector"), "{}", outcome.text);
    }
}
