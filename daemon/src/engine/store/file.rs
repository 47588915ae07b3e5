//! The store file: how it is made, opened and told from what is not one.
//!
//! A file that exists is never replaced and never taken for empty. A new store gets its name only
//! when it is complete and on disk, so there is no half-made store to be puzzled by.

use std::fs;
use std::path::{Path, PathBuf};

use palace_system::files::{self, Links};
use redb::{Builder, Database, ReadableDatabase};

use super::home;
use super::read;
use super::records::Identity;
use super::write;
use crate::engine::error::{CommitError, Fault, OpenError, ReadError, guarded};
use crate::engine::types::EngineOptions;

/// Version of the on-disk format this program writes, and the newest it reads.
///
/// 1: rows. 2: records beside the rows, facets. 3: the log names records too, removed things are kept, the store knows
/// where it stands.
pub(in crate::engine) const FORMAT: u32 = 3;

/// Name of the store file in a palace directory.
pub(in crate::engine) const FILE_NAME: &str = "palace.redb";

const NEW_FILE_NAME: &str = "palace.redb.new";

/// Names of stores that are being made from backups or from a damaged store.
const MADE_FILE_NAMES: [&str; 2] = ["palace.redb.restored", "palace.redb.repaired"];

/// How the names of stores begin that another one took the place of.
const KEPT_PREFIXES: [&str; 2] = ["palace.redb.before-", "palace.redb.damaged-"];

/// Opens the store of a directory, making it when the directory has none.
pub(in crate::engine) fn open(
    dir: &Path,
    options: &EngineOptions,
) -> Result<(Database, Identity), OpenError> {
    let path = dir.join(FILE_NAME);
    match fs::symlink_metadata(&path) {
        Ok(_) => tidy(dir),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match beside(dir) {
            kept if kept.is_empty() => create(dir, options)?,
            kept => return Err(OpenError::Missing { path, kept }),
        },
        Err(source) => return Err(OpenError::Io { path, source }),
    }
    open_existing(dir, options)
}

/// Returns the names of stores in a directory that a restore or a repair has made or kept.
fn beside(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| {
            MADE_FILE_NAMES.contains(&name.as_str())
                || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        })
        .collect();
    names.sort_unstable();
    names
}

/// Removes what an interrupted restore or repair left beside a store that is in its place: the new store, and a second
/// name of the old one.
fn tidy(dir: &Path) {
    for name in beside(dir) {
        let path = dir.join(&name);
        let is_made = MADE_FILE_NAMES.contains(&name.as_str());
        if is_made || home::is_same_file(&path, &dir.join(FILE_NAME)) {
            // What stays is looked at again at the next start, and is in nobody's way.
            let _ = fs::remove_file(path);
        }
    }
}

/// Returns the identity of a store that nobody has open, as far as it can be read without changing anything.
pub(in crate::engine) fn identity(path: &Path) -> Option<[u8; 16]> {
    let reading = || {
        // Opening a named pipe would wait for its other end.
        if files::odd(path, Links::Followed).is_some() {
            return Err(());
        }
        let db = redb::ReadOnlyDatabase::open(path).map_err(drop)?;
        let txn = db.begin_read().map_err(drop)?;
        read::identity(&txn).map(|identity| identity.database_uuid).map_err(drop)
    };
    guarded(reading, drop).ok()
}

/// Opens a store that must exist.
pub(in crate::engine) fn open_existing(
    dir: &Path,
    options: &EngineOptions,
) -> Result<(Database, Identity), OpenError> {
    open_file(&dir.join(FILE_NAME), options)
}

/// Opens a store by the name of its file.
pub(in crate::engine) fn open_file(
    path: &Path,
    options: &EngineOptions,
) -> Result<(Database, Identity), OpenError> {
    let damaged = |detail| OpenError::Damaged { path: path.to_owned(), detail };
    guarded(|| open_checked(path, options), damaged)
}

