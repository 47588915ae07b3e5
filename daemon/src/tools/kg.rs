//! The knowledge graph.

use palace_protocol::jsonrpc::INTERNAL_TOOL_ERROR;
use serde_json::{Value, json};

use crate::palace::command::Command;
use crate::palace::error::{InputError, QueryError};
use crate::palace::facts::query::{self, At, Direction, Named};
use crate::palace::facts::{Claim, Invalidate, Inverted, NewFact, Recorded, Supersede, end_key, start_key};
use crate::palace::{Palace, names};

use super::{Answer, Arguments, Call, CallError, write};

/// Facts of one page when the caller names no limit.
const PAGE_DEFAULT: usize = 100;

pub fn kg_query(palace: &Palace, arguments: &Arguments, call: &Call) -> Answer {
    Answer::of(ask(palace, arguments, call))
}

fn ask(palace: &Palace, arguments: &Arguments, call: &Call) -> Result<Value, QueryError> {
    let entity = names::entity(arguments.required("entity"), "entity")?;
    let as_of = instant(arguments, "as_of")?;
    let direction = match arguments.text("direction").unwrap_or("both") {
        "outgoing" => Direction::Outgoing,
        "incoming" => Direction::Incoming,
        "both" => Direction::Both,
        _ => return Err(InputError("direction must be 'outgoing', 'incoming', or 'both'".into()).into()),
    };
    let at = At { valid: as_of.as_deref(), known: None };
    let about = query::about(&palace.snapshot()?, &entity, at, direction)?;
    let now = call.at.utc_seconds();
    let (mut active, mut historical, mut future) = (Vec::new(), Vec::new(), Vec::new());
    let mut facts = Vec::new();
    for named in &about.facts {
        let json = fact_json(named);
        let fact = &named.fact;
        let part = if as_of.is_some() {
            &mut active
        } else if fact.valid_from.as_deref().is_some_and(|from| start_key(from) > now) {
            &mut future
        } else if fact.valid_to.as_deref().is_some_and(|to| end_key(to) < now) {
            &mut historical
        } else {
            &mut active
        };
        part.push(json.clone());
        facts.push(json);
    }
    let mut json = json!({
        "entity": about.resolved.as_ref().unwrap_or(&entity), "as_of": as_of,
        "active_facts": active, "historical_facts": historical, "future_facts": future,
        "count": facts.len(), "facts": facts,
    });
    if about.resolved.is_some() {
        json["resolved_from"] = json!(entity);
    }
    if !about.candidates.is_empty() {
        let candidates: Vec<Value> =
            about.candidates.iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
        json["candidates"] = json!(candidates);
    }
    Ok(json)
}

/// Returns a fact as the peer shows it, with its id and where it was learned.
fn fact_json(named: &Named) -> Value {
    let fact = &named.fact;
    json!({
        "direction": if named.outgoing { "outgoing" } else { "incoming" },
        "subject": named.subject, "predicate": fact.predicate, "object": named.object,
        "valid_from": fact.valid_from, "valid_to": fact.valid_to, "confidence": fact.confidence,
        "source_closet": fact.source_closet, "current": fact.valid_to.is_none(),
        "id": fact.id, "source_file": fact.source_file, "source_drawer_id": fact.source_drawer_id,
        "recorded_at": fact.extracted_at, "ended_at": fact.ended_at,
    })
}

fn instant(arguments: &Arguments, field: &str) -> Result<Option<String>, InputError> {
    arguments.text(field).map_or(Ok(None), |value| names::instant(value, field))
}

fn claim(arguments: &Arguments, object: &str) -> Result<Claim, InputError> {
    Ok(Claim {
        subject: names::entity(arguments.required("subject"), "subject")?,
        predicate: names::name(arguments.required("predicate"), "predicate")?,
        object: names::entity(arguments.required(object), object)?,
    })
}

pub fn kg_add(palace: &Palace, arguments: &Arguments, call: Call) -> Result<Answer, CallError> {
    let provenance = |field| arguments.filter_text(field).map(str::to_owned);
    let prepare = || -> Result<NewFact, InputError> {
        Ok(NewFact {
            claim: claim(arguments, "object")?,
            valid_from: instant(arguments, "valid_from")?,
            valid_to: instant(arguments, "valid_to")?,
            source_closet: provenance("source_closet"),
            source_file: arguments.filter_text("source_file").map(names::source_file).transpose()?,
            source_drawer_id: provenance("source_drawer_id"),
            now: call.at.clone(),
        })
    };
    match prepare() {
        Ok(new) => {
            let said = said(&new.claim.subject, &new.claim.predicate, &new.claim.object);
            submit(palace, new, call, move |recorded: &Recorded| {
                let mut json = json!({"success": true, "triple_id": recorded.id, "fact": said});
                if recorded.existed {
                    json["reason"] = json!("already_exists");
                }
                json
            })
        }
        Err(error) => Ok(Answer::input_refused(&error)),
    }
}

