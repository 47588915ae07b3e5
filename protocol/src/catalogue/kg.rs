//! Tools over the knowledge graph.

use super::{Kind, Shape, Tool, ToolClass, always, optional, required, sometimes};

const INSTANT: &str = "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ";

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "mempalace_kg_query",
        title: "Ask for facts",
        description: "Facts about an entity: now, past and to come, or those that held at as_of. Use it for \
                      relations and states (who works where, which version is in use); search finds texts.",
        class: ToolClass::Read,
        destructive: false,
        answer: &[
            sometimes("entity", Kind::Text),
            sometimes("as_of", Kind::TextOrNull),
            sometimes("active_facts", Kind::List),
            sometimes("historical_facts", Kind::List),
            sometimes("future_facts", Kind::List),
            sometimes("facts", Kind::List),
            sometimes("count", Kind::Count),
            sometimes("resolved_from", Kind::Text),
            sometimes("candidates", Kind::List),
            sometimes("error", Kind::Text),
        ],
        parameters: &[
            required("entity", Shape::Text, "e.g. Max"),
            optional("as_of", Shape::Text, INSTANT),
            optional("direction", Shape::Text, "outgoing, incoming or both (default)"),
        ],
    },
    Tool {
        name: "mempalace_kg_add",
        title: "Record a fact",
        description: "Records subject → predicate → object. The same open fact is not recorded twice. When a value \
                      changes use kg_supersede. Example: Max, works_on, Orion, valid_from 2026-01-15.",
        class: ToolClass::KeyedWrite,
        destructive: false,
        answer: &[
            always("success", Kind::Flag),
            sometimes("triple_id", Kind::Text),
            sometimes("fact", Kind::Text),
            sometimes("reason", Kind::Text),
            sometimes("error", Kind::Text),
        ],
        parameters: &[
            required("subject", Shape::Text, ""),
            required("predicate", Shape::Text, "e.g. works_on"),
            required("object", Shape::Text, ""),
            optional("valid_from", Shape::Text, INSTANT),
            optional("valid_to", Shape::Text, ""),
            optional("source_closet", Shape::Text, ""),
            optional("source_file", Shape::Text, ""),
            optional("source_drawer_id", Shape::Text, "drawer that says so"),
        ],
    },
    Tool {
        name: "mempalace_kg_invalidate",
        title: "End a fact",
        description: "Ends a fact that no longer holds; it stays in the history. The answer says how many it matched.",
        class: ToolClass::KeyedWrite,
        destructive: true,
        answer: &[
            always("success", Kind::Flag),
            sometimes("fact", Kind::Text),
            sometimes("ended", Kind::Text),
            sometimes("matched", Kind::Count),
            sometimes("triple_ids", Kind::List),
            sometimes("error", Kind::Text),
        ],
        parameters: &[
            required("subject", Shape::Text, ""),
            required("predicate", Shape::Text, ""),
            required("object", Shape::Text, ""),
            optional("ended", Shape::Text, "today by default"),
        ],
    },
    Tool {
        name: "mempalace_kg_supersede",
        title: "Replace a fact",
        description: "Ends one fact and opens another at one instant: for values that change, such as an employer or \
                      a version.",
        class: ToolClass::KeyedWrite,
        destructive: true,
        answer: &[
            always("success", Kind::Flag),
            sometimes("triple_id", Kind::Text),
            sometimes("fact", Kind::Text),
            sometimes("superseded", Kind::Text),
            sometimes("matched", Kind::Count),
            sometimes("ended_triple_ids", Kind::List),
            sometimes("error", Kind::Text),
        ],
        parameters: &[
            required("subject", Shape::Text, ""),
            required("predicate", Shape::Text, ""),
            required("old_object", Shape::Text, ""),
            required("new_object", Shape::Text, ""),
            optional("at", Shape::Text, "now by default"),
        ],
    },
    Tool {
        name: "mempalace_kg_timeline",
        title: "Facts in time",
        description: "Facts in the order in which they began to hold, of one entity or of all.",
        class: ToolClass::Read,
        destructive: false,
        answer: &[
            sometimes("entity", Kind::Text),
            sometimes("timeline", Kind::List),
            sometimes("count", Kind::Count),
            sometimes("total", Kind::Count),
            sometimes("offset", Kind::Count),
            sometimes("limit", Kind::Count),
            sometimes("error", Kind::Text),
        ],
        parameters: &[
            optional("entity", Shape::Text, ""),
            optional("limit", Shape::Integer { min: 1, max: Some(100) }, "100 by default"),
            optional("offset", Shape::Integer { min: 0, max: None }, ""),
        ],
    },
    Tool {
        name: "mempalace_kg_stats",
        title: "Knowledge graph in numbers",
        description: "How many entities and facts there are, and which predicates.",
        class: ToolClass::Read,
        destructive: false,
        answer: &[
            always("entities", Kind::Count),
            always("triples", Kind::Count),
            always("current_facts", Kind::Count),
            always("expired_facts", Kind::Count),
            always("relationship_types", Kind::List),
        ],
        parameters: &[],
    },
];
