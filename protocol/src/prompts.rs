//! Prompts a person can choose in a host: recall, wake-up, checkpoint. They are texts that name the tools to call, so the
//! proxy answers them without a daemon.

use serde_json::{Map, Value, json};

use crate::catalogue::Profile;
use crate::mcp::LIST_TTL_MS;

struct Prompt {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    arguments: &'static [Argument],
}

struct Argument {
    name: &'static str,
    description: &'static str,
    required: bool,
}

const fn argument(name: &'static str, description: &'static str, required: bool) -> Argument {
    Argument { name, description, required }
}

const PROMPTS: [Prompt; 3] = [
    Prompt {
        name: "recall",
        title: "Recall",
        description: "What the memory holds about a topic.",
        arguments: &[
            argument("topic", "a person, a project, a question", true),
            argument("wing", "only in this wing", false),
            argument("room", "only in this room", false),
        ],
    },
    Prompt {
        name: "wake-up",
        title: "Wake up",
        description: "Take earlier work up again: what was done, learned and left open.",
        arguments: &[
            argument("wing", "the project or person the work is about", false),
            argument("agent", "whose diary to read", false),
        ],
    },
    Prompt {
        name: "checkpoint",
        title: "Checkpoint",
        description: "File what this conversation brought that is worth keeping.",
        arguments: &[
            argument("wing", "where to file it", false),
            argument("agent", "whose diary to write", false),
        ],
    },
];

/// Returns the result of `prompts/list`.
pub fn list_result(modern: bool) -> Value {
    let prompts: Vec<Value> = PROMPTS
        .iter()
        .map(|prompt| {
            let arguments: Vec<Value> = prompt
                .arguments
                .iter()
                .map(|argument| {
                    json!({
                        "name": argument.name, "description": argument.description,
                        "required": argument.required,
                    })
                })
                .collect();
            json!({
                "name": prompt.name, "title": prompt.title, "description": prompt.description,
                "arguments": arguments,
            })
        })
        .collect();
    let mut result = json!({ "prompts": prompts });
    if modern {
        result["resultType"] = json!("complete");
        result["ttlMs"] = json!(LIST_TTL_MS);
        result["cacheScope"] = json!("private");
    }
    result
}

/// Tells whether there is a prompt of that name.
pub fn exists(name: &str) -> bool {
    PROMPTS.iter().any(|prompt| prompt.name == name)
}

/// Returns the result of `prompts/get`.
///
/// # Errors
/// Names the unknown prompt, or the argument that is missing or unknown.
pub fn get_result(params: &Value, profile: Profile, modern: bool) -> Result<Value, String> {
    let name = params["name"].as_str().ok_or("prompts/get needs the prompt's name")?;
    let prompt = PROMPTS.iter().find(|prompt| prompt.name == name).ok_or_else(|| {
        let known: Vec<&str> = PROMPTS.iter().map(|prompt| prompt.name).collect();
        format!("unknown prompt {name:?}; there are: {}", known.join(", "))
    })?;
    let given = match &params["arguments"] {
        Value::Null => Map::new(),
        Value::Object(given) => given.clone(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err("arguments must be an object".to_owned());
        }
    };
    if let Some(unknown) = given.keys().find(|key| prompt.arguments.iter().all(|known| known.name != **key)) {
        return Err(format!("prompt {name:?} takes no argument {unknown:?}"));
    }
    let value =
        |name: &str| given.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    if let Some(missing) =
        prompt.arguments.iter().find(|argument| argument.required && value(argument.name).is_none())
    {
        return Err(format!("prompt {name:?} needs the argument {:?}", missing.name));
    }
    let text = match prompt.name {
        "recall" => recall(profile, value("topic").unwrap_or_default(), value("wing"), value("room")),
        "wake-up" => wake_up(profile, value("wing"), value("agent")),
        _ => checkpoint(profile, value("wing"), value("agent")),
    };
    let message = json!({"role": "user", "content": {"type": "text", "text": text}});
    let mut result = json!({"description": prompt.description, "messages": [message]});
    if modern {
        result["resultType"] = json!("complete");
    }
    Ok(result)
}

