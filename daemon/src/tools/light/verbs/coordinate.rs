//! What `palace_coordinate` takes.

use super::super::command::Gives::{Flag, Json, One, Set, Since, Typed};
use super::super::command::Part::MayText;
use super::super::command::{Opt, Verb};
use super::super::values::Kind::{Instant, OneOf, Whole};
use super::{LIMIT, opt, verb};

const FROM: Opt = opt("FROM", One("from_agent"));
const FROM_AS_AUTHOR: Opt = opt("FROM", One("created_by"));
const TO: Opt = opt("TO", One("to_agent"));
const STREAM: Opt = opt("STREAM", One("stream"));
const ROOM: Opt = opt("ROOM", One("room"));
const TOPIC: Opt = opt("TOPIC", One("topic"));
const TYPE: Opt = opt("TYPE", One("type"));
const STATUS: Opt = opt("STATUS", One("status"));
const BODY: Opt = opt("BODY", One("body"));
const BRANCH: Opt = opt("BRANCH", One("branch"));
const BASE: Opt = opt("BASE", One("base_commit"));
const CORRELATION: Opt = opt("CORRELATION", One("correlation_id"));
const METADATA: Opt = opt("METADATA", Json("metadata"));
const CONTENT: Opt = opt("CONTENT", One("content"));
const WRITER: Opt = opt("WRITER", One("writer"));
/// In lists a writer is filtered by; `from_agent` is who asks.
const WRITTEN_BY: Opt = opt("FROM", One("writer"));
const ASKED_BY: Opt = opt("FROM_AGENT", One("from_agent"));
const SINCE_EVENT: Opt = opt("SINCE", Since("since_event_id", "since_created_at"));
const SINCE_ID: Opt = opt("SINCE_ID", One("since_event_id"));
const SINCE_TIME: Opt = opt("SINCE_CREATED_AT", Typed("since_created_at", Instant));
const LIST: &[Opt] = &[
    STREAM,
    ROOM,
    TOPIC,
    TYPE,
    TO,
    WRITTEN_BY,
    ASKED_BY,
    WRITER,
    CORRELATION,
    STATUS,
    SINCE_EVENT,
    SINCE_ID,
    SINCE_TIME,
    opt("BEFORE", One("before_event_id")),
    opt("BEFORE_ID", One("before_event_id")),
    LIMIT,
    opt("ORDER", Typed("order", OneOf(&["asc", "desc"]))),
    opt("DESC", Set("order", "desc")),
    opt("LATEST", Set("order", "desc")),
    opt("RECENT", Set("order", "desc")),
    opt("TAIL", Set("order", "desc")),
    opt("ASC", Set("order", "asc")),
    opt("OLDEST", Set("order", "asc")),
    opt("HEAD", Set("order", "asc")),
    opt("FROM_START", Set("order", "asc")),
    opt("PREVIEW", Flag("preview", true)),
];
const APPEND: &[Opt] = &[
    TYPE,
    STREAM,
    ROOM,
    TOPIC,
    FROM,
    TO,
    CORRELATION,
    BRANCH,
    BASE,
    STATUS,
    BODY,
    METADATA,
    opt("ARTIFACTS", Json("artifact_ids")),
];

/// A list of events that shows the beginnings of their texts.
const fn inbox(words: &'static [&'static str]) -> Verb {
    Verb { words, tool: "event_list", parts: &[MayText("to_agent")], options: LIST, presets: &["preview"] }
}

/// Commands of `palace_coordinate`.
pub const COORDINATE: &[Verb] = &[
    verb(
        &["TASK", "CREATE"],
        "task_create",
        &[],
        &[
            opt("PROJECT", One("project")),
            FROM,
            TO,
            opt("GOAL", One("goal")),
            BRANCH,
            BASE,
            opt("DONE", One("done")),
        ],
    ),
    verb(&["EVENT", "APPEND"], "event_append", &[], APPEND),
    verb(&["EVENT", "EMIT"], "event_append", &[], APPEND),
    verb(&["EVENT", "POST"], "event_append", &[], APPEND),
    verb(&["EVENT", "LIST"], "event_list", &[], LIST),
    verb(&["EVENT", "FIND"], "event_list", &[], LIST),
    verb(&["EVENTS"], "event_list", &[], LIST),
    verb(&["LOGSTREAM"], "event_list", &[], LIST),
    inbox(&["EVENT", "INBOX"]),
    inbox(&["INBOX"]),
    verb(
        &["EVENT", "WAIT"],
        "event_wait",
        &[],
        &[
            STREAM,
            ROOM,
            TOPIC,
            TYPE,
            TO,
            WRITTEN_BY,
            ASKED_BY,
            WRITER,
            CORRELATION,
            STATUS,
            SINCE_EVENT,
            SINCE_ID,
            SINCE_TIME,
            opt("TIMEOUT", Typed("timeout_ms", Whole)),
            LIMIT,
        ],
    ),
    verb(
        &["EVENT", "ACK"],
        "event_ack",
        &[MayText("event_id")],
        &[opt("ID", One("event_id")), FROM, STATUS, BODY, TOPIC],
    ),
    verb(
        &["ARTIFACT", "PUT"],
        "artifact_put",
        &[],
        &[opt("KIND", One("kind")), opt("BY", One("created_by")), FROM_AS_AUTHOR, CONTENT, METADATA],
    ),
    verb(&["ARTIFACT", "GET"], "artifact_get", &[MayText("artifact_id")], &[opt("ID", One("artifact_id"))]),
    verb(
        &["PATCH", "SUBMIT"],
        "patch_submit",
        &[],
        &[CONTENT, FROM, STREAM, ROOM, TOPIC, TO, CORRELATION, BRANCH, BASE, BODY, METADATA],
    ),
    verb(&["MESH", "PEERS"], "mesh_peers", &[], &[]),
    verb(&["MESH"], "mesh_peers", &[], &[]),
    verb(&["PEERS"], "mesh_peers", &[], &[]),
];
