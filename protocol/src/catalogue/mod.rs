//! The one table of MCP tools: name, description, schemas, class.
//!
//! Proxy (cold answers, retry policy) and daemon (dispatch, validation) both print from it. A tool is listed only when
//! it works. Names, parameters and coercions are those of MemPalace 3.11.0, so that a host can switch without noticing.

mod coordination;
mod diary;
mod drawers;
mod graph;
mod kg;
mod light;
mod maintenance;
mod overview;
mod search;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Which tools a session sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// MemPalace's tools by their names.
    #[default]
    Full,
    /// Three tools that take a query language.
    Light,
}

/// What may be done with a call whose answer was lost with the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolClass {
    /// Changes nothing: sent again.
    Read,
    /// Answers a question and records that it was asked: sent again with its key. A read-only session may ask too; it
    /// records nothing.
    RecordedRead,
    /// Changes the palace under an idempotency key: sent again with the same key, applied once.
    KeyedWrite,
}

/// One tool.
#[derive(Debug)]
pub struct Tool {
    /// Name on the wire.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// What a model must know to choose it.
    pub description: &'static str,
    /// What may be done with a lost call.
    pub class: ToolClass,
    /// Whether it removes or replaces something that was stored.
    pub destructive: bool,
    /// Whether the same call a second time changes nothing more.
    pub idempotent: bool,
    /// What its answer holds, at the top.
    pub answer: &'static [Key],
    /// Parameters, in the order they are listed.
    pub parameters: &'static [Parameter],
}

/// One parameter of a tool.
#[derive(Debug)]
pub struct Parameter {
    /// Name on the wire.
    pub name: &'static str,
    /// What it is for; may be empty where the name says it.
    pub description: &'static str,
    /// What it accepts.
    pub shape: Shape,
    /// Whether a call without it is refused.
    pub required: bool,
}

/// One key of a tool's answer.
#[derive(Debug)]
pub struct Key {
    /// Name on the wire.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it is there whatever was asked; what a failure of the service answers is no structured answer.
    pub always: bool,
}

/// What a key of an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Text, or null.
    TextOrNull,
    /// A whole number.
    Count,
    /// True or false.
    Flag,
    /// A list.
    List,
    /// An object.
    Object,
}

/// What a parameter accepts. Numbers are also taken from strings, and clamped, not refused, as the peer does.
#[derive(Debug)]
pub enum Shape {
    /// A name, an id, a label, a date.
    Text,
    /// A text that is stored or searched for, as long as its tool allows.
    LongText,
    /// The same, with a length a model should keep to.
    TextUpTo(u32),
    /// One of the given words.
    OneOf(&'static [&'static str]),
    /// A whole number, clamped into the range.
    Integer {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: Option<i64>,
    },
    /// A whole number, clamped into the range, which the schema does not name.
    Clamped {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// True or false, where false removes something: a text never is false.
    Guard,
    /// A list of ids.
    TextList,
    /// The same, answered item by item: what is no id is reported in its place, beside what was done for the others.
    EachText,
    /// A list of objects with the given members.
    Objects(&'static [Parameter]),
    /// One object with the given members.
    Object(&'static [Parameter]),
}

/// Shorthand for a parameter that must be given.
const fn required(name: &'static str, shape: Shape, description: &'static str) -> Parameter {
    Parameter { name, description, shape, required: true }
}

/// Shorthand for a parameter that may be left out.
const fn optional(name: &'static str, shape: Shape, description: &'static str) -> Parameter {
    Parameter { name, description, shape, required: false }
}

/// Shorthand for a key that every answer has.
const fn always(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, always: true }
}

/// Shorthand for a key that depends on what was asked and found.
const fn sometimes(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, always: false }
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::TextOrNull => json!({"type": ["string", "null"]}),
            Self::Count => json!({"type": "integer"}),
            Self::Flag => json!({"type": "boolean"}),
            Self::List => json!({"type": "array"}),
            Self::Object => json!({"type": "object"}),
        }
    }
}

impl ToolClass {
    /// Tells whether a session that may change nothing may call the tool.
    pub fn is_for_readers(self) -> bool {
        match self {
            Self::Read | Self::RecordedRead => true,
            Self::KeyedWrite => false,
        }
    }

