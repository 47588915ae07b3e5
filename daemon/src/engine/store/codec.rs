//! Bytes of one record: a version, tagged fields, a checksum; and keys whose byte order is the
//! order of what they encode.
//!
//! redb does not verify page checksums on reads, so every record carries its own. The checksum
//! covers the table and the key as well: an intact record at the wrong place is damage too.

use xxhash_rust::xxh3::Xxh3;

/// Version byte of every record written today.
pub(super) const RECORD_VERSION: u8 = 1;

const CHECKSUM_LEN: usize = 8;

/// Why bytes are not the record they should be.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::engine) enum Unreadable {
    Checksum,
    Version(u8),
    Malformed(&'static str),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unreadable::Checksum => f.write_str("checksum mismatch"),
            Unreadable::Version(version) => write!(f, "unknown record version {version}"),
            Unreadable::Malformed(what) => write!(f, "malformed {what}"),
        }
    }
}

fn checksum(table_tag: u8, key: &[u8], body: &[u8]) -> u64 {
    let mut hasher = Xxh3::with_seed(u64::from(table_tag));
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(body);
    hasher.digest()
}

/// Wraps a payload for storage under `key`.
pub(in crate::engine) fn seal(table_tag: u8, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + payload.len() + CHECKSUM_LEN);
    out.push(RECORD_VERSION);
    out.extend_from_slice(payload);
    let sum = checksum(table_tag, key, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// Returns the payload of what `seal` made, or why it is not that.
pub(super) fn unseal<'a>(table_tag: u8, key: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], Unreadable> {
    let Some(split) = sealed.len().checked_sub(CHECKSUM_LEN).filter(|split| *split >= 1) else {
        return Err(Unreadable::Malformed("length"));
    };
    let (body, sum) = sealed.split_at(split);
    if checksum(table_tag, key, body).to_le_bytes() != sum {
        return Err(Unreadable::Checksum);
    }
    // After the checksum: a flipped version bit is damage, not a newer program.
    if body[0] != RECORD_VERSION {
        return Err(Unreadable::Version(body[0]));
    }
    Ok(&body[1..])
}

/// Appends one field: tag, length, bytes.
pub(in crate::engine) fn put_field(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_bytes(out, bytes);
}

/// Appends length-prefixed bytes. Callers keep single values far below 4 GiB, redb itself refuses 3.
pub(in crate::engine) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("redb refuses values that long before they get here");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads a payload from the front.
pub(in crate::engine) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Unreadable> {
        if self.0.len() < len {
            return Err(Unreadable::Malformed(what));
        }
        let (head, tail) = self.0.split_at(len);
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Unreadable> {
        Ok(self.take(N, what)?.try_into().expect("take returned N bytes"))
    }

    pub(in crate::engine) fn u8(&mut self, what: &'static str) -> Result<u8, Unreadable> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(in crate::engine) fn u32(&mut self, what: &'static str) -> Result<u32, Unreadable> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(in crate::engine) fn u64(&mut self, what: &'static str) -> Result<u64, Unreadable> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(in crate::engine) fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], Unreadable> {
        let len = self.u32(what)? as usize;
        self.take(len, what)
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<String, Unreadable> {
        text(self.bytes(what)?, what)
    }

    /// Next field, `None` at the end.
    pub(in crate::engine) fn field(&mut self) -> Result<Option<(u8, &'a [u8])>, Unreadable> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.u8("field tag")?;
        Ok(Some((tag, self.bytes("field")?)))
    }
}

pub(in crate::engine) fn text(bytes: &[u8], what: &'static str) -> Result<String, Unreadable> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Unreadable::Malformed(what))
}

/// Appends text to a key so that keys sort as the text does and no text is a prefix of another.
///
/// A zero byte becomes `00 FF`, the end is `00 00`.
pub(super) fn push_text(key: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(0xFF);
        }
    }
    key.extend_from_slice(&[0, 0]);
}

/// Takes text written by `push_text` off the front of a key.
pub(super) fn pop_text(key: &mut &[u8]) -> Result<String, Unreadable> {
    let mut out = Vec::new();
    let mut rest = *key;
    loop {
        match rest {
            [0, 0, tail @ ..] => {
                *key = tail;
                return String::from_utf8(out).map_err(|_| Unreadable::Malformed("key text"));
            }
            [0, 0xFF, tail @ ..] => {
                out.push(0);
                rest = tail;
            }
            [0, ..] | [] => return Err(Unreadable::Malformed("key text")),
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
}

/// Takes a big-endian number off the end of a key.
pub(super) fn trailing_u64(key: &[u8]) -> Result<u64, Unreadable> {
    let tail = key.last_chunk::<8>().ok_or(Unreadable::Malformed("key"))?;
    Ok(u64::from_be_bytes(*tail))
}
