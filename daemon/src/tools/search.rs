//! Search and duplicate check.

use serde_json::{Value, json};

use crate::palace::error::{InputError, QueryError};
use crate::palace::search::{Found, Hit};
use crate::palace::{DamagedRow, Filter, Palace, Row, dates, names, query};

use super::answer::{basename, preview, rounded};
use super::{Answer, Arguments};

/// Hits when the caller names no limit.
const LIMIT_DEFAULT: usize = 5;
/// Cosine distance beyond which nothing is a hit, when the caller names none.
const DISTANCE_DEFAULT: f32 = 1.5;
/// Similarity that counts as a duplicate, when the caller names none.
pub const DUPLICATE_DEFAULT: f32 = 0.9;
/// The peer's word for a date nobody recorded.
const UNKNOWN: &str = "unknown";
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

fn run(palace: &Palace, arguments: &Arguments) -> Result<Value, QueryError> {
    let filter = filter(arguments)?;
    let clean = query::clean(arguments.required("query"));
    if clean.text.is_empty() {
        return Err(InputError("query must be a non-empty string".into()).into());
    }
    let distance = arguments.number("max_distance", DISTANCE_DEFAULT);
    let limit = arguments.count("limit", LIMIT_DEFAULT);
    let found = palace.search(&clean.text, filter.clone(), (distance > 0.0).then_some(distance), limit)?;
    let mut json = json!({
        "query": clean.text,
        "filters": {
            "wing": filter.wing, "room": filter.room, "source_file": filter.source_file,
            "since": arguments.text("since"), "before": arguments.text("before"),
        },
        "total_before_filter": found.candidate_count,
        "results": results(&found),
    });
    if found.truncated {
        json["distinct_results_truncated"] = json!(true);
    }
    add_unreadable(&mut json, &found.unreadable);
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

fn results(found: &Found) -> Vec<Value> {
    found.hits.iter().map(hit).collect()
}

fn hit(hit: &Hit) -> Value {
    let row = &hit.row;
    let source = if row.source_file.is_empty() { "?" } else { basename(&row.source_file) };
    let mut json = json!({
        "drawer_id": row.drawer_id(),
        "text": row.document,
        "wing": row.wing,
        "room": row.room,
        "source_file": source,
        "source_path": row.source_file,
        "similarity": rounded((1.0 - hit.distance).max(0.0), 3),
        "distance": rounded(hit.distance, 4),
        "effective_distance": rounded(hit.distance, 4),
        "closet_boost": 0.0,
        "matched_via": "drawer",
        "bm25_score": rounded(hit.lexical_score, 3),
    });
    add_dates(&mut json, row);
    if row.parent_id.is_some() {
        json["chunk_index"] = json!(row.chunk_index);
    }
    if !hit.also_in.is_empty() {
        let also: Vec<Value> = hit
            .also_in
            .iter()
            .map(|row| {
                json!({
                    "drawer_id": row.drawer_id(), "source_file": basename(&row.source_file),
                    "source_path": row.source_file, "wing": row.wing, "room": row.room,
                    "chunk_index": row.chunk_index,
                })
            })
            .collect();
        json["also_in"] = json!(also);
    }
    json
}

/// Adds when a row was filed, written and dated, each with where that is known from.
fn add_dates(json: &mut Value, row: &Row) {
    let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty() && text != UNKNOWN);
    let filed_at = known(&row.filed_at);
    let (authored_at, authored_at_source) = match (known(row.text("authored_at")), &filed_at) {
        (Some(authored_at), _) => (Some(authored_at), "authored_at"),
        (None, Some(filed_at)) => (Some(filed_at.clone()), "filed_at"),
        (None, None) => (None, UNKNOWN),
    };
    let content_date = known(row.text("content_date"));
    let content_date_source = content_date.as_ref().and_then(|_| known(row.text("content_date_source")));
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
    json["created_at"] = json!(or_unknown(filed_at.clone()));
    json["filed_at"] = json!(or_unknown(filed_at));
    json["authored_at"] = json!(or_unknown(authored_at));
    json["authored_at_source"] = json!(authored_at_source);
    json["content_date"] = json!(content_date);
    json["content_date_source"] = json!(or_unknown(content_date_source));
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
