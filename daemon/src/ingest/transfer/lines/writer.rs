//! Writing an export line by line.

use std::io::{self, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::palace::import::Imported;
use crate::palace::portable::PortableRow;

use super::{End, Header, Tagged, hex};

/// Writes lines and counts and sums them up.
pub struct Writer<W: Write> {
    out: W,
    digest: Sha256,
    bytes: u64,
    rows: u64,
    records: u64,
    /// Events so far: their place in the stream is written as it will be in an empty palace.
    events: u64,
}

impl<W: Write> Writer<W> {
    /// Begins with the first line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(out: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self { out, digest: Sha256::new(), bytes: 0, rows: 0, records: 0, events: 0 };
        writer.line(header)?;
        Ok(writer)
    }

    /// Writes a row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn row(&mut self, row: &PortableRow) -> io::Result<()> {
        self.rows += 1;
        self.line(&Tagged { kind: "row", rest: row })
    }

    /// Writes a record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record(&mut self, mut record: Imported) -> io::Result<()> {
        if let Imported::Event(event) = &mut record {
            self.events += 1;
            event.seq = self.events;
        }
        self.records += 1;
        self.line(&record)
    }

    /// Writes the last line; returns it with the output and the number of bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<(W, End, u64)> {
        let sha256 = hex(&self.digest.clone().finalize());
        let end = End { rows: self.rows, records: self.records, sha256 };
        self.line(&Tagged { kind: "end", rest: &end })?;
        Ok((self.out, end, self.bytes))
    }

    fn line<T: Serialize>(&mut self, line: &T) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.digest.update(&text);
        self.bytes += text.len() as u64;
        self.out.write_all(&text)
    }
}
