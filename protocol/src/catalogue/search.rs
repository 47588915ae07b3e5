//! Tools that find drawers by meaning and by words.

use super::{ERROR, Kind, Shape, Tool, ToolClass, limit, optional, required, sometimes};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "mempalace_search",
        title: "Search memory",
        description: "Finds stored passages by meaning and by words together. Ask with a short question or keywords, \
                      not with a whole conversation; narrow by wing or room when you know them. Returns verbatim text \
                      with drawer ids.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
        answer: &[
            sometimes("query", Kind::Text),
            sometimes("filters", Kind::Object),
            sometimes("total_before_filter", Kind::Count),
            sometimes("results", Kind::List),
            sometimes("query_sanitized", Kind::Flag),
            sometimes("sanitizer", Kind::Object),
            sometimes("context_received", Kind::Flag),
            ERROR,
        ],
        parameters: &[
            required("query", Shape::TextUpTo(250), "what to look for"),
            limit(100, "number of hits, 5 by default"),
            optional("wing", Shape::Text, "only this wing"),
            optional("room", Shape::Text, "only this room"),
            optional("source_file", Shape::Text, "exact source file"),
            optional("since", Shape::Text, "filed at or after this ISO date or time"),
            optional("before", Shape::Text, "filed before this ISO date or time"),
            optional(
                "max_distance",
                Shape::Number,
                "drop hits farther than this cosine distance; 1.5 by default, 0 keeps all",
            ),
            optional(
                "candidate_strategy",
                Shape::OneOf(&["vector", "union"]),
                "both search words and meaning here",
            ),
            optional("cli_compatible", Shape::Boolean, "answers printed text instead of hits"),
            optional("include_media", Shape::Boolean, "true is refused: no such model"),
            optional("query_task", Shape::OneOf(&["search", "code"]), "code is refused: no such model"),
            optional("context", Shape::LongText, "why you search; not searched itself"),
        ],
    },
    Tool {
        name: "mempalace_check_duplicate",
        title: "Check for a duplicate",
        description: "Tells whether text close to this one is stored already, and where. mempalace_checkpoint does \
                      this by itself.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
        answer: &[sometimes("is_duplicate", Kind::Flag), sometimes("matches", Kind::List), ERROR],
        parameters: &[
            required("content", Shape::LongText, "the exact text"),
            optional(
                "threshold",
                Shape::Number,
                "similarity from 0 to 1 that counts as the same; 0.9 by default",
            ),
        ],
    },
];
