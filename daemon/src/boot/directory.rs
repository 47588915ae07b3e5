//! The palace directory and its private folder: made when missing, refused when they are not this user's.
//!
//! Nothing is followed that another user could have put there, and a file system that other computers may write at the
//! same time is refused unless a person allows it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use palace_protocol::advice;
use palace_protocol::endpoint::{StartFailure, StartFailureCode};

use super::filesystem;

/// Whether a palace may live on a network file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkFs {
    /// It may not.
    Refused,
    /// A person has allowed it, and sees to it that one computer at a time uses the palace.
    Allowed,
}

fn refused(message: String) -> StartFailure {
    StartFailure { code: StartFailureCode::Palace, message }
}

#[cfg(unix)]
fn foreign(message: String) -> StartFailure {
    StartFailure { code: StartFailureCode::Owner, message }
}

/// Makes everything that this process writes from here on its owner's alone, whatever the umask of whoever started it
/// and the mode of the palace directory: the store, and what is derived from it, hold memories. Call it before any
/// thread is started, and in every program that writes a palace.
pub fn write_for_owner_only() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Returns the canonical palace directory, made when it is missing.
///
/// # Errors
/// Says what is wrong with it.
pub fn palace(palace: &Path, network_fs: NetworkFs) -> Result<PathBuf, StartFailure> {
    let at = palace.display();
    let refuse = |message: String| Err(refused(message));
    match fs::metadata(palace) {
        Ok(found) if !found.is_dir() => {
            return refuse(format!(
                "{at} is a file, not a directory; name the palace's directory with --palace"
            ));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Err(error) = make(palace) {
                let next = advice::about(error.kind()).unwrap_or("make it, or name another with --palace");
                return refuse(format!("the palace directory {at} cannot be made: {error}; {next}"));
            }
        }
        Err(error) => {
            return refuse(format!(
                "the palace directory {at} cannot be read: {error}; check its path and permissions"
            ));
        }
    }
    let palace = fs::canonicalize(palace)
        .or_else(|error| refuse(format!("the palace directory {at} cannot be resolved: {error}")))?;
    if palace.to_str().is_none() {
        return refuse(format!(
            "{at} has a name that is not UTF-8; rename it, or name another with --palace"
        ));
    }
    check_owner(&palace)?;
    if let (NetworkFs::Refused, Some(kind)) = (network_fs, filesystem::shared(&palace)) {
        return refuse(format!("{at} is on {kind}; {}", kind.advice()));
    }
    Ok(palace)
}

/// Makes a directory and those above it, and brings their names to disk: a store that was acknowledged must not vanish
/// with the directory it is in.
fn make(palace: &Path) -> io::Result<()> {
    let palace = std::path::absolute(palace)?;
    #[cfg(unix)]
    let there = palace.ancestors().find(|above| above.exists()).map(Path::to_path_buf);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&palace)?;
    #[cfg(unix)]
    for above in palace.ancestors().skip(1) {
        // Not every file system syncs directories; the palace is made all the same.
        let _ = fs::File::open(above).and_then(|above| above.sync_all());
        if there.as_deref() == Some(above) {
            break;
        }
    }
    Ok(())
}

/// Refuses to write into another user's palace: what root or anybody else leaves there, its owner could not use.
#[cfg(unix)]
fn check_owner(palace: &Path) -> Result<(), StartFailure> {
    use std::os::unix::fs::MetadataExt;
    let at = palace.display();
    let found = fs::metadata(palace).map_err(|error| refused(format!("{at} cannot be read: {error}")))?;
    let user = rustix::process::geteuid().as_raw();
    if found.uid() == user {
        Ok(())
    } else {
        Err(foreign(format!(
            "{at} belongs to user {}, this process is user {user}; run as the palace's owner, or name your own palace \
             with --palace",
            found.uid()
        )))
    }
}

#[cfg(windows)]
fn check_owner(_palace: &Path) -> Result<(), StartFailure> {
    Ok(())
}

/// Makes a folder that only its owner may enter, and refuses one that is somebody else's.
///
/// # Errors
/// Says whose it is, or why it cannot be made.
pub fn private(folder: &Path) -> Result<(), StartFailure> {
    let at = folder.display();
    let refuse = |message: String| Err(refused(message));
    match make_private(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_private(folder),
        Err(error) => {
            let next = advice::about(error.kind()).unwrap_or("the palace directory must be writable");
            refuse(format!("{at} cannot be made: {error}; {next}"))
        }
    }
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(folder)
}

/// On Windows a folder has the rights of the one above it: below a user's profile they are that user's.
#[cfg(windows)]
fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)
}

#[cfg(unix)]
fn check_private(folder: &Path) -> Result<(), StartFailure> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let at = folder.display();
    let found =
        fs::symlink_metadata(folder).map_err(|error| refused(format!("{at} cannot be read: {error}")))?;
    if !found.is_dir() {
        return Err(refused(format!("{at} is not a directory; move it away")));
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(foreign(format!(
            "{at} belongs to user {}, not to {user}; run as the palace's owner",
            found.uid()
        )));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .map_err(|error| refused(format!("{at} is open to others and cannot be closed: {error}")))?;
    }
    Ok(())
}

#[cfg(windows)]
fn check_private(folder: &Path) -> Result<(), StartFailure> {
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(refused(format!("{} is not a directory; move it away", folder.display()))),
        Err(error) => Err(refused(format!("{} cannot be read: {error}", folder.display()))),
    }
}
