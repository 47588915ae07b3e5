//! The MCP server that hosts spawn, and the command for people.

pub mod ctl;
pub mod runtime;
