//! A hit as the peer shows it.

use serde_json::{Value, json};

use crate::palace::Row;
use crate::palace::search::{Found, Hit, Via};

use crate::tools::answer::{basename, rounded};

/// The peer's word for a date nobody recorded.
const UNKNOWN: &str = "unknown";

/// Returns the hits of a search, best first.
pub fn results(found: &Found) -> Vec<Value> {
    found.hits.iter().map(|hit| result(hit, found.words_alone.is_some())).collect()
}

fn result(hit: &Hit, words_alone: bool) -> Value {
    let row = &hit.row;
    let source = if row.source_file.is_empty() { "?" } else { basename(&row.source_file) };
    let matched_via = match &hit.via {
        Via::Drawer => "drawer",
        Via::Closet(_) => "drawer+closet",
        Via::Words => "bm25_backend",
    };
    let mut json = json!({
        "drawer_id": row.drawer_id(),
        "text": hit.passage.as_ref().map_or(&row.document, |passage| &passage.text),
        "wing": row.wing,
        "room": row.room,
        "source_file": source,
        "source_path": row.source_file,
        "similarity": hit.distance.map(|distance| rounded((1.0 - distance).max(0.0), 3)),
        "distance": hit.distance.map(|distance| rounded(distance, 4)),
        "matched_via": matched_via,
        "bm25_score": rounded(hit.lexical_score, 3),
    });
    add_dates(&mut json, row);
    if !words_alone {
        add_boost(&mut json, hit);
    }
    if row.parent_id.is_some() {
        json["chunk_index"] = json!(row.chunk_index);
    }
    if let Some(passage) = &hit.passage {
        json["drawer_index"] = json!(passage.index);
        json["total_drawers"] = json!(passage.total);
    }
    if !hit.also_in.is_empty() {
        let also: Vec<Value> = hit.also_in.iter().map(copy).collect();
        json["also_in"] = json!(also);
    }
    json
}

/// Adds what index cards say for the hit's source.
fn add_boost(json: &mut Value, hit: &Hit) {
    let boost = match &hit.via {
        Via::Closet(boost) => Some(boost),
        Via::Drawer | Via::Words => None,
    };
    let left = |distance| boost.map_or(distance, |boost| boost.applied_to(distance));
    json["closet_boost"] = rounded(boost.map_or(0.0, |boost| boost.value), 3);
    json["effective_distance"] = json!(hit.distance.map(|distance| rounded(left(distance), 4)));
    if let Some(boost) = boost.filter(|boost| !boost.preview.is_empty()) {
        json["closet_preview"] = json!(boost.preview);
    }
}

fn copy(row: &Row) -> Value {
    json!({
        "drawer_id": row.drawer_id(), "source_file": basename(&row.source_file), "source_path": row.source_file,
        "wing": row.wing, "room": row.room, "chunk_index": row.chunk_index,
    })
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
