//! `palaced`: everything of a palace that remembers. The binary only calls into this library.

pub mod engine;
