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
mod schema;
mod search;
mod tool;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tool::{ERROR, OFFSET, SUCCESS, always, limit, optional, required, sometimes};
pub use tool::{Key, Kind, Parameter, Shape, Tool, ToolClass};

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
mod tests;
