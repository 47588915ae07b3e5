//! Saved derived indexes: two generations of one checked file each.
//!
//! A saved index is a shortcut, never a source: every doubt about it means the older one, and then
//! the store itself. Nothing is handed to a loader before header, store, parameters, length and
//! checksum agree.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::error::SnapshotError;
use super::index::graph;
use super::store::file::{FILE_NAME, sync_directory};
use super::types::{EngineOptions, Seq};
use crate::failpoint;

/// Directory of the saved indexes, in the palace directory.
const DIR_NAME: &str = ".derived";
const MAGIC: [u8; 8] = *b"MPDERIVE";
const FORMAT: u32 = 1;
const HEADER_LEN: usize = 128;
/// Everything of the header before its own checksum.
const HEADER_BODY_LEN: usize = HEADER_LEN - 8;

/// Which index a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Vectors,
    Text,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Vectors, Kind::Text];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Vectors => "vectors",
            Kind::Text => "text",
        }
    }

    fn number(self) -> u32 {
        match self {
            Kind::Vectors => 1,
            Kind::Text => 2,
        }
    }
}

/// Which of the two files of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    Current,
    Previous,
}

/// History of the files on disk, per kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loaded {
    vectors: Generations,
    text: Generations,
}

#[derive(Clone, Copy, Debug, Default)]
struct Generations {
    current: Option<Seq>,
    previous: Option<Seq>,
}

impl Loaded {
    fn of(&mut self, kind: Kind) -> &mut Generations {
        match kind {
            Kind::Vectors => &mut self.vectors,
            Kind::Text => &mut self.text,
        }
    }

    /// Notes which file an index was loaded from.
    pub fn note(&mut self, kind: Kind, generation: Generation, seq: Seq) {
        match generation {
            Generation::Current => self.of(kind).current = Some(seq),
            Generation::Previous => self.of(kind).previous = Some(seq),
        }
    }

    /// Returns the history every current file reflects, if each kind has one.
    pub fn current_seq(&self) -> Option<Seq> {
        Some(self.vectors.current?.min(self.text.current?))
    }

    /// Returns the end of the log no file needs any more: the older generation still counts.
    pub fn trim_to(&self) -> Option<Seq> {
        Some(self.vectors.previous?.min(self.text.previous?))
    }
}

/// A file that passed every check that needs no loading.
pub(super) struct Candidate {
    pub generation: Generation,
    pub seq: Seq,
    pub count: u64,
    pub body: Vec<u8>,
}

/// What a file says about itself.
struct Header {
    kind: u32,
    seq: Seq,
    params: u64,
    count: u64,
    body_len: u64,
    database_uuid: [u8; 16],
    body_checksum: u64,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.kind.to_le_bytes());
        for number in [self.seq.0, self.params, self.count, self.body_len] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.database_uuid);
        out.extend_from_slice(&self.body_checksum.to_le_bytes());
        out.resize(HEADER_BODY_LEN, 0);
        let checksum = xxh3_64(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.try_into().expect("the parts above add up to the header length")
    }

    fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Header> {
        let (body, checksum) = bytes.split_at(HEADER_BODY_LEN);
        let u32_at = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().expect("eight bytes"));
        let sound = xxh3_64(body).to_le_bytes() == checksum && body[..8] == MAGIC && u32_at(8) == FORMAT;
        sound.then(|| Header {
            kind: u32_at(12),
            seq: Seq(u64_at(16)),
            params: u64_at(24),
            count: u64_at(32),
            body_len: u64_at(40),
            database_uuid: body[48..64].try_into().expect("sixteen bytes"),
            body_checksum: u64_at(64),
        })
    }
}

/// The saved indexes of one store.
pub(super) struct SnapshotDir {
    dir: PathBuf,
    database_uuid: [u8; 16],
    vector_params: u64,
    text_params: u64,
}

/// Version of what the tokenizer makes of a text; another one makes saved postings useless.
const TOKENIZER_VERSION: u32 = 1;

impl SnapshotDir {
    pub fn new(palace: &Path, database_uuid: [u8; 16], options: &EngineOptions) -> SnapshotDir {
        let vector_params = format!(
            "{} dimension {} embedder {}",
            graph::parameters(),
            options.dimension,
            options.embedder_identity
        );
        let text_params = format!("postings 1 tokenizer {TOKENIZER_VERSION}");
        SnapshotDir {
            dir: palace.join(DIR_NAME),
            database_uuid,
            vector_params: xxh3_64(vector_params.as_bytes()),
            text_params: xxh3_64(text_params.as_bytes()),
        }
    }

