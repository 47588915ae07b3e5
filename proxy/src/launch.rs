//! Runs the daemon's program so that it outlives this process, and hears how it fares until it listens.
//!
//! The daemon gets a scrubbed environment: hosts put session data into theirs that a shared daemon must not see. Its
//! working directory is the palace, so that it holds no other directory in use.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use palace_protocol::endpoint::{
    DAEMON_DIR, LOG_DIR, Readiness, START_ERROR_FILE, STDERR_FILE, StartFailure, StartFailureCode,
};
use palace_protocol::limits::READY_TIMEOUT_MS;
use palace_system::files;
use tokio::sync::oneshot;

use crate::spawn::StartError;
use crate::{failpoint, os};

/// Names the daemon's program; otherwise it stands beside this program, or on PATH.
pub const DAEMON_VARIABLE: &str = "PALACE_DAEMON";
/// What the daemon gets of our environment.
const ENVIRONMENT: [&str; 13] = [
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "LANG",
    "TZ",
    "SYSTEMROOT",
    "USERPROFILE",
    "TEMP",
    "TMP",
    "COMSPEC",
    "PATHEXT",
    "ORT_DYLIB_PATH",
];
/// Prefixes of further variables the daemon gets.
const ENVIRONMENT_PREFIXES: [&str; 3] = ["LC_", "MEMPALACE_", "PALACE_"];
/// Stack of the thread that starts a daemon, in bytes.
const STACK_LEN_BYTES: usize = 256 * 1024;
/// Bytes of the daemon's stderr that are shown when it does not start.
const STDERR_TAIL_BYTES: usize = 1_024;

/// What a system needs to know to create the daemon's process.
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, the palace included.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The palace: its working directory.
    pub palace: PathBuf,
    /// Where its stderr goes, on systems where it can be handed down.
    pub stderr: File,
}

/// How a launched daemon announced itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It listens.
    Ready,
    /// It left the palace to another daemon.
    Rival,
}

/// Returns the daemon's program.
///
/// # Errors
/// Says where it was looked for.
pub fn program() -> Result<PathBuf, StartError> {
    if let Some(named) = std::env::var_os(DAEMON_VARIABLE).filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(named));
    }
    let name = format!("palaced{}", std::env::consts::EXE_SUFFIX);
    let beside =
        std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_path_buf)).unwrap_or_default();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(beside.clone())
        .chain(std::env::split_paths(&on_path))
        .map(|folder| folder.join(&name))
        .find(|candidate| candidate.is_file())
        .ok_or(StartError::NoProgram { beside })
}

/// Runs a daemon and waits until it listens, gives up or ends, or until its time is over.
///
/// # Errors
/// What it said, or what is known of one that said nothing.
pub async fn launch(program: PathBuf, palace: &Path) -> Result<Started, StartError> {
    launch_within(program, palace, Duration::from_millis(READY_TIMEOUT_MS)).await
}

async fn launch_within(program: PathBuf, palace: &Path, limit: Duration) -> Result<Started, StartError> {
    let folder = palace.join(DAEMON_DIR);
    let stderr_path = folder.join(LOG_DIR).join(STDERR_FILE);
    let stderr =
        empty_file(&stderr_path).map_err(|source| StartError::Folder { path: stderr_path, source })?;
    // What an earlier start failed of must not be told of this one.
    let _ = std::fs::remove_file(folder.join(START_ERROR_FILE));
    let launch = Launch {
        program: program.clone(),
        arguments: vec!["--palace".into(), palace.into()],
        environment: environment(),
        palace: palace.to_path_buf(),
        stderr,
    };
    let failed = |source| StartError::Spawn { program: program.clone(), source };
    let told = start_and_listen(launch).map_err(failed)?;
    let ready = match tokio::time::timeout(limit, told).await {
        Ok(Ok(Ok(ready))) => ready,
        Ok(Ok(Err(source))) => return Err(failed(source)),
        Ok(Err(_)) | Err(_) => {
            return Err(StartError::Silent(format!("no word within {} s", limit.as_secs_f64())));
        }
    };
    match ready {
        Some(Readiness::Ready { .. }) => Ok(Started::Ready),
        // By now the other one can be connected to.
        Some(Readiness::Err(StartFailure { code: StartFailureCode::Locked, .. })) => Ok(Started::Rival),
        Some(Readiness::Err(failure)) => Err(StartError::Failed(failure)),
        None => Err(StartError::Silent(why_silent(&folder))),
    }
}

