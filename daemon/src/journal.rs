//! The daemon's log: one line per event in `<palace>/.daemon/log/daemon.log`, rotated by size.
//!
//! Lines name what happened, never what was said: no drawer text, query or argument is ever logged. Writing the log
//! may fail (a full disk) without any effect on service.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use palace_system::files;
use parking_lot::Mutex;

use crate::{clock, failpoint};

/// Size at which the log is rotated, in bytes.
const FILE_LEN_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Rotated logs that are kept.
const KEPT_COUNT: usize = 4;

/// How long a log that is full, and can be neither moved aside nor emptied, is left alone.
const FULL_PAUSE: Duration = Duration::from_secs(60);

/// The open log. Cheap to share by reference; lines of different threads never mix.
pub struct Journal {
    path: PathBuf,
    /// Guarded for the duration of one line.
    slot: Mutex<Slot>,
}

impl Journal {
    /// Opens the log in that folder, which must exist. A log that cannot be opened swallows its lines until it can.
    pub fn open(folder: &Path) -> Self {
        let path = folder.join(palace_protocol::endpoint::LOG_FILE);
        let slot = Slot { file: open(&path), full_since: None };
        Self { path, slot: Mutex::new(slot) }
    }

    /// Writes one line about the ordinary course of things.
    pub fn info(&self, message: &str) {
        self.line("info", message);
    }

    /// Writes one line about something a person should know.
    pub fn warn(&self, message: &str) {
        self.line("warn", message);
    }

    fn line(&self, level: &str, message: &str) {
        let message = shown(message);
        let line = format!("{} {level} {message}\n", clock::rfc3339(clock::unix_seconds()));
        let mut slot = self.slot.lock();
        if let Some((file, len)) = slot.with_room(&self.path, line.len(), Instant::now())
            && file.write_all(line.as_bytes()).is_ok()
        {
            *len += line.len() as u64;
        }
    }
}

/// What lines are written into.
struct Slot {
    /// The log and its length in bytes.
    file: Option<(File, u64)>,
    /// When it was last found full without a way to make room.
    full_since: Option<Instant>,
}

impl Slot {
    /// Returns the log with room for a line; `None` swallows it. The disk is worth more than lines: a full log that cannot
    /// be moved aside is emptied, and one that cannot be emptied either gets no line more.
    fn with_room(&mut self, path: &Path, line_len: usize, now: Instant) -> Option<&mut (File, u64)> {
        if self.full_since.is_some_and(|since| now.saturating_duration_since(since) < FULL_PAUSE) {
            return None;
        }
        self.full_since = None;
        if self.file.is_none() {
            // Out of descriptors, a full disk: this line may be lost, and the next one tries again.
            self.file = open(path);
        }
        if self.is_full(line_len) {
            rotate(path);
            self.file = open(path);
        }
        if self.is_full(line_len) {
            match &mut self.file {
                Some((file, len)) if empty(file).is_ok() => *len = 0,
                Some(_) | None => (self.file, self.full_since) = (None, Some(now)),
            }
        }
        self.file.as_mut()
    }

    fn is_full(&self, line_len: usize) -> bool {
        self.file.as_ref().is_some_and(|(_, len)| *len + line_len as u64 > FILE_LEN_BYTES_MAX)
    }
}

/// Returns a message as terminals may show it: one line, and nothing that moves the cursor, colours the screen or turns the
/// direction of what follows. Clients say what they are called.
fn shown(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    for letter in message.chars() {
        match letter {
            '\n' | '\r' => shown.push(' '),
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => shown.extend(letter.escape_unicode()),
            control if control.is_control() => shown.extend(control.escape_unicode()),
            plain => shown.push(plain),
        }
    }
    shown
}

fn open(path: &Path) -> Option<(File, u64)> {
    let file = files::append(path).ok()?;
    let len = file.metadata().ok()?.len();
    Some((file, len))
}

fn empty(file: &File) -> io::Result<()> {
    failpoint::fallible("daemon.journal.empty")?;
    file.set_len(0)
}

/// Moves `daemon.log` to `.1`, `.1` to `.2` and so on; the oldest is overwritten.
fn rotate(path: &Path) {
    let numbered = |number: usize| PathBuf::from(format!("{}.{number}", path.display()));
    for number in (1..KEPT_COUNT).rev() {
        // A log that is not there yet is nothing to move.
        let _ = std::fs::rename(numbered(number), numbered(number + 1));
    }
    let _ = std::fs::rename(path, numbered(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log that could not be opened once, at a rotation say, stayed silent until the daemon's end.
    #[test]
    fn a_log_that_could_not_be_opened_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(palace_protocol::endpoint::LOG_FILE);
        std::fs::create_dir(&path).unwrap();
        let journal = Journal::open(folder.path());
        journal.info("swallowed");
        std::fs::remove_dir(&path).unwrap();
        journal.info("written");
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("info written\n"));
    }

    /// A log that was full when it could at last be opened was emptied, although it could be moved aside.
    #[test]
    fn a_full_log_is_moved_aside_before_anything_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(palace_protocol::endpoint::LOG_FILE);
        std::fs::create_dir(&path).unwrap();
        let journal = Journal::open(folder.path());
        std::fs::remove_dir(&path).unwrap();
        let full = vec![b'x'; usize::try_from(FILE_LEN_BYTES_MAX).unwrap()];
        std::fs::write(&path, &full).unwrap();
        journal.info("written");
        assert_eq!(std::fs::read(folder.path().join("daemon.log.1")).unwrap(), full);
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("info written\n"));
    }

    /// Each line of a log that only root may empty tried to move five files, and grew the log.
    #[test]
    fn a_full_log_without_a_way_to_make_room_is_left_alone_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(palace_protocol::endpoint::LOG_FILE);
        std::fs::write(&path, vec![b'x'; usize::try_from(FILE_LEN_BYTES_MAX).unwrap()]).unwrap();
        let began = Instant::now();
        let mut slot = Slot { file: None, full_since: Some(began) };
        for wait in [Duration::ZERO, FULL_PAUSE / 2, FULL_PAUSE - Duration::from_millis(1)] {
            assert!(slot.with_room(&path, 1, began + wait).is_none());
            assert!(!folder.path().join("daemon.log.1").exists(), "nothing was tried after {wait:?}");
        }
        let (_, len) = slot.with_room(&path, 1, began + FULL_PAUSE).unwrap();
        assert_eq!(*len, 0);
        assert!(folder.path().join("daemon.log.1").exists());
    }

    #[test]
    fn the_log_is_bounded_and_lines_stay_single() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path());
        let long = "x".repeat(64 * 1024);
        for _ in 0..400 {
            journal.info(&long);
        }
        journal.warn("two\nlines");
        journal.warn("a\u{1b}[2Jb\u{9b}c\u{202e}d");
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(files.len(), KEPT_COUNT + 1);
        assert!(files.iter().all(|file| file.metadata().unwrap().len() <= FILE_LEN_BYTES_MAX));
        let newest = std::fs::read_to_string(folder.path().join("daemon.log")).unwrap();
        assert!(newest.contains("warn two lines\n"));
        assert!(newest.ends_with("warn a\\u{1b}[2Jb\\u{9b}c\\u{202e}d\n"), "{newest}");
    }
}
