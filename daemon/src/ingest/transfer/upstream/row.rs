//! A row as the source has it.

use crate::palace::MetaValue;

/// A row of a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceRow {
    /// Its internal number: rows come in this order, and reading goes on after it.
    pub cursor: i64,
    /// Its id, verbatim.
    pub id: String,
    /// Its text; a row may have none.
    pub document: Option<String>,
    /// Its metadata, ordered by name.
    pub metadata: Vec<(String, MetaValue)>,
    /// Its vector, finite and of unit length, or why there is none.
    pub vector: Result<Vec<f32>, String>,
}