pub fn kg_invalidate(palace: &Palace, arguments: &Arguments, call: Call) -> Result<Answer, CallError> {
    let prepare = || -> Result<(Claim, String), InputError> {
        let ended = instant(arguments, "ended")?.unwrap_or_else(|| call.at.date().to_owned());
        Ok((claim(arguments, "object")?, ended))
    };
    match prepare() {
        Ok((claim, ended)) => {
            let said = said(&claim.subject, &claim.predicate, &claim.object);
            let (at, now) = (ended.clone(), call.at.clone());
            submit(palace, Invalidate { claim, ended, now }, call, move |ids: &Vec<String>| {
                json!({
                    "success": true, "fact": said, "ended": at, "matched": ids.len(), "triple_ids": ids,
                })
            })
        }
        Err(error) => Ok(Answer::input_refused(&error)),
    }
}

pub fn kg_supersede(palace: &Palace, arguments: &Arguments, call: Call) -> Result<Answer, CallError> {
    let prepare = || -> Result<Supersede, InputError> {
        let claim = claim(arguments, "old_object")?;
        let new_object = names::entity(arguments.required("new_object"), "new_object")?;
        // Both facts meet at one instant: as a date the one would end a day after the other begins.
        let at = instant(arguments, "at")?.map_or_else(|| call.at.utc_seconds(), |at| start_key(&at));
        Ok(Supersede { claim, new_object, at, now: call.at.clone() })
    };
    let command = match prepare() {
        Ok(command) => command,
        Err(error) => return Ok(Answer::input_refused(&error)),
    };
    let predicate = arguments.required("predicate").trim();
    let said = said(arguments.required("subject").trim(), predicate, arguments.required("new_object").trim());
    let old = arguments.required("old_object").trim().to_owned();
    submit(palace, command, call, move |recorded: &Recorded| {
        json!({
            "success": true, "triple_id": recorded.id, "fact": said, "superseded": old,
            "matched": recorded.ended.len(), "ended_triple_ids": recorded.ended,
        })
    })
}

fn said(subject: &str, predicate: &str, object: &str) -> String {
    format!("{subject} → {predicate} → {object}")
}

/// Key under which a refusal of the writer travels to where it becomes an error of the call.
const REFUSED: &str = "refused";

/// Queues a change of the graph. A validity that ends before it begins is the peer's internal error, with its reason.
fn submit<T>(
    palace: &Palace,
    command: impl Command<Outcome = Result<T, Inverted>>,
    call: Call,
    show: impl Fn(&T) -> Value + Send + 'static,
) -> Result<Answer, CallError> {
    let answer = write(palace, command, call, move |outcome| match outcome {
        Ok(done) => show(done),
        Err(Inverted(reason)) => json!({ REFUSED: reason }),
    });
    match answer.json.get(REFUSED) {
        Some(reason) => Err(CallError {
            code: INTERNAL_TOOL_ERROR,
            message: "Internal tool error".to_owned(),
            data: Some(json!({"error_class": "ValueError", "message": reason})),
        }),
        None => Ok(answer),
    }
}

pub fn kg_timeline(palace: &Palace, arguments: &Arguments) -> Answer {
    let page = || -> Result<Value, QueryError> {
        let entity = arguments.text("entity").map(|entity| names::entity(entity, "entity")).transpose()?;
        let (limit, offset) = (arguments.count("limit", PAGE_DEFAULT), arguments.count("offset", 0));
        let (facts, total) = query::timeline(&palace.snapshot()?, entity.as_deref(), limit, offset)?;
        let timeline: Vec<Value> = facts
            .iter()
            .map(|named| {
                let fact = &named.fact;
                json!({
                    "subject": named.subject, "predicate": fact.predicate, "object": named.object,
                    "valid_from": fact.valid_from, "valid_to": fact.valid_to,
                    "current": fact.valid_to.is_none(), "id": fact.id,
                })
            })
            .collect();
        Ok(json!({
            "entity": entity.as_deref().unwrap_or("all"), "count": timeline.len(), "timeline": timeline,
            "total": total, "offset": offset, "limit": limit,
        }))
    };
    Answer::of(page())
}

pub fn kg_stats(palace: &Palace) -> Answer {
    let numbers = || -> Result<Value, QueryError> {
        let numbers = query::numbers(&palace.snapshot()?)?;
        Ok(json!({
            "entities": numbers.entities, "triples": numbers.facts, "current_facts": numbers.open,
            "expired_facts": numbers.facts - numbers.open, "relationship_types": numbers.predicates,
        }))
    };
    Answer::of(numbers())
}
