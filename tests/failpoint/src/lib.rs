//! Named places where a test may stop, delay or break a process.
//!
//! `PALACE_FAILPOINTS` lists `point=action` separated by commas; `PALACE_FAILPOINT_DIR` is the test's folder. A point
//! acts once per folder, whichever process gets there first: a daemon that was killed at a point passes it when it is
//! started again. `action*` acts every time, `action@5` at the fifth time the process comes by.
//!
//! | action | what happens |
//! |---|---|
//! | `kill` | the process ends as with SIGKILL: no destructor, no flush |
//! | `exit` | the process ends with code 70 |
//! | `panic` | the thread panics |
//! | `pause` | the thread waits until the test makes the file `<point>.go` |
//! | `error` | the caller gets an error to treat as its own |
//!
//! Every point that acts leaves the file `<point>.reached`. The crate is linked only under the feature `failpoints` of
//! the daemon and the proxy, and only where debug assertions are on: a release build has none of it.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// Lists the points and their actions.
pub const POINTS_VARIABLE: &str = "PALACE_FAILPOINTS";
/// The test's folder.
pub const DIR_VARIABLE: &str = "PALACE_FAILPOINT_DIR";
/// The version a program says it is.
pub const BUILD_VARIABLE: &str = "PALACE_TEST_BUILD";
/// How long a proxy waits for a daemon, in milliseconds.
pub const RECOVERY_VARIABLE: &str = "PALACE_TEST_RECOVERY_MS";
/// How often a paused thread looks for the file that lets it go.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// A test that forgot a paused process must not leave it behind for ever.
const PAUSE_MAX: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Exit,
    Panic,
    Pause,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Once,
    Always,
    At(u64),
}

#[derive(Debug)]
struct Points {
    folder: PathBuf,
    actions: HashMap<String, (Action, When)>,
    /// How often each listed point was passed; guards single additions.
    passed: Mutex<HashMap<String, u64>>,
}

/// Passes a point: returns at once unless a test asked for something here.
pub fn reach(point: &str) {
    // An error that nobody can take here is a mistake in the test.
    if let Err(error) = fallible(point) {
        panic!("failpoint {point} cannot fail: {error}");
    }
}

/// Passes a point where the caller can fail.
///
/// # Errors
/// The error a test asked for.
pub fn fallible(point: &str) -> io::Result<()> {
    static POINTS: OnceLock<Option<Points>> = OnceLock::new();
    match POINTS.get_or_init(Points::from_environment) {
        Some(points) => points.pass(point),
        None => Ok(()),
    }
}

/// Returns the version a test wants a program to be, or its own.
pub fn build(own: &str) -> String {
    std::env::var(BUILD_VARIABLE).unwrap_or_else(|_| own.to_owned())
}

/// Returns how long a test wants a proxy to wait for a daemon, or the program's own limit.
pub fn recovery_timeout(own: Duration) -> Duration {
    let wanted = std::env::var(RECOVERY_VARIABLE).ok().and_then(|value| value.parse().ok());
    wanted.map_or(own, Duration::from_millis)
}

impl Points {
    fn from_environment() -> Option<Self> {
        let list = std::env::var(POINTS_VARIABLE).ok().filter(|list| !list.is_empty())?;
        let folder = std::env::var_os(DIR_VARIABLE).map(PathBuf::from);
        let folder = folder.unwrap_or_else(|| panic!("{POINTS_VARIABLE} needs {DIR_VARIABLE}"));
        Some(Self { folder, actions: parse(&list), passed: Mutex::default() })
    }

    fn pass(&self, point: &str) -> io::Result<()> {
        let Some((action, when)) = self.actions.get(point).copied() else { return Ok(()) };
        if !self.is_due(point, when) {
            return Ok(());
        }
        match action {
            Action::Kill => kill_self(),
            Action::Exit => std::process::exit(70),
            Action::Panic => panic!("failpoint {point}"),
            Action::Pause => pause(&self.folder.join(format!("{point}.go"))),
            Action::Error => return Err(io::Error::other(format!("failpoint {point}"))),
        }
        Ok(())
    }

    fn is_due(&self, point: &str, when: When) -> bool {
        let mut passed = self.passed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = passed.entry(point.to_owned()).or_default();
        *count += 1;
        if matches!(when, When::At(number) if *count != number) {
            return false;
        }
        let mark = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(self.folder.join(format!("{point}.reached")));
        // A point that acts once is taken by whoever makes the file.
        mark.is_ok() || when == When::Always
    }
}

fn parse(list: &str) -> HashMap<String, (Action, When)> {
    list.split(',')
        .map(|entry| {
            let (point, action) =
                entry.split_once('=').unwrap_or_else(|| panic!("{entry} is not point=action"));
            let (action, when) = match (action.strip_suffix('*'), action.split_once('@')) {
                (Some(action), _) => (action, When::Always),
                (None, Some((action, number))) => {
                    (action, When::At(number.parse().unwrap_or_else(|_| panic!("{entry} needs a number"))))
                }
                (None, None) => (action, When::Once),
            };
            let action = match action {
                "kill" => Action::Kill,
                "exit" => Action::Exit,
                "panic" => Action::Panic,
                "pause" => Action::Pause,
                "error" => Action::Error,
                other => panic!("{other} is no action of a failpoint"),
            };
            (point.trim().to_owned(), (action, when))
        })
        .collect()
}

fn pause(go: &Path) {
    let begun = std::time::Instant::now();
    while !go.exists() && begun.elapsed() < PAUSE_MAX {
        std::thread::park_timeout(LOOK_INTERVAL);
    }
}

#[cfg(unix)]
fn kill_self() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // The signal ends the process before this returns.
    std::process::abort();
}

#[cfg(not(unix))]
fn kill_self() {
    std::process::abort();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(folder: &Path, list: &str) -> Points {
        Points { folder: folder.to_owned(), actions: parse(list), passed: Mutex::default() }
    }

    #[test]
    fn a_point_acts_once_per_folder() {
        let folder = std::env::temp_dir().join(format!("palace-failpoint-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let once = points(&folder, "a=error,b=error@2,c=error*");
        assert!(once.pass("a").is_err() && once.pass("a").is_ok());
        assert!(points(&folder, "a=error").pass("a").is_ok(), "another process passes");
        assert!(once.pass("b").is_ok() && once.pass("b").is_err() && once.pass("b").is_ok());
        assert!(once.pass("c").is_err() && once.pass("c").is_err());
        assert!(once.pass("unlisted").is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    #[should_panic(expected = "no action")]
    fn a_misspelt_action_is_noticed() {
        parse("a=explode");
    }
}
