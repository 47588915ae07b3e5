//! What a command does to drawers: a pure function from the state the writer sees to operations and an outcome.
//!
//! The caller may have looked at an older state; everything that matters is looked at again here. A decision has no
//! effect of its own: it is applied whole, in one transaction, or not at all.

mod changing;
mod filing;
mod removing;

use crate::engine::{ReadError, Row, View};

/// Returns the rows behind an id: one row of that id, or the chunks of the drawer of that id.
///
/// # Errors
/// When the state cannot be read.
pub fn rows_of(view: &dyn View, id: &str) -> Result<Vec<Row>, ReadError> {
    match view.row(id)? {
        Some(row) => Ok(vec![row]),
        None => view.chunks_of(id),
    }
}

#[cfg(test)]
pub(in crate::palace) mod tests;
