//! The truth: one redb file and everything that knows its tables.
//!
//! Nothing outside this folder names a table, a key layout or a record. What leaves it are rows,
//! counts and the change log.

pub(super) mod anchor;
pub(super) mod audit;
pub(super) mod bulk;
pub(super) mod codec;
pub(super) mod file;
mod home;
pub(super) mod listing;
pub(super) mod read;
pub(super) mod records;
pub(super) mod select;
pub(super) mod tables;
pub(super) mod write;

#[cfg(test)]
mod tests;
