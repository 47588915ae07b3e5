//! Which file or directory a path names: another one of the same name is another one.

use std::io;
use std::path::Path;

/// The identity of a file or directory, as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    number: u64,
}

impl Identity {
    /// Returns the identity of what a path names.
    ///
    /// # Errors
    /// The system's answer, when it names nothing or may not be looked at.
    #[cfg(unix)]
    pub fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).map(|found| Self { device: found.dev(), number: found.ino() })
    }

    /// What is open cannot be replaced on Windows: that there is something of the name is enough.
    ///
    /// # Errors
    /// The system's answer, when it names nothing or may not be looked at.
    #[cfg(windows)]
    pub fn of(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|_| Self { device: 0, number: 0 })
    }
}

/// Returns what has become of a path that named something once, if it does not name it any more.
pub fn changed(path: &Path, once: Identity) -> Option<&'static str> {
    match Identity::of(path) {
        Ok(now) if now == once => None,
        Ok(_) => Some("was replaced"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some("was removed"),
        // A hiccup of the disk: no proof of anything. The next look tells more.
        Err(_) => None,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn another_file_of_the_same_name_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("file"), folder.path().join("other"));
        std::fs::write(&path, "x").unwrap();
        std::fs::write(&other, "x").unwrap();
        let once = Identity::of(&path).unwrap();
        std::fs::write(&path, "longer").unwrap();
        assert_eq!(changed(&path, once), None);
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(changed(&path, once), Some("was replaced"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(changed(&path, once), Some("was removed"));
    }
}
