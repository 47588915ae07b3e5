//! A tool's answer as a result of MCP: the text that models read and the same object structured, both whole as long as a
//! host takes the line; then one of them whole, the other without its long texts.

use palace_protocol::limits::RESPONSE_LEN_BYTES_MAX;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Value, json};

use crate::tools::Answer;

/// Longest result, in bytes: proxies pass on a little more, hosts close their transport at 10 MB.
const RESULT_LEN_BYTES_MAX: usize = RESPONSE_LEN_BYTES_MAX - 64 * 1024;
/// How much longer a result may be than its text, which goes out twice: escaping makes up to six bytes of one.
const LEN_FACTOR_MAX: usize = 16;
/// Texts longer than this are left out of the half that is not whole, in bytes.
const LEFT_OUT_LEN_BYTES_MIN: usize = 1_024;

/// Returns what a tool answered as MCP wants it.
pub fn result(tool: &str, answer: &Answer) -> CallToolResult {
    let text = answer.text();
    let may_be_long = text.len() > RESULT_LEN_BYTES_MAX / LEN_FACTOR_MAX;
    if answer.is_error {
        // What a failure answers is not what the tool's schema promises.
        return CallToolResult::error(vec![ContentBlock::text(text)]);
    }
    let whole = built(text, structured(&answer.json));
    if !may_be_long || fits(&whole) {
        return whole;
    }
    let len = line_len(&whole);
    drop(whole);
    let mut short = structured(&answer.json);
    leave_out(&mut short);
    // Text is escaped twice on its way, what is structured once.
    let told = |half: &str| {
        let mut short = short.clone();
        if let Value::Object(members) = &mut short {
            members.insert("left_out".to_owned(), json!(format!("long texts: they are in {half}")));
        }
        short
    };
    let in_text = built(answer.json.to_string(), told("the text block"));
    if fits(&in_text) {
        return in_text;
    }
    let in_structure = built(told("structuredContent").to_string(), structured(&answer.json));
    if fits(&in_structure) { in_structure } else { too_long(tool, len) }
}

fn built(text: String, structured: Value) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.is_error = None;
    result.structured_content = Some(structured);
    result
}

/// Returns the length of a result as it goes over the wire: text is escaped once more there.
fn line_len(result: &CallToolResult) -> usize {
    serde_json::to_vec(result).map_or(usize::MAX, |line| line.len())
}

fn fits(result: &CallToolResult) -> bool {
    line_len(result) <= RESULT_LEN_BYTES_MAX
}

/// Takes out the long texts, wherever they are members of an object.
fn leave_out(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members
                .retain(|_, member| member.as_str().is_none_or(|text| text.len() <= LEFT_OUT_LEN_BYTES_MIN));
            members.values_mut().for_each(leave_out);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn too_long(tool: &str, len: usize) -> CallToolResult {
    let advice = match tool.strip_prefix("mempalace_").unwrap_or(tool) {
        "event_list" => "ask for previews (preview: true) or for fewer events (limit)",
        "event_wait" => "ask for fewer events (limit), from a later one on (since_event_id)",
        "get_drawers" => "ask for fewer drawers at once",
        "search" | "list_drawers" | "list_hallways" | "kg_timeline" => "ask for fewer at once (limit)",
        "diary_read" => "ask for fewer entries (last_n)",
        "kg_query" => "ask for one time (as_of) or one direction",
        "list_tunnels" | "find_tunnels" => "ask for one wing",
        _ => "ask for less at once",
    };
    let error = json!({
        "error": format!("the result is {len} bytes, more than the {RESULT_LEN_BYTES_MAX} a host accepts; {advice}"),
    });
    CallToolResult::error(vec![ContentBlock::text(error.to_string())])
}

/// Returns a tool's answer as structured content, which must be an object: the peer answers some questions with a list.
fn structured(json: &Value) -> Value {
    if json.is_object() { json.clone() } else { json!({"result": json}) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::palace::events::rules::ARTIFACT_BYTES_MAX;

    fn artifact(unit: &str) -> (Value, CallToolResult) {
        let content = unit.repeat(ARTIFACT_BYTES_MAX / unit.len());
        let json = json!({"artifact": {"id": "art_1", "kind": "patch", "content": content}});
        let shown = result("mempalace_artifact_get", &Answer::ok(json.clone()));
        (json, shown)
    }

    fn text_of(result: &CallToolResult) -> Value {
        let wire = serde_json::to_value(result).unwrap();
        serde_json::from_str(wire["content"][0]["text"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn the_largest_artifact_is_whole_in_its_text() {
        let (json, shown) = artifact("+ \"x\" y\n");
        assert!(fits(&shown) && shown.is_error.is_none());
        assert!(text_of(&shown) == json);
        let structured = shown.structured_content.unwrap();
        assert_eq!(structured["artifact"], json!({"id": "art_1", "kind": "patch"}));
        assert!(structured["left_out"].as_str().unwrap().contains("text block"));
    }

    #[test]
    fn one_that_escaping_makes_too_long_for_a_text_is_whole_in_its_structure() {
        let (json, shown) = artifact("\"");
        assert!(fits(&shown) && shown.is_error.is_none());
        assert!(shown.structured_content.as_ref() == Some(&json));
        let text = text_of(&shown);
        assert_eq!(text["artifact"], json!({"id": "art_1", "kind": "patch"}));
        assert!(text["left_out"].as_str().unwrap().contains("structuredContent"));
    }

    #[test]
    fn what_fits_goes_out_twice_and_what_never_fits_says_what_to_ask_for() {
        let small = json!({"events": [{"body": "x".repeat(2_000)}]});
        let shown = result("mempalace_event_list", &Answer::ok(small.clone()));
        assert_eq!((text_of(&shown), shown.structured_content), (small.clone(), Some(small)));
        let events: Vec<Value> = (0..50).map(|_| json!({"body": "x".repeat(250_000)})).collect();
        let events = Answer::ok(json!({"events": events}));
        for (tool, advice) in [
            ("mempalace_event_list", "preview: true"),
            ("mempalace_event_wait", "since_event_id"),
            ("mempalace_get_drawers", "fewer drawers"),
        ] {
            let refused = result(tool, &events);
            assert_eq!(refused.is_error, Some(true));
            assert!(text_of(&refused)["error"].as_str().unwrap().contains(advice), "{tool}");
        }
    }
}
