//! The commands of the query language, by the tool that takes them.

use super::grammar::Gives::{Flag, Json, One, Set, Shelf, Since, Typed};
use super::grammar::Part::{Arrow, MayText, MayValue, Members, Pair, Place, Separator, Text, Value};
use super::grammar::{Gives, Opt, Part, Verb};
use super::values::Kind::{Instant, Number, OneOf, Time, Whole};

const fn opt(word: &'static str, gives: Gives) -> Opt {
    Opt { word, gives }
}

const fn verb(
    words: &'static [&'static str],
    tool: &'static str,
    parts: &'static [Part],
    options: &'static [Opt],
) -> Verb {
    Verb { words, tool, parts, options }
}

const IN: Opt = opt("IN", Shelf("wing", "room"));
const WING: Opt = opt("IN", One("wing"));
const LIMIT: Opt = opt("LIMIT", Typed("limit", Whole));
const OFFSET: Opt = opt("OFFSET", Typed("offset", Whole));
const SINCE: Opt = opt("SINCE", Typed("since", Time));
const BEFORE: Opt = opt("BEFORE", Typed("before", Time));
const FIND: &[Opt] = &[
    IN,
    LIMIT,
    SINCE,
    BEFORE,
    opt("SOURCE", One("source_file")),
    opt("MAX_DISTANCE", Typed("max_distance", Number)),
    opt("MAX_DIST", Typed("max_distance", Number)),
    opt("STRATEGY", Typed("candidate_strategy", OneOf(&["vector", "union"]))),
    opt("CONTEXT", One("context")),
    opt("WING", One("wing")),
    opt("ROOM", One("room")),
];

const DUP: &[Opt] = &[opt("THRESHOLD", Typed("threshold", Number))];

/// Words that people who know other languages take for options. None of them is one here.
pub const NO_OPTIONS: [&str; 8] = ["ORDER", "SORT", "WHERE", "TOP", "MAX", "FILTER", "TAG", "SKIP"];

/// Commands of `palace_query`.
pub const QUERY: &[Verb] = &[
    verb(&["FIND"], "search", &[Text("query")], FIND),
    verb(&["SEARCH"], "search", &[Text("query")], FIND),
    verb(&["TAXONOMY"], "get_taxonomy", &[], &[]),
    verb(&["WINGS"], "list_wings", &[], &[]),
    verb(&["ROOMS"], "list_rooms", &[MayValue("wing")], &[WING]),
    verb(&["DRAWER"], "get_drawer", &[Text("drawer_id")], &[]),
    verb(&["DRAWERS"], "list_drawers", &[], &[IN, LIMIT, OFFSET, SINCE, BEFORE]),
    verb(&["CHECK", "DUP"], "check_duplicate", &[Text("content")], DUP),
    verb(&["CHECK", "DUPLICATE"], "check_duplicate", &[Text("content")], DUP),
    verb(&["CHECK_DUP"], "check_duplicate", &[Text("content")], DUP),
    verb(&["CHECK_DUPLICATE"], "check_duplicate", &[Text("content")], DUP),
    verb(&["AAAK"], "get_aaak_spec", &[], &[]),
    verb(&["AAAK_SPEC"], "get_aaak_spec", &[], &[]),
    verb(&["SPEC"], "get_aaak_spec", &[], &[]),
    verb(
        &["KG"],
        "kg_query",
        &[Text("entity")],
        &[
            opt("AS OF", Typed("as_of", Instant)),
            opt("DIRECTION", Typed("direction", OneOf(&["outgoing", "incoming", "both"]))),
        ],
    ),
    verb(&["KG", "TIMELINE"], "kg_timeline", &[MayText("entity")], &[LIMIT, OFFSET]),
    verb(&["KG", "STATS"], "kg_stats", &[], &[]),
    verb(&["TRAVERSE"], "traverse", &[Text("start_room")], &[opt("HOPS", Typed("max_hops", Whole))]),
    verb(&["TUNNELS"], "list_tunnels", &[MayValue("wing")], &[WING]),
    verb(&["TUNNELS", "BETWEEN"], "find_tunnels", &[Pair("wing_a", "wing_b")], &[]),
    verb(&["FOLLOW"], "follow_tunnels", &[Place("wing", "room")], &[]),
    verb(&["HALLWAYS"], "list_hallways", &[MayValue("wing")], &[WING, LIMIT, OFFSET]),
    verb(&["GRAPH", "STATS"], "graph_stats", &[], &[]),
    verb(
        &["DIARY"],
        "diary_read",
        &[Text("agent_name")],
        &[opt("LAST", Typed("last_n", Whole)), opt("LIMIT", Typed("last_n", Whole)), WING],
    ),
    verb(&["STATUS"], "status", &[], &[]),
    verb(&["INFO"], "status", &[], &[]),
    verb(&["FILED"], "memories_filed_away", &[], &[]),
    verb(&["MEMORIES_FILED"], "memories_filed_away", &[], &[]),
    verb(&["MEMORIES_FILED_AWAY"], "memories_filed_away", &[], &[]),
    verb(&["SETTINGS"], "hook_settings", &[], &[]),
    verb(&["HOOK_SETTINGS"], "hook_settings", &[], &[]),
];