    fn params(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Vectors => self.vector_params,
            Kind::Text => self.text_params,
        }
    }

    pub(super) fn path(&self, kind: Kind, generation: Generation) -> PathBuf {
        let extension = match generation {
            Generation::Current => "cur",
            Generation::Previous => "prev",
        };
        self.dir.join(format!("{}.{extension}", kind.name()))
    }

    fn tmp_path(&self, kind: Kind) -> PathBuf {
        self.dir.join(format!("{}.tmp", kind.name()))
    }

    /// Returns the sound files of a kind, newest first, read one at a time.
    ///
    /// A file from the future (`seq` beyond the store's) means the store was restored or rolled
    /// back: the file describes rows that may never have been.
    pub fn candidates(&self, kind: Kind, store_seq: Seq) -> impl Iterator<Item = Candidate> + '_ {
        [Generation::Current, Generation::Previous].into_iter().filter_map(move |generation| {
            let candidate = self.read(kind, generation)?;
            (candidate.seq <= store_seq).then_some(candidate)
        })
    }

    fn read(&self, kind: Kind, generation: Generation) -> Option<Candidate> {
        let mut file = File::open(self.path(kind, generation)).ok()?;
        let file_len = file.metadata().ok()?.len();
        let mut header = [0; HEADER_LEN];
        file.read_exact(&mut header).ok()?;
        let header = Header::decode(&header)?;
        let ours = header.kind == kind.number()
            && header.params == self.params(kind)
            && header.database_uuid == self.database_uuid
            && Some(file_len) == header.body_len.checked_add(HEADER_LEN as u64);
        if !ours {
            return None;
        }
        let mut body = Vec::with_capacity(usize::try_from(header.body_len).ok()?);
        file.read_to_end(&mut body).ok()?;
        if body.len() as u64 != header.body_len || xxh3_64(&body) != header.body_checksum {
            return None;
        }
        Some(Candidate { generation, seq: header.seq, count: header.count, body })
    }

    /// Removes what is left of interrupted saves, and every file the indexes were not loaded from.
    ///
    /// A bad current file must not become the previous one by the next save.
    pub fn tidy(&self, loaded: &mut Loaded) {
        for kind in Kind::ALL {
            let generations = *loaded.of(kind);
            let _ = fs::remove_file(self.tmp_path(kind));
            if generations.current.is_none() {
                let _ = fs::remove_file(self.path(kind, Generation::Current));
            }
            if generations.current.is_none() && generations.previous.is_none() {
                let _ = fs::remove_file(self.path(kind, Generation::Previous));
            }
        }
    }

    /// Saves one index as the current generation; the one before becomes the previous.
    pub fn write(
        &self,
        kind: Kind,
        seq: Seq,
        count: u64,
        body: &[u8],
        loaded: &mut Loaded,
    ) -> Result<(), SnapshotError> {
        let header = Header {
            kind: kind.number(),
            seq,
            params: self.params(kind),
            count,
            body_len: body.len() as u64,
            database_uuid: self.database_uuid,
            body_checksum: xxh3_64(body),
        };
        let tmp = self.tmp_path(kind);
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| SnapshotError::Io { path, source }
        };
        // A palace that was moved or unmounted is open all the same; what stands in its place is not ours to fill.
        let store = self.dir.with_file_name(FILE_NAME);
        fs::symlink_metadata(&store).map_err(at(&store))?;
        make(&self.dir).map_err(at(&self.dir))?;
        write_durably(&tmp, &header.encode(), body).map_err(at(&tmp))?;
        let current = self.path(kind, Generation::Current);
        let generations = loaded.of(kind);
        if generations.current.is_some() {
            failpoint::reach("snapshot.written");
            fs::rename(&current, self.path(kind, Generation::Previous)).map_err(at(&current))?;
            generations.previous = generations.current.take();
        }
        failpoint::reach("snapshot.moved");
        fs::rename(&tmp, &current).map_err(at(&tmp))?;
        failpoint::reach("snapshot.named");
        generations.current = Some(seq);
        sync_directory(&self.dir).map_err(at(&self.dir))
    }

    /// Returns the history of a kind's current file.
    pub fn current_seq(&self, kind: Kind, loaded: &mut Loaded) -> Option<Seq> {
        loaded.of(kind).current
    }
}

fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write_durably(path: &Path, header: &[u8], body: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(header)?;
    file.write_all(body)?;
    file.sync_all()
}
