//! Rows on pages that nothing leads to any more: where an inner page of a table is damaged, the leaves below it are sound
//! and SQLite cannot reach them. They are found page by page, as the file format lays them out
//! (<https://www.sqlite.org/fileformat2.html>, 1.5 and 1.6).
//!
//! A leaf does not say which table it is of, so the caller judges each row by its shape and its number. Pages of the free
//! list hold what was removed and are left out; where that list cannot be read to its end any leaf may be one of them, and
//! its rows say so: they count only where something else knows that they are there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use rusqlite::types::ValueRef;

use super::database::Database;
use super::error::UpstreamError;

const HEADER_LEN: usize = 100;
const LEAF_OF_TABLE: u8 = 13;
/// Header of a leaf; the places of its cells follow.
const LEAF_HEADER_LEN: usize = 8;
/// A larger record than any text here, and smaller than what would exhaust memory.
const RECORD_LEN_MAX: u64 = 64 * 1024 * 1024;

/// A row as a leaf has it.
pub(super) struct Carved<'c> {
    pub number: i64,
    /// A column that is its table's row number is null here.
    pub columns: &'c [ValueRef<'c>],
    /// Its leaf may be a free page, and the row one that was removed.
    pub may_be_removed: bool,
}

/// Takes a row.
pub(super) type Visit<'v> = dyn FnMut(&Carved<'_>) -> Result<(), UpstreamError> + 'v;

/// Hands on every row on every leaf of the file, in the order of its pages.
///
/// # Errors
/// When the file cannot be read, or `visit` fails. Damage is no error: what does not hold together is left out.
pub(super) fn each_row(db: &Database, visit: &mut Visit<'_>) -> Result<(), UpstreamError> {
    // Pages that are only in the log so far would be missed, and older ones found in their place.
    let settled = db.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    let (Ok(0), Some(path)) = (settled, db.conn.path().map(Path::new)) else { return Ok(()) };
    let failed = |error| UpstreamError::io(path)(error);
    let Some(mut pages) = Pages::open(path).map_err(failed)? else { return Ok(()) };
    let free = pages.free().map_err(failed)?;
    for number in 2..=pages.count {
        if free.numbers.binary_search(&number).is_ok() {
            continue;
        }
        let Some(page) = pages.read(number).map_err(failed)? else { continue };
        for cell in cells(&page) {
            let Some((row_number, record)) = pages.record(&page, cell).map_err(failed)? else { continue };
            if let Some(values) = columns(&record) {
                let may_be_removed = !free.is_whole;
                visit(&Carved { number: row_number, columns: &values, may_be_removed })?;
            }
        }
    }
    Ok(())
}

/// Pages that are free, in order.
struct Free {
    numbers: Vec<u32>,
    /// Whether these are all.
    is_whole: bool,
}

/// The pages of a database file.
struct Pages {
    file: File,
    page_len: usize,
    /// Bytes of a page that are used.
    usable: usize,
    count: u32,
    header: [u8; HEADER_LEN],
}

