//! Which model made the vectors: only those of the model this program has can be taken over.

use std::path::Path;

use serde_json::Value;

use super::files;

/// Where a palace records it, per collection.
const FILE: &str = "mempalace_embedder.json";
/// Names that stand for another model. Any other name was written by a version that embedded with MiniLM whatever the
/// settings said, so it means MiniLM.
const OTHERS: [&str; 2] = ["embeddinggemma", "openai-compat"];
/// How the identities of one more family begin.
const OTHER_FAMILY: &str = "embeddinggemma2:";

/// The model of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// all-MiniLM-L6-v2, 384 dimensions.
    #[default]
    Minilm,
    /// Another one; its vectors are of no use here and the texts have to be embedded again.
    Other(String),
}

impl Model {
    /// Returns the model a recorded name stands for.
    pub fn named(name: &str) -> Model {
        let name = name.trim().to_lowercase();
        if OTHERS.contains(&name.as_str()) || name.starts_with(OTHER_FAMILY) {
            return Model::Other(name);
        }
        Model::Minilm
    }

    /// Returns why its vectors are not used.
    pub(super) fn objection(&self) -> Option<String> {
        match self {
            Model::Minilm => None,
            Model::Other(name) => Some(format!("embedded with another model, {name}")),
        }
    }
}

/// What a palace records about its models.
pub(super) struct Record(Value);

impl Record {
    /// Reads it; an absent file means MiniLM, as no version before the file had another model.
    pub fn read(palace: &Path, notes: &mut Vec<String>) -> Record {
        let path = palace.join(FILE);
        let value = match files::whole(&path) {
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            Ok(None) => Ok(Value::Null),
            Err(error) => Err(error.to_string()),
        };
        Record(value.unwrap_or_else(|error| {
            notes.push(format!("{} cannot be read, MiniLM is assumed: {error}", path.display()));
            Value::Null
        }))
    }

    /// Returns the name recorded for a collection.
    pub fn name(&self, collection: &str) -> Option<&str> {
        self.0.get(collection)?.get("model_name")?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_other_models_are_other_models() {
        for name in ["minilm", "", "none", "all-MiniLM-L6-v2", "embeddinggemma2", "embedinggemma"] {
            assert_eq!(Model::named(name), Model::Minilm, "{name}");
        }
        for name in ["EmbeddingGemma", "openai-compat", "embeddinggemma2:google/x@1:256"] {
            assert_eq!(Model::named(name), Model::Other(name.to_lowercase()), "{name}");
        }
    }
}
