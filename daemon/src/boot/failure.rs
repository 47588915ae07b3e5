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
        OpenError::NotAStore { .. } | OpenError::Damaged { .. } => {
            (StartFailureCode::Damaged, advice::DAMAGED_STORE)
        }
        OpenError::NotAFile { .. } => (StartFailureCode::Palace, advice::ODD_STORE),
        OpenError::Missing { .. } => (
            StartFailureCode::Damaged,
            "no empty palace was made in its place: to restore a backup run `palacectl restore FILE-OR-FOLDER`; to go back \
             to a store that was kept rename it to palace.redb; to begin anew move those files elsewhere",
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

    /// All that was said was to keep a copy, and nothing led to the commands that help.
    #[test]
    fn a_damaged_store_says_what_to_run_in_which_order() {
        let told = of_opening(&OpenError::Damaged { path: "/p/palace.redb".into(), detail: "torn".into() });
        let steps = [
            "palace.redb",
            "`palacectl backup list`",
            "`palacectl restore",
            "`palacectl repair`",
            "repair --yes",
        ];
        let at: Vec<Option<usize>> = steps.iter().map(|step| told.message.find(step)).collect();
        assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?} in {told}");
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
