//! palaced: the one daemon of a palace.
//!
//! Layers, top to bottom; each names only those below it: `session` (bytes to calls, the only async code), `tools`
//! (arguments to domain calls to JSON), `palace` (the domain), `engine` (durable state and what is derived from it).
//! `ingest` stands beside `engine`: it reads what other programs stored and hands it on in the domain's types.
//! `boot` and `config` stand beside them and are the only places that read arguments and environment.

pub mod boot;
pub mod clock;
pub mod config;
pub mod engine;
pub mod failpoint;
pub mod ingest;
pub mod journal;
pub mod palace;
pub mod session;
pub mod tools;

/// Which embedding model a daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Models {
    /// The model in the program.
    Builtin,
    /// A deterministic stand-in without any meaning of words. Only test binaries ask for it.
    HashForTests,
}

/// Runs `palaced` with the arguments and environment of this process, until it is told to end.
pub fn run(models: Models) -> std::process::ExitCode {
    boot::run(models)
}
