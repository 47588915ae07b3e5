//! A palace's private folder `<palace>/.daemon`: who may write, and where clients find the one who does.
//!
//! Invariants: the writer lock is held from [`Place::take`] to the end of the process and its file is never unlinked;
//! nothing beside it is removed before it is held; a published record always has a listener behind it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use palace_protocol::endpoint::{
    Address, Crash, DAEMON_DIR, EndpointRecord, EndpointState, LOG_DIR, ManagedBy, RECORD_FILE,
    RECORD_FORMAT, START_ERROR_FILE, STARTS_FILE, STORE_FILE, StartFailure, StartFailureCode,
    WRITER_INFO_FILE, WRITER_LOCK_FILE,
};
use palace_protocol::handshake::{PROTOCOL_MAX, PROTOCOL_MIN};
use palace_protocol::holder::WriterInfo;
use palace_protocol::service::{SERVICE_FILE, SERVICE_SOCKET, ServiceRecord};
use palace_system::files::{self, Kept, Readers};
use palace_system::identity::{Identity, changed};
use palace_system::{process, record};
use parking_lot::Mutex;

use crate::{clock, failpoint};

use super::crash;
use super::directory::{self, NetworkFs};
use super::filesystem;
use super::writer_lock;

/// A palace directory that this process, and no other, may serve.
pub struct Place {
    palace: PathBuf,
    folder: PathBuf,
    generation: String,
    token: String,
    started_at: i64,
    managed_by: ManagedBy,
    dies_with_host: bool,
    /// What this process does with the palace instead of serving it.
    task: Option<&'static str>,
    /// Of the palace directory, from before the lock was taken.
    directory: Identity,
    /// Held, not read: some file systems number a directory anew once nobody has it open. `None` where directories are
    /// not opened like files.
    _open_directory: Option<File>,
    /// Of the store's file while this daemon has it open; guards single reads and writes.
    store: Mutex<Option<Identity>>,
    /// What was last published; guards single reads and writes.
    address: Mutex<Option<Address>>,
    /// Held, not read: the lock ends with the process.
    lock: File,
}

impl Place {
    /// Prepares the directory and takes the writer lock. Blocks for up to five seconds while a predecessor ends.
    ///
    /// # Errors
    /// Says what is wrong with the directory, or who holds the lock.
    pub fn take(palace: &Path, managed_by: ManagedBy, network_fs: NetworkFs) -> Result<Self, StartFailure> {
        let palace = directory::palace(palace, network_fs)?;
        let folder = palace.join(DAEMON_DIR);
        directory::private(&folder)?;
        directory::private(&folder.join(LOG_DIR))?;
        let open_directory = File::open(&palace).ok();
        let directory = Identity::of(&palace).map_err(|error| {
            let message = format!("the palace directory {} cannot be looked at: {error}", palace.display());
            failure(StartFailureCode::Palace, message)
        })?;
        let lock = writer_lock::take(&palace, &folder)?;
        let token = service_token(&palace, &folder, managed_by).unwrap_or_else(|| random_hex(32));
        let place = Self {
            palace,
            folder,
            generation: random_hex(4),
            token,
            started_at: clock::unix_seconds(),
            managed_by,
            dies_with_host: false,
            task: None,
            directory,
            _open_directory: open_directory,
            store: Mutex::new(None),
            address: Mutex::new(None),
            lock,
        };
        crash::notice(&place.palace, &place.folder, place.started_at);
        place.describe_holder();
        place.remove_dead_sockets();
        Ok(place)
    }

    /// Notes whether this daemon ends with the host that started it.
    pub fn dying_with_host(self, dies_with_host: bool) -> Self {
        Self { dies_with_host, ..self }
    }

    /// Notes that this process serves nobody, but does something else with the palace.
    pub fn doing(self, task: &'static str) -> Self {
        let place = Self { task: Some(task), ..self };
        place.describe_holder();
        place
    }

    /// Returns the canonical palace directory.
    pub fn palace(&self) -> &Path {
        &self.palace
    }

    /// Tells whether this daemon ends with the host that started it.
    pub fn dies_with_host(&self) -> bool {
        self.dies_with_host
    }

    /// Returns the last daemon of the palace that did not end in order.
    pub fn last_crash(&self) -> Option<Crash> {
        crash::last(&self.folder)
    }

    /// Returns the name of the palace's file system, empty where the system does not tell.
    pub fn filesystem(&self) -> String {
        filesystem::name(&self.palace)
    }

