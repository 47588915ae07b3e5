//! MCP clients that are not ours: found through the environment, or skipped with a printed reason.

use std::io::Write;
use std::path::PathBuf;

/// Returns the program that a variable names. Without it the reason for skipping is printed, unless
/// `PALACE_TEST_CLIENTS=required` makes its absence a failure.
///
/// # Panics
/// When the client is required and absent.
pub fn client(variable: &str, what: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists()) {
        return Some(path);
    }
    let required = std::env::var("PALACE_TEST_CLIENTS").is_ok_and(|value| value == "required");
    assert!(!required, "{variable} must name {what}");
    // Standard error reaches the reader of a passing test only with --nocapture, so the terminal is written directly.
    let _ = writeln!(std::io::stderr(), "skipped: {variable} does not name {what}; see tests/README.md");
    None
}
