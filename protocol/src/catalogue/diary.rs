//! Tools that keep an agent's diary.

use super::{ERROR, Kind, SUCCESS, Shape, Tool, ToolClass, optional, required, sometimes};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "mempalace_diary_write",
        title: "Write the diary",
        description: "Appends an entry to an agent's diary: what was done, learned and left open in this session. \
                      Not for what users said: that belongs into drawers.",
        class: ToolClass::KeyedWrite,
        destructive: false,
        idempotent: false,
        answer: &[
            SUCCESS,
            sometimes("entry_id", Kind::Text),
            sometimes("agent", Kind::Text),
            sometimes("topic", Kind::Text),
            sometimes("timestamp", Kind::Text),
            sometimes("chunks", Kind::Count),
            sometimes("chunk_ids", Kind::List),
            ERROR,
        ],
        parameters: &[
            required("agent_name", Shape::Text, "whose diary, e.g. claude"),
            optional("entry", Shape::LongText, "the text"),
            optional("topic", Shape::Text, "general by default"),
            optional("wing", Shape::Text, "wing_<agent> by default"),
            optional("content", Shape::LongText, "the same as entry"),
        ],
    },
    Tool {
        name: "mempalace_diary_read",
        title: "Read the diary",
        description: "The last entries of an agent's diary, newest first. Read it when you take up earlier work.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
        answer: &[
            sometimes("agent", Kind::Text),
            sometimes("entries", Kind::List),
            sometimes("total", Kind::Count),
            sometimes("showing", Kind::Count),
            sometimes("message", Kind::Text),
            ERROR,
        ],
        parameters: &[
            required("agent_name", Shape::Text, "whose diary"),
            optional("last_n", Shape::Clamped { min: 1, max: 100 }, "10 by default"),
            optional("wing", Shape::Text, "only entries in this wing"),
        ],
    },
];
