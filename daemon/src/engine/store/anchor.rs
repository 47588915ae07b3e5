//! Which file a store was opened from: what is written after another one has taken its name, nobody will find.

use std::path::Path;

/// The file that a path named when the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Anchor(Option<(u64, u64)>);

impl Anchor {
    /// Returns the file that a path names. One that cannot be looked at is not watched.
    #[cfg(unix)]
    pub fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino())))
    }

    /// What is open cannot be replaced on Windows.
    #[cfg(windows)]
    pub fn of(_path: &Path) -> Self {
        Self(None)
    }

    /// Tells whether a path still names the file, as far as is known: a hiccup of the disk proves nothing.
    pub fn holds(self, path: &Path) -> bool {
        let Self(Some(_)) = self else { return true };
        match path.try_exists() {
            Ok(true) => Self::of(path) == self,
            Ok(false) => false,
            Err(_) => true,
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_removed_or_replaced_does_not_hold() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("store"), folder.path().join("other"));
        std::fs::write(&path, "x").unwrap();
        std::fs::write(&other, "x").unwrap();
        let anchor = Anchor::of(&path);
        assert!(anchor.holds(&path));
        std::fs::rename(&other, &path).unwrap();
        assert!(!anchor.holds(&path));
        std::fs::remove_file(&path).unwrap();
        assert!(!anchor.holds(&path));
        assert!(Anchor::default().holds(&path), "nothing is watched");
    }
}
