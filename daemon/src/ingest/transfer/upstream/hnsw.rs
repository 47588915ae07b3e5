//! The files of an HNSW segment: `header.bin` says how an element is laid out, `data_level0.bin` holds them.
//!
//! They are read in place and never written. A header is believed only if it fits the file and itself; an element only
//! if it lies in the file. Links between elements are of no interest: what is read is labels and vectors.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::UpstreamError;
use super::files::{self, Stamp};
use super::vector::{self, Damage, Scale};

const HEADER_FILE: &str = "header.bin";
const ELEMENTS_FILE: &str = "data_level0.bin";
/// The table from ids to labels.
pub(super) const TABLE_FILE: &str = "index_metadata.pickle";
const HEADER_LEN: usize = 100;
/// Version of the layout; there has been one.
const VERSION: u32 = 1;
/// Longest element that is believed: far more dimensions than any embedder has.
const ELEMENT_LEN_MAX: u64 = 1 << 20;
/// Most links per element that are believed.
const LINK_COUNT_MAX: u64 = 4096;
/// A label ends an element.
const LABEL_LEN: u64 = 8;

/// Why a segment's vectors cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    #[error("{0} cannot be read: {1}")]
    Io(&'static str, io::Error),
    #[error("the header of the index has version {0}")]
    Version(u32),
    #[error("the header of the index is damaged: {0}")]
    Header(&'static str),
    #[error("the index has {found} dimensions, the collection {expected}")]
    Dimension { found: u64, expected: u64 },
}

/// How the elements of a segment are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// How many elements there should be.
    pub element_count: u64,
    element_len: u64,
    vector_offset: u64,
    label_offset: u64,
}

impl Header {
    fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Header, SegmentError> {
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let version = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"));
        if version != VERSION {
            return Err(SegmentError::Version(version));
        }
        let (level0_offset, element_count_max, element_count) = (u64_at(4), u64_at(12), u64_at(20));
        let (element_len, label_offset, vector_offset) = (u64_at(28), u64_at(36), u64_at(44));
        let link_count = u64_at(68);
        let wrong = [
            (level0_offset != 0, "elements do not begin with their links"),
            (element_count > element_count_max, "more elements than there is room for"),
            (!(1..=ELEMENT_LEN_MAX).contains(&element_len), "element size"),
            (!(1..=LINK_COUNT_MAX).contains(&link_count), "number of links"),
            (vector_offset != 4 + 4 * (link_count % (LINK_COUNT_MAX + 1)), "place of the vector"),
            (label_offset <= vector_offset, "place of the label"),
            (label_offset.checked_add(LABEL_LEN) != Some(element_len), "place of the label"),
            (label_offset.wrapping_sub(vector_offset) % 4 != 0, "length of the vector"),
        ];
        match wrong.iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, what)) => Err(SegmentError::Header(what)),
            None => Ok(Header { element_count, element_len, vector_offset, label_offset }),
        }
    }

    /// Returns the number of dimensions.
    pub fn dimension(&self) -> u64 {
        (self.label_offset - self.vector_offset) / 4
    }
}

/// An element found in a segment.
pub(super) struct Element {
    /// Its label.
    pub label: i64,
    /// Where its vector stands in the file.
    pub place: i64,
    /// What is wrong with the vector.
    pub damage: Option<Damage>,
}

/// The readable elements of a segment.
pub(super) struct Segment {
    header: Header,
    file: File,
    path: PathBuf,
    /// The file as it was when it was opened.
    stamp: Stamp,
    /// How many elements lie wholly in the file.
    pub readable_count: u64,
    scale: Scale,
}

impl Segment {
    /// Opens a segment; `dimension` is that of the collection, if it has one.
    pub fn open(dir: &Path, dimension: Option<u64>, scale: Scale) -> Result<Segment, SegmentError> {
        let mut bytes = [0; HEADER_LEN];
        let path = dir.join(ELEMENTS_FILE);
        let in_header = |source| SegmentError::Io(HEADER_FILE, source);
        let in_elements = |source| SegmentError::Io(ELEMENTS_FILE, source);
        files::open(&dir.join(HEADER_FILE))
            .and_then(|mut file| file.read_exact(&mut bytes))
            .map_err(in_header)?;
        let header = Header::decode(&bytes)?;
        if let Some(expected) = dimension
            && expected != header.dimension()
        {
            return Err(SegmentError::Dimension { found: header.dimension(), expected });
        }
        let file = files::open(&path).map_err(in_elements)?;
        let stamp = Stamp::of(&file.metadata().map_err(in_elements)?);
        let readable_count = header.element_count.min(stamp.len / header.element_len);
        Ok(Segment { header, file, path, stamp, readable_count, scale })
    }

    /// Returns the layout.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Hands on every element that lies in the file, in its order.
    ///
    /// # Errors
    /// When the scratch database fails; a file that ends early ends the elements.
    pub fn each_element(
        &self,
        visit: &mut dyn FnMut(Element) -> Result<(), UpstreamError>,
    ) -> Result<(), UpstreamError> {
        let mut file = BufReader::with_capacity(1 << 18, &self.file);
        file.seek(SeekFrom::Start(0)).map_err(UpstreamError::io(&self.path))?;
        let len = |offset: u64| usize::try_from(offset).expect("an element has at most a megabyte");
        let (vector_offset, label_offset) = (len(self.header.vector_offset), len(self.header.label_offset));
        let mut element = vec![0; len(self.header.element_len)];
        for index in 0..self.readable_count {
            if file.read_exact(&mut element).is_err() {
                // The labels that are not met have no vector, which is what is told about them.
                return Ok(());
            }
            let label =
                u64::from_le_bytes(element[label_offset..].try_into().expect("a label ends an element"));
            let place = index * self.header.element_len + self.header.vector_offset;
            let (Ok(label), Ok(place)) = (i64::try_from(label), i64::try_from(place)) else {
                continue;
            };
            let vector = &element[vector_offset..label_offset];
            let damage = vector::check(vector, vector.len() / 4, self.scale).err();
            visit(Element { label, place, damage })?;
        }
        Ok(())
    }

    /// Returns the vector at a place that [`Segment::each_element`] told.
    pub fn vector(&self, place: i64) -> Result<Vec<f32>, String> {
        let dimension = usize::try_from(self.header.dimension()).expect("an element has at most a megabyte");
        let mut bytes = vec![0; dimension * 4];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(place.unsigned_abs()))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|error| SegmentError::Io(ELEMENTS_FILE, error).to_string())?;
        vector::decode(&bytes, dimension, self.scale).map_err(|damage| damage.to_string())
    }

    /// Refuses if the file has changed since it was opened.
    pub fn check_unchanged(&self) -> Result<(), UpstreamError> {
        files::check_unchanged(&self.path, &Some(self.stamp.clone()))
    }
}