fn recall(profile: Profile, topic: &str, wing: Option<&str>, room: Option<&str>) -> String {
    let place = match (wing, room) {
        (Some(wing), Some(room)) => format!(" in wing {wing}, room {room}"),
        (Some(wing), None) => format!(" in wing {wing}"),
        (None, Some(room)) => format!(" in room {room}"),
        (None, None) => String::new(),
    };
    let (search, facts) = match profile {
        Profile::Full => ("mempalace_search", "mempalace_kg_query"),
        Profile::Light => ("palace_query FIND", "palace_query KG"),
    };
    format!(
        "What does my memory hold about {topic}{place}? Search with {search}, in other words too when the first ones find \
         little, and ask {facts} when {topic} is a person, a project or a thing. Quote what you find with its date, say \
         what is contradictory or out of date, and say plainly what is not there."
    )
}

fn wake_up(profile: Profile, wing: Option<&str>, agent: Option<&str>) -> String {
    let wing = wing.map_or_else(|| "the work at hand".to_owned(), |wing| format!("wing {wing}"));
    let agent = agent.unwrap_or("your agent name");
    let (status, diary, search) = match profile {
        Profile::Full => ("mempalace_status", "mempalace_diary_read", "mempalace_search"),
        Profile::Light => ("palace_query STATUS", "palace_query DIARY", "palace_query FIND"),
    };
    format!(
        "We take up earlier work. Call {status} once, read the last entries of the diary of {agent} with {diary}, and \
         search {wing} with {search} for recent decisions and open questions. Then tell me in a few lines what was done, \
         what was decided and what is left open, with dates. Do not file anything yet."
    )
}

fn checkpoint(profile: Profile, wing: Option<&str>, agent: Option<&str>) -> String {
    let wing = wing.map_or_else(|| "the wing it belongs to".to_owned(), |wing| format!("wing {wing}"));
    let agent = agent.unwrap_or("your agent name");
    let checkpoint = match profile {
        Profile::Full => "mempalace_checkpoint",
        Profile::Light => "palace_exec CHECKPOINT",
    };
    format!(
        "File what this conversation brought that is worth keeping: decisions with their reasons, facts about people and \
         projects, what I asked to be remembered. Use my own words, not a summary, one item per passage, in {wing}, each \
         in the room of its topic. Use one {checkpoint} with a diary entry of {agent}: what was done, what was learned, \
         what is left open. Tell me what was filed, and what was there already."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(name: &str, arguments: Value) -> Result<String, String> {
        let params = json!({"name": name, "arguments": arguments});
        get_result(&params, Profile::Full, false)
            .map(|result| result["messages"][0]["content"]["text"].as_str().unwrap().to_owned())
    }

    #[test]
    fn prompts_name_the_tools_of_their_profile() {
        assert!(get("recall", json!({"topic": "Orion", "wing": "app"})).unwrap().contains("in wing app"));
        assert!(get("wake-up", Value::Null).unwrap().contains("mempalace_diary_read"));
        let light = get_result(&json!({"name": "checkpoint"}), Profile::Light, true).unwrap();
        assert!(light["messages"][0]["content"]["text"].as_str().unwrap().contains("palace_exec CHECKPOINT"));
        assert_eq!(light["resultType"], "complete");
        assert_eq!(list_result(true)["prompts"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(get("nope", json!({})).unwrap_err().contains("recall, wake-up, checkpoint"));
        assert!(get("recall", json!({})).unwrap_err().contains("\"topic\""));
        assert!(get("recall", json!({"topic": "x", "color": "red"})).unwrap_err().contains("\"color\""));
        assert!(get("recall", json!([])).is_err());
    }
}
