//! The bytes of an archive.
//!
//! ```text
//! 8  magic "MPBACKUP"      then frames:           then the end:
//! 4  format, 1             4  length of body, >0   4  0
//! 4  length of header      4  items               4  0
//! .. header, fields        8  xxh3-64 of body     8  number of items of all frames
//! 8  xxh3-64 of the above  .. body                8  xxh3-64 over the checksums of all frames
//! ```
//!
//! Numbers are little endian. A header is a list of fields `{ u8 tag, u32 length, bytes }`. An item is a tag and its
//! parts; a row's bytes are the payload of its record in the store.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::engine::error::ReadError;
use crate::engine::store::codec::{Cursor, Unreadable, put_bytes, put_field, text};
use crate::engine::types::{RowKey, Seq, Timestamp};

const MAGIC: [u8; 8] = *b"MPBACKUP";
const FORMAT: u32 = 1;
/// Longest header that is read.
const HEADER_LEN_MAX: usize = 64 << 10;
/// A frame is closed when its body has this many bytes.
const FRAME_LEN: usize = 1 << 20;
/// Longest body that is read: one item may be larger than a frame's aim.
const BODY_LEN_MAX: usize = 256 << 20;

/// Why an archive cannot be written or read.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The archive.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// The file is no archive, or not what was written.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// The check that failed.
        detail: String,
    },
    /// A newer program wrote it.
    #[error("{} has archive format {found}, this program knows up to {FORMAT}", path.display())]
    Newer {
        /// The archive.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The change log does not reach back to the archive that was to be continued.
    #[error("the store's log does not reach back to {since}; make a full backup")]
    LogTooShort {
        /// Position of the older archive.
        since: Seq,
    },
    /// It was to be given up.
    #[error("interrupted")]
    Interrupted,
}

/// What an archive says about itself before its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Store it was taken from.
    pub database_uuid: [u8; 16],
    /// Model that made the vectors.
    pub embedder: String,
    /// Length of each vector.
    pub dimension: u32,
    /// Format of the store.
    pub store_format: u32,
    /// Position in history.
    pub seq: Seq,
    /// Position of the archive it continues; none for a full one.
    pub since: Option<Seq>,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Rows of the store.
    pub rows: u64,
    /// Key the next new row gets.
    pub(in crate::engine) next_key: u64,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_field(&mut out, 1, &self.database_uuid);
        put_field(&mut out, 2, self.embedder.as_bytes());
        put_field(&mut out, 3, &self.dimension.to_le_bytes());
        put_field(&mut out, 4, &self.store_format.to_le_bytes());
        put_field(&mut out, 5, &self.seq.0.to_le_bytes());
        if let Some(since) = self.since {
            put_field(&mut out, 6, &since.0.to_le_bytes());
        }
        put_field(&mut out, 7, &self.taken_at.0.to_le_bytes());
        put_field(&mut out, 8, &self.rows.to_le_bytes());
        put_field(&mut out, 9, &self.next_key.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Result<Header, Unreadable> {
        let mut header = Header {
            database_uuid: [0; 16],
            embedder: String::new(),
            dimension: 0,
            store_format: 0,
            seq: Seq(0),
            since: None,
            taken_at: Timestamp(0),
            rows: 0,
            next_key: 1,
        };
        let mut cursor = Cursor(bytes);
        while let Some((tag, bytes)) = cursor.field()? {
            let number = || Cursor(bytes).u64("header number");
            match tag {
                1 => header.database_uuid = bytes.try_into().map_err(|_| Unreadable::Malformed("uuid"))?,
                2 => header.embedder = text(bytes, "embedder")?,
                3 => header.dimension = Cursor(bytes).u32("dimension")?,
                4 => header.store_format = Cursor(bytes).u32("store format")?,
                5 => header.seq = Seq(number()?),
                6 => header.since = Some(Seq(number()?)),
                7 => header.taken_at = Timestamp(number()?.cast_signed()),
                8 => header.rows = number()?,
                9 => header.next_key = number()?,
                _ => {}
            }
        }
        Ok(header)
    }
}