impl Pages {
    /// Opens a file; none if its header says nothing that could be.
    fn open(path: &Path) -> io::Result<Option<Pages>> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut header = [0; HEADER_LEN];
        if len < HEADER_LEN as u64 {
            return Ok(None);
        }
        file.read_exact(&mut header)?;
        let page_len = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65_536,
            len => usize::from(len),
        };
        let usable = page_len.saturating_sub(usize::from(header[20]));
        let is_utf8 = u32_at(&header, 56) == Some(1);
        if !page_len.is_power_of_two() || page_len < 512 || usable < 480 || !is_utf8 {
            return Ok(None);
        }
        let count = u32::try_from(len / page_len as u64).unwrap_or(u32::MAX);
        Ok(Some(Pages { file, page_len, usable, count, header }))
    }

    fn read(&mut self, number: u32) -> io::Result<Option<Vec<u8>>> {
        if number == 0 || number > self.count {
            return Ok(None);
        }
        let mut page = vec![0; self.page_len];
        self.file.seek(SeekFrom::Start(u64::from(number - 1) * self.page_len as u64))?;
        self.file.read_exact(&mut page)?;
        page.truncate(self.usable);
        Ok(Some(page))
    }

    /// Returns the pages that are free, as far as the list of them can be read.
    fn free(&mut self) -> io::Result<Free> {
        let mut free = Free { numbers: Vec::new(), is_whole: false };
        let mut next = u32_at(&self.header, 32).unwrap_or(0);
        let expected = u32_at(&self.header, 36).unwrap_or(0);
        while next != 0 && free.numbers.len() <= self.count as usize {
            let Some(trunk) = self.read(next)? else { break };
            let leaves = u32_at(&trunk, 4).unwrap_or(u32::MAX) as usize;
            let Some(numbers) = leaves.checked_mul(4).and_then(|len| trunk.get(8..8 + len)) else { break };
            free.numbers.push(next);
            free.numbers.extend(numbers.chunks_exact(4).filter_map(|number| u32_at(number, 0)));
            next = u32_at(&trunk, 0).unwrap_or(0);
        }
        free.is_whole = next == 0 && free.numbers.len() == expected as usize;
        free.numbers.sort_unstable();
        Ok(free)
    }

    /// Returns the row number and the record of a cell, with what of it stands on other pages.
    fn record(&mut self, page: &[u8], at: usize) -> io::Result<Option<(i64, Vec<u8>)>> {
        let Some((len, begin)) = varint(page, at) else { return Ok(None) };
        let Some((row_number, begin)) = varint(page, begin) else { return Ok(None) };
        if len > RECORD_LEN_MAX {
            return Ok(None);
        }
        let local = local_len(self.usable, len as usize);
        let Some(here) = page.get(begin..begin + local) else { return Ok(None) };
        let mut record = here.to_vec();
        let mut next = u32_at(page, begin + local).unwrap_or(0);
        while record.len() < len as usize {
            let Some(more) = self.read(next)? else { return Ok(None) };
            let wanted = (len as usize - record.len()).min(self.usable - 4);
            record.extend_from_slice(&more[4..4 + wanted]);
            next = u32_at(&more, 0).unwrap_or(0);
        }
        Ok(Some((row_number as i64, record)))
    }
}

/// Returns how much of a record of a table stands in its leaf.
fn local_len(usable: usize, len: usize) -> usize {
    let most = usable - 35;
    if len <= most {
        return len;
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let fitting = least + (len - least) % (usable - 4);
    if fitting <= most { fitting } else { least }
}

/// Returns where the cells of a page begin; nothing for one that is no leaf of a table.
fn cells(page: &[u8]) -> Vec<usize> {
    let count = page.get(3..5).map_or(0, |count| usize::from(u16::from_be_bytes([count[0], count[1]])));
    let places = page.get(LEAF_HEADER_LEN..LEAF_HEADER_LEN + 2 * count);
    let (Some(&LEAF_OF_TABLE), Some(places)) = (page.first(), places) else { return Vec::new() };
    let places = places.chunks_exact(2).map(|place| usize::from(u16::from_be_bytes([place[0], place[1]])));
    places.filter(|place| *place >= LEAF_HEADER_LEN + 2 * count).collect()
}

/// Returns the columns of a record; none if they do not fill it.
fn columns(record: &[u8]) -> Option<Vec<ValueRef<'_>>> {
    let (header_len, mut at) = varint(record, 0)?;
    let mut body = usize::try_from(header_len).ok()?;
    let header_end = body;
    let mut values = Vec::new();
    while at < header_end {
        let (kind, next) = varint(record, at)?;
        at = next;
        let len = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind as usize,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            kind => usize::try_from((kind - 12) / 2).ok()?,
        };
        let bytes = record.get(body..body.checked_add(len)?)?;
        body += len;
        values.push(match kind {
            0 => ValueRef::Null,
            8 => ValueRef::Integer(0),
            9 => ValueRef::Integer(1),
            7 => ValueRef::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            1..=6 => ValueRef::Integer(integer(bytes)),
            kind if kind.is_multiple_of(2) => ValueRef::Blob(bytes),
            _ => ValueRef::Text(bytes),
        });
    }
    (at == header_end && body == record.len()).then_some(values)
}

/// Returns a number of one to eight bytes, the first of which holds the sign.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|first| *first >= 0x80);
    bytes.iter().fold(if negative { -1 } else { 0 }, |number, byte| (number << 8) | i64::from(*byte))
}

/// Returns a number of variable length and where it ends.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut number = 0u64;
    for place in 0..8 {
        let byte = *bytes.get(at + place)?;
        number = (number << 7) | u64::from(byte & 0x7F);
        if byte < 0x80 {
            return Some((number, at + place + 1));
        }
    }
    Some(((number << 8) | u64::from(*bytes.get(at + 8)?), at + 9))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().expect("four bytes")))
}
