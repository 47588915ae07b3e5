//! MCP clients that are not ours: found through the environment, or skipped with a printed reason.

use std::io::Write;
use std::path::PathBuf;

/// Returns the program that a variable names. Without it the reason for skipping is printed, unless
/// `PALACE_TEST_CLIENTS=required` makes its absence a failure.
///
/// # Panics
/// When the client is required and absent.
pub fn client(variable: &str, what: &str) -> Option<PathBuf> {
    let required = std::env::var("PALACE_TEST_CLIENTS").is_ok_and(|value| value == "required");
    let found = named(variable);
    assert!(found.is_some() || !required, "{variable} must name {what}");
    found.or_else(|| skipped(variable, what))
}

/// Returns what a variable names and not every machine can have; without it the reason for skipping is printed.
pub fn optional(variable: &str, what: &str) -> Option<PathBuf> {
    named(variable).or_else(|| skipped(variable, what))
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists())
}

fn skipped(variable: &str, what: &str) -> Option<PathBuf> {
    // Standard error reaches the reader of a passing test only with --nocapture, so the terminal is written directly.
    let _ = writeln!(std::io::stderr(), "skipped: {variable} does not name {what}; see tests/README.md");
    None
}
