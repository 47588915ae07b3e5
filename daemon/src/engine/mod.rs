//! The engine: everything below a session that is not async.

pub mod embed;
