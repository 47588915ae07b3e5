//! What `palace_exec` takes.

use super::super::command::Gives::{Flag, One, Typed};
use super::super::command::Part::{Arrow, Claim, MayText, Members, Place, Separator, Text, Value};
use super::super::command::{Opt, Part, Verb};
use super::super::values::Kind::Instant;
use super::{IN, WING, opt, verb};

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
const CLAIM: &[Part] = &[Claim(["subject", "predicate", "object"])];
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
