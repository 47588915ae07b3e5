//! The commands of the query language, by the tool that takes them.

use super::grammar::Gives::{Flag, Json, One, Shelf};
use super::grammar::Part::{Arrow, MayText, Members, Pair, Place, Separator, Text};
use super::grammar::{Gives, Opt, Part, Verb};

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
const LIMIT: Opt = opt("LIMIT", One("limit"));
const OFFSET: Opt = opt("OFFSET", One("offset"));
const SINCE: Opt = opt("SINCE", One("since"));
const BEFORE: Opt = opt("BEFORE", One("before"));
const FIND: &[Opt] = &[
    IN,
    LIMIT,
    SINCE,
    BEFORE,
    opt("SOURCE", One("source_file")),
    opt("MAX_DISTANCE", One("max_distance")),
    opt("WING", One("wing")),
    opt("ROOM", One("room")),
];

/// Commands of `palace_query`.
pub const QUERY: &[Verb] = &[
    verb(&["FIND"], "search", &[Text("query")], FIND),
    verb(&["SEARCH"], "search", &[Text("query")], FIND),
    verb(&["TAXONOMY"], "get_taxonomy", &[], &[]),
    verb(&["WINGS"], "list_wings", &[], &[]),
    verb(&["ROOMS"], "list_rooms", &[], &[WING]),
    verb(&["DRAWER"], "get_drawer", &[Text("drawer_id")], &[]),
    verb(&["DRAWERS"], "list_drawers", &[], &[IN, LIMIT, OFFSET, SINCE, BEFORE]),
    verb(&["CHECK", "DUP"], "check_duplicate", &[Text("content")], &[opt("THRESHOLD", One("threshold"))]),
    verb(&["AAAK"], "get_aaak_spec", &[], &[]),
    verb(
        &["KG"],
        "kg_query",
        &[Text("entity")],
        &[opt("AS OF", One("as_of")), opt("DIRECTION", One("direction"))],
    ),
    verb(&["KG", "TIMELINE"], "kg_timeline", &[MayText("entity")], &[LIMIT, OFFSET]),
    verb(&["KG", "STATS"], "kg_stats", &[], &[]),
    verb(&["TRAVERSE"], "traverse", &[Text("start_room")], &[opt("HOPS", One("max_hops"))]),
    verb(&["TUNNELS"], "list_tunnels", &[], &[WING]),
    verb(&["TUNNELS", "BETWEEN"], "find_tunnels", &[Pair("wing_a", "wing_b")], &[]),
    verb(&["FOLLOW"], "follow_tunnels", &[Place("wing", "room")], &[]),
    verb(&["HALLWAYS"], "list_hallways", &[], &[WING, LIMIT, OFFSET]),
    verb(&["GRAPH", "STATS"], "graph_stats", &[], &[]),
    verb(&["DIARY"], "diary_read", &[Text("agent_name")], &[opt("LAST", One("last_n")), WING]),
    verb(&["STATUS"], "status", &[], &[]),
    verb(&["FILED"], "memories_filed_away", &[], &[]),
    verb(&["SETTINGS"], "hook_settings", &[], &[]),
];

const PROVENANCE: &[Opt] = &[
    opt("FROM", One("valid_from")),
    opt("VALID_FROM", One("valid_from")),
    opt("TO", One("valid_to")),
    opt("VALID_TO", One("valid_to")),
    opt("SOURCE", One("source_file")),
    opt("DRAWER", One("source_drawer_id")),
    opt("CLOSET", One("source_closet")),
];
const ENDED: &[Opt] = &[opt("ENDED", One("ended")), opt("AT", One("ended"))];

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
        &[opt("COMMIT", Flag("dry_run", false))],
    ),
    verb(&["DELETE", "TUNNEL"], "delete_tunnel", &[Text("tunnel_id")], &[]),
    verb(&["DELETE", "HALLWAY"], "delete_hallway", &[Text("hallway_id")], &[]),
    verb(&["CHECKPOINT"], "checkpoint", &[Members], &[]),
    verb(
        &["KG", "ADD"],
        "kg_add",
        &[Text("subject"), Arrow, Text("predicate"), Arrow, Text("object")],
        PROVENANCE,
    ),
    verb(
        &["KG", "INVALIDATE"],
        "kg_invalidate",
        &[Text("subject"), Arrow, Text("predicate"), Arrow, Text("object")],
        ENDED,
    ),
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
        &[opt("AT", One("at"))],
    ),
    verb(
        &["TUNNEL", "CREATE"],
        "create_tunnel",
        &[Place("source_wing", "source_room"), Arrow, Place("target_wing", "target_room")],
        &[opt("LABEL", One("label"))],
    ),
    verb(
        &["DIARY", "WRITE"],
        "diary_write",
        &[Text("agent_name"), MayText("entry")],
        &[opt("ENTRY", One("entry")), opt("TOPIC", One("topic")), WING],
    ),
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
const SINCE_EVENT: Opt = opt("SINCE", One("since_event_id"));
const SINCE_TIME: Opt = opt("SINCE_CREATED_AT", One("since_created_at"));
const LIST: &[Opt] = &[
    STREAM,
    ROOM,
    TOPIC,
    TYPE,
    TO,
    FROM,
    WRITER,
    CORRELATION,
    STATUS,
    SINCE_EVENT,
    SINCE_TIME,
    opt("BEFORE", One("before_event_id")),
    LIMIT,
    opt("ORDER", One("order")),
    opt("PREVIEW", Flag("preview", true)),
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
    verb(
        &["EVENT", "APPEND"],
        "event_append",
        &[],
        &[
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
        ],
    ),
    verb(&["EVENT", "LIST"], "event_list", &[], LIST),
    verb(&["EVENT", "INBOX"], "event_list", &[MayText("to_agent")], LIST),
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
            FROM,
            WRITER,
            CORRELATION,
            STATUS,
            SINCE_EVENT,
            SINCE_TIME,
            opt("TIMEOUT", One("timeout_ms")),
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
];

const FROM_AS_AUTHOR: Opt = opt("FROM", One("created_by"));

/// Other names of tools that structured calls may use.
pub const ALIASES: &[(&str, &str)] = &[
    ("find", "search"),
    ("taxonomy", "get_taxonomy"),
    ("wings", "list_wings"),
    ("rooms", "list_rooms"),
    ("drawer", "get_drawer"),
    ("drawers", "list_drawers"),
    ("duplicate", "check_duplicate"),
    ("check", "check_duplicate"),
    ("aaak", "get_aaak_spec"),
    ("aaak_spec", "get_aaak_spec"),
    ("kg", "kg_query"),
    ("timeline", "kg_timeline"),
    ("kg_statistics", "kg_stats"),
    ("traverse_graph", "traverse"),
    ("tunnels", "list_tunnels"),
    ("follow", "follow_tunnels"),
    ("hallways", "list_hallways"),
    ("stats", "graph_stats"),
    ("diary", "diary_read"),
    ("filed", "memories_filed_away"),
    ("settings", "hook_settings"),
    ("peers", "mesh_peers"),
    ("inbox", "event_list"),
];
