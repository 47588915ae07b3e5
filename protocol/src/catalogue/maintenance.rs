//! Tools that look after the service itself.

use super::{Tool, ToolClass};

pub(super) const TOOLS: &[Tool] = &[Tool {
    name: "mempalace_reconnect",
    title: "Reconnect",
    description: "Reports whether the palace is served and how much it holds. Nothing needs reconnecting by hand: \
                  sessions survive a restart of the service.",
    class: ToolClass::Read,
    destructive: false,
    parameters: &[],
}];