fn open_checked(path: &Path, options: &EngineOptions) -> Result<(Database, Identity), OpenError> {
    if let Some(odd) = files::odd(path, Links::Followed) {
        return Err(OpenError::NotAFile { path: path.to_owned(), odd });
    }
    let len = fs::metadata(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?.len();
    if len == 0 {
        return Err(OpenError::NotAStore { path: path.to_owned(), detail: "the file is empty".to_owned() });
    }
    let mut builder = builder(options);
    builder.set_check_integrity_on_open(len <= options.integrity_check_max_bytes);
    let db = builder.open(path).map_err(|error| Fault::from(error).opening(path.to_owned()))?;
    accept(db, path, options)
}

/// Opens a store over storage of a test's own, which is given the tables of a new one when it is empty. `path` is where
/// the store believes to stand.
#[cfg(test)]
pub(in crate::engine) fn open_over(
    backend: impl redb::StorageBackend,
    path: &Path,
    options: &EngineOptions,
) -> Result<(Database, Identity), OpenError> {
    let damaged = |detail| OpenError::Damaged { path: path.to_owned(), detail };
    let open = || {
        let is_new = backend.len().is_ok_and(|len| len == 0);
        let mut builder = builder(options);
        builder.set_check_integrity_on_open(!is_new && options.integrity_check_max_bytes > 0);
        let db = builder.create_with_backend(backend);
        let db = db.map_err(|error| Fault::from(error).opening(path.to_owned()))?;
        if is_new {
            let initialise = || -> Result<(), CommitError> {
                let txn = db.begin_write().map_err(Fault::from)?;
                let identity = new_identity(options, None);
                write::initialise(&txn, FORMAT, &identity, &home::here(path, options))?;
                txn.commit().map_err(Fault::from)?;
                Ok(())
            };
            initialise().map_err(|error| error.opening(path.to_owned()))?;
        }
        accept(db, path, options)
    };
    guarded(open, damaged)
}

/// Makes sure that an open file is a store of ours, of this format and in its place.
fn accept(db: Database, path: &Path, options: &EngineOptions) -> Result<(Database, Identity), OpenError> {
    let (identity, format) = check_identity(&db, path, options)?;
    if format < FORMAT {
        upgrade(&db, format).map_err(|error| error.opening(path.to_owned()))?;
    }
    let identity =
        home::settle(&db, path, identity, options).map_err(|error| error.opening(path.to_owned()))?;
    Ok((db, identity))
}

/// Brings an older store to the present format in one transaction: after a crash it is the older one still.
fn upgrade(db: &Database, found: u32) -> Result<(), CommitError> {
    let txn = db.begin_write().map_err(Fault::from)?;
    write::upgrade(&txn, found, FORMAT)?;
    txn.commit().map_err(Fault::from)?;
    Ok(())
}

fn builder(options: &EngineOptions) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes);
    builder
}

/// Refuses a store of a newer format or of another embedding model, and a file that has no identity.
fn check_identity(db: &Database, path: &Path, options: &EngineOptions) -> Result<(Identity, u32), OpenError> {
    let opening = |fault: Fault| fault.opening(path.to_owned());
    let txn = db.begin_read().map_err(|error| opening(Fault::from(error)))?;
    if txn.list_tables().map_err(|error| opening(Fault::from(error)))?.next().is_none() {
        let detail = "a redb file without our tables".to_owned();
        return Err(OpenError::NotAStore { path: path.to_owned(), detail });
    }
    let refused = |error: ReadError| error.opening(path.to_owned());
    let found = read::format(&txn).map_err(refused)?;
    if found > FORMAT {
        return Err(OpenError::NewerFormat { path: path.to_owned(), found, supported: FORMAT });
    }
    let identity = read::identity(&txn).map_err(refused)?;
    read::state(&txn).map_err(refused)?;
    if identity.embedder != options.embedder_identity || identity.dimension as usize != options.dimension {
        return Err(OpenError::EmbedderMismatch {
            path: path.to_owned(),
            found: identity.embedder,
            found_dimension: identity.dimension as usize,
            expected: options.embedder_identity.clone(),
            expected_dimension: options.dimension,
        });
    }
    Ok((identity, found))
}

/// Makes a store under another name, brings it to disk and only then gives it its name.
fn create(dir: &Path, options: &EngineOptions) -> Result<(), OpenError> {
    fs::create_dir_all(dir).map_err(|source| OpenError::Io { path: dir.to_owned(), source })?;
    let path = dir.join(NEW_FILE_NAME);
    make(&path, &new_identity(options, None), options, |_| Ok(()))?;
    put_in_place(&path, dir)
}

/// Returns the identity of a store that is being made. `origin` is the one whose content it gets.
pub(in crate::engine) fn new_identity(options: &EngineOptions, origin: Option<[u8; 16]>) -> Identity {
    Identity {
        database_uuid: uuid::Uuid::new_v4().into_bytes(),
        created_at: options.now,
        embedder: options.embedder_identity.clone(),
        dimension: u32::try_from(options.dimension).expect("dimensions are a few hundred"),
        origin,
    }
}

/// Makes a complete store file at `path`, replacing what an interrupted attempt left there, and closes it.
pub(in crate::engine) fn make(
    path: &Path,
    identity: &Identity,
    options: &EngineOptions,
    fill: impl FnOnce(&Database) -> Result<(), CommitError>,
) -> Result<(), OpenError> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(OpenError::Io { path: path.to_owned(), source }),
    }
    let made = || -> Result<(), CommitError> {
        let db = builder(options).create(path).map_err(Fault::from)?;
        let txn = db.begin_write().map_err(Fault::from)?;
        write::initialise(&txn, FORMAT, identity, &home::here(path, options))?;
        txn.commit().map_err(Fault::from)?;
        fill(&db)?;
        db.close().map_err(Fault::from)?;
        Ok(())
    };
    made().map_err(|error| error.opening(path.to_owned()))
}

/// Gives a complete store its name.
pub(in crate::engine) fn put_in_place(made: &Path, dir: &Path) -> Result<(), OpenError> {
    let io = |path: PathBuf| move |source| OpenError::Io { path, source };
    fs::rename(made, dir.join(FILE_NAME)).map_err(io(made.to_owned()))?;
    sync_directory(dir).map_err(io(dir.to_owned()))
}

/// Brings a directory's names to disk, where the system knows such a thing.
pub(in crate::engine) fn sync_directory(dir: &Path) -> std::io::Result<()> {
    if cfg!(unix) { fs::File::open(dir)?.sync_all() } else { Ok(()) }
}
