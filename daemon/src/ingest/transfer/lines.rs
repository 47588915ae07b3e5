//! The lines of an export: what they are called, how they are read and written. Described in `protocol/EXPORT.md`.
//!
//! Invariant: what is written depends on the content alone, so that two palaces of the same content have the same export
//! byte for byte.

mod reader;
mod writer;

use serde::{Deserialize, Serialize};

use crate::palace::import::Imported;
use crate::palace::portable::PortableRow;

pub use reader::{LinesError, Reader};
pub use writer::Writer;

/// What the first line says the file is.
pub const FORMAT: &str = "mempalaced-export";
/// Version of the format; a higher one is not read.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Model that made the vectors; none without vectors.
    pub embedder: Option<String>,
    /// Length of each vector; none without vectors.
    pub dimension: Option<usize>,
    /// Rows have their vectors.
    pub vectors: bool,
    /// What was chosen; empty for everything.
    #[serde(default)]
    pub selection: Selection,
}

/// Which rows were chosen. Of the records such an export holds only the index cards of these rows' sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Only this wing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wing: Option<String>,
    /// Only this room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// Only what was filed then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Only what was filed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// The last line: without it the file is not whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Rows.
    pub rows: u64,
    /// Records beside the rows.
    pub records: u64,
    /// SHA-256 of all bytes before this line, in hex.
    pub sha256: String,
}

/// A line after the first.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// A row.
    Row(Box<PortableRow>),
    /// A record beside the rows.
    Record(Box<Imported>),
    /// Something a later version knows; its type.
    Unknown(String),
    /// The last line.
    End(End),
}

/// Types of records, in the order in which they are written.
pub const RECORD_TYPES: [&str; 8] =
    ["entity", "fact", "tunnel", "hallway", "artifact", "event", "closet", "setting"];

/// The part that all lines but the first have.
#[derive(Deserialize)]
struct Typed<'l> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'l, str>,
}

/// A line with its type in front.
#[derive(Serialize)]
struct Tagged<'l, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    rest: &'l T,
}

/// Returns what a line holds.
///
/// # Errors
/// Says what is wrong with it.
fn parse(text: &[u8]) -> Result<Line, String> {
    let wrong = |error: serde_json::Error| error.to_string();
    let Typed { kind } = serde_json::from_slice(text).map_err(wrong)?;
    match kind.as_ref() {
        "row" => serde_json::from_slice(text).map(|row| Line::Row(Box::new(row))).map_err(wrong),
        "end" => serde_json::from_slice(text).map(Line::End).map_err(wrong),
        kind if RECORD_TYPES.contains(&kind) => {
            serde_json::from_slice(text).map(|record| Line::Record(Box::new(record))).map_err(wrong)
        }
        kind => Ok(Line::Unknown(kind.to_owned())),
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
