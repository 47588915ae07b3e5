//! Where a store stands, and what it does when it finds itself elsewhere.
//!
//! Two living stores must not have one identity: their histories part, and whoever told them apart by it (saved indexes,
//! backups, other palaces that exchange events) would mix them up. A store that was moved is still the only one and keeps
//! its identity. One that was copied gets a new identity at its first start, and remembers whose copy it is.

use std::fs::{self, Metadata};
use std::path::Path;

use redb::{Database, ReadableDatabase};

use super::records::{Home, Identity};
use super::{read, write};
use crate::engine::error::{CommitError, Fault};
use crate::engine::types::EngineOptions;

/// Returns where the store file at `path` stands: its directory without links, and the machine.
pub(super) fn here(path: &Path, options: &EngineOptions) -> Home {
    let dir = path.parent().unwrap_or(path);
    let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    Home { path: dir.to_string_lossy().into_owned(), host: options.host.clone() }
}

/// Brings what a store knows of its place up to date and returns its identity, a new one if it is a copy.
pub(super) fn settle(
    db: &Database,
    path: &Path,
    identity: Identity,
    options: &EngineOptions,
) -> Result<Identity, CommitError> {
    let known = {
        let txn = db.begin_read().map_err(Fault::from)?;
        read::home(&txn)?
    };
    let here = here(path, options);
    if known.as_ref() == Some(&here) {
        return Ok(identity);
    }
    let copied = known.is_some_and(|known| another_may_live(&known, &here, path));
    let identity = if copied {
        let origin = Some(identity.database_uuid);
        Identity { database_uuid: uuid::Uuid::new_v4().into_bytes(), origin, ..identity }
    } else {
        identity
    };
    let txn = db.begin_write().map_err(Fault::from)?;
    write::put_home(&txn, &here)?;
    if copied {
        write::put_identity(&txn, &identity)?;
    }
    txn.commit().map_err(Fault::from)?;
    Ok(identity)
}

/// Tells whether the store may live on where it was. On another machine nobody can look.
fn another_may_live(known: &Home, here: &Home, path: &Path) -> bool {
    if known.host != here.host {
        return true;
    }
    let Ok(there) = fs::metadata(Path::new(&known.path).join(super::file::FILE_NAME)) else { return false };
    !fs::metadata(path).is_ok_and(|found| same_file(&found, &there))
}

/// The old name may lead to this very file: a palace that is reached through another mount.
#[cfg(unix)]
fn same_file(left: &Metadata, right: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (left.dev(), left.ino()) == (right.dev(), right.ino())
}

/// Paths are compared without links there; two that differ are taken for two files.
#[cfg(not(unix))]
fn same_file(_: &Metadata, _: &Metadata) -> bool {
    false
}
