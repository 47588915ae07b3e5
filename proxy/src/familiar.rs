//! The directory a session has worked in, told from another one of the same name.
//!
//! A volume that is unmounted leaves the empty directory it was mounted on, and an empty directory is where a start makes
//! an empty palace: whoever has seen the palace must not have another one made in its place. A directory with a store in it
//! is a palace, whichever it is; one that was restored or moved back is another directory too.

use std::path::{Path, PathBuf};

use palace_protocol::endpoint::STORE_FILE;
use palace_system::identity::Identity;

/// The directory in which a store was last seen; none at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Familiar(Option<Identity>);

/// Another directory, without a store, has the name of the palace's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the palace directory {} is not the one this session worked in, and holds no palace; is its volume unmounted? Mount it \
     and try again; nothing was made there. To begin a new palace there run `palacectl start`", palace.display()
)]
pub struct Strange {
    /// The directory.
    pub palace: PathBuf,
}

impl Familiar {
    /// Remembers the palace's directory, if a store is in it.
    pub fn look(&mut self, palace: &Path) {
        if holds_store(palace)
            && let Ok(directory) = Identity::of(palace)
        {
            *self = Self(Some(directory));
        }
    }

    /// Tells whether a palace may be made in the directory of that name. One that cannot be looked at is left to the start,
    /// which says what is wrong with it.
    ///
    /// # Errors
    /// When it is another one than the palace's, and empty of one.
    pub fn check(self, palace: &Path) -> Result<(), Strange> {
        let Self(Some(familiar)) = self else { return Ok(()) };
        match Identity::of(palace) {
            Ok(directory) if directory != familiar && !holds_store(palace) => {
                Err(Strange { palace: palace.to_path_buf() })
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Whatever stands there under the store's name is the daemon's to judge.
fn holds_store(palace: &Path) -> bool {
    std::fs::symlink_metadata(palace.join(STORE_FILE)).is_ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_that_was_seen_with_a_store_is_missed() {
        let home = tempfile::tempdir().unwrap();
        let (palace, away) = (home.path().join("palace"), home.path().join("away"));
        let mut familiar = Familiar::default();
        std::fs::create_dir(&palace).unwrap();
        familiar.look(&palace);
        // Both exist, so that they are two.
        std::fs::rename(&palace, &away).unwrap();
        std::fs::create_dir(&palace).unwrap();
        assert_eq!(familiar.check(&palace), Ok(()), "there was no palace to lose");
        std::fs::write(palace.join(STORE_FILE), "x").unwrap();
        familiar.look(&palace);
        familiar.look(&away);
        assert_eq!(familiar.check(&palace), Ok(()));
        assert!(familiar.check(&away).unwrap_err().to_string().contains("unmounted"));
        std::fs::write(away.join(STORE_FILE), "x").unwrap();
        assert_eq!(familiar.check(&away), Ok(()), "a restored palace is one");
        std::fs::remove_file(palace.join(STORE_FILE)).unwrap();
        assert_eq!(familiar.check(&palace), Ok(()), "the same directory is the daemon's to judge");
        assert_eq!(familiar.check(&home.path().join("nothing")), Ok(()));
    }
}
