//! Reading an export line by line. The last line proves that the file is whole, so a caller who must not store half of
//! one reads it twice.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{End, FORMAT, Header, Line, VERSION, hex, parse};

/// Longest first line.
const HEADER_LEN_BYTES_MAX: u64 = 64 * 1024;
/// Longest line: an artifact of four million bytes takes six for each in the worst case.
const LINE_LEN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a file is not imported.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "{} is not an export: {reason}; name a file that `palacectl export` wrote, or the directory of a MemPalace palace",
        path.display()
    )]
    NotAnExport {
        /// The file.
        path: PathBuf,
        /// What shows it.
        reason: String,
    },
    /// A later version wrote it.
    #[error("{} has version {version} of the export format, this program reads up to {VERSION}; use a newer one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A line is not what it should be.
    #[error("{}: line {line}: {reason}", path.display())]
    BadLine {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The last line is missing.
    #[error("{} is truncated: it ends after line {line} without its last line; copy or export it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Whole lines in it.
        line: u64,
    },
    /// Something was changed.
    #[error("{} was changed after it was written: {reason}; copy or export it again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What does not agree.
        reason: String,
    },
}

/// An export that is read from its beginning to its end.
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    header: Header,
    digest: Sha256,
    text: Vec<u8>,
    line: u64,
    bytes: u64,
    rows: u64,
    records: u64,
    ended: bool,
}

impl Reader {
    /// Opens an export and reads its first line.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn open(path: &Path) -> Result<Self, LinesError> {
        let file = File::open(path).map_err(|source| LinesError::Io { path: path.to_owned(), source })?;
        let mut reader = Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(1 << 20, file),
            header: Header::default(),
            digest: Sha256::new(),
            text: Vec::new(),
            line: 0,
            bytes: 0,
            rows: 0,
            records: 0,
            ended: false,
        };
        reader.header = reader.first()?;
        Ok(reader)
    }

    fn first(&mut self) -> Result<Header, LinesError> {
        let not =
            |reason: &str| LinesError::NotAnExport { path: self.path.clone(), reason: reason.to_owned() };
        let (foreign, other) = (not("its first line is no header"), not("it is of another program"));
        self.read_line(HEADER_LEN_BYTES_MAX)?;
        let value: serde_json::Value = match serde_json::from_slice(&self.text) {
            Ok(value) => value,
            Err(_) => return Err(foreign),
        };
        if value.get("format").and_then(serde_json::Value::as_str) != Some(FORMAT) {
            return Err(other);
        }
        // The version decides before anything else of the line is understood.
        let version = value.get("version").and_then(serde_json::Value::as_u64).unwrap_or_default();
        if version > u64::from(VERSION) {
            let version = u32::try_from(version).unwrap_or(u32::MAX);
            return Err(LinesError::Newer { path: self.path.clone(), version });
        }
        self.digest.update(&self.text);
        serde_json::from_value(value).map_err(|error| self.bad(error.to_string()))
    }

    /// Returns the first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the number of the line that was read last.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Returns how many bytes were read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns an error about the line that was read last.
    pub fn bad(&self, reason: impl Into<String>) -> LinesError {
        LinesError::BadLine { path: self.path.clone(), line: self.line, reason: reason.into() }
    }

    /// Returns the next line. With [`Line::End`] the file is known to be whole.
    ///
    /// # Errors
    /// When it cannot be read, is no line of an export, or the end does not agree with what came before.
    pub fn next_line(&mut self) -> Result<Line, LinesError> {
        debug_assert!(!self.ended, "the end was read");
        if self.read_line(LINE_LEN_BYTES_MAX)? == 0 {
            return Err(LinesError::Truncated { path: self.path.clone(), line: self.line });
        }
        let line = match parse(&self.text) {
            Ok(line) => line,
            // A line that was cut off says so better than its JSON does.
            Err(_) if self.text.last() != Some(&b'\n') => {
                return Err(LinesError::Truncated { path: self.path.clone(), line: self.line - 1 });
            }
            Err(reason) => return Err(self.bad(reason)),
        };
        match &line {
            Line::Row(_) => self.rows += 1,
            Line::Record(_) | Line::Unknown(_) => self.records += 1,
            Line::End(end) => {
                self.check_end(&end.clone())?;
                return Ok(line);
            }
        }
        self.digest.update(&self.text);
        Ok(line)
    }

    fn check_end(&mut self, end: &End) -> Result<(), LinesError> {
        self.ended = true;
        let changed = |reason: String| LinesError::Changed { path: self.path.clone(), reason };
        let sha256 = hex(&self.digest.clone().finalize());
        if (end.rows, end.records) != (self.rows, self.records) {
            return Err(changed(format!(
                "its last line counts {} rows and {} records, there are {} and {}",
                end.rows, end.records, self.rows, self.records
            )));
        }
        if !end.sha256.eq_ignore_ascii_case(&sha256) {
            return Err(changed("its SHA-256 is not that of its last line".to_owned()));
        }
        let too_much = changed("something follows its last line".to_owned());
        if self.read_line(1)? == 0 { Ok(()) } else { Err(too_much) }
    }

    /// Reads a line into `text`; returns its length.
    fn read_line(&mut self, len_bytes_max: u64) -> Result<usize, LinesError> {
        self.text.clear();
        let mut limited = (&mut self.file).take(len_bytes_max);
        let len = limited
            .read_until(b'\n', &mut self.text)
            .map_err(|source| LinesError::Io { path: self.path.clone(), source })?;
        self.bytes += len as u64;
        self.line += u64::from(len > 0);
        let is_too_long = len as u64 == len_bytes_max && self.text.last() != Some(&b'\n') && len > 1;
        if is_too_long && self.line > 1 {
            return Err(self.bad(format!("longer than {len_bytes_max} bytes")));
        }
        Ok(len)
    }
}
