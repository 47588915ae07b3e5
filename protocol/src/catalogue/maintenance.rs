//! Tools that look after the service and its hooks.

use super::{ERROR, Kind, SUCCESS, Shape, Tool, ToolClass, always, optional, sometimes};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "mempalace_reconnect",
        title: "Reconnect",
        description: "Reports whether the palace is served and how much it holds. Nothing needs reconnecting by \
                      hand: sessions survive a restart of the service.",
        class: ToolClass::Read,
        destructive: false,
        idempotent: false,
        answer: &[
            SUCCESS,
            always("message", Kind::Text),
            always("drawers", Kind::Count),
            always("vector_disabled", Kind::Flag),
            always("vector_disabled_reason", Kind::Text),
        ],
        parameters: &[],
    },
    Tool {
        name: "mempalace_hook_settings",
        title: "Hook settings",
        description: "Shows how hooks save, or changes what is given.",
        class: ToolClass::KeyedWrite,
        destructive: true,
        idempotent: true,
        answer: &[SUCCESS, sometimes("settings", Kind::Object), sometimes("updated", Kind::List), ERROR],
        parameters: &[
            optional("silent_save", Shape::Boolean, "hooks save without asking you"),
            optional("desktop_toast", Shape::Boolean, "hooks tell of it on the desktop"),
        ],
    },
    Tool {
        name: "mempalace_memories_filed_away",
        title: "What a hook filed",
        description: "What a hook has filed since this was last asked; told once.",
        class: ToolClass::RecordedRead,
        destructive: false,
        idempotent: true,
        answer: &[
            always("status", Kind::Text),
            always("message", Kind::Text),
            always("count", Kind::Count),
            always("timestamp", Kind::TextOrNull),
        ],
        parameters: &[],
    },
];
