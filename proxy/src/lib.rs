//! Everything short-lived: the MCP server that hosts spawn, the command for people, and what both share to find or
//! start the daemon of a palace.
//!
//! Nothing here opens the store, loads a model or removes a file of a daemon that may live.

pub mod connect;
pub mod ctl;
pub mod failpoint;
pub mod known;
pub mod launch;
pub mod lock;
pub mod mcp;
pub mod os;
pub mod palace;
pub mod relay;
pub mod runtime;
pub mod service;
pub mod session_state;
pub mod spawn;
pub mod starts;
pub mod upgrade;
