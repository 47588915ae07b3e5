//! What the light profile adds to a search: how sure the best hit is, which hit is the latest, where its room leads.

use serde_json::{Value, json};

use crate::palace::{Palace, tunnels};

/// Cosine distance below which the best hit is likely what was meant.
const HIGH_BELOW: f64 = 0.35;
/// Cosine distance above which it likely is not.
const LOW_ABOVE: f64 = 0.52;
/// Tunnels shown of the best hit's room.
const TUNNEL_COUNT_MAX: usize = 3;

/// Adds to the answer of a search. Keys and thresholds are the peer's.
pub fn enrich(palace: &Palace, answer: &mut Value) {
    // Nothing was looked for: neither found nor missing.
    if answer.get("error").is_some() {
        return;
    }
    let Some(hits) = answer.get_mut("results").and_then(Value::as_array_mut) else { return };
    if hits.is_empty() {
        answer["status"] = json!("no_matching_memories_found");
        answer["total_found"] = json!(0);
        answer["summary"] = json!("No matching memories found in the palace for this query.");
        return;
    }
    rank_by_time(hits);
    let nearest = hits.iter().filter_map(|hit| hit["distance"].as_f64()).reduce(f64::min);
    let place = (hits[0]["wing"].as_str(), hits[0]["room"].as_str());
    let connected = match place {
        (Some(wing), Some(room)) => connected(palace, wing, room),
        (None, _) | (_, None) => Vec::new(),
    };
    if let Some(nearest) = nearest {
        answer["relevance_confidence"] = json!(confidence(nearest));
    }
    if !connected.is_empty() {
        answer["connected_tunnels"] = json!(connected);
    }
}

fn confidence(nearest: f64) -> &'static str {
    if nearest < HIGH_BELOW {
        "high"
    } else if nearest > LOW_ABOVE {
        "low"
    } else {
        "moderate"
    }
}

fn rank_by_time(hits: &mut [Value]) {
    let filed = |hit: &Value| hit["filed_at"].as_str().unwrap_or_default().to_owned();
    let mut order: Vec<usize> = (0..hits.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(filed(&hits[*index])));
    for (rank, index) in order.into_iter().enumerate() {
        hits[index]["recency_rank"] = json!(rank + 1);
        if rank == 0 && hits.len() > 1 && !filed(&hits[index]).is_empty() {
            hits[index]["is_latest_record"] = json!(true);
        }
    }
}

/// A hit is no crossing: nothing is recorded. What cannot be read here is read, and reported, by whoever asks for it.
fn connected(palace: &Palace, wing: &str, room: &str) -> Vec<Value> {
    let found = palace.snapshot().map(|snapshot| tunnels::connections(&snapshot, wing, room));
    let Ok(Ok(found)) = found else { return Vec::new() };
    found
        .iter()
        .take(TUNNEL_COUNT_MAX)
        .map(|connection| {
            json!({
                "direction": if connection.outgoing { "outgoing" } else { "incoming" },
                "connected_wing": connection.end.wing, "connected_room": connection.end.room,
                "label": connection.label, "drawer_id": connection.end.drawer_id,
                "tunnel_id": connection.tunnel_id,
            })
        })
        .collect()
}
