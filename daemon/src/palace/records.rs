//! Records beside the drawers: facts, tunnels, events and the like, each stored as one JSON object.
//!
//! JSON because these records are small, are asked for whole, and must stay readable to a later program that knows more
//! fields than this one. The engine seals each with a checksum; what does not decode is damage and is named.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::{Collection, Op, ReadError, RecordRange, View};

use super::command::Decided;

/// Returns the record of that key.
///
/// # Errors
/// When the store cannot be read, or the record is not what its collection holds.
pub fn get<T: DeserializeOwned>(
    view: &dyn View,
    collection: Collection,
    key: &[u8],
) -> Result<Option<T>, ReadError> {
    view.record(collection, key)?.map(|value| decode(key, &value)).transpose()
}

/// Returns the operation that stores a record.
pub fn put<T: Serialize>(collection: Collection, key: impl Into<Vec<u8>>, record: &T) -> Op {
    let value = serde_json::to_vec(record).expect("records are structures with text keys");
    Op::PutRecord { collection, key: key.into(), value }
}

/// Returns the operation that removes a record.
pub fn delete(collection: Collection, key: impl Into<Vec<u8>>) -> Op {
    Op::DeleteRecord { collection, key: key.into() }
}

/// Decides the removal of a record; tells whether there was one.
///
/// # Errors
/// When the state cannot be read.
pub fn remove(view: &dyn View, collection: Collection, key: &[u8]) -> Decided<bool> {
    let existed = view.record(collection, key)?.is_some();
    Ok((existed.then(|| delete(collection, key)).into_iter().collect(), existed))
}

/// Calls `visit` with every record of a range until it says stop with `false`.
///
/// # Errors
/// When the store cannot be read, or a record is not what its collection holds.
pub fn each<T: DeserializeOwned>(
    view: &dyn View,
    collection: Collection,
    range: &RecordRange,
    mut visit: impl FnMut(T) -> bool,
) -> Result<(), ReadError> {
    let mut failed = None;
    view.records(collection, range, &mut |key, value| match decode(key, value) {
        Ok(record) => visit(record),
        Err(error) => {
            failed = Some(error);
            false
        }
    })?;
    failed.map_or(Ok(()), Err)
}

/// Returns all records of a collection in the order of their keys.
///
/// # Errors
/// As [`each`].
pub fn all<T: DeserializeOwned>(view: &dyn View, collection: Collection) -> Result<Vec<T>, ReadError> {
    let mut found = Vec::new();
    each(view, collection, &RecordRange::default(), |record| {
        found.push(record);
        true
    })?;
    Ok(found)
}

/// Returns the parts of a key that follow its prefix, as text.
///
/// # Errors
/// When the store cannot be read.
pub fn tails(view: &dyn View, collection: Collection, prefix: &[u8]) -> Result<Vec<String>, ReadError> {
    let mut found = Vec::new();
    view.records(collection, &RecordRange::under(prefix), &mut |key, _| {
        found.push(String::from_utf8_lossy(&key[prefix.len()..]).into_owned());
        true
    })?;
    Ok(found)
}

/// Joins texts to a key in which none is a prefix of another: no text of ours holds a zero byte.
pub fn key(parts: &[&str]) -> Vec<u8> {
    let mut key = Vec::new();
    for part in parts {
        key.extend_from_slice(part.as_bytes());
        key.push(0);
    }
    key
}

/// Returns the record that stored bytes are.
///
/// # Errors
/// Names the key of what is not a record of this kind.
pub fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, ReadError> {
    serde_json::from_slice(value).map_err(|error| ReadError::Damaged {
        table: "records",
        key: String::from_utf8_lossy(key).into_owned(),
        detail: error.to_string(),
    })
}
