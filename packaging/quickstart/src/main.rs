//! `cargo quickstart`: builds everything and shows, on real text, what the project is for.
//!
//! Two hosts spawn the MCP server on one scratch palace at the same instant, both write, both find what the other
//! wrote, the daemon is killed in the middle, both go on, and every acknowledged drawer is there once. Every figure
//! printed is measured in this run; a claim that does not hold ends it with an error.

mod build;
mod host;
mod story;
mod texts;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let keep = std::env::args().any(|argument| argument == "--keep");
    match build::programs().and_then(|programs| story::tell(&programs, keep)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("\n✗ {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a line at once.
fn say(text: &str) {
    let mut out = std::io::stdout();
    // Nobody may be there to read it.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