/// One thing in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A row and its vector, as stored.
    Row { key: RowKey, row: Vec<u8>, vector: Vec<u8> },
    /// A row that is gone since the archive that is continued.
    RowGone(RowKey),
    /// A record beside the rows.
    Record { table: u8, key: Vec<u8>, value: Vec<u8> },
    /// One that is gone.
    RecordGone { table: u8, key: Vec<u8> },
}

impl Item {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Item::Row { key, row, vector } => {
                out.push(1);
                out.extend_from_slice(&key.0.to_le_bytes());
                put_bytes(out, row);
                put_bytes(out, vector);
            }
            Item::RowGone(key) => {
                out.push(2);
                out.extend_from_slice(&key.0.to_le_bytes());
            }
            Item::Record { table, key, value } => {
                out.extend_from_slice(&[3, *table]);
                put_bytes(out, key);
                put_bytes(out, value);
            }
            Item::RecordGone { table, key } => {
                out.extend_from_slice(&[4, *table]);
                put_bytes(out, key);
            }
        }
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Item, Unreadable> {
        match cursor.u8("item")? {
            1 => Ok(Item::Row {
                key: RowKey(cursor.u64("row key")?),
                row: cursor.bytes("row")?.to_vec(),
                vector: cursor.bytes("vector")?.to_vec(),
            }),
            2 => Ok(Item::RowGone(RowKey(cursor.u64("row key")?))),
            3 => Ok(Item::Record {
                table: cursor.u8("table")?,
                key: cursor.bytes("key")?.to_vec(),
                value: cursor.bytes("value")?.to_vec(),
            }),
            4 => Ok(Item::RecordGone { table: cursor.u8("table")?, key: cursor.bytes("key")?.to_vec() }),
            _ => Err(Unreadable::Malformed("item")),
        }
    }
}

/// Writes an archive: header first, then items, then the end without which it is not one.
pub(super) struct Sink<W: Write> {
    out: W,
    body: Vec<u8>,
    body_items: u32,
    items: u64,
    sums: Xxh3,
    pub bytes: u64,
}

impl<W: Write> Sink<W> {
    pub fn begin(out: W, header: &Header) -> io::Result<Self> {
        let mut sink = Sink { out, body: Vec::new(), body_items: 0, items: 0, sums: Xxh3::new(), bytes: 0 };
        let fields = header.encode();
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&FORMAT.to_le_bytes());
        put_bytes(&mut head, &fields);
        let sum = xxh3_64(&head);
        head.extend_from_slice(&sum.to_le_bytes());
        sink.write(&head)?;
        Ok(sink)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    pub fn push(&mut self, item: &Item) -> io::Result<()> {
        item.encode(&mut self.body);
        self.body_items += 1;
        if self.body.len() >= FRAME_LEN { self.close_frame() } else { Ok(()) }
    }

    fn close_frame(&mut self) -> io::Result<()> {
        if self.body_items == 0 {
            return Ok(());
        }
        let body = std::mem::take(&mut self.body);
        let len = u32::try_from(body.len()).map_err(|_| io::Error::other("an item is larger than 4 GiB"))?;
        let sum = xxh3_64(&body);
        self.sums.update(&sum.to_le_bytes());
        self.items += u64::from(self.body_items);
        let mut head = len.to_le_bytes().to_vec();
        head.extend_from_slice(&self.body_items.to_le_bytes());
        head.extend_from_slice(&sum.to_le_bytes());
        self.body_items = 0;
        self.write(&head)?;
        self.write(&body)
    }

    /// Writes the end and returns what was written to.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.close_frame()?;
        let mut end = [0; 8].to_vec();
        end.extend_from_slice(&self.items.to_le_bytes());
        end.extend_from_slice(&self.sums.digest().to_le_bytes());
        self.write(&end)?;
        self.out.flush()?;
        Ok((self.out, self.bytes))
    }
}

/// An archive that is read from its beginning to its end, once.
pub struct Archive {
    path: PathBuf,
    header: Header,
    input: BufReader<File>,
}

