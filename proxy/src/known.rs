//! The palace a session works on, told from another one of the same name.
//!
//! A volume that is unmounted leaves the empty directory it was mounted on, or none, and an empty directory is where a start
//! makes an empty palace. Whoever has worked on the palace must neither have another one made in its place nor go on in one
//! that somebody else made there: what he writes would be gone once the volume is back.

use std::path::{Path, PathBuf};

use palace_protocol::endpoint::STORE_FILE;
use palace_protocol::handshake::Welcome;
use palace_system::identity::Identity;

/// What a session knows of its palace; nothing at first.
#[derive(Clone, Debug, Default)]
pub struct KnownPalace(Option<Known>);

#[derive(Clone, Debug)]
struct Known {
    /// The directory in which a store was seen.
    directory: Identity,
    /// The identity of the store, once a daemon has told it.
    store: Option<String>,
}

/// What stands under the palace's name is not the palace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtherPalace {
    /// There is no store in it, or nothing at all.
    #[error(
        "the palace directory {} is not the one this session worked in, and holds no palace; is its volume unmounted? \
         Mount it and try again; nothing was made there. To begin a new palace there run `palacectl start`, then restart \
         this server", .0.display()
    )]
    Absent(PathBuf),
    /// There is another store in another directory.
    #[error(
        "the palace in {} is another one than this session worked on; is its volume unmounted? Mount it and try again. To \
         work on the palace that is there now, restart this server", .0.display()
    )]
    Exchanged(PathBuf),
}

impl KnownPalace {
    /// Remembers the palace's directory before anything is asked of it, if a store is in it.
    pub fn look(&mut self, palace: &Path) {
        if holds_store(palace)
            && let Ok(directory) = Identity::of(palace)
        {
            self.0 = Some(Known { directory, store: None });
        }
    }

    /// Tells whether a daemon may be started, which makes a palace where there is none.
    ///
    /// # Errors
    /// When the palace is known and what has its name is not a palace.
    pub fn may_begin(&self, palace: &Path) -> Result<(), OtherPalace> {
        let Some(known) = &self.0 else { return Ok(()) };
        let is_there = match Identity::of(palace) {
            // Without its store it is the daemon's to judge.
            Ok(directory) => directory == known.directory || holds_store(palace),
            // What else is wrong with it the start says.
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        };
        if is_there { Ok(()) } else { Err(OtherPalace::Absent(palace.to_path_buf())) }
    }

    /// Tells whether a daemon that answered serves the palace, and remembers what it says of it.
    ///
    /// In its own directory the palace may have another store: that of a restore. In another directory it is the palace only
    /// with its store: moved, or mounted again.
    ///
    /// # Errors
    /// When the palace is known and the daemon serves another one.
    pub fn recognise(&mut self, palace: &Path, welcome: &Welcome) -> Result<(), OtherPalace> {
        let Ok(directory) = Identity::of(palace) else { return Ok(()) };
        if let Some(Known { directory: known, store: Some(store) }) = &self.0
            && *known != directory
            && welcome.store.as_ref().is_some_and(|served| served != store)
        {
            return Err(OtherPalace::Exchanged(palace.to_path_buf()));
        }
        self.0 = Some(Known { directory, store: welcome.store.clone() });
        Ok(())
    }
}

/// Whatever stands there under the store's name is the daemon's to judge.
fn holds_store(palace: &Path) -> bool {
    std::fs::symlink_metadata(palace.join(STORE_FILE)).is_ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn welcome(store: Option<&str>) -> Welcome {
        Welcome {
            protocol: 1,
            build: String::new(),
            pid: 1,
            generation: String::new(),
            session: 1,
            catalogue: String::new(),
            store: store.map(str::to_owned),
        }
    }

    /// A palace with a store, and an empty directory beside it.
    fn two(home: &Path) -> (PathBuf, PathBuf) {
        let (palace, bare) = (home.join("palace"), home.join("bare"));
        std::fs::create_dir(&palace).unwrap();
        std::fs::create_dir(&bare).unwrap();
        std::fs::write(palace.join(STORE_FILE), "x").unwrap();
        (palace, bare)
    }

    #[test]
    fn no_palace_is_begun_in_the_place_of_a_known_one() {
        let home = tempfile::tempdir().unwrap();
        let (palace, bare) = two(home.path());
        let mut known = KnownPalace::default();
        known.look(&bare);
        assert_eq!(known.may_begin(&bare), Ok(()), "there was no palace to lose");
        known.look(&palace);
        assert_eq!(known.may_begin(&palace), Ok(()));
        assert_eq!(known.may_begin(&bare), Err(OtherPalace::Absent(bare.clone())));
        let nothing = home.path().join("nothing");
        assert_eq!(known.may_begin(&nothing), Err(OtherPalace::Absent(nothing)));
        std::fs::remove_file(palace.join(STORE_FILE)).unwrap();
        assert_eq!(known.may_begin(&palace), Ok(()), "the same directory is the daemon's to judge");
    }

    #[test]
    fn another_store_is_the_palace_only_in_its_own_directory() {
        let home = tempfile::tempdir().unwrap();
        let (palace, other) = two(home.path());
        let mut known = KnownPalace::default();
        assert_eq!(known.recognise(&palace, &welcome(Some("a"))), Ok(()));
        assert_eq!(known.recognise(&palace, &welcome(Some("b"))), Ok(()), "a restore");
        let exchanged = Err(OtherPalace::Exchanged(other.clone()));
        assert_eq!(known.recognise(&other, &welcome(Some("c"))), exchanged);
        assert_eq!(known.recognise(&other, &welcome(Some("c"))), exchanged, "nothing was learnt of it");
        assert_eq!(known.recognise(&other, &welcome(Some("b"))), Ok(()), "moved, or mounted again");
        assert_eq!(known.recognise(&palace, &welcome(None)), Ok(()), "an older daemon does not tell");
        assert_eq!(known.recognise(&other, &welcome(Some("d"))), Ok(()), "nothing to compare with");
    }
}
