//! What every start fails of before a daemon runs, seen without starting one: something else in the place of a folder or
//! file that starters need. Without it a palace would be called stopped that nothing can start.

use std::path::Path;

use palace_protocol::advice;
use palace_protocol::endpoint::{DAEMON_DIR, LOG_DIR, START_LOCK_FILE, STDERR_FILE};
use palace_system::files::{self, Links};

use crate::os::{self, Unusable};
use crate::service;

/// Says what keeps the palace from being started, and what to do.
pub fn to_starts(palace: &Path) -> Option<String> {
    let folder = palace.join(DAEMON_DIR);
    let log_dir = folder.join(LOG_DIR);
    for needed in [&folder, &log_dir] {
        if std::fs::symlink_metadata(needed).is_ok()
            && let Err(Unusable::Kind(reason)) = os::check_owned_folder(needed)
        {
            return Some(format!("nothing can be started: {reason}"));
        }
    }
    // A service manager starts the daemon by itself, and keeps its words elsewhere.
    if service::keeper(palace).is_some() {
        return None;
    }
    [folder.join(START_LOCK_FILE), log_dir.join(STDERR_FILE)].iter().find_map(|file| {
        let odd = files::odd(file, Links::Refused)?;
        Some(format!("nothing can be started: {}: {odd}; {}", file.display(), advice::ODD_FILE))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A palace whose starters' lock was a folder was just called stopped.
    #[test]
    fn what_no_start_gets_past_is_named() {
        let palace = tempfile::tempdir().unwrap();
        assert_eq!(to_starts(palace.path()), None);
        let folder = palace.path().join(DAEMON_DIR);
        std::fs::write(&folder, "").unwrap();
        let told = |file: &Path| {
            let told = to_starts(palace.path()).unwrap();
            let named = told.contains(&file.display().to_string());
            assert!(named && told.contains("move it away"), "{told}");
        };
        told(&folder);
        std::fs::remove_file(&folder).unwrap();
        std::fs::create_dir_all(folder.join(LOG_DIR)).unwrap();
        assert_eq!(to_starts(palace.path()), None);
        for file in [folder.join(START_LOCK_FILE), folder.join(LOG_DIR).join(STDERR_FILE)] {
            std::fs::create_dir(&file).unwrap();
            told(&file);
            std::fs::remove_dir(&file).unwrap();
            std::fs::write(&file, "").unwrap();
            assert_eq!(to_starts(palace.path()), None);
        }
    }
}
