//! `palacectl import`: moving in, and what the proof says.

use std::path::{Path, PathBuf};

use clap::Args;
use palace_protocol::control::JobRequest;
use serde_json::Value;

use super::jobs::{absolute, run_job};
use super::outcome::{Exit, Failure, Outcome};
use super::render::grouped;

/// Imports a palace of MemPalace, or an export of ours. The source is only read.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The palace's directory (with chroma.sqlite3 or sqlite_exact.sqlite3), or a file that `palacectl export` wrote
    pub source: PathBuf,
    /// Home directory whose settings, knowledge graph and hook counters belong to it; yours unless given
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Only tell what would be imported
    #[arg(long)]
    pub dry_run: bool,
    /// Accepted for scripts: every import goes on where an interrupted one of the same source stopped
    #[arg(long)]
    pub resume: bool,
}

/// Imports, shows how far it is, and prints the proof.
///
/// # Errors
/// When the source cannot be read or the palace cannot be written. An import whose proof fails ends with exit code 1.
pub fn run(palace: &Path, args: &ImportArgs, quiet: bool) -> Result<Outcome, Failure> {
    let home =
        args.home.clone().or_else(|| directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_path_buf()));
    let request = JobRequest::Import {
        source: absolute(&args.source)?.display().to_string(),
        home: home.map(|home| absolute(&home)).transpose()?.map(|home| home.display().to_string()),
        dry_run: args.dry_run,
        resume: args.resume,
    };
    let job = run_job(palace, request, quiet)?;
    let message = job.message.unwrap_or_default();
    let report = job.report.unwrap_or_default();
    let holds = report.pointer("/proof/holds").and_then(Value::as_bool).unwrap_or(true);
    Ok(Outcome {
        code: if holds { Exit::Done.code() } else { Exit::Failed.code() },
        text: [proof(&report), vec![message]].concat().join("\n"),
        json: report,
    })
}

/// Returns the proof as people read it.
fn proof(report: &Value) -> Vec<String> {
    let Some(proof) = report.get("proof") else { return Vec::new() };
    let number = |path: &str| proof.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let decimal = |path: &str| proof.pointer(path).and_then(Value::as_f64);
    let rows = grouped(number("/rows"));
    let mut lines = vec![
        format!("documents equal by SHA-256  {} of {rows}", grouped(number("/documents_equal_by_sha256"))),
        format!("metadata equal              {} of {rows}", grouped(number("/metadata_equal"))),
        format!(
            "vectors                     {} compared, least cosine {:.6}",
            grouped(number("/vectors_compared")),
            decimal("/cosine/min").unwrap_or_default()
        ),
    ];
    if let Some(recall) = decimal("/searches/recall_against_exact_search_over_the_source") {
        lines.push(format!(
            "searches                    {} queries, {:.1} % of the source's exact {} nearest found",
            number("/searches/queries"),
            recall * 100.0,
            number("/searches/k")
        ));
    }
    let agree = proof.pointer("/rows_by_room/agree").and_then(Value::as_bool).unwrap_or_default();
    lines.push(format!("rows per wing and room      {}", if agree { "agree" } else { "DIFFER" }));
    let named = |path: &str| report.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    lines.extend(named("/proof/differences").iter().take(10).map(|one| format!("DIFFERS  {}", text(one))));
    let loss = |one: &Value| {
        let part = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        format!("lost     {} {}: {}", part("what"), part("id"), part("reason"))
    };
    lines.extend(named("/losses").iter().take(10).map(loss));
    lines.extend(named("/notes").iter().map(|one| format!("note     {}", text(one))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_read_by_people() {
        let report = serde_json::json!({
            "proof": {
                "rows": 1200, "documents_equal_by_sha256": 1200, "metadata_equal": 1199, "vectors_compared": 1190,
                "cosine": {"min": 0.9999991}, "rows_by_room": {"agree": true},
                "searches": {"queries": 24, "k": 10, "recall_against_exact_search_over_the_source": 1.0},
                "differences": ["d1: other metadata"],
            },
            "losses": [{"what": "document", "id": "d9", "reason": "page 7 is damaged"}],
            "notes": ["3 rows had no wing"],
        });
        let text = proof(&report).join("\n");
        for part in [
            "1,200 of 1,200",
            "least cosine 0.999999",
            "100.0 %",
            "agree",
            "DIFFERS  d1",
            "lost     document d9: page 7",
            "note     3 rows",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        assert!(proof(&serde_json::json!({"dry_run": true})).is_empty());
    }
}
