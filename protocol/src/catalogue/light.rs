//! The three tools of the light profile: one line of a query language each, or fields.

use super::{ERROR, Key, Kind, Parameter, Shape, Tool, ToolClass, optional, sometimes};

const fn field(name: &'static str) -> Parameter {
    optional(name, Shape::Text, "")
}

const fn number(name: &'static str) -> Parameter {
    optional(name, Shape::Integer { min: 0, max: None }, "")
}

/// What a line answers is what its tool does; lists stand under `result`.
const ANY: &[Key] = &[sometimes("result", Kind::List), ERROR];

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "palace_query",
        title: "Ask the memory",
        description: "Asks the user's long-term memory. Use it before answering about people, projects, decisions or \
                      past events; it changes nothing. Lines:\n\
                      FIND words [IN wing/room] [LIMIT n] [SINCE date] [BEFORE date] | WINGS | ROOMS [IN wing] | TAXONOMY [IN wing] | \
                      DRAWER id | DRAWERS [IN wing/room] [LIMIT n] [OFFSET n] | CHECK DUP \"text\" | KG entity [AS OF date] | \
                      KG TIMELINE [entity] | KG STATS | TRAVERSE room [HOPS n] | TUNNELS [IN wing] | \
                      TUNNELS BETWEEN wing AND wing | FOLLOW wing/room | HALLWAYS [IN wing] | GRAPH STATS | \
                      DIARY agent [LAST n] | STATUS | AAAK | FILED | SETTINGS\n\
                      Example: FIND \"auth bug\" IN app LIMIT 3. Or give target (a name such as search, kg_query) and fields.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
        answer: ANY,
        parameters: &[
            optional("query", Shape::Text, "a line, or the words to find"),
            field("target"),
            field("wing"),
            field("room"),
            number("limit"),
            number("offset"),
            field("since"),
            field("before"),
            field("entity"),
            field("as_of"),
            field("direction"),
            field("start_room"),
            number("max_hops"),
            field("agent_name"),
            field("content"),
            field("drawer_id"),
            number("last_n"),
            optional("max_distance", Shape::Number, ""),
            optional("candidate_strategy", Shape::OneOf(&["vector", "union"]), ""),
            field("source_file"),
            field("wing_a"),
            field("wing_b"),
        ],
    },
    Tool {
        name: "palace_exec",
        title: "Change the memory",
        description: "Files, changes and removes memories, facts, tunnels and diary entries. Only when that is meant, \
                      never to look something up. File the user's own words, not a summary. Lines:\n\
                      ADD IN wing/room \"text\" [SOURCE file] | UPDATE id [CONTENT \"text\"] [WING w] [ROOM r] | \
                      DELETE DRAWER id | DELETE SOURCE file [COMMIT] | DELETE TUNNEL id | DELETE HALLWAY id | \
                      CHECKPOINT {\"items\": [{\"wing\": …, \"room\": …, \"content\": …}]} | \
                      KG ADD s -> p -> o [FROM date] [TO date] | KG INVALIDATE s -> p -> o [ENDED date] | \
                      KG SUPERSEDE s -> p: old => new [AT date] | TUNNEL CREATE wing/room -> wing/room [LABEL \"text\"] | \
                      DIARY WRITE agent \"text\" [TOPIC t] | SETTINGS [SILENT_SAVE b] | FILED | RECONNECT\n\
                      Example: KG ADD Max -> works_on -> Orion FROM 2026-01-15. Or give action (a name such as add_drawer) \
                      and fields.",
        class: ToolClass::KeyedWrite,
        destructive: true,
        idempotent: false,
        answer: ANY,
        parameters: &[
            optional("command", Shape::Text, "a line"),
            field("action"),
            field("wing"),
            field("room"),
            field("content"),
            field("agent_name"),
            field("entry"),
            field("topic"),
            field("drawer_id"),
            optional("items", Shape::Objects(&[]), ""),
            optional("diary", Shape::Object(&[]), ""),
            field("source"),
            field("subject"),
            field("predicate"),
            field("object"),
            field("old_object"),
            field("new_object"),
            field("at"),
            field("source_file"),
            field("source_wing"),
            field("target_wing"),
            field("valid_from"),
            field("valid_to"),
            field("ended"),
            field("project"),
        ],
    },
    Tool {
        name: "palace_coordinate",
        title: "Work with other agents",
        description: "Hands work to other agents and hears from them; not for memories. Lines take name:value:\n\
                      TASK CREATE project: from: to: goal: branch: base: done: | EVENT APPEND type: stream: room: from: \
                      [to:] [status:] [body:] | EVENT LIST [stream:] [to:] [since:event] [LIMIT n] [PREVIEW] | \
                      EVENT INBOX you [PREVIEW:false] | EVENT WAIT [to:] [correlation:] [since:event] [TIMEOUT ms] | \
                      EVENT ACK event from:you [status:] [body:] | ARTIFACT PUT kind: by: content: | ARTIFACT GET id | \
                      PATCH SUBMIT stream: from: content: [to:] | MESH PEERS\n\
                      Statuses: open, claimed, ready, applied, blocked, failed, superseded. Example: EVENT ACK evt_1 \
                      from:bob status:claimed. Or give action (a name such as event_list) and fields.",
        class: ToolClass::RecordedRead,
        destructive: false,
        idempotent: false,
        answer: ANY,
        parameters: &[
            optional("command", Shape::Text, "a line"),
            field("action"),
            field("project"),
            field("stream"),
            field("room"),
            field("from_agent"),
            field("writer"),
            field("to_agent"),
            field("goal"),
            field("branch"),
            field("base_commit"),
            field("done"),
            field("type"),
            field("correlation_id"),
            field("status"),
            field("body"),
            field("content"),
            field("artifact_id"),
            field("event_id"),
            field("since_event_id"),
            field("before_event_id"),
            field("since_created_at"),
            number("limit"),
            field("order"),
            optional("preview", Shape::Boolean, ""),
            number("timeout_ms"),
            field("kind"),
            field("created_by"),
            optional("metadata", Shape::Object(&[]), ""),
            field("topic"),
        ],
    },
];
