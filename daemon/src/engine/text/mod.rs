//! The derived text index: which rows share words with a query.
//!
//! All of it lives in memory and can be made again from the rows. Statistics are those of the whole
//! store, whatever the filter, so that a score means the same in every search.

pub(super) mod bm25;
pub(super) mod postings;
pub(super) mod tokenize;
pub(super) mod vocabulary;

#[cfg(test)]
mod tests;
