//! What `palaced --task` prints while it works on a palace that nobody serves: one JSON object on each line, the last one
//! says how it ended.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskLine {
    /// How far it is.
    Progress {
        /// What is done right now.
        phase: String,
        /// How much of it is done.
        done: u64,
        /// How much there is, where that is known.
        total: Option<u64>,
    },
    /// It did what it was to do.
    Done {
        /// A sentence for people.
        message: String,
        /// What it found, for programs.
        report: Value,
    },
    /// It did not, and left the palace as it was.
    Failed {
        /// What failed, on what, and what to do.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_documented() {
        let progress = TaskLine::Progress { phase: "reading".into(), done: 3, total: None };
        let text = r#"{"progress":{"phase":"reading","done":3,"total":null}}"#;
        assert_eq!(serde_json::to_string(&progress).unwrap(), text);
        let failed: TaskLine = serde_json::from_str(r#"{"failed":{"message":"no"}}"#).unwrap();
        assert_eq!(failed, TaskLine::Failed { message: "no".into() });
    }
}
