//! Three tools instead of forty-five: each takes one line of a small query language, or fields, and calls the tool that
//! the line stands for. What a host saves in tokens it pays in what its model must know of the language; so mistakes are
//! answered with the place and what was expected there.

mod aliases;
mod command;
mod enrich;
mod grammar;
mod lexer;
mod options;
mod parts;
mod shown;
mod values;
mod verbs;

use palace_protocol::catalogue;
use serde_json::{Map, Value, json};

use crate::palace::names;

use super::Answer;
use command::Verb;

pub use shown::Shown;

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
    /// How its answer is shown.
    pub shown: Shown,
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
/// `None` for any other tool. A session that changes nothing is sent to no tool that it does not list.
pub fn resolve(
    name: &str,
    arguments: &Map<String, Value>,
    read_only: bool,
) -> Option<Result<Resolved, Answer>> {
    let light = LIGHT.iter().find(|light| light.name == name)?;
    Some(light.resolve(arguments, read_only).map_err(|error| refused(&error)))
}

/// Returns the answer to a call that is not understood. Tools go by the names that fields take: those of the other profile
/// are not listed in this one.
pub fn refused(error: &str) -> Answer {
    Answer::ok(json!({"success": false, "error": error.replace("mempalace_", "")}))
}

impl Light {
    fn resolve(&self, arguments: &Map<String, Value>, read_only: bool) -> Result<Resolved, String> {
        let mut fields = arguments.clone();
        fields.retain(|_, value| !value.is_null());
        let named = fields.shift_remove(self.target).or_else(|| fields.shift_remove("action"));
        let line = fields.get(self.line).and_then(Value::as_str).map(str::to_owned);
        if let Some(named) = named {
            return self.structured(&named, fields, read_only);
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
        if let Some(elsewhere) = self.belongs_elsewhere(&line, read_only) {
            return Err(Mistake { at: 0, message: elsewhere }.shown(&line));
        }
        match grammar::read(&line, self.verbs) {
            Ok(read) if !(self.asks && read.is_prose) => {
                // What the line says goes before what stands beside it.
                fields.extend(read.arguments);
                read.verb.preset(&mut fields);
                match missing(read.verb, &fields) {
                    Some(message) => Err(Mistake { at: line.len(), message }.shown(&line)),
                    None => self.resolved(read.verb.tool, fields),
                }
            }
            Err(mistake) if !self.asks || self.begins_like_a_command(&line) => Err(mistake.shown(&line)),
            Ok(_) | Err(_) => {
                fields.insert("query".to_owned(), Value::String(line));
                self.resolved("search", fields)
            }
        }
    }

    fn resolved(&self, tool: &str, mut arguments: Map<String, Value>) -> Result<Resolved, String> {
        let shown = match tool {
            "search" => Shown::Enriched,
            // The tool knows no wings; its answer does.
            "get_taxonomy" => match arguments.shift_remove("wing") {
                Some(Value::String(wing)) => {
                    Shown::OneWing(names::name(&wing, "wing").map_err(|error| error.to_string())?)
                }
                Some(other) => return Err(format!("wing must be a string, not {other}")),
                None => Shown::AsItIs,
            },
            _ => Shown::AsItIs,
        };
        Ok(Resolved { name: format!("mempalace_{tool}"), arguments, read_only: self.asks, shown })
    }

    fn begins_like_a_command(&self, line: &str) -> bool {
        let first = line.split_whitespace().next().unwrap_or_default();
        self.verbs.iter().any(|verb| verb.words[0] == first)
    }

    /// Says which of the three tools takes a line that this one does not.
    fn belongs_elsewhere(&self, line: &str, read_only: bool) -> Option<String> {
        let words = |verbs| grammar::verb_of(line, verbs).map_or(0, |verb| verb.words.len());
        // One word that begins a line here too is a mistake in that line.
        let own = words(self.verbs).max(usize::from(self.begins_like_a_command(line)));
        let other = LIGHT.iter().find(|light| words(light.verbs) > own)?;
        let verb = grammar::verb_of(line, other.verbs)?;
        let words = verb.words.join(" ");
        Some(match other.listed(read_only) {
            Some(other) => format!("{words} is a line for {other}; {} takes other lines", self.name),
            None => format!("{words} changes the palace, and this session may change nothing"),
        })
    }

    /// Returns the tool's name if a session lists it.
    fn listed(&self, read_only: bool) -> Option<&'static str> {
        let tool = catalogue::tool(self.name).filter(|tool| !read_only || tool.class.is_for_readers());
        tool.map(|tool| tool.name)
    }

    fn structured(
        &self,
        named: &Value,
        mut fields: Map<String, Value>,
        read_only: bool,
    ) -> Result<Resolved, String> {
        let named = named.as_str().unwrap_or_default().trim().to_lowercase();
        let named = named.strip_prefix("mempalace_").unwrap_or(&named);
        let has = |light: &Self, tool: &str| light.verbs.iter().any(|verb| verb.tool == tool);
        let meant = || aliases::ALIASES.iter().filter(|(alias, _)| *alias == named).map(|(_, tool)| *tool);
        let tool = meant().find(|tool| has(self, tool)).or_else(|| meant().next()).unwrap_or(named);
        if !has(self, tool) {
            if let Some(other) = LIGHT.iter().find(|light| has(light, tool)) {
                return Err(match other.listed(read_only) {
                    Some(other) => format!("{named:?} is for {other}"),
                    None => format!("{named:?} changes the palace, and this session may change nothing"),
                });
            }
            let mut known: Vec<&str> = self.verbs.iter().map(|verb| verb.tool).collect();
            known.sort_unstable();
            known.dedup();
            return Err(format!("{} {named:?} is not one of {}", self.target, known.join(", ")));
        }
        // A line beside a name is the text that is asked about.
        if self.line != "query"
            && let Some(Value::String(line)) = fields.shift_remove(self.line)
        {
            return Err(format!("give either {} or {}, not both: {line:?}", self.line, self.target));
        }
        for (_, other, parameter) in aliases::FIELDS.iter().filter(|(of, _, _)| *of == tool) {
            if !fields.contains_key(*parameter)
                && let Some(value) = fields.shift_remove(*other)
            {
                fields.insert((*parameter).to_owned(), value);
            }
        }
        // Some names are those of a line, and mean what the line means.
        if let Some(verb) = self.verbs.iter().find(|verb| verb.words.join("_").eq_ignore_ascii_case(named)) {
            verb.preset(&mut fields);
        }
        self.resolved(tool, fields)
    }

    fn beginnings(&self) -> String {
        let mut first: Vec<&str> = self.verbs.iter().map(|verb| verb.words[0]).collect();
        first.sort_unstable();
        first.dedup();
        first.join(", ")
    }
}

/// Says what a line lacks that its tool cannot do without.
fn missing(verb: &Verb, given: &Map<String, Value>) -> Option<String> {
    let tool = catalogue::tool(&format!("mempalace_{}", verb.tool))?;
    let lacks = |name: &str| !given.contains_key(name);
    let missing = tool.parameters.iter().filter(|parameter| parameter.required && lacks(parameter.name));
    let missing: Vec<String> = missing.map(|parameter| verb.option_for(parameter.name)).collect();
    (!missing.is_empty()).then(|| format!("{} needs {}", verb.words.join(" "), missing.join(", ")))
}

#[cfg(test)]
mod tests;
