//! Keeps what this daemon says on stderr bounded. A starter gives it a file that it empties at each start; a daemon may
//! live for months, and libraries and panics write there past the log.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use palace_protocol::endpoint::STDERR_FILE;
use palace_system::files;

/// Length at which the file is shortened, in bytes.
const LEN_BYTES_MAX: u64 = 1024 * 1024;
/// How much of its end is kept, in bytes.
const KEPT_LEN_BYTES: u64 = 64 * 1024;

/// Shortens the file in that folder to its end when it has grown too long and stderr leads there.
pub fn bound(log_dir: &Path) {
    let path = log_dir.join(STDERR_FILE);
    if is_ours(&path) {
        // A disk that refuses this refuses more than this; the next look tries again.
        let _ = shorten(&path, LEN_BYTES_MAX, KEPT_LEN_BYTES);
    }
}

/// Tells whether stderr leads to that file: a service manager has its own.
#[cfg(unix)]
fn is_ours(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (rustix::fs::fstat(std::io::stderr()), std::fs::symlink_metadata(path)) {
        #[cfg_attr(
            target_os = "linux",
            expect(clippy::unnecessary_cast, reason = "other systems have other types")
        )]
        (Ok(open), Ok(named)) => (open.st_dev as u64, open.st_ino as u64) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// No handle is inherited on Windows.
#[cfg(windows)]
fn is_ours(_path: &Path) -> bool {
    false
}

/// What is written meanwhile is lost or stands before the end that is kept: whoever writes there appends.
fn shorten(path: &Path, len_max: u64, kept_len: u64) -> io::Result<()> {
    let mut file = files::open(path)?;
    let len = file.metadata()?.len();
    if len <= len_max {
        return Ok(());
    }
    file.seek(SeekFrom::Start(len - kept_len))?;
    let mut end = Vec::new();
    file.take(kept_len).read_to_end(&mut end)?;
    let mut file = files::append(path)?;
    file.set_len(0)?;
    file.write_all(&end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_keeps_its_end_and_whoever_appends_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STDERR_FILE);
        let mut writer = files::append(&path).unwrap();
        let text = || std::fs::read_to_string(&path).unwrap();
        writer.write_all(b"0123456789").unwrap();
        shorten(&path, 10, 4).unwrap();
        assert_eq!(text(), "0123456789");
        writer.write_all(b"ab").unwrap();
        shorten(&path, 10, 4).unwrap();
        writer.write_all(b"!").unwrap();
        assert_eq!(text(), "89ab!");
        assert!(!is_ours(&path));
        bound(folder.path());
    }
}
