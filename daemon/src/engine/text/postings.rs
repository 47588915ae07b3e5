//! The inverted index: for each term the documents it stands in, and how often.
//!
//! A document gets a number; a changed document gets a new one and its old number is dead. Lists
//! only grow at their end, so an update costs its own words. When too many numbers are dead the
//! lists are written again without them.

use foldhash::HashMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::vocabulary::Terms;
use crate::engine::types::RowKey;

/// Dead documents below this number are never worth a rewrite.
const DEAD_MIN: usize = 4_096;

#[derive(Default)]
pub(in crate::engine) struct TextIndex {
    terms: HashMap<Box<str>, Postings>,
    documents: Vec<Document>,
    number_of_row: HashMap<u64, u32>,
    /// Sum of the lengths of living documents.
    total_len: u64,
}

#[derive(Clone, Copy)]
struct Document {
    row: u64,
    len: u32,
    dead: bool,
}

/// Documents of one term as pairs of variable-length numbers: distance to the one before, count.
#[derive(Default)]
struct Postings {
    bytes: Vec<u8>,
    last: u32,
}

/// A living document in a list of postings.
pub(super) struct Posting {
    pub number: u32,
    pub count: u32,
}

impl TextIndex {
    pub fn len(&self) -> usize {
        self.number_of_row.len()
    }

    pub(super) fn numbers(&self) -> usize {
        self.documents.len()
    }

    pub(super) fn total_len(&self) -> u64 {
        self.total_len
    }

    pub(super) fn row(&self, number: u32) -> RowKey {
        RowKey(self.documents[number as usize].row)
    }

    pub(super) fn document_len(&self, number: u32) -> u32 {
        self.documents[number as usize].len
    }

    pub fn put(&mut self, row: RowKey, terms: &Terms) {
        self.remove(row);
        let number = u32::try_from(self.documents.len()).expect("rewrites keep the numbers few");
        self.documents.push(Document { row: row.0, len: terms.len, dead: false });
        self.number_of_row.insert(row.0, number);
        self.total_len += u64::from(terms.len);
        for (term, count) in &terms.counts {
            match self.terms.get_mut(&**term) {
                Some(postings) => postings.push(number, *count),
                None => {
                    let mut postings = Postings::default();
                    postings.push(number, *count);
                    self.terms.insert((&**term).into(), postings);
                }
            }
        }
    }

    pub fn remove(&mut self, row: RowKey) {
        let Some(number) = self.number_of_row.remove(&row.0) else { return };
        let document = &mut self.documents[number as usize];
        document.dead = true;
        self.total_len -= u64::from(document.len);
        let dead = self.documents.len() - self.number_of_row.len();
        if dead >= DEAD_MIN && dead * 10 > self.documents.len() * 3 {
            self.rewrite();
        }
    }

    /// Numbers the living documents anew and drops the dead from every list.
    pub(super) fn rewrite(&mut self) {
        let old = std::mem::take(&mut self.documents);
        let mut renumbered = vec![u32::MAX; old.len()];
        for (number, document) in old.iter().enumerate().filter(|(_, document)| !document.dead) {
            renumbered[number] = self.documents.len() as u32;
            self.number_of_row.insert(document.row, renumbered[number]);
            self.documents.push(*document);
        }
        self.terms.retain(|_, postings| {
            let mut kept = Postings::default();
            postings.each(|number, count| {
                if !old[number as usize].dead {
                    kept.push(renumbered[number as usize], count);
                }
            });
            kept.bytes.shrink_to_fit();
            *postings = kept;
            !postings.bytes.is_empty()
        });
    }

    /// Returns the living documents of a term.
    pub(super) fn postings(&self, term: &str) -> Vec<Posting> {
        let mut found = Vec::new();
        if let Some(postings) = self.terms.get(term) {
            postings.each(|number, count| {
                if !self.documents[number as usize].dead {
                    found.push(Posting { number, count });
                }
            });
        }
        found
    }

    /// Returns every term, for [`TextIndex::digest`].
    pub fn all_terms(&self) -> Vec<Box<str>> {
        self.terms.keys().cloned().collect()
    }

