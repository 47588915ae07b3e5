//! A Markdown file that is written section by section. It is made with its first one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::ingest::transfer::export::target::{new_dir, new_file};

/// A file in the making.
pub struct Page {
    path: PathBuf,
    title: String,
    out: Option<BufWriter<File>>,
    count: u64,
    bytes: u64,
}

impl Page {
    /// Returns a file that will be there once something is added.
    pub fn new(path: PathBuf, title: String) -> Self {
        Self { path, title, out: None, count: 0, bytes: 0 }
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a section.
    pub fn add(&mut self, text: &str) -> io::Result<()> {
        let mut out = match self.out.take() {
            Some(out) => out,
            None => self.open()?,
        };
        if self.count == 0 {
            out.write_all(self.title.as_bytes())?;
            self.bytes += self.title.len() as u64;
        }
        out.write_all(text.as_bytes())?;
        self.bytes += text.len() as u64;
        self.count += 1;
        self.out = Some(out);
        Ok(())
    }

    fn open(&self) -> io::Result<BufWriter<File>> {
        let file = if self.count == 0 {
            if let Some(dir) = self.path.parent() {
                make_dirs(dir)?;
            }
            new_file(&self.path)?
        } else {
            OpenOptions::new().append(true).open(&self.path)?
        };
        Ok(BufWriter::new(file))
    }

    /// Closes the file until something is added again.
    pub fn rest(&mut self) -> io::Result<()> {
        self.out.take().map_or(Ok(()), |mut out| out.flush())
    }

    /// Brings the file to disk; returns its sections and bytes.
    pub fn finish(mut self) -> io::Result<(u64, u64)> {
        if self.count > 0 {
            let out = match self.out.take() {
                Some(out) => out,
                None => self.open()?,
            };
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        }
        Ok((self.count, self.bytes))
    }
}

/// Makes a directory of the export, and the export's own with the first file.
fn make_dirs(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_dirs(parent)?;
    }
    new_dir(dir)
}
