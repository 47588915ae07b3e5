//! Tools as MCP lists them: JSON schemas of what they take and answer, and annotations.

use serde_json::{Map, Value, json};

use super::{Kind, Parameter, Shape, Tool};

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

impl Parameter {
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
