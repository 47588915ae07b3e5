//! Where a socket goes when the palace's own folder cannot hold one.
//!
//! The place never depends on the environment, which hosts scrub. A folder that another user made, or could enter, is
//! not used: its owner could take the socket's name.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Returns usable folders, best first, made when they are missing.
pub fn folders() -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let session = PathBuf::from(format!("/run/user/{user}"));
    let mut candidates = Vec::new();
    if fs::symlink_metadata(&session).is_ok_and(|found| found.is_dir() && found.uid() == user) {
        candidates.push(session.join("palace"));
    }
    candidates.push(PathBuf::from(format!("/tmp/palace-{user}")));
    candidates.retain(|folder| private(folder, user).is_ok());
    candidates
}

/// Makes the folder, or checks that it is a directory of this user's that nobody else may enter.
fn private(folder: &Path, user: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == user && found.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(io::Error::other(format!("{} is not this user's alone", folder.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_folder_that_others_could_enter_is_not_used() {
        let home = tempfile::tempdir().unwrap();
        let user = rustix::process::geteuid().as_raw();
        let folder = home.path().join("palace");
        private(&folder, user).unwrap();
        private(&folder, user).unwrap();
        assert!(private(&folder, user + 1).is_err());
        let link = home.path().join("link");
        symlink(&folder, &link).unwrap();
        assert!(private(&link, user).is_err());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(private(&folder, user).is_err());
    }
}