    /// Returns a digest of the length of each living document by its row.
    pub fn digest_lengths(&self) -> HashMap<u64, u64> {
        let living = self.documents.iter().filter(|document| !document.dead);
        living.map(|document| (document.row, digest_of("", document.len))).collect()
    }

    /// Adds where these terms stand to the digests of documents. What belongs to no document is noted under row 0.
    pub fn digest(&self, terms: &[Box<str>], digests: &mut HashMap<u64, u64>) {
        for term in terms {
            let Some(postings) = self.terms.get(term) else { continue };
            postings.each(|number, count| {
                let row = match self.documents.get(number as usize) {
                    Some(document) if document.dead => return,
                    Some(document) => document.row,
                    None => 0,
                };
                let digest = digests.entry(row).or_default();
                *digest = digest.wrapping_add(digest_of(term, count));
            });
        }
    }

    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.documents.len() as u64).to_le_bytes());
        for document in &self.documents {
            out.extend_from_slice(&document.row.to_le_bytes());
            out.extend_from_slice(&document.len.to_le_bytes());
            out.push(u8::from(document.dead));
        }
        out.extend_from_slice(&(self.terms.len() as u64).to_le_bytes());
        for (term, postings) in &self.terms {
            push_number(out, term.len() as u32);
            out.extend_from_slice(term.as_bytes());
            push_number(out, postings.last);
            out.extend_from_slice(&(postings.bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(&postings.bytes);
        }
    }

    /// Reads what `write_to` wrote. The caller has verified the checksum of these bytes.
    pub fn read_from(mut body: &[u8]) -> Option<TextIndex> {
        let body = &mut body;
        let mut index = TextIndex::default();
        for number in 0..u64::from_le_bytes(*take(body)?) {
            let row = u64::from_le_bytes(*take(body)?);
            let len = u32::from_le_bytes(*take(body)?);
            let dead = take::<1>(body)?[0] != 0;
            index.documents.push(Document { row, len, dead });
            if !dead {
                index.total_len += u64::from(len);
                if index.number_of_row.insert(row, u32::try_from(number).ok()?).is_some() {
                    return None;
                }
            }
        }
        for _ in 0..u64::from_le_bytes(*take(body)?) {
            let term_len = pop_number(body)? as usize;
            let term = std::str::from_utf8(split(body, term_len)?).ok()?.into();
            let last = pop_number(body)?;
            let len = usize::try_from(u64::from_le_bytes(*take(body)?)).ok()?;
            let bytes = split(body, len)?.to_vec();
            if last as usize >= index.documents.len() {
                return None;
            }
            index.terms.insert(term, Postings { bytes, last });
        }
        body.is_empty().then_some(index)
    }
}

/// Returns what the digest of a document with these terms is, in whatever order it was made.
pub(in crate::engine) fn digest_of_terms(terms: &Terms) -> u64 {
    terms
        .counts
        .iter()
        .fold(digest_of("", terms.len), |digest, (term, count)| digest.wrapping_add(digest_of(term, *count)))
}

/// No term is empty: the empty one stands for the length.
fn digest_of(term: &str, count: u32) -> u64 {
    xxh3_64_with_seed(term.as_bytes(), u64::from(count))
}

impl Postings {
    fn push(&mut self, number: u32, count: u32) {
        push_number(&mut self.bytes, number - self.last);
        push_number(&mut self.bytes, count);
        self.last = number;
    }

    fn each(&self, mut visit: impl FnMut(u32, u32)) {
        let mut rest = self.bytes.as_slice();
        let mut number = 0;
        while let (Some(step), Some(count)) = (pop_number(&mut rest), pop_number(&mut rest)) {
            number += step;
            visit(number, count);
        }
    }
}

fn push_number(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn pop_number(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0u32;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u32::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take<'a, const N: usize>(body: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = body.split_first_chunk::<N>()?;
    *body = rest;
    Some(head)
}

fn split<'a>(body: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, rest) = body.split_at_checked(len)?;
    *body = rest;
    Some(head)
}
