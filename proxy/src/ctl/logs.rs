//! `palacectl logs`: the end of the daemon's log, and what is added to it. Needs no daemon.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use palace_protocol::endpoint::{DAEMON_DIR, LOG_DIR, LOG_FILE};
use palace_system::files;
use serde_json::json;

use super::outcome::{Exit, Failure, Outcome};

/// Most bytes that are looked through for the last lines: one log at its full size.
const TAIL_LEN_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Shows the last lines of the log. With `follow` it goes on until it is interrupted; with `as_json` each line is then a
/// JSON string.
///
/// # Errors
/// When there is no log, or it cannot be read.
pub fn logs(palace: &Path, line_count: usize, follow: bool, as_json: bool) -> Result<Outcome, Failure> {
    let path = palace.join(DAEMON_DIR).join(LOG_DIR).join(LOG_FILE);
    let mut file = files::open(&path).map_err(|error| no_log(palace, &path, &error))?;
    let (text, position) = tail(&mut file, line_count).map_err(|error| unreadable(&path, &error))?;
    if !follow {
        let lines: Vec<&str> = text.lines().collect();
        return Ok(Outcome::done(text.trim_end(), json!({ "path": path, "lines": lines })));
    }
    // A closed pipe at the other end is how following usually ends.
    let mut shown = Shown { as_json, begun: Vec::new() };
    match shown.show(text.as_bytes()).and_then(|()| follow_from(&path, file, position, &mut shown)) {
        Ok(()) => Ok(Outcome::said("")),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::said("")),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

fn no_log(palace: &Path, path: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        Failure::failed(format!("{} has no log yet; no daemon has served it", palace.display()))
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        Failure::new(Exit::Forbidden, format!("{} may not be read: {error}", path.display()))
    } else {
        unreadable(path, error)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{} cannot be read: {error}", path.display()))
}

/// Returns the last lines and where the file ended.
fn tail(file: &mut File, line_count: usize) -> io::Result<(String, u64)> {
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL_LEN_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    let read = file.take(TAIL_LEN_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let wanted = lines[lines.len().saturating_sub(line_count)..].concat();
    Ok((wanted, len.saturating_sub(TAIL_LEN_BYTES_MAX) + read as u64))
}

/// The way to whoever follows the log.
struct Shown {
    as_json: bool,
    /// A line without its end; a JSON string is written whole.
    begun: Vec<u8>,
}

impl Shown {
    fn show(&mut self, added: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(&self.rendered(added))?;
        out.flush()
    }

    fn rendered(&mut self, added: &[u8]) -> Vec<u8> {
        if !self.as_json {
            return String::from_utf8_lossy(added).into_owned().into_bytes();
        }
        self.begun.extend_from_slice(added);
        let whole = self.begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.begun.drain(..whole).collect();
        let mut rendered = String::new();
        for line in String::from_utf8_lossy(&lines).lines() {
            rendered += &format!("{}\n", serde_json::Value::from(line));
        }
        rendered.into_bytes()
    }
}

/// Shows what is added, across rotations, for as long as somebody reads it. A log that cannot be moved aside is emptied in
/// place when it is full: what is in it then is new.
fn follow_from(path: &Path, mut file: File, mut position: u64, shown: &mut Shown) -> io::Result<()> {
    let changes = Changes::watch(path.parent().unwrap_or(path))?;
    loop {
        if file.metadata()?.len() < position {
            position = 0;
        }
        let mut added = Vec::new();
        file.seek(SeekFrom::Start(position))?;
        position += file.read_to_end(&mut added)? as u64;
        shown.show(&added)?;
        match reopened(path, &file) {
            // What was added to the old file before its rotation has been shown above or is shown in the next round.
            Some(next) if added.is_empty() => (file, position) = (next, 0),
            Some(_) => continue,
            None => changes.wait()?,
        }
    }
}

/// Returns the log of that name if it is another file by now.
fn reopened(path: &Path, old: &File) -> Option<File> {
    let next = files::open(path).ok()?;
    (!is_same(&next.metadata().ok()?, &old.metadata().ok()?)).then_some(next)
}

#[cfg(unix)]
fn is_same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(windows)]
fn is_same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    use std::os::windows::fs::MetadataExt;
    one.creation_time() == other.creation_time()
}

/// Tells when something in a folder changes.
#[cfg(target_os = "linux")]
struct Changes(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Changes {
    fn watch(folder: &Path) -> io::Result<Self> {
        use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
        let watcher = init(CreateFlags::CLOEXEC)?;
        add_watch(&watcher, folder, WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVE)?;
        Ok(Self(watcher))
    }

    /// Blocks until something has changed since the last call.
    fn wait(&self) -> io::Result<()> {
        let mut events = [0; 4_096];
        rustix::io::read(&self.0, &mut events[..])?;
        Ok(())
    }
}

/// Elsewhere the folder is looked at four times a second: a log is worth no more code per system.
#[cfg(not(target_os = "linux"))]
struct Changes(std::sync::mpsc::Receiver<()>, #[expect(dead_code)] std::sync::mpsc::Sender<()>);

#[cfg(not(target_os = "linux"))]
impl Changes {
    fn watch(_folder: &Path) -> io::Result<Self> {
        let (send, receive) = std::sync::mpsc::channel();
        Ok(Self(receive, send))
    }

    fn wait(&self) -> io::Result<()> {
        let _ = self.0.recv_timeout(std::time::Duration::from_millis(250));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn palace(log: &str) -> tempfile::TempDir {
        let palace = tempfile::tempdir().unwrap();
        let folder = palace.path().join(DAEMON_DIR).join(LOG_DIR);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(LOG_FILE), log).unwrap();
        palace
    }

    #[test]
    fn the_last_lines_come_in_order() {
        let palace = palace("one\ntwo\nthree\n");
        let shown = |count| logs(palace.path(), count, false, false).unwrap().text;
        assert_eq!(shown(2), "two\nthree");
        assert_eq!(shown(9), "one\ntwo\nthree");
        assert_eq!(shown(0), "");
    }

    #[test]
    fn a_palace_without_a_log_says_so() {
        let palace = tempfile::tempdir().unwrap();
        let failure = logs(palace.path(), 1, false, false).unwrap_err();
        assert!(failure.message.contains("no log yet"), "{failure}");
    }
    #[test]
    fn programs_are_shown_one_string_per_whole_line() {
        let mut shown = Shown { as_json: true, begun: Vec::new() };
        assert_eq!(shown.rendered(b"one \"1\"\ntw"), b"\"one \\\"1\\\"\"\n");
        assert_eq!(shown.rendered(b""), b"");
        assert_eq!(shown.rendered(b"o\n"), b"\"two\"\n");
        let mut plain = Shown { as_json: false, begun: Vec::new() };
        assert_eq!(plain.rendered(b"tw"), b"tw");
    }
}