    /// Tells whether a call may change the palace.
    pub fn may_write(self) -> bool {
        match self {
            Self::Read => false,
            Self::RecordedRead | Self::KeyedWrite => true,
        }
    }
}

impl Tool {
    /// Returns the tool as an entry of `tools/list`, for a session that may change something or for one that may not.
    pub fn to_json(&self, read_only: bool) -> Value {
        json!({
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": object_schema(self.parameters),
            "outputSchema": self.output_schema(),
            "annotations": self.annotations(read_only),
        })
    }

    /// Describes the keys at the top; more may be there.
    fn output_schema(&self) -> Value {
        let properties: Map<String, Value> =
            self.answer.iter().map(|key| (key.name.to_owned(), key.kind.schema())).collect();
        let required: Vec<&str> = self.answer.iter().filter(|key| key.always).map(|key| key.name).collect();
        described(properties, &required)
    }

    /// Says only what differs from the protocol's defaults, which are the cautious ones.
    fn annotations(&self, read_only: bool) -> Value {
        if read_only || !self.class.may_write() {
            return json!({"readOnlyHint": true, "openWorldHint": false});
        }
        let mut annotations = json!({"openWorldHint": false});
        if !self.destructive {
            annotations["destructiveHint"] = json!(false);
        }
        if self.idempotent {
            annotations["idempotentHint"] = json!(true);
        }
        annotations
    }
}

fn object_schema(parameters: &[Parameter]) -> Value {
    let properties: Map<String, Value> =
        parameters.iter().map(|parameter| (parameter.name.to_owned(), parameter.schema())).collect();
    let required: Vec<&str> =
        parameters.iter().filter(|parameter| parameter.required).map(|parameter| parameter.name).collect();
    described(properties, &required)
}

fn described(properties: Map<String, Value>, required: &[&str]) -> Value {
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

impl Parameter {
    /// Tells whether it takes a number.
    pub fn is_number(&self) -> bool {
        matches!(self.shape, Shape::Integer { .. } | Shape::Clamped { .. } | Shape::Number)
    }

    fn schema(&self) -> Value {
        let mut schema = match &self.shape {
            Shape::Text | Shape::LongText => json!({"type": "string"}),
            Shape::TextUpTo(chars) => json!({"type": "string", "maxLength": chars}),
            Shape::OneOf(words) => json!({"type": "string", "enum": words}),
            Shape::Integer { min, max: Some(max) } => {
                json!({"type": "integer", "minimum": min, "maximum": max})
            }
            Shape::Integer { min, max: None } => json!({"type": "integer", "minimum": min}),
            Shape::Clamped { .. } => json!({"type": "integer"}),
            Shape::Number => json!({"type": "number"}),
            Shape::Boolean | Shape::Guard => json!({"type": "boolean"}),
            Shape::TextList | Shape::EachText => json!({"type": "array", "items": {"type": "string"}}),
            Shape::Objects(members) => json!({"type": "array", "items": object_schema(members)}),
            Shape::Object([]) => json!({"type": "object"}),
            Shape::Object(members) => object_schema(members),
        };
        if !self.description.is_empty() {
            schema["description"] = json!(self.description);
        }
        schema
    }
}

const FAMILIES: [&[Tool]; 8] = [
    overview::TOOLS,
    search::TOOLS,
    drawers::TOOLS,
    kg::TOOLS,
    graph::TOOLS,
    diary::TOOLS,
    coordination::TOOLS,
    maintenance::TOOLS,
];

/// Returns the tools of the full profile, sorted by name.
pub fn tools() -> Vec<&'static Tool> {
    let mut tools: Vec<&'static Tool> = FAMILIES.into_iter().flatten().collect();
    tools.sort_by_key(|tool| tool.name);
    tools
}

/// Returns the tool of that name, of any profile.
pub fn tool(name: &str) -> Option<&'static Tool> {
    FAMILIES.into_iter().flatten().chain(light::TOOLS).find(|tool| tool.name == name)
}