const PROVENANCE: &[Opt] = &[
    opt("FROM", Typed("valid_from", Instant)),
    opt("VALID_FROM", Typed("valid_from", Instant)),
    opt("TO", Typed("valid_to", Instant)),
    opt("VALID_TO", Typed("valid_to", Instant)),
    opt("SOURCE", One("source_file")),
    opt("DRAWER", One("source_drawer_id")),
    opt("CLOSET", One("source_closet")),
];
const ENDED: &[Opt] = &[
    opt("ENDED", Typed("ended", Instant)),
    opt("AT", Typed("ended", Instant)),
    opt("DATE", Typed("ended", Instant)),
];
const CLAIM: &[Part] = &[Text("subject"), Arrow, Text("predicate"), Arrow, Text("object")];
const TUNNEL: &[Part] = &[Place("source_wing", "source_room"), Arrow, Place("target_wing", "target_room")];
const LABEL: &[Opt] = &[opt("LABEL", One("label"))];
const ENTRY: &[Opt] =
    &[opt("ENTRY", One("entry")), opt("TOPIC", One("topic")), WING, opt("WING", One("wing"))];

/// Commands of `palace_exec`.
pub const EXEC: &[Verb] = &[
    verb(
        &["ADD"],
        "add_drawer",
        &[Place("wing", "room"), Text("content")],
        &[opt("SOURCE", One("source_file")), opt("BY", One("added_by"))],
    ),
    verb(
        &["UPDATE"],
        "update_drawer",
        &[Text("drawer_id")],
        &[opt("CONTENT", One("content")), opt("WING", One("wing")), opt("ROOM", One("room")), IN],
    ),
    verb(&["DELETE", "DRAWER"], "delete_drawer", &[Text("drawer_id")], &[]),
    verb(
        &["DELETE", "SOURCE"],
        "delete_by_source",
        &[Text("source_file")],
        &[opt("COMMIT", Flag("dry_run", false)), opt("APPLY", Flag("dry_run", false))],
    ),
    verb(&["DELETE"], "delete_drawer", &[Value("drawer_id")], &[]),
    verb(&["DELETE", "TUNNEL"], "delete_tunnel", &[Text("tunnel_id")], &[]),
    verb(&["DELETE", "HALLWAY"], "delete_hallway", &[Text("hallway_id")], &[]),
    verb(&["TUNNEL", "DELETE"], "delete_tunnel", &[Text("tunnel_id")], &[]),
    verb(&["HALLWAY", "DELETE"], "delete_hallway", &[Text("hallway_id")], &[]),
    verb(&["CHECKPOINT"], "checkpoint", &[Members], &[]),
    verb(&["KG", "ADD"], "kg_add", CLAIM, PROVENANCE),
    verb(&["KG", "INVALIDATE"], "kg_invalidate", CLAIM, ENDED),
    verb(
        &["KG", "SUPERSEDE"],
        "kg_supersede",
        &[
            Text("subject"),
            Arrow,
            Text("predicate"),
            Separator,
            Text("old_object"),
            Arrow,
            Text("new_object"),
        ],
        &[opt("AT", Typed("at", Instant)), opt("DATE", Typed("at", Instant))],
    ),
    verb(&["KG", "DELETE"], "kg_invalidate", CLAIM, ENDED),
    verb(&["TUNNEL", "CREATE"], "create_tunnel", TUNNEL, LABEL),
    verb(&["CREATE", "TUNNEL"], "create_tunnel", TUNNEL, LABEL),
    verb(&["DIARY", "WRITE"], "diary_write", &[Text("agent_name"), MayText("entry")], ENTRY),
    verb(&["DIARY", "ADD"], "diary_write", &[Text("agent_name"), MayText("entry")], ENTRY),
    verb(
        &["SETTINGS"],
        "hook_settings",
        &[],
        &[opt("SILENT_SAVE", One("silent_save")), opt("DESKTOP_TOAST", One("desktop_toast"))],
    ),
    verb(&["FILED"], "memories_filed_away", &[], &[]),
    verb(&["RECONNECT"], "reconnect", &[], &[]),
];

const FROM: Opt = opt("FROM", One("from_agent"));
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
    opt("ASC", Set("order", "asc")),
    opt("OLDEST", Set("order", "asc")),
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
    verb(&["EVENT", "INBOX"], "event_list", &[MayText("to_agent")], LIST),
    verb(&["INBOX"], "event_list", &[MayText("to_agent")], LIST),
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

const FROM_AS_AUTHOR: Opt = opt("FROM", One("created_by"));
