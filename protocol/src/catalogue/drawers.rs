//! Tools that file, read, change and remove drawers.

use super::{Parameter, Shape, Tool, ToolClass, optional, required};

const ITEM: &[Parameter] = &[
    required("wing", Shape::Text, ""),
    required("room", Shape::Text, ""),
    required("content", Shape::LongText, ""),
];

const DIARY: &[Parameter] = &[
    optional("agent_name", Shape::Text, ""),
    optional("entry", Shape::Text, ""),
    optional("topic", Shape::Text, ""),
    optional("wing", Shape::Text, ""),
];

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "mempalace_add_drawer",
        title: "File a drawer",
        description: "Stores text verbatim in a wing and room. Never summarise: file the words themselves, up to \
                      100,000 characters. Filing the same text twice is harmless.",
        class: ToolClass::KeyedWrite,
        destructive: false,
        parameters: &[
            required("wing", Shape::Text, "person, project or agent, e.g. wing_myapp"),
            required("room", Shape::Text, "topic, e.g. auth-migration"),
            required("content", Shape::LongText, "the exact text"),
            optional("source_file", Shape::Text, "where it comes from"),
            optional("added_by", Shape::Text, "who files it; mcp by default"),
        ],
    },
    Tool {
        name: "mempalace_checkpoint",
        title: "Checkpoint",
        description: "Files several items at once, skipping near-duplicates, with an optional diary entry: all of it \
                      or nothing. Use it at the end of a piece of work.",
        class: ToolClass::KeyedWrite,
        destructive: false,
        parameters: &[
            required("items", Shape::Objects(ITEM), "what to file"),
            optional("diary", Shape::Object(DIARY), "entry for an agent's diary"),
            optional(
                "dedup_threshold",
                Shape::Number,
                "similarity that counts as a duplicate; 0.9 by default",
            ),
            optional("added_by", Shape::Text, ""),
        ],
    },
    Tool {
        name: "mempalace_get_drawer",
        title: "Read a drawer",
        description: "The whole text of one drawer by id, as found by search or list_drawers.",
        class: ToolClass::Read,
        destructive: false,
        parameters: &[required("drawer_id", Shape::Text, "")],
    },
    Tool {
        name: "mempalace_get_drawers",
        title: "Read drawers",
        description: "The whole text of up to 500 drawers by id.",
        class: ToolClass::Read,
        destructive: false,
        parameters: &[required("drawer_ids", Shape::TextList, "")],
    },
    Tool {
        name: "mempalace_list_drawers",
        title: "List drawers",
        description: "Pages through drawers, sorted by id, with previews. To find something, use mempalace_search.",
        class: ToolClass::Read,
        destructive: false,
        parameters: &[
            optional("wing", Shape::Text, ""),
            optional("room", Shape::Text, ""),
            optional("since", Shape::Text, "filed at or after this ISO date or time"),
            optional("before", Shape::Text, "filed before this ISO date or time"),
            optional("limit", Shape::Integer { min: 1, max: Some(100) }, "20 by default"),
            optional("offset", Shape::Integer { min: 0, max: None }, ""),
        ],
    },
    Tool {
        name: "mempalace_update_drawer",
        title: "Change a drawer",
        description: "Replaces the text of a drawer, or moves it to another wing or room; its id stays.",
        class: ToolClass::KeyedWrite,
        destructive: true,
        parameters: &[
            required("drawer_id", Shape::Text, ""),
            optional("content", Shape::LongText, "new text"),
            optional("wing", Shape::Text, "new wing"),
            optional("room", Shape::Text, "new room"),
        ],
    },
    Tool {
        name: "mempalace_delete_drawer",
        title: "Delete a drawer",
        description: "Removes one drawer with all its chunks, or a single chunk by its own id.",
        class: ToolClass::KeyedWrite,
        destructive: true,
        parameters: &[required("drawer_id", Shape::Text, "")],
    },
    Tool {
        name: "mempalace_delete_drawers",
        title: "Delete drawers",
        description: "Removes up to 500 drawers by id; unknown ids are reported, the others are removed.",
        class: ToolClass::KeyedWrite,
        destructive: true,
        parameters: &[required("drawer_ids", Shape::TextList, "")],
    },
    Tool {
        name: "mempalace_delete_by_source",
        title: "Remove a source",
        description: "Counts everything stored from exactly this source_file; removes it with dry_run=false.",
        class: ToolClass::KeyedWrite,
        destructive: true,
        parameters: &[
            required("source_file", Shape::Text, "as it was stored"),
            optional("dry_run", Shape::Guard, "true by default"),
        ],
    },
];
