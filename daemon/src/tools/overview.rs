//! What the palace holds as a whole: counts are of stored rows, as the peer counts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::palace::names;
use crate::palace::{Counts, Palace};

use super::{Answer, Arguments, Call};

/// How a model should use this memory; part of every status.
const PROTOCOL: &str = "How to use this memory:\n\
1. Before you answer about a person, a project, a decision or a past event, call mempalace_search; add wing or room \
when you know them. If nothing fits, say so instead of guessing.\n\
2. File what is worth keeping in the user's own words with mempalace_add_drawer; several items at once with \
mempalace_checkpoint, which skips what is stored already.\n\
3. At the end of a session write what was done, learned and left open with mempalace_diary_write; read it back with \
mempalace_diary_read when you take the work up again.";

/// What AAAK is, for agents that meet it in stored text.
const AAAK: &str = "AAAK is a shorthand some agents write: fields separated by '|', names as three-letter upper-case \
codes, feelings between asterisks. It is stored as it is written and never expanded; plain text is found better.";

pub fn status(palace: &Palace, call: &Call) -> Answer {
    with_counts(palace, |counts| {
        let mut json = json!({
            "total_drawers": counts.rows(),
            "wings": wings(counts),
            "rooms": rooms(counts, None),
            "protocol": PROTOCOL,
            "aaak_dialect": AAAK,
            "backend": "mempalaced",
            "embedding_device": "cpu",
        });
        if let Some(trouble) = &call.trouble {
            json["problem"] = json!(trouble);
        }
        json
    })
}

pub fn get_aaak_spec() -> Answer {
    Answer::ok(json!({"aaak_spec": AAAK}))
}

pub fn list_wings(palace: &Palace) -> Answer {
    with_counts(palace, |counts| json!({"wings": wings(counts)}))
}

pub fn list_rooms(palace: &Palace, arguments: &Arguments) -> Answer {
    let wing = match arguments.filter_text("wing").map(|wing| names::name(wing, "wing")).transpose() {
        Ok(wing) => wing,
        Err(error) => return Answer::query_failed(&error.into()),
    };
    with_counts(
        palace,
        |counts| json!({"wing": wing.as_deref().unwrap_or("all"), "rooms": rooms(counts, wing.as_deref())}),
    )
}

pub fn get_taxonomy(palace: &Palace) -> Answer {
    with_counts(palace, |counts| {
        let taxonomy: BTreeMap<&String, BTreeMap<&String, u64>> = counts
            .wings
            .iter()
            .map(|(wing, rooms)| (wing, rooms.iter().map(|(room, tally)| (room, tally.rows)).collect()))
            .collect();
        json!({"taxonomy": taxonomy})
    })
}

fn with_counts(palace: &Palace, show: impl FnOnce(&Counts) -> Value) -> Answer {
    match palace.counts() {
        Ok(counts) => Answer::ok(show(&counts)),
        Err(error) => Answer::query_failed(&error),
    }
}

fn wings(counts: &Counts) -> BTreeMap<&str, u64> {
    let rows =
        |rooms: &BTreeMap<String, _>| rooms.values().map(|tally: &crate::palace::Tally| tally.rows).sum();
    counts.wings.iter().map(|(wing, rooms)| (wing.as_str(), rows(rooms))).collect()
}

fn rooms<'a>(counts: &'a Counts, wing: Option<&str>) -> BTreeMap<&'a str, u64> {
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, rooms) in counts.wings.iter().filter(|(name, _)| wing.is_none_or(|wing| wing == name.as_str())) {
        for (room, tally) in rooms {
            *totals.entry(room).or_default() += tally.rows;
        }
    }
    totals
}
