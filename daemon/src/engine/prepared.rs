//! A row made ready for the store away from the thread that writes: its vector checked and coded, its words found.
//!
//! Imports bring rows by the hundred thousand. What can be done beside the writer is done here, so that the one thread
//! that everybody waits for only puts bytes into tables.

use std::sync::Arc;

use super::derived::prepare_vector;
use super::index::code::almost_unit;
use super::index::vectors::Prepared;
use super::text::vocabulary::{Terms, Vocabulary};
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
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("vector refused: {reason}")]
pub struct VectorRefused {
    /// The row, which may get another vector.
    pub row: Box<Row>,
    /// What is wrong with this one.
    pub reason: String,
}

/// Makes rows ready, one after another; for the caller's thread.
pub struct Preparer {
    dimension: usize,
    vocabulary: Vocabulary,
}

impl Preparer {
    /// Returns one for a store of that dimension.
    pub fn new(dimension: usize) -> Self {
        Preparer { dimension, vocabulary: Vocabulary::default() }
    }

    /// Checks a vector as it would be stored, and finds the words of the text. Takes tens of microseconds.
    ///
    /// # Errors
    /// When no store of that dimension takes the vector.
    pub fn prepare(&mut self, row: Row, stored: StoredVector) -> Result<Arc<PreparedRow>, VectorRefused> {
        let checked =
            almost_unit(&stored.decode(), self.dimension).map_err(|why| why.to_string()).and_then(|_| {
                let vector = prepare_vector(stored.bytes(), self.dimension);
                vector.ok_or_else(|| "nothing is left of it in half precision".to_owned())
            });
        match checked {
            Ok(vector) => {
                let terms = self.vocabulary.terms(&row.document);
                Ok(Arc::new(PreparedRow { row, stored, vector, terms }))
            }
            Err(reason) => Err(VectorRefused { row: Box::new(row), reason }),
        }
    }
}

impl PreparedRow {
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
