//! Exact texts that events refer to.

use serde_json::{Value, json};

use crate::palace::error::{InputError, QueryError};
use crate::palace::events::{Announce, Artifact, NewArtifact, query, rules};
use crate::palace::{Palace, ids};
use crate::tools::{Answer, Arguments, Call};

use super::{event_of, optional_routing, routing, submit};

pub fn artifact_put(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let new = new_artifact(arguments, arguments.required("kind"), "created_by", &call);
    submit(palace, call, new, |artifact| json!({"success": true, "artifact": stored_json(artifact)}))
}

fn new_artifact(
    arguments: &Arguments,
    kind: &str,
    author: &str,
    call: &Call,
) -> Result<NewArtifact, InputError> {
    let created_by = routing(arguments, author)?;
    let (kind, content) = rules::artifact(kind, arguments.required("content"))?;
    let metadata = rules::metadata(arguments.value("metadata"))?;
    let id = ids::stamped("art", &call.at.utc_stamp());
    Ok(NewArtifact { id, kind, content, created_by, metadata })
}

/// Returns what is told of an artifact to whoever has its text.
fn stored_json(artifact: &Artifact) -> Value {
    let mut json = json!({
        "id": artifact.id, "kind": artifact.kind, "sha256": artifact.sha256,
        "size_bytes": artifact.size_bytes, "created_by": artifact.created_by,
        "created_at": artifact.created_at, "origin_replica": artifact.origin_replica,
    });
    let warnings = patch_warnings(artifact);
    if !warnings.is_empty() {
        json["warnings"] = json!(warnings);
    }
    json
}

/// Returns why a patch may not apply; it is stored as it is.
fn patch_warnings(artifact: &Artifact) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    if artifact.kind == "patch" {
        if !artifact.content.ends_with('\n') {
            warnings.push("the patch does not end with a newline; git apply may refuse it");
        }
        if artifact.content.contains("\r\n") {
            warnings.push("the patch has CRLF line ends; git apply may refuse it");
        }
    }
    warnings
}

pub fn patch_submit(palace: &Palace, arguments: &Arguments, call: Call) -> Answer {
    let prepare = || -> Result<Announce, InputError> {
        let artifact = new_artifact(arguments, "patch", "from_agent", &call)?;
        let room = optional_routing(arguments, "room")?.unwrap_or_else(|| "patches".to_owned());
        let mut event = event_of(arguments, "patch.ready".to_owned(), room)?;
        event.status = Some("ready".to_owned());
        Ok(Announce { artifact, event })
    };
    let act = prepare();
    submit(
        palace,
        call,
        act,
        |(artifact, event)| json!({"success": true, "artifact": stored_json(artifact), "event": event}),
    )
}

pub fn artifact_get(palace: &Palace, arguments: &Arguments) -> Answer {
    let get = || -> Result<Value, QueryError> {
        let id = routing(arguments, "artifact_id")?;
        Ok(match query::artifact(&palace.snapshot()?, &id)? {
            Some(artifact) => json!({"artifact": artifact}),
            None => json!({"error": format!("artifact {id:?} not found")}),
        })
    };
    Answer::of(get())
}
