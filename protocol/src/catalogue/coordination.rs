//! Tools over the event stream: how agents hand each other work.

use super::{Kind, Parameter, Shape, Tool, ToolClass, always, optional, required, sometimes};

const STATUSES: &str = "open, claimed, ready, applied, blocked, failed or superseded";
/// Fewer than one event is refused, as the peer does.
const LIMIT: Shape = Shape::Clamped { min: i64::MIN, max: 500 };

/// Filters that listing and waiting share.
const fn filter(name: &'static str, description: &'static str) -> Parameter {
    optional(name, Shape::Text, description)
}

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "mempalace_event_append",
        title: "Append an event",
        description: "Tells other agents something: appended for good, corrected by another event. For work to be \
                      done use task_create. Example: type status.update, stream project/app, room delegation.",
        class: ToolClass::KeyedWrite,
        destructive: false,
        answer: &[
            always("success", Kind::Flag),
            sometimes("event", Kind::Object),
            sometimes("error", Kind::Text),
        ],
        parameters: &[
            required("type", Shape::Text, "e.g. status.update"),
            required("stream", Shape::Text, "e.g. project/app"),
            required("room", Shape::Text, ""),
            optional("topic", Shape::Text, ""),
            required("from_agent", Shape::Text, "you"),
            optional("to_agent", Shape::Text, "* for all"),
            optional("correlation_id", Shape::Text, "what it belongs to"),
            optional("branch", Shape::Text, ""),
            optional("base_commit", Shape::Text, ""),
            optional("status", Shape::Text, STATUSES),
            optional("body", Shape::LongText, ""),
            optional("metadata", Shape::Object(&[]), ""),
            optional("artifact_ids", Shape::TextList, ""),
        ],
    },
    Tool {
        name: "mempalace_task_create",
        title: "Hand over a task",
        description: "Asks another agent for work with a goal, a definition of done and the commit to start from. \
                      The answer has a line to wake that agent with.",
        class: ToolClass::KeyedWrite,
        destructive: false,
        answer: &[
            always("success", Kind::Flag),
            sometimes("task", Kind::Object),
            sometimes("handoff", Kind::Text),
            sometimes("error", Kind::Text),
        ],
        parameters: &[
            required("project", Shape::Text, ""),
            required("from_agent", Shape::Text, "you"),
            required("to_agent", Shape::Text, ""),
            required("goal", Shape::LongText, ""),
            required("branch", Shape::Text, ""),
            required("base_commit", Shape::Text, "a hash, no branch"),
            required("done", Shape::LongText, "when it is done"),
        ],
    },
    Tool {
        name: "mempalace_event_list",
        title: "List events",
        description: "Events, newest first; after since_event_id oldest first. Your inbox: to_agent=<you>. \
                      from_agent says who you are and filters nothing.",
        class: ToolClass::Read,
        destructive: false,
        answer: &[
            sometimes("events", Kind::List),
            sometimes("count", Kind::Count),
            sometimes("note", Kind::Text),
            sometimes("error", Kind::Text),
        ],
        parameters: &[
            filter("stream", ""),
            filter("room", ""),
            filter("topic", ""),
            filter("type", ""),
            filter("to_agent", "events to all match too"),
            filter("from_agent", ""),
            filter("writer", "who wrote it"),
            filter("correlation_id", ""),
            filter("status", ""),
            filter("since_event_id", "after this one"),
            filter("before_event_id", ""),
            filter("since_created_at", ""),
            optional("limit", LIMIT, "50 by default"),
            optional("order", Shape::Text, "asc or desc"),
            optional("preview", Shape::Boolean, "short bodies"),
        ],
    },
    Tool {
        name: "mempalace_event_wait",
        title: "Wait for an event",
        description: "Waits until a matching event is there, or timeout_ms (60000 by default, at most 300000) has \
                      passed. Other calls go on meanwhile. Give since_event_id to wait for new ones.",
        class: ToolClass::Read,
        destructive: false,
        answer: &[
            sometimes("timed_out", Kind::Flag),
            sometimes("events", Kind::List),
            sometimes("count", Kind::Count),
            sometimes("note", Kind::Text),
            sometimes("error", Kind::Text),
        ],
        parameters: &[
            filter("stream", ""),
            filter("room", ""),
            filter("topic", ""),
            filter("type", ""),
            filter("to_agent", ""),
            filter("from_agent", ""),
            filter("writer", ""),
            filter("correlation_id", ""),
            filter("status", ""),
            filter("since_event_id", ""),
            filter("since_created_at", ""),
            optional("timeout_ms", Shape::Clamped { min: i64::MIN, max: 300_000 }, ""),
            optional("limit", LIMIT, ""),
        ],
    },
    Tool {
        name: "mempalace_event_ack",
        title: "Acknowledge an event",
        description: "Answers an event to its writer: claim a task, report it done or blocked.",
        class: ToolClass::KeyedWrite,
        destructive: false,
        answer: &[
            always("success", Kind::Flag),
            sometimes("event", Kind::Object),
            sometimes("error", Kind::Text),
        ],
        parameters: &[
            required("event_id", Shape::Text, ""),
            required("from_agent", Shape::Text, "you"),
            optional("status", Shape::Text, STATUSES),
            optional("body", Shape::LongText, ""),
            optional("topic", Shape::Text, ""),
        ],
    },
    Tool {
        name: "mempalace_artifact_put",
        title: "Store a text for agents",
        description: "Stores an exact text, up to 4 MiB, that events refer to. Memories belong into drawers.",
        class: ToolClass::KeyedWrite,
        destructive: false,
        answer: &[
            always("success", Kind::Flag),
            sometimes("artifact", Kind::Object),
            sometimes("error", Kind::Text),
        ],
        parameters: &[
            required("kind", Shape::Text, "patch, file, log, json or note"),
            required("content", Shape::LongText, ""),
            required("created_by", Shape::Text, "you"),
            optional("metadata", Shape::Object(&[]), ""),
        ],
    },
    Tool {
        name: "mempalace_artifact_get",
        title: "Read a text for agents",
        description: "An artifact with its exact text.",
        class: ToolClass::Read,
        destructive: false,
        answer: &[sometimes("artifact", Kind::Object), sometimes("error", Kind::Text)],
        parameters: &[required("artifact_id", Shape::Text, "")],
    },
    Tool {
        name: "mempalace_patch_submit",
        title: "Submit a patch",
        description: "Stores a patch and announces it as ready, in one step.",
        class: ToolClass::KeyedWrite,
        destructive: false,
        answer: &[
            always("success", Kind::Flag),
            sometimes("artifact", Kind::Object),
            sometimes("event", Kind::Object),
            sometimes("error", Kind::Text),
        ],
        parameters: &[
            required("content", Shape::LongText, "unified diff"),
            required("from_agent", Shape::Text, "you"),
            required("stream", Shape::Text, ""),
            optional("room", Shape::Text, "patches by default"),
            optional("topic", Shape::Text, ""),
            optional("to_agent", Shape::Text, ""),
            optional("correlation_id", Shape::Text, "the task's"),
            optional("branch", Shape::Text, ""),
            optional("base_commit", Shape::Text, ""),
            optional("body", Shape::LongText, ""),
            optional("metadata", Shape::Object(&[]), ""),
        ],
    },
    Tool {
        name: "mempalace_mesh_peers",
        title: "Palaces that exchange events",
        description: "Who this palace is among those that exchange events, and which others it has heard of.",
        class: ToolClass::Read,
        destructive: false,
        answer: &[
            always("self", Kind::Object),
            always("peers", Kind::List),
            always("unnamed_origins", Kind::List),
            always("origin_profiles", Kind::Object),
            always("estate_source", Kind::Object),
        ],
        parameters: &[],
    },
];
