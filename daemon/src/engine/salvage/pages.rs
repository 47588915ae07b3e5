//! The file as pages: where redb puts them, what is in one, and whether it is what its parent says.
//!
//! This knows the layout of redb's files (version 3 of its format) and reads it without redb, which panics or gives up at
//! the first bad page. Nothing here trusts a byte: lengths and offsets out of range make a pair unreadable, not an error.
//! A place the disk refuses to read counts as zeros. The file is only read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

/// Size of the smallest page. redb opens no file with another one.
pub const PAGE: usize = 4096;

/// Bytes of one region. redb makes every file with regions of this size and without region headers.
const REGION: u64 = 4 << 30;

/// Longest page that is read: longer ones hold single values that no palace stores.
const PAGE_MAX: u64 = 1 << 28;

/// Pages in which a flipped bit is looked for: each takes some ten milliseconds.
const MEND_MAX: usize = 512;

const SLOT: Range<usize> = 64..192;
const SLOT_SUM: usize = 112;

/// A page and the checksum its parent has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRef {
    pub offset: u64,
    len: u64,
    sum: u128,
}

impl PageRef {
    fn new(number: u64, sum: u128) -> PageRef {
        let order = number >> 59;
        let index = number & (0x000F_FFFF >> order);
        let region = (number >> 20) & 0x000F_FFFF;
        let len = (PAGE as u64) << order;
        PageRef { offset: PAGE as u64 + region * REGION + index * len, len, sum }
    }
}

/// Root of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    pub page: PageRef,
    /// Number of pairs in the tree.
    pub len: u64,
}

impl Root {
    fn read(bytes: &[u8]) -> Option<Root> {
        let number = u64::from_le_bytes(*bytes.first_chunk()?);
        let sum = u128::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
        let len = u64::from_le_bytes(*bytes.get(24..)?.first_chunk()?);
        Some(Root { page: PageRef::new(number, sum), len })
    }
}

/// A commit the header knows.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub transaction: u64,
    pub tables: Option<Root>,
}

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    page: u64,
    at: u32,
    len: u32,
}

/// A page that was read.
pub struct Page {
    pub offset: u64,
    pub bytes: Vec<u8>,
    /// It is what its parent says it is, perhaps after a flipped bit was turned back.
    pub sound: bool,
}

/// What a page says it holds.
pub enum Content {
    Leaf(Vec<Pair>),
    Branch {
        children: Vec<PageRef>,
        /// One fewer than children: each sorts at or above the keys before it and below those after it.
        separators: Vec<Option<Range<usize>>>,
    },
    Neither,
}

/// Where key and value of a pair lie in their page.
pub struct Pair {
    pub key: Range<usize>,
    pub value: Range<usize>,
}

/// A file that is only read.
pub struct Pages {
    file: RefCell<fs::File>,
    len: u64,
    /// Pages with a flipped bit turned back, by offset.
    mended: RefCell<HashMap<u64, Vec<u8>>>,
    mend_tries: RefCell<usize>,
    /// Bytes the disk did not give.
    refused: RefCell<u64>,
}

impl Pages {
    pub fn open(path: &Path) -> io::Result<Pages> {
        let file = fs::File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Pages {
            file: RefCell::new(file),
            len,
            mended: RefCell::default(),
            mend_tries: RefCell::default(),
            refused: RefCell::default(),
        })
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn mended(&self) -> u64 {
        self.mended.borrow().len() as u64
    }

    pub fn refused(&self) -> u64 {
        *self.refused.borrow()
    }

    /// Returns what the file has of a range: fewer bytes at its end, zeros where the disk refuses.
    fn read(&self, offset: u64, len: u64) -> Vec<u8> {
        let len = usize::try_from(len.min(self.len.saturating_sub(offset))).unwrap_or_default();
        let mut bytes = vec![0; len];
        if self.read_into(offset, &mut bytes).is_err() {
            bytes.fill(0);
            for (at, block) in bytes.chunks_mut(512).enumerate() {
                if self.read_into(offset + at as u64 * 512, block).is_err() {
                    block.fill(0);
                    *self.refused.borrow_mut() += block.len() as u64;
                }
            }
        }
        bytes
    }

    fn read_into(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut file = self.file.borrow_mut();
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }

    /// Returns the commits whose slots can be read, newest first.
    pub fn slots(&self) -> Vec<Slot> {
        let header = self.read(0, PAGE as u64);
        let slot = |range: Range<usize>| -> Option<Slot> {
            let mut slot = header.get(range)?.to_vec();
            let fits = |slot: &[u8]| xxh3_128(&slot[..SLOT_SUM]).to_le_bytes() == slot[SLOT_SUM..];
            if !flip_back(&mut slot, fits) {
                return None;
            }
            let transaction = u64::from_le_bytes(*slot[104..].first_chunk()?);
            let tables = if slot[1] == 0 { None } else { Root::read(&slot[8..]) };
            Some(Slot { transaction, tables })
        };
        let second = SLOT.end..SLOT.end + SLOT.len();
        let mut slots: Vec<Slot> = [slot(SLOT), slot(second)].into_iter().flatten().collect();
        slots.sort_by_key(|slot| std::cmp::Reverse(slot.transaction));
        slots
    }