/// Starts the daemon on a thread that then waits for its one line: where the system starts no thread, no daemon is left
/// that nobody listens to. A daemon that hangs keeps its own thread and no other start's.
fn start_and_listen(launch: Launch) -> io::Result<oneshot::Receiver<io::Result<Option<Readiness>>>> {
    let (tell, told) = oneshot::channel();
    let work = move || {
        let outcome = os::start_detached(launch).map(|spawned| {
            failpoint::reach("starter.spawned");
            spawned.readiness()
        });
        // Whoever wanted to know may have waited long enough.
        let _ = tell.send(outcome);
    };
    std::thread::Builder::new().name("starter".into()).stack_size(STACK_LEN_BYTES).spawn(work)?;
    Ok(told)
}

/// Opens a file of ours to be written anew; never what a link leads to.
fn empty_file(path: &Path) -> io::Result<File> {
    let file = files::append(path)?;
    file.set_len(0)?;
    Ok(file)
}

/// Returns what the daemon's program gets of our environment.
pub fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| is_passed_on(name)).collect()
}

fn is_passed_on(name: &OsString) -> bool {
    let Some(name) = name.to_str() else { return false };
    ENVIRONMENT.contains(&name) || ENVIRONMENT_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns what a daemon of this palace wrote about its failure to start.
pub fn recorded_failure(folder: &Path) -> Option<StartFailure> {
    let recorded = files::read(&folder.join(START_ERROR_FILE)).ok()?;
    serde_json::from_slice(&recorded).ok()
}

/// Returns what is known of a daemon that ended without a word.
fn why_silent(folder: &Path) -> String {
    if let Some(failure) = recorded_failure(folder) {
        return failure.message;
    }
    let stderr = read_tail(&folder.join(LOG_DIR).join(STDERR_FILE)).unwrap_or_default();
    let tail = String::from_utf8_lossy(&stderr).trim().to_owned();
    if tail.is_empty() { "it ended without a word".to_owned() } else { tail }
}

fn read_tail(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = files::read(path)?;
    Ok(bytes[bytes.len().saturating_sub(STDERR_TAIL_BYTES)..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_data_of_hosts_stays_out_of_the_daemon() {
        let passed = |name: &str| is_passed_on(&OsString::from(name));
        assert!(passed("HOME") && passed("LC_ALL") && passed("PALACE_THREADS"));
        assert!(
            !passed("CLAUDE_CODE_SESSION_ID")
                && !passed("AWS_SECRET_ACCESS_KEY")
                && !passed("XDG_RUNTIME_DIR")
        );
    }

    /// Writes a program for a start; it ends with the folder if it hangs.
    #[cfg(unix)]
    fn program(folder: &Path, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir_all(folder.join(DAEMON_DIR).join(LOG_DIR)).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[cfg(unix)]
    const HANGS: &str = "while [ -e \"$0\" ]; do sleep 0.1; done";

    #[cfg(unix)]
    #[test]
    fn a_start_that_hangs_is_given_up_in_time_and_said_to_be_silent() {
        let folder = tempfile::tempdir().unwrap();
        let hangs = program(folder.path(), "hangs", HANGS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let limit = Duration::from_millis(200);
        let begun = std::time::Instant::now();
        let started = runtime.block_on(launch_within(hangs, folder.path(), limit));
        // Far below what a daemon gets, far above what was asked for.
        assert!((limit..Duration::from_secs(10)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        let told = started.unwrap_err();
        assert!(matches!(&told, StartError::Silent(why) if why == "no word within 0.2 s"), "{told}");
    }

    /// Two starts that hung took both threads that were there for waiting, and no further daemon was heard.
    #[cfg(unix)]
    #[test]
    fn a_start_that_hangs_is_in_no_other_starts_way() {
        let folder = tempfile::tempdir().unwrap();
        let hangs = program(folder.path(), "hangs", HANGS);
        let serves = program(folder.path(), "serves", r#"echo '{"ready":{"generation":"0a1b2c3d"}}'"#);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let started = runtime.block_on(async {
            tokio::select! {
                _ = launch(hangs.clone(), folder.path()) => None,
                _ = launch(hangs.clone(), folder.path()) => None,
                _ = launch(hangs.clone(), folder.path()) => None,
                started = launch(serves, folder.path()) => Some(started),
            }
        });
        assert!(matches!(started, Some(Ok(Started::Ready))), "{started:?}");
    }

    #[test]
    fn what_a_silent_daemon_left_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(why_silent(folder.path()), "it ended without a word");
        std::fs::create_dir(folder.path().join(LOG_DIR)).unwrap();
        let stderr = folder.path().join(LOG_DIR).join(STDERR_FILE);
        std::fs::write(&stderr, "x".repeat(5_000) + "\nthread 'main' panicked\n").unwrap();
        let told = why_silent(folder.path());
        assert!(told.ends_with("panicked") && told.len() <= STDERR_TAIL_BYTES, "{told}");
        std::fs::write(folder.path().join(START_ERROR_FILE), r#"{"code":"palace","message":"no room"}"#)
            .unwrap();
        assert_eq!(why_silent(folder.path()), "no room");
    }
}