    /// Returns the folder of the daemon's logs.
    pub fn log_dir(&self) -> PathBuf {
        self.folder.join(LOG_DIR)
    }

    /// Returns this start's generation.
    pub fn generation(&self) -> &str {
        &self.generation
    }

    /// Returns the secret a hello must carry.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns when the daemon started, in UTC seconds.
    pub fn started_at(&self) -> i64 {
        self.started_at
    }

    /// Returns who keeps the daemon running.
    pub fn managed_by(&self) -> ManagedBy {
        self.managed_by
    }

    /// Returns the folder that holds the socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the name of this generation's socket in [`Place::folder`].
    pub fn socket_name(&self) -> String {
        format!("s.{}", self.generation)
    }

    /// Publishes where this daemon listens and how far it is.
    ///
    /// # Errors
    /// When the record cannot be replaced; the old one is then untouched.
    pub fn publish(&self, address: &Address, state: EndpointState) -> io::Result<()> {
        let record = EndpointRecord {
            v: RECORD_FORMAT,
            generation: self.generation.clone(),
            address: address.clone(),
            token: self.token.clone(),
            pid: std::process::id(),
            started_at: self.started_at,
            boot_id: process::boot_id(),
            start_ticks: process::own_start_ticks(),
            palace: self.palace.display().to_string(),
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            build: failpoint::build(),
            managed_by: self.managed_by,
            dies_with_host: self.dies_with_host,
            state,
        };
        replace(&self.folder.join(RECORD_FILE), &record.to_bytes())?;
        *self.address.lock() = Some(address.clone());
        Ok(())
    }

    /// Notes the store's file after this daemon has opened it, or has put another one in its place: from here on it is
    /// the palace's.
    pub fn note_store(&self) {
        // What cannot be looked at is not watched; the store itself fails then.
        *self.store.lock() = Identity::of(&self.store_path()).ok();
    }

    /// Lets the store's file be exchanged: until [`Place::note_store`] another one of its name is no loss.
    pub fn forget_store(&self) {
        *self.store.lock() = None;
    }

    fn store_path(&self) -> PathBuf {
        self.palace.join(STORE_FILE)
    }

    /// Returns why this daemon is no longer the palace's, if it is not: the palace directory or its store, its folder,
    /// lock, record or socket was removed or replaced.
    pub fn lost(&self) -> Option<String> {
        let noted = *self.store.lock();
        let store = self.store_path();
        for (path, once) in [(&self.palace, Some(self.directory)), (&store, noted)] {
            if let Some(what) = once.and_then(|once| changed(path, once)) {
                return Some(format!("{} {what}", path.display()));
            }
        }
        if !writer_lock::is_same_file(&self.lock, &self.folder.join(WRITER_LOCK_FILE)) {
            return Some("the writer lock was removed or replaced".into());
        }
        if let Some(Address::Unix(path)) = &*self.address.lock()
            && fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        {
            return Some(format!("its socket {path} is gone"));
        }
        match record::look(&self.folder) {
            Ok(Some(record)) if record.generation == self.generation => None,
            Ok(Some(record)) => Some(format!("the endpoint record names generation {}", record.generation)),
            Ok(None) => Some("the endpoint record is gone".into()),
            // Out of descriptors, a hiccup of the disk: no proof of anything. The next look tells more.
            Err(_) => None,
        }
    }

    /// Tells whether another generation has published itself in the place of this one.
    pub fn has_successor(&self) -> bool {
        record::read(&self.folder).is_some_and(|record| record.generation != self.generation)
    }

    /// Removes this generation's socket, and the record and the holder's description if they are still this daemon's.
    pub fn withdraw(&self) {
        self.forget_holder();
        // What is gone already needs no removing.
        if let Some(Address::Unix(path)) = &*self.address.lock()
            // One of another name is the service manager's.
            && Path::new(path).file_name().is_some_and(|name| *name == *self.socket_name())
        {
            let _ = fs::remove_file(path);
        }
        if record::read(&self.folder).is_some_and(|record| record.generation == self.generation) {
            let _ = fs::remove_file(self.folder.join(RECORD_FILE));
        }
    }

    /// Keeps a start failure for `palacectl doctor` and for proxies that come too late for the readiness line.
    pub fn record_failure(&self, failure: &StartFailure) {
        if let Ok(bytes) = serde_json::to_vec_pretty(failure) {
            // A disk that refuses this file has been reported already: it is why the start failed.
            let _ = replace(&self.folder.join(START_ERROR_FILE), &bytes);
        }
    }

