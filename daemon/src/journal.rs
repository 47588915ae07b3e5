//! The daemon's log: one line per event in `<palace>/.daemon/log/daemon.log`, rotated by size.
//!
//! Lines name what happened, never what was said: no drawer text, query or argument is ever logged. Writing the log
//! may fail (a full disk) without any effect on service.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use palace_system::files;
use parking_lot::Mutex;

use crate::clock;

/// Size at which the log is rotated, in bytes.
const FILE_LEN_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Rotated logs that are kept.
const KEPT_COUNT: usize = 4;

/// The open log. Cheap to share by reference; lines of different threads never mix.
pub struct Journal {
    path: PathBuf,
    /// Guards the file and its length for the duration of one line.
    file: Mutex<Option<(File, u64)>>,
}

impl Journal {
    /// Opens the log in that folder, which must exist. A log that cannot be opened swallows its lines until it can.
    pub fn open(folder: &Path) -> Self {
        let path = folder.join(palace_protocol::endpoint::LOG_FILE);
        let file = open(&path);
        Self { path, file: Mutex::new(file) }
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
        let mut slot = self.file.lock();
        if slot.as_ref().is_some_and(|(_, len)| *len + line.len() as u64 > FILE_LEN_BYTES_MAX) {
            *slot = None;
            rotate(&self.path);
        }
        if slot.is_none() {
            // Out of descriptors, a full disk: this line may be lost, and the next one tries again.
            *slot = open(&self.path).map(|opened| bounded(opened, line.len()));
        }
        if let Some((file, len)) = slot.as_mut()
            && file.write_all(line.as_bytes()).is_ok()
        {
            *len += line.len() as u64;
        }
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

/// Empties a log that could not be moved aside and has no room for a line: the disk is worth more than old lines.
fn bounded((file, len): (File, u64), line_len: usize) -> (File, u64) {
    let is_full = len + line_len as u64 > FILE_LEN_BYTES_MAX;
    let is_empty = is_full && file.set_len(0).is_ok();
    (file, if is_empty { 0 } else { len })
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
