//! Rows, their vectors, and what names them.

use std::fmt;

/// Position in the store's history: how many commits that changed a row have been made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// Internal name of a row. It stays with a row id as long as that id exists and is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(pub u64);

/// Milliseconds since the Unix epoch. The engine never asks for the time, it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// The caller's name for one write, so that a repeated request is answered and not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(pub [u8; 16]);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value of a row's free metadata, kept with the type it came with.
#[derive(Clone, Debug, PartialEq)]
pub enum MetaValue {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction; stored bit by bit.
    Float(f64),
    /// True or false.
    Bool(bool),
}

/// One stored drawer, or one chunk of a drawer that was too long for one embedding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Unique name, chosen by the caller.
    pub id: String,
    /// The text itself, verbatim.
    pub document: String,
    /// Wing the drawer stands in.
    pub wing: String,
    /// Room of that wing.
    pub room: String,
    /// Where the text came from; empty when it was typed in.
    pub source_file: String,
    /// When it was filed: naive local ISO text, verbatim.
    pub filed_at: String,
    /// Position among the chunks of one drawer.
    pub chunk_index: u32,
    /// The drawer this row is a chunk of, if it is one.
    pub parent_id: Option<String>,
    /// Every other metadata key, sorted by name, verbatim.
    pub extra: Vec<(String, MetaValue)>,
}

impl Row {
    /// Returns a text of the free metadata; empty when there is none.
    pub fn text(&self, name: &str) -> &str {
        match self.extra.iter().find(|(key, _)| key == name) {
            Some((_, MetaValue::Text(value))) => value,
            Some((_, MetaValue::Integer(_) | MetaValue::Float(_) | MetaValue::Bool(_))) | None => "",
        }
    }

    /// Returns the id of the drawer this row belongs to: its parent's when it is a chunk.
    pub fn drawer_id(&self) -> &str {
        self.parent_id.as_deref().unwrap_or(&self.id)
    }
}

/// An embedding: finite and of unit length within a thousandth, or the write is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(pub Vec<f32>);

impl From<Vec<f32>> for Vector {
    fn from(values: Vec<f32>) -> Self {
        Vector(values)
    }
}

/// An embedding exactly as a store keeps it: half precision, little endian. It goes from one store to another, or out
/// of a store and back, without a bit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVector(Vec<u8>);

impl StoredVector {
    /// Takes bytes that a store gave out, or that [`StoredVector::encode`] made. They are checked when they are written.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        StoredVector(bytes)
    }

    /// Returns the form in which a store would keep a vector: scaled to unit length, then halved in precision. `None`
    /// for a vector that no store takes, because it is not finite or has no direction.
    pub fn encode(vector: &[f32]) -> Option<Self> {
        let length = crate::engine::index::code::length(vector) as f32;
        let unit: Vec<f32> = vector.iter().map(|value| value / length).collect();
        let sound = length.is_normal() && unit.iter().all(|value| value.is_finite());
        sound.then(|| StoredVector(crate::engine::store::records::encode_vector(&unit)))
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the vector at full width.
    pub fn decode(&self) -> Vec<f32> {
        crate::engine::store::records::decode_vector(&self.0)
    }
}
