//! The daemon of one palace.

pub mod engine;
