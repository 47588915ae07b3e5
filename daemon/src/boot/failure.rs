//! Why a store does not open, as people are told: what failed, on what, and what to do. Nothing is ever changed or
//! replaced on the way.

use palace_protocol::advice;
use palace_protocol::endpoint::{StartFailure, StartFailureCode};

use crate::engine::OpenError;

/// Returns the failure of a start whose store does not open.
pub fn of_opening(error: &OpenError) -> StartFailure {
    let (code, next) = match error {
        OpenError::Locked { .. } => {
            (StartFailureCode::Locked, "another process has the store open; `palacectl doctor` shows which")
        }
        OpenError::NotAStore { .. } | OpenError::Damaged { .. } => (
            StartFailureCode::Damaged,
            "nothing was changed or replaced: keep a copy of the palace directory before trying anything",
        ),
        OpenError::NewerFormat { .. } => (
            StartFailureCode::NewerFormat,
            "a newer mempalaced wrote it: install that version or a newer one over this (in its source folder: \
             `cargo install --path daemon` and `cargo install --path proxy`), then `palacectl start`; nothing was changed",
        ),
        OpenError::EmbedderMismatch { .. } => (
            StartFailureCode::EmbedderMismatch,
            "start the daemon with the model that made its vectors; nothing was changed",
        ),
        OpenError::Io { source, .. } => (
            StartFailureCode::Other,
            advice::about(source.kind()).unwrap_or("see `palacectl doctor`; nothing was changed"),
        ),
    };
    StartFailure { code, message: format!("{error}; {next}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    #[test]
    fn a_newer_store_says_what_to_run() {
        let failure =
            of_opening(&OpenError::NewerFormat { path: "/p/palace.redb".into(), found: 9, supported: 2 });
        for part in ["format 9", "up to format 2", "cargo install --path daemon", "palacectl start"] {
            assert!(failure.message.contains(part), "{part} in {failure}");
        }
    }

    /// A full disk sent people to `palacectl doctor`, and a file that may not be written was not called so.
    #[test]
    fn what_the_system_refuses_is_named_with_its_file() {
        let cases = [
            (ErrorKind::StorageFull, "free space"),
            (ErrorKind::QuotaExceeded, "free space"),
            (ErrorKind::FileTooLarge, "free space"),
            (ErrorKind::ReadOnlyFilesystem, "mounted read-only"),
            (ErrorKind::PermissionDenied, "owner and mode"),
            (ErrorKind::TimedOut, "palacectl doctor"),
        ];
        for (kind, part) in cases {
            let failure =
                of_opening(&OpenError::Io { path: "/p/palace.redb".into(), source: Error::from(kind) });
            assert!(failure.message.starts_with("/p/palace.redb: "), "{failure}");
            assert!(failure.message.contains(part), "{part} in {failure}");
        }
    }
}
