//! What `palace_query` takes.

use super::super::command::Gives::{One, Typed};
use super::super::command::Part::{MayText, MayValue, Pair, Place, Text};
use super::super::command::{Opt, Verb};
use super::super::values::Kind::{Instant, Number, OneOf, Time, Whole};
use super::{IN, LIMIT, OFFSET, WING, opt, verb};

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

/// Commands of `palace_query`.
pub const QUERY: &[Verb] = &[
    verb(&["FIND"], "search", &[Text("query")], FIND),
    verb(&["SEARCH"], "search", &[Text("query")], FIND),
    verb(&["TAXONOMY"], "get_taxonomy", &[MayValue("wing")], &[WING]),
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
