//! Three tools instead of forty-five: each takes one line of a small query language, or fields, and calls the tool that
//! the line stands for. What a host saves in tokens it pays in what its model must know of the language; so mistakes are
//! answered with the place and what was expected there.

mod enrich;
mod grammar;
mod lexer;
mod verbs;

use serde_json::{Map, Value, json};

use super::Answer;
use grammar::Verb;

pub use enrich::enrich;

/// What is wrong with a line, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Byte of the line.
    pub at: usize,
    /// What was expected there.
    pub message: String,
}

impl Mistake {
    /// Returns the message with the line and a mark under the place.
    fn shown(&self, line: &str) -> String {
        let before = &line[..floor(line, self.at)];
        let row_start = before.rfind('\n').map_or(0, |at| at + 1);
        let row = line[row_start..].lines().next().unwrap_or_default();
        let column = before[row_start..].chars().count();
        format!("{}\n{row}\n{}^", self.message, " ".repeat(column))
    }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

/// A call that a line or fields stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// Full name of the tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// Whether the call may change nothing: `palace_query` says so of itself.
    pub read_only: bool,
}

/// Which tool, its commands, the field its line stands in, the field that names a tool instead.
struct Light {
    name: &'static str,
    verbs: &'static [Verb],
    line: &'static str,
    target: &'static str,
    /// Whether it only asks: then a sentence that is no command is a question, and nothing is recorded.
    asks: bool,
}

const LIGHT: [Light; 3] = [
    Light { name: "palace_query", verbs: verbs::QUERY, line: "query", target: "target", asks: true },
    Light { name: "palace_exec", verbs: verbs::EXEC, line: "command", target: "action", asks: false },
    Light {
        name: "palace_coordinate",
        verbs: verbs::COORDINATE,
        line: "command",
        target: "action",
        asks: false,
    },
];

/// Tells whether a name is one of the three.
pub fn is_light(name: &str) -> bool {
    LIGHT.iter().any(|light| light.name == name)
}

/// Returns the call that a call of one of the three tools stands for, or the answer that explains why there is none.
/// `None` for any other tool.
pub fn resolve(name: &str, arguments: &Map<String, Value>) -> Option<Result<Resolved, Answer>> {
    let light = LIGHT.iter().find(|light| light.name == name)?;
    Some(light.resolve(arguments).map_err(|error| Answer::ok(json!({"success": false, "error": error}))))
}

impl Light {
    fn resolve(&self, arguments: &Map<String, Value>) -> Result<Resolved, String> {
        let mut fields = arguments.clone();
        fields.retain(|_, value| !value.is_null());
        let named = fields.shift_remove(self.target).or_else(|| fields.shift_remove("action"));
        let line = fields.get(self.line).and_then(Value::as_str).map(str::to_owned);
        if let Some(named) = named {
            return self.structured(&named, fields);
        }
        let Some(line) = line else {
            return Err(format!(
                "{} takes a line in '{}' or a tool's name in '{}'; lines begin with {}",
                self.name,
                self.line,
                self.target,
                self.beginnings()
            ));
        };
        fields.shift_remove(self.line);
        if let Some(elsewhere) = self.belongs_elsewhere(&line) {
            return Err(elsewhere);
        }
        match grammar::read(&line, self.verbs) {
            Ok(read) if !(self.asks && read.is_prose) => {
                // What the line says goes before what stands beside it.
                fields.extend(read.arguments);
                Ok(self.resolved(read.tool, fields))
            }
            Err(mistake) if !self.asks || self.begins_like_a_command(&line) => Err(mistake.shown(&line)),
            Ok(_) | Err(_) => {
                fields.insert("query".to_owned(), Value::String(line));
                Ok(self.resolved("search", fields))
            }
        }
    }

    fn resolved(&self, tool: &str, arguments: Map<String, Value>) -> Resolved {
        Resolved { name: format!("mempalace_{tool}"), arguments, read_only: self.asks }
    }

    fn begins_like_a_command(&self, line: &str) -> bool {
        let first = line.split_whitespace().next().unwrap_or_default();
        self.verbs.iter().any(|verb| verb.words[0] == first)
    }

    /// Says which of the three tools takes a line that this one does not.
    fn belongs_elsewhere(&self, line: &str) -> Option<String> {
        let words = |verbs| grammar::verb_of(line, verbs).map_or(0, |verb| verb.words.len());
        // One word that begins a line here too is a mistake in that line.
        let own = words(self.verbs).max(usize::from(self.begins_like_a_command(line)));
        let other = LIGHT.iter().find(|light| words(light.verbs) > own)?;
        let verb = grammar::verb_of(line, other.verbs)?;
        Some(format!(
            "{} is a line for {}; {} takes other lines",
            verb.words.join(" "),
            other.name,
            self.name
        ))
    }

    fn structured(&self, named: &Value, mut fields: Map<String, Value>) -> Result<Resolved, String> {
        let named = named.as_str().unwrap_or_default().trim().to_lowercase();
        let named = named.strip_prefix("mempalace_").unwrap_or(&named);
        let tool = verbs::ALIASES.iter().find(|(alias, _)| *alias == named).map_or(named, |(_, tool)| tool);
        if !self.verbs.iter().any(|verb| verb.tool == tool) {
            if let Some(other) = LIGHT.iter().find(|light| light.verbs.iter().any(|verb| verb.tool == tool)) {
                return Err(format!("{named:?} is for {}", other.name));
            }
            let mut known: Vec<&str> = self.verbs.iter().map(|verb| verb.tool).collect();
            known.dedup();
            return Err(format!("{} {named:?} is not one of {}", self.target, known.join(", ")));
        }
        // A line beside a name is the text that is asked about.
        if self.line != "query"
            && let Some(Value::String(line)) = fields.shift_remove(self.line)
        {
            return Err(format!("give either {} or {}, not both: {line:?}", self.line, self.target));
        }
        Ok(self.resolved(tool, fields))
    }

    fn beginnings(&self) -> String {
        let mut first: Vec<&str> = self.verbs.iter().map(|verb| verb.words[0]).collect();
        first.sort_unstable();
        first.dedup();
        first.join(", ")
    }
}

#[cfg(test)]
mod tests;