/// Returns the entries of `tools/list` for a session.
pub fn listed(profile: Profile, read_only: bool) -> Value {
    let tools = match profile {
        Profile::Full => tools(),
        Profile::Light => light::TOOLS.iter().collect(),
    };
    let entries: Vec<Value> = tools
        .into_iter()
        .filter(|tool| !read_only || tool.class.is_for_readers())
        .map(|tool| tool.to_json(read_only))
        .collect();
    Value::from(entries)
}

/// Returns the result of `tools/list`; `modern` adds what 2026-07-28 asks of every list.
pub fn list_result(profile: Profile, read_only: bool, modern: bool) -> Value {
    let mut result = json!({"tools": listed(profile, read_only)});
    if modern {
        result["resultType"] = json!("complete");
        result["ttlMs"] = json!(crate::mcp::LIST_TTL_MS);
        result["cacheScope"] = json!("private");
    }
    result
}

/// Returns a fingerprint of the whole catalogue: 64-bit FNV-1a of its JSON, as 16 hex digits.
pub fn fingerprint() -> String {
    let text = format!("{}{}", listed(Profile::Full, false), listed(Profile::Light, false));
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sorted() {
        let names: Vec<&str> = tools().iter().map(|tool| tool.name).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("mempalace_")));
    }

    #[test]
    fn a_read_only_session_lists_no_write() {
        let listed = listed(Profile::Full, true);
        let listed = listed.as_array().unwrap();
        assert!(listed.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true));
        assert!(listed.len() < tools().len());
    }

    /// What hosts may do without asking: every tool, so that a new one is decided on.
    #[test]
    fn annotations_say_what_a_call_does() {
        let reads = "artifact_get check_duplicate event_list event_wait find_tunnels get_aaak_spec get_drawer get_drawers \
                     get_taxonomy graph_stats kg_query kg_stats kg_timeline list_drawers list_hallways list_rooms \
                     list_tunnels list_wings mesh_peers reconnect search status traverse diary_read palace_query";
        let adds = "artifact_put checkpoint diary_write event_ack event_append follow_tunnels patch_submit task_create \
                    palace_coordinate";
        let adds_once = "add_drawer create_tunnel kg_add memories_filed_away";
        let replaces = "delete_by_source delete_drawer delete_drawers delete_hallway delete_tunnel hook_settings \
                        kg_invalidate kg_supersede update_drawer";
        let anything = "palace_exec";
        let expected = [
            (reads, json!({"readOnlyHint": true, "openWorldHint": false})),
            (adds, json!({"openWorldHint": false, "destructiveHint": false})),
            (adds_once, json!({"openWorldHint": false, "destructiveHint": false, "idempotentHint": true})),
            (replaces, json!({"openWorldHint": false, "idempotentHint": true})),
            (anything, json!({"openWorldHint": false})),
        ];
        let all = tools().into_iter().chain(light::TOOLS);
        let mut count = 0;
        for tool in all {
            let name = tool.name.trim_start_matches("mempalace_");
            let (_, annotations) = expected
                .iter()
                .find(|(names, _)| names.split(' ').any(|known| known == name))
                .unwrap_or_else(|| panic!("{name} is in the table"));
            assert_eq!(tool.to_json(false)["annotations"], *annotations, "{name}");
            assert_eq!(tool.to_json(true)["annotations"]["readOnlyHint"], true, "{name}");
            count += 1;
        }
        assert_eq!(count, expected.iter().map(|(names, _)| names.split(' ').count()).sum::<usize>());
    }

    #[test]
    fn answers_are_described_at_the_top() {
        let schema = |name: &str| tool(name).unwrap().to_json(false)["outputSchema"].clone();
        let added = schema("mempalace_add_drawer");
        assert_eq!((&added["type"], &added["required"]), (&json!("object"), &json!(["success"])));
        assert_eq!(added["properties"]["chunk_ids"]["type"], "array");
        assert_eq!(schema("mempalace_list_tunnels")["properties"]["result"]["type"], "array");
        for tool in tools() {
            assert!(!tool.answer.is_empty(), "{}", tool.name);
            // A parameter that can be refused is a question that can be answered with an error alone.
            let refusable = !tool.parameters.is_empty();
            assert!(!refusable || tool.answer.iter().any(|key| key.name == "error"), "{}", tool.name);
        }
    }

    #[test]
    fn every_parameter_of_the_full_profile_is_described() {
        for tool in tools() {
            for parameter in tool.parameters {
                assert!(!parameter.description.is_empty(), "{} {}", tool.name, parameter.name);
            }
        }
    }

    #[test]
    fn the_light_profile_lists_three_tools() {
        let names = |read_only| -> Vec<String> {
            let listed = listed(Profile::Light, read_only);
            listed.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(false), ["palace_query", "palace_exec", "palace_coordinate"]);
        assert_eq!(names(true), ["palace_query", "palace_coordinate"]);
    }

    /// The schema facts of MemPalace 3.11.0: parameter names, and which of them are required.
    #[test]
    fn parameters_are_the_peers() {
        let peer = [
            ("add_drawer", "wing! room! content! source_file added_by"),
            ("artifact_get", "artifact_id!"),
            ("artifact_put", "kind! content! created_by! metadata"),
            ("check_duplicate", "content! threshold"),
            ("checkpoint", "items! diary dedup_threshold added_by"),
            (
                "create_tunnel",
                "source_wing! source_room! target_wing! target_room! label source_drawer_id \
                 target_drawer_id",
            ),
            ("delete_by_source", "source_file! dry_run"),
            ("delete_drawer", "drawer_id!"),
            ("delete_drawers", "drawer_ids!"),
            ("delete_hallway", "hallway_id!"),
            ("delete_tunnel", "tunnel_id!"),
            ("diary_read", "agent_name! last_n wing"),
            ("diary_write", "agent_name! entry topic wing content"),
            ("event_ack", "event_id! from_agent! status body topic"),
            (
                "event_append",
                "type! stream! room! topic from_agent! to_agent correlation_id branch base_commit \
                 status body metadata artifact_ids",
            ),
            (
                "event_list",
                "stream room topic type to_agent from_agent writer correlation_id status since_event_id \
                 before_event_id since_created_at limit order preview",
            ),
            (
                "event_wait",
                "stream room topic type to_agent from_agent writer correlation_id status since_event_id \
                 since_created_at timeout_ms limit",
            ),
            ("find_tunnels", "wing_a wing_b"),
            ("follow_tunnels", "wing! room!"),
            ("get_aaak_spec", ""),
            ("get_drawer", "drawer_id!"),
            ("get_drawers", "drawer_ids!"),
            ("get_taxonomy", ""),
            ("graph_stats", ""),
            ("hook_settings", "silent_save desktop_toast"),
            (
                "kg_add",
                "subject! predicate! object! valid_from valid_to source_closet source_file \
                 source_drawer_id",
            ),
            ("kg_invalidate", "subject! predicate! object! ended"),
            ("kg_query", "entity! as_of direction"),
            ("kg_stats", ""),
            ("kg_supersede", "subject! predicate! old_object! new_object! at"),
            ("kg_timeline", "entity limit offset"),
            ("list_drawers", "wing room since before limit offset"),
            ("list_hallways", "wing limit offset"),
            ("list_rooms", "wing"),
            ("list_tunnels", "wing"),
            ("list_wings", ""),
            ("memories_filed_away", ""),
            ("mesh_peers", ""),
            (
                "patch_submit",
                "content! from_agent! stream! room topic to_agent correlation_id branch base_commit \
                 body metadata",
            ),
            ("reconnect", ""),
            (
                "search",
                "query! limit wing room source_file since before max_distance candidate_strategy \
                 cli_compatible include_media query_task context",
            ),
            ("status", ""),
            ("task_create", "project! from_agent! to_agent! goal! branch! base_commit! done!"),
            ("traverse", "start_room! max_hops"),
            ("update_drawer", "drawer_id! content wing room"),
        ];
        let ours: Vec<(String, String)> = tools()
            .iter()
            .map(|tool| {
                let parameters: Vec<String> = tool
                    .parameters
                    .iter()
                    .map(|parameter| {
                        format!("{}{}", parameter.name, if parameter.required { "!" } else { "" })
                    })
                    .collect();
                (tool.name.trim_start_matches("mempalace_").to_owned(), parameters.join(" "))
            })
            .collect();
        let peer: Vec<(String, String)> =
            peer.iter().map(|(name, parameters)| ((*name).to_owned(), (*parameters).to_owned())).collect();
        assert_eq!(ours, peer);
    }
}
