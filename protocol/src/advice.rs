//! What a person can do about something that the system refuses, in words that daemon and clients share. Pure.

use std::io::ErrorKind;

/// What to do about a store that is damaged, in this order. Whoever shows a reason that ends with it need not say more.
pub const DAMAGED_STORE: &str = "nothing was changed or replaced; next: `palacectl backup list` shows the backups and \
    `palacectl restore FILE-OR-FOLDER` brings one back; without one `palacectl repair` tells what can still be read, and \
    `palacectl repair --yes` makes a sound store of it and keeps the damaged one";

/// What to do about something else in the place of a file that is made where it is missing.
pub const ODD_FILE: &str = "move it away; what is needed there is made anew";

/// What to do about something else in the place of the settings, which people write.
pub const ODD_SETTINGS: &str = "move it away; without a file there the defaults hold";

/// What to do about something else in the place of the store.
pub const ODD_STORE: &str = "nothing was changed; a link needs what it leads to (is a volume unmounted?); a link whose \
    volume is lost, and everything else, is to be moved away: then put the store back, from a backup with `palacectl \
    restore FILE-OR-FOLDER` (`palacectl backup list` shows them), or begin an empty one with `palacectl start`";

/// Returns what is in the way and what to do about it, where the system's answer tells.
pub fn about(kind: ErrorKind) -> Option<&'static str> {
    if matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) {
        Some("the disk is full, or a quota or a limit of file sizes is reached: free space, then try again")
    } else if kind == ErrorKind::ReadOnlyFilesystem {
        Some(
            "its file system is mounted read-only: mount it writable, or name a palace elsewhere with --palace",
        )
    } else if kind == ErrorKind::PermissionDenied {
        Some("this user must be able to read and write it and the folder it is in: look at owner and mode")
    } else {
        // The system's own words are all there is to say.
        None
    }
}
