//! Whole palaces that move in and out: readers of what other programs have stored, imports with proof, exports, backups.
//!
//! The only part of the daemon that reads and writes files of others.

pub mod backup;
pub mod export;
pub mod import;
pub mod lines;
pub mod upkeep;
pub mod upstream;

/// Folder in a palace that holds the reports of imports.
pub const REPORT_DIR: &str = "imports";

#[cfg(test)]
mod tests;