    /// Ends the memory of failed starts: one has succeeded, or the store they failed of is another one now.
    pub fn forget_failed_starts(&self) {
        for name in [STARTS_FILE, START_ERROR_FILE] {
            // There may be none to forget.
            let _ = fs::remove_file(self.folder.join(name));
        }
    }

    /// Writes who holds the lock beside it; for messages only.
    fn describe_holder(&self) {
        let info = WriterInfo {
            pid: std::process::id(),
            started_at: self.started_at,
            start_ticks: process::own_start_ticks(),
            boot_id: process::boot_id(),
            managed_by: self.managed_by,
            build: failpoint::build(),
            palace: self.palace.display().to_string(),
            task: self.task.map(str::to_owned),
        };
        let bytes = serde_json::to_vec(&info).expect("a description has only string keys");
        let _ = replace(&self.folder.join(WRITER_INFO_FILE), &bytes);
    }

    /// Removes what [`Place::describe_holder`] wrote; a successor's is not ours to remove.
    fn forget_holder(&self) {
        if process::writer(&self.folder).is_some_and(|info| info.pid == std::process::id()) {
            let _ = fs::remove_file(self.folder.join(WRITER_INFO_FILE));
        }
    }

    /// Removes sockets and half-written files of generations before this one: with the lock held they are all dead. The
    /// service manager's socket is of no generation: it is there while no daemon is.
    fn remove_dead_sockets(&self) {
        self.remove_dead_fallback();
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_socket = name.starts_with("s.") && name != SERVICE_SOCKET;
            if is_socket || name.ends_with(".tmp") {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Returns the token of the installed service that started this daemon: clients that found the service's record, and
/// wait in its socket, know no other.
fn service_token(palace: &Path, folder: &Path, managed_by: ManagedBy) -> Option<String> {
    let bytes = files::read(&folder.join(SERVICE_FILE)).ok()?;
    let record = ServiceRecord::from_bytes(&bytes, palace.to_str()?, &process::machine_id())?;
    (record.managed_by == managed_by).then_some(record.token)
}

impl Place {
    /// Removes the socket of a predecessor that was killed and had it elsewhere than in the private folder.
    fn remove_dead_fallback(&self) {
        let Some(record) = record::read(&self.folder) else { return };
        let Address::Unix(path) = &record.address else { return };
        let path = Path::new(path);
        let is_ours = record.palace == self.palace.display().to_string()
            && path.file_name().is_some_and(|name| *name == *format!("s.{}", record.generation));
        if is_ours && fs::symlink_metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Keeps the reason of a start that did not get as far as the lock, where a palace is there to hold it. A start that
/// found the palace served leaves nothing: the exit code says it, and the file is the other daemon's. Nothing is left in
/// another user's palace, nor where a link leads.
pub fn leave_failure(palace: &Path, failure: &StartFailure) {
    let leaves = match failure.code {
        StartFailureCode::Locked | StartFailureCode::Owner => false,
        StartFailureCode::Palace
        | StartFailureCode::NewerFormat
        | StartFailureCode::Damaged
        | StartFailureCode::EmbedderMismatch
        | StartFailureCode::Socket
        | StartFailureCode::Other => true,
    };
    let folder = palace.join(DAEMON_DIR);
    let is_there = fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir());
    if leaves
        && is_there
        && directory::private(&folder).is_ok()
        && let Ok(bytes) = serde_json::to_vec_pretty(failure)
    {
        // A disk that refuses this file is told on stderr.
        let _ = replace(&folder.join(START_ERROR_FILE), &bytes);
    }
}

fn failure(code: StartFailureCode, message: String) -> StartFailure {
    StartFailure { code, message }
}

/// Replaces one of our files, so that it is whole whatever happens.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    files::replace(path, bytes, Kept::Durably, Readers::Owner)
}

fn random_hex(bytes: usize) -> String {
    let mut hex = String::new();
    while hex.len() < bytes * 2 {
        hex.push_str(&uuid::Uuid::new_v4().simple().to_string());
    }
    hex.truncate(bytes * 2);
    hex
}

/// Points stdout at nothing, so that a starter reading it sees its end.
#[cfg(unix)]
pub fn release_stdout() {
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        // On failure the starter waits for its own deadline instead of for the end of the pipe.
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

/// A daemon on Windows inherits no handle, so nobody reads its stdout.
#[cfg(windows)]
pub fn release_stdout() {}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
