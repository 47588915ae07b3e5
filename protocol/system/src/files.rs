//! The files of a palace's private folder: read, locked, appended to and replaced.
//!
//! Invariants: a reader sees a file whole, as it was or as it is; nothing waits for what stands where a file should be (a
//! FIFO, a device); what is made is its owner's alone, and no link is followed to make it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a replacement is written anew whose temporary file was taken away.
const ATTEMPT_COUNT_MAX: usize = 3;

/// Whether a replaced file must survive a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is synced before it gets its name.
    Durably,
    /// It is advice that may be lost.
    Loosely,
}

/// Who may read a replaced file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone.
    Owner,
    /// Whoever the umask lets.
    Others,
}

/// What stands where a file should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device.
    Device,
    /// A folder, or a link to one.
    Folder,
    /// A link to something, where none is followed.
    Link,
    /// A link to nothing, or to itself.
    DanglingLink,
    /// What the system has no name for.
    Unnamed,
}

impl Odd {
    /// Returns what people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::Folder => "a folder",
            Self::Link => "a link",
            Self::DanglingLink => "a link that leads to nothing",
            Self::Unnamed => "something else",
        }
    }
}

impl std::fmt::Display for Odd {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(text, "{} stands where a file should be", self.name())
    }
}

impl std::error::Error for Odd {}

impl From<Odd> for io::Error {
    fn from(odd: Odd) -> Self {
        Self::new(io::ErrorKind::InvalidInput, odd)
    }
}

/// What a link in the place of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// The file that it leads to.
    Followed,
    /// Something else than a file, whatever it leads to.
    Refused,
}

/// Returns what stands at a path in the place of a file.
pub fn odd(path: &Path, links: Links) -> Option<Odd> {
    let kind = std::fs::symlink_metadata(path).ok()?.file_type();
    if !kind.is_symlink() {
        return of_kind(kind);
    }
    match std::fs::metadata(path) {
        Ok(_) if links == Links::Refused => Some(Odd::Link),
        Ok(found) => of_kind(found.file_type()),
        Err(_) => Some(Odd::DanglingLink),
    }
}

/// Tells whether a file cannot be used because something else stands in its place.
pub fn is_odd(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Odd>())
}

/// Returns what to do about a file that cannot be used: what its error tells, or else `otherwise`.
pub fn advice(error: &io::Error, otherwise: &'static str) -> &'static str {
    if is_odd(error) {
        return palace_protocol::advice::ODD_FILE;
    }
    palace_protocol::advice::about(error.kind()).unwrap_or(otherwise)
}

/// Reads a file. A link is followed, what is no file is refused.
///
/// # Errors
/// The system's answer, or [`io::ErrorKind::InvalidInput`] where something else than a file stands.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file for reading, as [`read`] does.
///
/// # Errors
/// As those of [`read`].
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    opened(&mut options, path, Links::Followed)
}

/// Opens a lock's file, made when it is missing.
///
/// # Errors
/// The system's answer, or [`io::ErrorKind::InvalidInput`] where something else than a file stands.
pub fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    owners_alone(&mut options);
    opened(&mut options, path, Links::Refused)
}

/// Opens a lock's file that is there. For writing, because some network file systems lock no other files.
///
/// # Errors
/// As those of [`open_lock`].
pub fn open_lock_there(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    opened(&mut options, path, Links::Refused)
}

/// Opens a file to write at its end, made when it is missing.
///
/// # Errors
/// As those of [`open_lock`].
pub fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    owners_alone(&mut options);
    opened(&mut options, path, Links::Refused)
}

/// Replaces a file whole: written beside it, renamed over it. Whatever stood there before is replaced, a link itself and not
/// what it leads to.
///
/// # Errors
/// When it cannot be written or renamed; the old file is untouched then.
pub fn replace(path: &Path, bytes: &[u8], kept: Kept, readers: Readers) -> io::Result<()> {
    put(path, bytes, kept, readers, rename_over)
}

