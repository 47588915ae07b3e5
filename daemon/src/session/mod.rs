//! Bytes to calls: the listener, the hello, one MCP session per host, the control plane, idle end and drain.
//!
//! This is the only asynchronous code. It runs on one thread; everything that may block (tools, store, model) runs on
//! the runtime's blocking threads. A session's failure, a panic in its handler included, costs that session's request
//! and nothing else.

mod attending;
mod backups;
mod calls;
mod connection;
mod control;
mod drain;
#[cfg(unix)]
mod fallback;
mod flow;
mod jobs;
mod listed;
mod listener;
mod mcp;
mod registry;
mod results;
mod scrub;
mod service;
mod status;
mod strangers;
#[cfg(all(feature = "failpoints", debug_assertions))]
mod torn;
mod trouble;

pub use drain::serve;
pub use scrub::Times as ScrubTimes;
pub use service::Service;

/// Threads that may run blocking calls at once; further calls wait for one.
pub const BLOCKING_THREAD_COUNT_MAX: usize = 64;
