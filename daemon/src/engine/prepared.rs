//! A row made ready for the store away from the thread that writes: its vector checked and coded, its words found.
//!
//! Imports bring rows by the hundred thousand. What can be done beside the writer is done here, so that the one thread
//! that everybody waits for only puts bytes into tables.

use super::derived::prepare_vector;
use super::index::code::almost_unit;
use super::index::vectors::Prepared;
use super::text::tokenize::{Terms, terms};
use super::types::{Row, StoredVector};

/// A row with everything the store and its indexes need to know of it.
#[derive(Clone, Debug)]
pub struct PreparedRow {
    row: Row,
    stored: StoredVector,
    vector: Prepared,
    terms: Terms,
}

/// Why a row cannot be stored: its vector is not of unit length, not finite or of another dimension.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("vector refused: {0}")]
pub struct VectorRefused(String);

impl PreparedRow {
    /// Checks a vector as it would be stored, and finds the words of the text. Takes tens of microseconds.
    ///
    /// # Errors
    /// When no store of that dimension takes the vector.
    pub fn new(row: Row, stored: StoredVector, dimension: usize) -> Result<Self, VectorRefused> {
        almost_unit(&stored.decode(), dimension).map_err(|why| VectorRefused(why.to_string()))?;
        let vector = prepare_vector(stored.bytes(), dimension)
            .ok_or_else(|| VectorRefused("nothing is left of it in half precision".to_owned()))?;
        let terms = terms(&row.document);
        Ok(PreparedRow { row, stored, vector, terms })
    }

    /// Returns the row.
    pub fn row(&self) -> &Row {
        &self.row
    }

    /// Returns the vector as it will be stored.
    pub fn stored(&self) -> &StoredVector {
        &self.stored
    }

    pub(super) fn vector(&self) -> &Prepared {
        &self.vector
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }
}

impl PartialEq for PreparedRow {
    /// What is made ready follows from row and vector.
    fn eq(&self, other: &Self) -> bool {
        self.row == other.row && self.stored == other.stored
    }
}