    /// Reads a page and holds it against its checksum. Pages of the newest commit are worth looking for a flipped bit;
    /// those of older ones have mostly been used again since.
    pub fn page(&self, page: PageRef, newest: bool) -> Page {
        if let Some(bytes) = self.mended.borrow().get(&page.offset) {
            let sound = is_sound(bytes, page.sum);
            return Page { offset: page.offset, bytes: bytes.clone(), sound };
        }
        let mut bytes = self.read(page.offset, page.len.min(PAGE_MAX));
        let mut sound = is_sound(&bytes, page.sum);
        if !sound && newest && self.may_mend(&bytes) {
            sound = flip_back(&mut bytes, |bytes| is_sound(bytes, page.sum));
            if sound {
                self.mended.borrow_mut().insert(page.offset, bytes.clone());
            }
        }
        Page { offset: page.offset, bytes, sound }
    }

    fn may_mend(&self, bytes: &[u8]) -> bool {
        let mut tries = self.mend_tries.borrow_mut();
        let may = *tries < MEND_MAX && bytes.len() == PAGE && bytes.iter().any(|byte| *byte != 0);
        *tries += usize::from(may);
        may
    }

    /// Reads what may be a page at an offset, without anything to hold it against.
    pub fn guess(&self, offset: u64) -> Page {
        let mut bytes = self.read(offset, PAGE as u64);
        if let Some(end) = used(&bytes).filter(|end| *end > PAGE && *end as u64 <= PAGE_MAX)
            && bytes[0] == 1
        {
            bytes = self.read(offset, end as u64);
        }
        Page { offset, bytes, sound: false }
    }

    /// Reads a value whose place is known.
    pub fn value(&self, place: Place) -> Vec<u8> {
        if let Some(bytes) = self.mended.borrow().get(&place.page) {
            let at = place.at as usize;
            return bytes.get(at..at + place.len as usize).map(<[u8]>::to_vec).unwrap_or_default();
        }
        self.read(place.page + u64::from(place.at), u64::from(place.len))
    }
}

impl Page {
    pub fn content(&self) -> Content {
        let count = u16_at(&self.bytes, 2).map_or(0, usize::from);
        match self.bytes.first() {
            Some(1) if count > 0 => Content::Leaf(self.pairs(count)),
            Some(2) if count > 0 => self.branch(count).unwrap_or(Content::Neither),
            Some(_) | None => Content::Neither,
        }
    }

    fn pairs(&self, count: usize) -> Vec<Pair> {
        let end = |at: usize| u32_at(&self.bytes, 4 + 4 * at).map(|end| end as usize);
        let keys_begin = 4 + 8 * count;
        let range = |first: usize, at: usize| -> Option<Range<usize>> {
            let begin = if at == 0 { first } else { end(at - 1)? };
            let end = end(at)?;
            (keys_begin <= begin && begin <= end && end <= self.bytes.len()).then_some(begin..end)
        };
        // Values are numbered on from the keys, and the first begins where the last key ends.
        (0..count)
            .filter_map(|at| {
                Some(Pair { key: range(keys_begin, at)?, value: range(keys_begin, count + at)? })
            })
            .collect()
    }

    fn branch(&self, count: usize) -> Option<Content> {
        let (sums, numbers) = (8, 8 + 16 * (count + 1));
        let (ends, keys_begin) = (numbers + 8 * (count + 1), numbers + 8 * (count + 1) + 4 * count);
        let child = |at: usize| -> Option<PageRef> {
            let sum = u128::from_le_bytes(*self.bytes.get(sums + 16 * at..)?.first_chunk()?);
            let number = u64::from_le_bytes(*self.bytes.get(numbers + 8 * at..)?.first_chunk()?);
            Some(PageRef::new(number, sum))
        };
        let end = |at: usize| u32_at(&self.bytes, ends + 4 * at).map(|end| end as usize);
        let separator = |at: usize| -> Option<Range<usize>> {
            let range = if at == 0 { keys_begin } else { end(at - 1)? }..end(at)?;
            (range.start <= range.end && range.end <= self.bytes.len()).then_some(range)
        };
        let children = (0..=count).map(child).collect::<Option<Vec<_>>>()?;
        Some(Content::Branch { children, separators: (0..count).map(separator).collect() })
    }

    /// Returns the place of a value of this page.
    pub fn place(&self, value: &Range<usize>) -> Option<Place> {
        Some(Place {
            page: self.offset,
            at: u32::try_from(value.start).ok()?,
            len: u32::try_from(value.len()).ok()?,
        })
    }
}

/// Reads the definition of a table: its root, `None` within when it is empty.
pub fn definition(value: &[u8]) -> Option<Option<Root>> {
    const NORMAL: u8 = 3;
    match (value.first(), value.get(9)) {
        (Some(&NORMAL), Some(0)) => Some(None),
        (Some(&NORMAL), Some(1)) => Root::read(value.get(10..)?).map(Some),
        (Some(_) | None, Some(_) | None) => None,
    }
}

/// Returns how many bytes of a page are in use, which are those its checksum covers.
fn used(bytes: &[u8]) -> Option<usize> {
    let count = u16_at(bytes, 2).map(usize::from).filter(|count| *count > 0)?;
    let end = match bytes.first()? {
        1 => u32_at(bytes, 4 + 8 * count - 4)?,
        2 => u32_at(bytes, 8 + 24 * (count + 1) + 4 * (count - 1))?,
        _ => return None,
    };
    usize::try_from(end).ok()
}

fn is_sound(bytes: &[u8], sum: u128) -> bool {
    used(bytes).and_then(|end| bytes.get(..end)).is_some_and(|used| xxh3_128(used) == sum)
}

/// Looks for the one bit whose turning makes the bytes fit. A checksum of 128 bits does not fit by chance.
fn flip_back(bytes: &mut [u8], fits: impl Fn(&[u8]) -> bool) -> bool {
    if fits(bytes) {
        return true;
    }
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        if fits(bytes) {
            return true;
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    false
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
