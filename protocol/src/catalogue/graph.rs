//! Tools over the graph of rooms: what joins wings, and what agents joined.

use super::{Shape, Tool, ToolClass, optional, required};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "mempalace_traverse",
        title: "Walk between rooms",
        description: "Rooms reached from a room through shared wings, nearest first. Use it to find related topics, \
                      not texts (search does that).",
        class: ToolClass::Read,
        destructive: false,
        parameters: &[
            required("start_room", Shape::Text, ""),
            optional("max_hops", Shape::Clamped { min: 1, max: 10 }, "2 by default"),
        ],
    },
    Tool {
        name: "mempalace_find_tunnels",
        title: "Rooms that join wings",
        description: "Rooms that stand in several wings: topics shared by projects or people.",
        class: ToolClass::Read,
        destructive: false,
        parameters: &[
            optional("wing_a", Shape::Text, "only rooms in this wing"),
            optional("wing_b", Shape::Text, "and in this one"),
        ],
    },
    Tool {
        name: "mempalace_graph_stats",
        title: "Graph of rooms in numbers",
        description: "How many rooms, wings and links there are, and which rooms join most wings.",
        class: ToolClass::Read,
        destructive: false,
        parameters: &[],
    },
    Tool {
        name: "mempalace_create_tunnel",
        title: "Draw a tunnel",
        description: "Links two rooms that belong together, in either direction; drawn again, it gets the new label. \
                      Example: label \"the API of app stores what the schema of db defines\".",
        class: ToolClass::KeyedWrite,
        destructive: false,
        parameters: &[
            required("source_wing", Shape::Text, ""),
            required("source_room", Shape::Text, ""),
            required("target_wing", Shape::Text, ""),
            required("target_room", Shape::Text, ""),
            optional("label", Shape::Text, "what joins them"),
            optional("source_drawer_id", Shape::Text, ""),
            optional("target_drawer_id", Shape::Text, ""),
        ],
    },
    Tool {
        name: "mempalace_list_tunnels",
        title: "List tunnels",
        description: "Tunnels that were drawn, all or those with an end in a wing.",
        class: ToolClass::Read,
        destructive: false,
        parameters: &[optional("wing", Shape::Text, "")],
    },
    Tool {
        name: "mempalace_delete_tunnel",
        title: "Remove a tunnel",
        description: "Removes a tunnel; the rooms stay.",
        class: ToolClass::KeyedWrite,
        destructive: true,
        parameters: &[required("tunnel_id", Shape::Text, "")],
    },
    Tool {
        name: "mempalace_follow_tunnels",
        title: "Follow tunnels",
        description: "Where the tunnels of a room lead, with the first words of the drawer at the other end. \
                      Tunnels that are followed grow stronger.",
        class: ToolClass::RecordedRead,
        destructive: false,
        parameters: &[required("wing", Shape::Text, ""), required("room", Shape::Text, "")],
    },
    Tool {
        name: "mempalace_list_hallways",
        title: "List hallways",
        description: "Pairs of entities that are named together in a wing, most often first.",
        class: ToolClass::Read,
        destructive: false,
        parameters: &[
            optional("wing", Shape::Text, ""),
            optional("limit", Shape::Integer { min: 1, max: Some(500) }, "100 by default"),
            optional("offset", Shape::Integer { min: 0, max: None }, ""),
        ],
    },
    Tool {
        name: "mempalace_delete_hallway",
        title: "Remove a hallway",
        description: "Removes one hallway; texts stay.",
        class: ToolClass::KeyedWrite,
        destructive: true,
        parameters: &[required("hallway_id", Shape::Text, "")],
    },
];
