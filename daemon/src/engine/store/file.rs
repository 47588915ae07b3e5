//! The store file: how it is made, opened and told from what is not one.
//!
//! A file that exists is never replaced and never taken for empty. A new store gets its name only
//! when it is complete and on disk, so there is no half-made store to be puzzled by.

use std::fs;
use std::path::{Path, PathBuf};

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

/// Opens the store of a directory, making it when the directory has none.
pub(in crate::engine) fn open(
    dir: &Path,
    options: &EngineOptions,
) -> Result<(Database, Identity), OpenError> {
    let path = dir.join(FILE_NAME);
    match fs::symlink_metadata(&path) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(dir, options)?,
        Err(source) => return Err(OpenError::Io { path, source }),
    }
    open_existing(dir, options)
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
    let len = fs::metadata(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?.len();
    if len == 0 {
        return Err(OpenError::NotAStore { path: path.to_owned(), detail: "the file is empty".to_owned() });
    }
    let mut builder = builder(options);
    builder.set_check_integrity_on_open(len <= options.integrity_check_max_bytes);
    let db = builder.open(path).map_err(|error| Fault::from(error).opening(path.to_owned()))?;
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
