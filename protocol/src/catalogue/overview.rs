//! Tools that show what the palace holds as a whole.

use super::{ERROR, Kind, Shape, Tool, ToolClass, always, optional, sometimes};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "mempalace_status",
        title: "Palace status",
        description: "Counts of the whole palace per wing and room, and how to use this memory. Call it once at the \
                      start of a session, not before every search.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
        answer: &[
            always("total_drawers", Kind::Count),
            always("wings", Kind::Object),
            always("rooms", Kind::Object),
            always("protocol", Kind::Text),
            always("aaak_dialect", Kind::Text),
            always("backend", Kind::Text),
            always("embedding_device", Kind::Text),
            sometimes("problem", Kind::Text),
        ],
        parameters: &[],
    },
    Tool {
        name: "mempalace_list_wings",
        title: "List wings",
        description: "Every wing (person, project or agent) with its number of stored rows.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
        answer: &[always("wings", Kind::Object)],
        parameters: &[],
    },
    Tool {
        name: "mempalace_list_rooms",
        title: "List rooms",
        description: "Every room (topic) with its number of stored rows, of one wing or of all.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
        answer: &[sometimes("wing", Kind::Text), sometimes("rooms", Kind::Object), ERROR],
        parameters: &[optional("wing", Shape::Text, "only rooms of this wing")],
    },
    Tool {
        name: "mempalace_get_taxonomy",
        title: "Taxonomy",
        description: "The tree wing → room → number of rows. Use it to choose where to file something.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
        answer: &[always("taxonomy", Kind::Object)],
        parameters: &[],
    },
    Tool {
        name: "mempalace_get_aaak_spec",
        title: "AAAK shorthand",
        description: "What the AAAK shorthand in stored texts means. status tells it too.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
        answer: &[always("aaak_spec", Kind::Text)],
        parameters: &[],
    },
];
