//! Search and duplicate check.

mod hits;
mod printed;

use serde_json::{Value, json};

use crate::palace::error::{InputError, QueryError};
use crate::palace::search::{Found, Question, Shown};
use crate::palace::{DamagedRow, Filter, Palace, dates, names, query};

use super::answer::{preview, rounded};
use super::{Answer, Arguments};

/// Hits when the caller names no limit.
const LIMIT_DEFAULT: usize = 5;
/// Cosine distance beyond which nothing is a hit, when the caller names none.
const DISTANCE_DEFAULT: f32 = 1.5;
/// Similarity that counts as a duplicate, when the caller names none.
pub const DUPLICATE_DEFAULT: f32 = 0.9;
/// Characters of a duplicate's text that are shown.
const DUPLICATE_CHARS: usize = 200;

pub fn search(palace: &Palace, arguments: &Arguments) -> Answer {
    match run(palace, arguments) {
        Ok(json) => Answer::ok(json),
        Err(error) => {
            let mut answer = Answer::query_failed(&error);
            answer.json["results"] = json!([]);
            answer
        }
    }
}

/// Returns the answer to a search whose arguments break a rule.
pub fn refused(rule: &str) -> Answer {
    Answer::ok(json!({"error": rule, "results": []}))
}

/// What media and code search need, in the peer's words: there is no such model here either.
const OTHER_MODEL: &str = "Media and code task search require embedding_model='embeddinggemma2'";

fn run(palace: &Palace, arguments: &Arguments) -> Result<Value, QueryError> {
    let filter = filter(arguments)?;
    let other_model = arguments.flag("include_media") == Some(true)
        || arguments.text("query_task").is_some_and(|task| task != "search");
    if arguments.flag("cli_compatible") == Some(true) {
        if other_model {
            let refused = "cli_compatible cannot be combined with media/code task search";
            return Err(InputError(refused.into()).into());
        }
        return printed::search(palace, arguments, filter);
    }
    if other_model {
        return Ok(json!({
            "error": OTHER_MODEL, "results": [],
            "hint": "This palace is embedded with all-MiniLM-L6-v2: leave include_media and query_task out.",
        }));
    }
    let clean = query::clean(arguments.required("query"));
    if clean.text.is_empty() {
        return Err(InputError("query must be a non-empty string".into()).into());
    }
    let distance = arguments.number("max_distance", DISTANCE_DEFAULT);
    let question = Question {
        text: &clean.text,
        filter,
        distance_max: (distance > 0.0).then_some(distance),
        limit: arguments.count("limit", LIMIT_DEFAULT),
        shown: Shown::Passages,
    };
    let found = palace.search(&question)?;
    let mut json = json!({
        "query": clean.text,
        "filters": {
            "wing": question.filter.wing, "room": question.filter.room,
            "source_file": question.filter.source_file,
            "since": arguments.text("since"), "before": arguments.text("before"),
        },
        "total_before_filter": found.candidate_count,
        "results": hits::results(&found),
    });
    add_remarks(&mut json, &found);
    if clean.method != query::Method::Passthrough {
        json["query_sanitized"] = json!(true);
        json["sanitizer"] = json!({
            "method": clean.method.as_str(),
            "original_length": clean.original_chars,
            "clean_length": clean.text.chars().count(),
            "clean_query": clean.text,
        });
    }
    if arguments.filter_text("context").is_some() {
        json["context_received"] = json!(true);
    }
    Ok(json)
}

/// Adds what the reader of the hits must know about them.
fn add_remarks(json: &mut Value, found: &Found) {
    if let Some(reason) = &found.words_alone {
        json["fallback"] = json!("bm25_only");
        json["fallback_reason"] = json!("vector_search_disabled");
        json["vector_disabled"] = json!(true);
        json["vector_disabled_reason"] = json!(reason);
    }
    if found.truncated {
        json["distinct_results_truncated"] = json!(true);
    }
    add_unreadable(json, &found.unreadable);
}

/// Returns the filter a call asks for: used by search and listing alike.
pub fn filter(arguments: &Arguments) -> Result<Filter, InputError> {
    let name = |field| arguments.filter_text(field).map(|value| names::name(value, field)).transpose();
    let date = |field| arguments.filter_text(field).map(|value| dates::bound(value, field)).transpose();
    let filter = Filter {
        wing: name("wing")?,
        room: name("room")?,
        source_file: arguments.filter_text("source_file").map(names::source_file).transpose()?,
        since: date("since")?,
        before: date("before")?,
    };
    match (&filter.since, &filter.before) {
        (Some(since), Some(before)) if since >= before => {
            let sent = |field| arguments.text(field).unwrap_or_default();
            let (since, before) = (sent("since"), sent("before"));
            Err(InputError(format!("since ({since}) must be earlier than before ({before})")))
        }
        _ => Ok(filter),
    }
}

/// Names the rows that could not be read, when there are any.
pub fn add_unreadable(json: &mut Value, rows: &[DamagedRow]) {
    if !rows.is_empty() {
        let rows: Vec<Value> = rows.iter().map(|row| json!({"id": row.id, "reason": row.reason})).collect();
        json["unreadable"] = json!(rows);
    }
}

pub fn check_duplicate(palace: &Palace, arguments: &Arguments) -> Answer {
    let threshold = arguments.number("threshold", DUPLICATE_DEFAULT);
    let content = match names::content(arguments.required("content"), "content") {
        Ok(content) => content,
        Err(error) => return Answer::query_failed(&error.into()),
    };
    match palace.similar(content, threshold) {
        Ok(matches) => {
            let matches: Vec<Value> = matches.iter().map(match_json).collect();
            Answer::ok(json!({"is_duplicate": !matches.is_empty(), "matches": matches}))
        }
        Err(error) => Answer::query_failed(&error),
    }
}

/// Returns a close row as the peer shows it.
pub fn match_json(found: &crate::palace::command::Match) -> Value {
    json!({
        "id": found.id, "wing": found.wing, "room": found.room,
        "similarity": rounded(found.similarity, 3),
        "content": preview(&found.content, DUPLICATE_CHARS),
    })
}
