//! What two mempalaced processes agree on.
//!
//! Everything that crosses a process boundary is defined here and nowhere else: newline framing, the hello and its
//! answers, control requests, the endpoint and service records, the limits both sides enforce, and the catalogue of MCP tools that
//! proxy (cold answers, retry policy) and daemon (dispatch) both print from.
//!
//! The crate is pure: it opens no file, reads no environment, spawns nothing and knows no runtime. `PROTOCOL.md` is
//! the same contract in prose.

pub mod advice;
pub mod catalogue;
pub mod control;
pub mod endpoint;
pub mod filesystem;
pub mod frame;
pub mod handshake;
pub mod holder;
pub mod jsonrpc;
pub mod limits;
pub mod mcp;
pub mod prompts;
pub mod resources;
pub mod service;
