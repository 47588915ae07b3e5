//! A palace of MemPalace that stands beside an empty one of ours, for `palacectl status` and `doctor`.
//!
//! A first start imports what stands at the palace's own place. Newer versions of MemPalace keep theirs elsewhere, where
//! nothing of ours looks by itself: whoever has both is told so, once there is nothing in ours yet.

use std::path::{Path, PathBuf};

use palace_protocol::control::JobState;
use palace_protocol::endpoint::STORE_FILE;

use crate::palace::DEFAULT;

use super::status::Seen;

/// Where newer versions of MemPalace keep their palace, below the home folder.
const NEWER: &str = ".config/mempalace/palace";
/// Files that a palace of MemPalace has one of.
pub const FILES: [&str; 2] = ["chroma.sqlite3", "sqlite_exact.sqlite3"];

/// Returns the palace of MemPalace that has not been moved in, when this one is where ours stands by default.
pub fn beside(palace: &Path, seen: &Seen) -> Option<PathBuf> {
    let home = directories::BaseDirs::new()?.home_dir().to_path_buf();
    is_empty(palace, seen).then(|| of_home(palace, &home))?
}

fn of_home(palace: &Path, home: &Path) -> Option<PathBuf> {
    let same = |path: PathBuf| path == palace || std::fs::canonicalize(path).is_ok_and(|path| path == palace);
    let there = home.join(NEWER);
    let is_palace = FILES.iter().any(|name| there.join(name).is_file());
    (is_palace && same(home.join(DEFAULT)) && !same(there.clone())).then_some(there)
}

/// Tells whether nothing is in the palace and nothing is on its way. A store that nobody serves may hold anything.
fn is_empty(palace: &Path, seen: &Seen) -> bool {
    match seen {
        Seen::Serving(status) => {
            let imports = |kind: &str| kind.starts_with("import");
            let is_moving =
                status.jobs.iter().any(|job| job.state == JobState::Running && imports(&job.kind));
            status.counts.drawers == 0 && !is_moving
        }
        Seen::Stopped => {
            // What stands at the palace's own place is imported by the first start.
            !palace.join(STORE_FILE).exists() && !FILES.iter().any(|name| palace.join(name).is_file())
        }
        Seen::Unreachable(_) | Seen::Unusable(_) | Seen::Forbidden(_) => false,
    }
}

/// Returns what people are told.
pub fn sentence(there: &Path) -> String {
    let at = there.display();
    format!("a palace of MemPalace stands in {at}; `palacectl import {at}` moves it in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_beside_the_default_place_and_only_once_it_is_there() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let ours = home.join(DEFAULT);
        std::fs::create_dir_all(home.join(NEWER)).unwrap();
        assert_eq!(of_home(&ours, &home), None, "an empty folder is no palace");
        std::fs::write(home.join(NEWER).join(FILES[0]), "").unwrap();
        assert_eq!(of_home(&ours, &home), Some(home.join(NEWER)));
        assert_eq!(of_home(&home.join("elsewhere"), &home), None);
        assert_eq!(of_home(&home.join(NEWER), &home), None);
    }

    #[test]
    fn a_store_may_hold_anything() {
        let palace = tempfile::tempdir().unwrap();
        assert!(is_empty(palace.path(), &Seen::Stopped));
        assert!(!is_empty(palace.path(), &Seen::Unreachable(String::new())));
        std::fs::write(palace.path().join(STORE_FILE), "").unwrap();
        assert!(!is_empty(palace.path(), &Seen::Stopped));
    }
}
