//! What comes into a palace from elsewhere.
//!
//! Names the domain's types, files and the formats of others; never the store, a session or a protocol.

pub mod job;
pub mod transfer;