fn put(
    path: &Path,
    bytes: &[u8],
    kept: Kept,
    readers: Readers,
    mut rename: impl FnMut(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let beside = beside(path);
        let written = write_new(&beside, bytes, kept, readers).and_then(|()| rename(&beside, path));
        match written {
            // A daemon that starts at this moment removes what dead ones left half written, and cannot tell.
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPT_COUNT_MAX => {}
            Err(error) => {
                // It may not have been made at all.
                let _ = std::fs::remove_file(&beside);
                return Err(error);
            }
            Ok(()) => return Ok(()),
        }
    }
}

/// Returns a name for the next version of a file that no other thread and no other process uses.
fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}-{count}.tmp", std::process::id()));
    PathBuf::from(name)
}

fn write_new(path: &Path, bytes: &[u8], kept: Kept, readers: Readers) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    if readers == Readers::Owner {
        owners_alone(&mut options);
    }
    let mut file = match options.open(path) {
        // Of a process that was killed and had our number.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            options.open(path)?
        }
        opened => opened?,
    };
    file.write_all(bytes)?;
    if kept == Kept::Durably { file.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Windows refuses to put a file in the place of one that another process has open, and hosts read these records
/// whenever they look for a daemon. They hold them for as long as a read takes, so the refusal passes.
#[cfg(windows)]
fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
    const BETWEEN_TRIES: std::time::Duration = std::time::Duration::from_millis(10);
    let begun = std::time::Instant::now();
    patiently(
        || std::fs::rename(from, to),
        || {
            std::thread::park_timeout(BETWEEN_TRIES);
            begun.elapsed() < PATIENCE
        },
    )
}

/// Tries again what was refused, as long as `goes_on` says so.
#[cfg(any(windows, test))]
fn patiently(mut act: impl FnMut() -> io::Result<()>, mut goes_on: impl FnMut() -> bool) -> io::Result<()> {
    loop {
        match act() {
            Err(refused) if refused.kind() == io::ErrorKind::PermissionDenied && goes_on() => {}
            done => return done,
        }
    }
}

/// Returns what is no file by its kind, links aside.
fn of_kind(kind: std::fs::FileType) -> Option<Odd> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some(Odd::Pipe);
        }
        if kind.is_socket() {
            return Some(Odd::Socket);
        }
        if kind.is_block_device() || kind.is_char_device() {
            return Some(Odd::Device);
        }
    }
    if kind.is_dir() {
        return Some(Odd::Folder);
    }
    (!kind.is_file()).then_some(Odd::Unnamed)
}

/// Makes opening return at once whatever stands there: a FIFO would wait for its other end.
#[cfg(unix)]
fn never_waiting(options: &mut OpenOptions, links: Links) {
    use rustix::fs::OFlags;
    let flags = match links {
        Links::Followed => OFlags::NONBLOCK | OFlags::NOCTTY,
        Links::Refused => OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW,
    };
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags.bits().cast_signed());
}

/// There are no such things among files, and links are for administrators to make.
#[cfg(windows)]
fn never_waiting(_options: &mut OpenOptions, _links: Links) {}

#[cfg(unix)]
fn owners_alone(options: &mut OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

/// On Windows a file has the rights of its folder.
#[cfg(windows)]
fn owners_alone(_options: &mut OpenOptions) {}

/// Opens a file, and nothing else that stands in the place of one: the system has many answers to that.
fn opened(options: &mut OpenOptions, path: &Path, links: Links) -> io::Result<File> {
    never_waiting(options, links);
    let file = match options.open(path) {
        Ok(file) => file,
        // Also where a link leads to nothing.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
        Err(error) => return Err(odd(path, links).map_or(error, io::Error::from)),
    };
    match of_kind(file.metadata()?.file_type()) {
        None => Ok(file),
        Some(odd) => Err(odd.into()),
    }
}

#[cfg(test)]
mod tests;
