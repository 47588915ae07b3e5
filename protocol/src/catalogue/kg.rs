//! Tools over the knowledge graph.

use super::{
    ERROR, Kind, OFFSET, SUCCESS, Shape, Tool, ToolClass, always, limit, optional, required, sometimes,
};

const INSTANT: &str = "YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ";

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "mempalace_kg_query",
        title: "Ask for facts",
        description: "Facts about an entity: now, past and to come, or those that held at as_of. Use it for \
                      relations and states (who works where, which version is in use); search finds texts.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
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
            ERROR,
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
        // A fact that has ended is recorded as often as it is told.
        idempotent: false,
        answer: &[
            SUCCESS,
            sometimes("triple_id", Kind::Text),
            sometimes("fact", Kind::Text),
            sometimes("reason", Kind::Text),
            ERROR,
        ],
        parameters: &[
            required("subject", Shape::Text, "e.g. Max"),
            required("predicate", Shape::Text, "e.g. works_on"),
            required("object", Shape::Text, "e.g. Orion"),
            optional("valid_from", Shape::Text, INSTANT),
            optional("valid_to", Shape::Text, "open by default"),
            optional("source_closet", Shape::Text, "its index card"),
            optional("source_file", Shape::Text, "text that says so"),
            optional("source_drawer_id", Shape::Text, "drawer that says so"),
        ],
    },
    Tool {
        name: "mempalace_kg_invalidate",
        title: "End a fact",
        description: "Ends a fact that no longer holds; it stays in the history. The answer says how many it matched.",
        class: ToolClass::KeyedWrite,
        destructive: true,
        idempotent: true,
        answer: &[
            SUCCESS,
            sometimes("fact", Kind::Text),
            sometimes("ended", Kind::Text),
            sometimes("matched", Kind::Count),
            sometimes("triple_ids", Kind::List),
            ERROR,
        ],
        parameters: &[
            required("subject", Shape::Text, "as recorded"),
            required("predicate", Shape::Text, "as recorded"),
            required("object", Shape::Text, "as recorded"),
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
        idempotent: true,
        answer: &[
            SUCCESS,
            sometimes("triple_id", Kind::Text),
            sometimes("fact", Kind::Text),
            sometimes("superseded", Kind::Text),
            sometimes("matched", Kind::Count),
            sometimes("ended_triple_ids", Kind::List),
            ERROR,
        ],
        parameters: &[
            required("subject", Shape::Text, "as recorded"),
            required("predicate", Shape::Text, "as recorded"),
            required("old_object", Shape::Text, "what held"),
            required("new_object", Shape::Text, "what holds"),
            optional("at", Shape::Text, "now by default"),
        ],
    },
    Tool {
        name: "mempalace_kg_timeline",
        title: "Facts in time",
        description: "Facts in the order in which they began to hold, of one entity or of all.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
        answer: &[
            sometimes("entity", Kind::Text),
            sometimes("timeline", Kind::List),
            sometimes("count", Kind::Count),
            sometimes("total", Kind::Count),
            sometimes("offset", Kind::Count),
            sometimes("limit", Kind::Count),
            ERROR,
        ],
        parameters: &[
            optional("entity", Shape::Text, "all by default"),
            limit(100, "100 by default"),
            OFFSET,
        ],
    },
    Tool {
        name: "mempalace_kg_stats",
        title: "Knowledge graph in numbers",
        description: "How many entities and facts there are, and which predicates.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
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
