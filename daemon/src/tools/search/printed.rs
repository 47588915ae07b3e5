//! A search as the peer's command line prints it: the text is the answer.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::palace::error::{InputError, QueryError};
use crate::palace::search::{Found, Hit, Question, Shown};
use crate::palace::{Filter, Palace, query};

use crate::tools::Arguments;
use crate::tools::answer::basename;

use super::LIMIT_DEFAULT;

/// Copies of a passage that are named.
const COPIES_SHOWN_MAX: usize = 5;

/// Searches as the command line does: the query as it is, rows as they are.
pub fn search(palace: &Palace, arguments: &Arguments, filter: Filter) -> Result<Value, QueryError> {
    let text = arguments.required("query");
    refuse_what_it_does_not_do(arguments, text)?;
    let limit = arguments.count("limit", LIMIT_DEFAULT);
    let question = Question { text, filter, distance_max: None, limit, shown: Shown::Rows };
    let found = palace.search(&question)?;
    Ok(json!({"query": text, "cli_output": printed(&question, &found, arguments)}))
}

fn refuse_what_it_does_not_do(arguments: &Arguments, query: &str) -> Result<(), InputError> {
    let refuse = |what: &str| Err(InputError(format!("cli-compatible search {what}")));
    if arguments.filter_text("source_file").is_some() {
        return refuse("does not support source_file");
    }
    let strategy = arguments.text("candidate_strategy").filter(|strategy| *strategy != "vector");
    let given = [
        ("candidate_strategy", strategy.is_some()),
        ("max_distance", arguments.value("max_distance").is_some()),
        ("context", arguments.value("context").is_some()),
    ];
    let given: Vec<&str> = given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
    if !given.is_empty() {
        return refuse(&format!("does not support {}", given.join(", ")));
    }
    let clean = query::clean(query);
    if clean.text != query || clean.method != query::Method::Passthrough || query.is_empty() {
        return refuse("requires an unchanged query");
    }
    Ok(())
}

fn printed(question: &Question<'_>, found: &Found, arguments: &Arguments) -> String {
    let query = question.text;
    if found.hits.is_empty() {
        return format!("\n  No results found for: \"{query}\"\n");
    }
    let rule = "=".repeat(60);
    let mut out = format!("\n{rule}\n  Results for: \"{query}\"\n");
    let named = [
        ("Wing", question.filter.wing.as_deref()),
        ("Room", question.filter.room.as_deref()),
        ("Since", arguments.filter_text("since")),
        ("Before", arguments.filter_text("before")),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            line(&mut out, &format!("  {name}: {value}"));
        }
    }
    out.push_str(&format!("{rule}\n\n"));
    for (index, hit) in found.hits.iter().enumerate() {
        print(&mut out, index + 1, hit);
    }
    out.push('\n');
    out
}

fn print(out: &mut String, number: usize, hit: &Hit) {
    let row = &hit.row;
    let or_unknown = |name: &str| if name.is_empty() { "?".to_owned() } else { name.to_owned() };
    line(out, &format!("  [{number}] {} / {}", or_unknown(&row.wing), or_unknown(&row.room)));
    line(out, &format!("      Source: {}", basename(&row.source_file)));
    if !hit.also_in.is_empty() {
        let names =
            hit.also_in.iter().take(COPIES_SHOWN_MAX).map(|row| or_unknown(basename(&row.source_file)));
        let names = names.collect::<Vec<_>>().join(", ");
        let more = match hit.also_in.len().saturating_sub(COPIES_SHOWN_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        line(out, &format!("      Also in: {names}{more}"));
    }
    let words = thousandths(hit.lexical_score);
    match hit.distance {
        Some(distance) => {
            let similarity = thousandths((1.0 - distance).max(0.0));
            line(out, &format!("      Match:  cosine_sim={similarity:?}  bm25={words:?}\n"));
        }
        None => line(out, &format!("      Match:  bm25={words:?}  (vector disabled)\n")),
    }
    for text in row.document.trim().split('\n') {
        line(out, &format!("      {text}"));
    }
    line(out, &format!("\n  {}", "-".repeat(56)));
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a string takes every text");
}

/// Rounds to three decimals; printed with `{:?}` it looks as Python prints it.
fn thousandths(value: f32) -> f64 {
    (f64::from(value) * 1_000.0).round() / 1_000.0
}