impl Archive {
    /// Opens an archive and reads its header.
    ///
    /// # Errors
    /// When it cannot be read, is none, or is of a newer format.
    pub fn open(path: &Path) -> Result<Archive, ArchiveError> {
        let io = |source| ArchiveError::Io { path: path.to_owned(), source };
        let mut input = BufReader::with_capacity(1 << 18, File::open(path).map_err(io)?);
        let damaged =
            |detail: &str| ArchiveError::Damaged { path: path.to_owned(), detail: detail.to_owned() };
        let mut head = vec![0; 16];
        read_exact(&mut input, &mut head, path)?;
        if head[..8] != MAGIC {
            return Err(damaged("not a backup of mempalaced"));
        }
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let (format, len) = (number(8), number(12) as usize);
        if format != FORMAT {
            return Err(ArchiveError::Newer { path: path.to_owned(), found: format });
        }
        if len > HEADER_LEN_MAX {
            return Err(damaged("header too long"));
        }
        let mut rest = vec![0; len + 8];
        read_exact(&mut input, &mut rest, path)?;
        let (fields, sum) = rest.split_at(len);
        head.extend_from_slice(fields);
        if xxh3_64(&head).to_le_bytes() != sum {
            return Err(damaged("checksum of the header"));
        }
        let header = Header::decode(fields).map_err(|why| damaged(&why.to_string()))?;
        Ok(Archive { path: path.to_owned(), header, input })
    }

    /// Returns what the archive says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the archive to its end and checks all of it.
    ///
    /// # Errors
    /// Names the first check that fails.
    pub fn verify(self) -> Result<u64, ArchiveError> {
        let mut items = 0;
        self.each(&mut |_| {
            items += 1;
            Ok::<(), ArchiveError>(())
        })?;
        Ok(items)
    }

    /// Gives every item to `visit`, each frame checked before; an error of it ends the walk. The archive is whole only
    /// if this returns without an error.
    pub(super) fn each<E: From<ArchiveError>>(
        mut self,
        visit: &mut dyn FnMut(Item) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut items, mut sums) = (0u64, Xxh3::new());
        loop {
            let mut head = [0; 16];
            read_exact(&mut self.input, &mut head[..8], &self.path)?;
            let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
            let (len, count) = (number(0) as usize, number(4));
            if len == 0 {
                return Ok(self.end(items, &sums)?);
            }
            read_exact(&mut self.input, &mut head[8..], &self.path)?;
            if len > BODY_LEN_MAX {
                return Err(self.damaged("frame too long").into());
            }
            let mut body = vec![0; len];
            read_exact(&mut self.input, &mut body, &self.path)?;
            if xxh3_64(&body).to_le_bytes() != head[8..] {
                return Err(self.damaged("checksum of a frame").into());
            }
            sums.update(&head[8..]);
            let mut cursor = Cursor(&body);
            for _ in 0..count {
                let item = Item::decode(&mut cursor).map_err(|why| self.damaged(&why.to_string()))?;
                visit(item)?;
            }
            items += u64::from(count);
        }
    }

    /// Checks the end against what was read.
    fn end(&mut self, items: u64, sums: &Xxh3) -> Result<(), ArchiveError> {
        let mut end = [0; 16];
        read_exact(&mut self.input, &mut end, &self.path)?;
        if end[..8] != items.to_le_bytes() || end[8..] != sums.digest().to_le_bytes() {
            return Err(self.damaged("frames are missing"));
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.damaged("bytes after the end")),
            Err(source) => Err(ArchiveError::Io { path: self.path.clone(), source }),
        }
    }

    fn damaged(&self, detail: &str) -> ArchiveError {
        ArchiveError::Damaged { path: self.path.clone(), detail: detail.to_owned() }
    }
}

fn read_exact(input: &mut impl Read, into: &mut [u8], path: &Path) -> Result<(), ArchiveError> {
    input.read_exact(into).map_err(|source| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::UnexpectedEof {
            return ArchiveError::Damaged { path, detail: "it ends too early".to_owned() };
        }
        ArchiveError::Io { path, source }
    })
}
