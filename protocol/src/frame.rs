//! Newline framing without I/O: bytes go in, lines come out, and a line over the limit is reported, never buffered.
//!
//! Invariant: the splitter never holds more than the limit plus one read. An over-long line is discarded up to its
//! newline and reported once, so one bad line costs its sender one answer and nobody a connection.

/// What the splitter found.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// One line without its terminator (`\n`, or `\r\n`) and without a leading byte-order mark.
    Line(Vec<u8>),
    /// A line longer than the limit was thrown away. `head` keeps its first bytes so that an id may be found in it.
    TooLong {
        /// The first bytes of the discarded line, at most [`HEAD_LEN_BYTES`].
        head: Vec<u8>,
    },
}

/// How much of an over-long line is kept for the error answer, in bytes.
pub const HEAD_LEN_BYTES: usize = 512;

/// Splits a byte stream into lines of limited length.
#[derive(Debug)]
pub struct LineSplitter {
    buffer: Vec<u8>,
    scanned: usize,
    limit_bytes: usize,
    discarding: Option<Vec<u8>>,
}

impl LineSplitter {
    /// Returns a splitter that accepts lines of up to `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        Self { buffer: Vec::new(), scanned: 0, limit_bytes, discarding: None }
    }

    /// Adds bytes as they were read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete frame, or `None` until more bytes are pushed.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            match self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
                Some(offset) => {
                    let end = self.scanned + offset;
                    let rest = self.buffer.split_off(end + 1);
                    let mut line = std::mem::replace(&mut self.buffer, rest);
                    self.scanned = 0;
                    line.truncate(end);
                    if let Some(head) = self.discarding.take() {
                        return Some(Frame::TooLong { head });
                    }
                    if line.len() > self.limit_bytes {
                        line.truncate(HEAD_LEN_BYTES);
                        return Some(Frame::TooLong { head: line });
                    }
                    trim(&mut line);
                    if line.is_empty() {
                        continue;
                    }
                    return Some(Frame::Line(line));
                }
                None => {
                    self.scanned = self.buffer.len();
                    self.discard_overflow();
                    return None;
                }
            }
        }
    }

    /// Returns what stands after the last newline once the stream has ended, if anything does.
    pub fn finish(&mut self) -> Option<Frame> {
        if let Some(head) = self.discarding.take() {
            return Some(Frame::TooLong { head });
        }
        let mut line = std::mem::take(&mut self.buffer);
        self.scanned = 0;
        trim(&mut line);
        (!line.is_empty()).then_some(Frame::Line(line))
    }

    /// Returns bytes read past the last complete frame, leaving the splitter empty.
    pub fn into_remainder(self) -> Vec<u8> {
        self.buffer
    }

    fn discard_overflow(&mut self) {
        if self.discarding.is_some() {
            self.buffer.clear();
            self.scanned = 0;
        } else if self.buffer.len() > self.limit_bytes {
            self.buffer.truncate(HEAD_LEN_BYTES);
            self.discarding = Some(std::mem::take(&mut self.buffer));
            self.buffer.shrink_to_fit();
            self.scanned = 0;
        }
    }
}

fn trim(line: &mut Vec<u8>) {
    while line.last().is_some_and(|byte| matches!(byte, b'\r' | b' ' | b'\t')) {
        line.pop();
    }
    if line.starts_with(&[0xEF, 0xBB, 0xBF]) {
        line.drain(..3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limit: usize, pieces: &[&[u8]], expect: &[Frame]) {
        let mut splitter = LineSplitter::new(limit);
        let mut found = Vec::new();
        for piece in pieces {
            splitter.push(piece);
            while let Some(frame) = splitter.next_frame() {
                found.push(frame);
            }
        }
        found.extend(splitter.finish());
        assert_eq!(found, expect);
    }

    fn line(text: &str) -> Frame {
        Frame::Line(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_come_out_whole_however_they_arrive() {
        check(64, &[b"one\ntwo\n"], &[line("one"), line("two")]);
        check(64, &[b"o", b"n", b"e\nt", b"wo\n"], &[line("one"), line("two")]);
    }

    #[test]
    fn blank_lines_carriage_returns_and_byte_order_marks_are_not_data() {
        check(64, &[b"\xEF\xBB\xBFone\r\n\r\n\n  \ntwo"], &[line("one"), line("two")]);
    }

    #[test]
    fn an_over_long_line_is_reported_once_and_the_next_one_is_intact() {
        check(4, &[b"123456\nok\n"], &[Frame::TooLong { head: b"123456".to_vec() }, line("ok")]);
        check(4, &[b"12345", b"678", b"9\nok\n"], &[Frame::TooLong { head: b"12345".to_vec() }, line("ok")]);
    }

    #[test]
    fn an_over_long_line_is_never_buffered() {
        let mut splitter = LineSplitter::new(1024);
        for _ in 0..10_000 {
            splitter.push(&[b'x'; 1024]);
            assert_eq!(splitter.next_frame(), None);
            assert!(splitter.buffer.len() <= 2048);
        }
    }

    #[test]
    fn a_last_line_without_newline_is_still_a_line() {
        check(64, &[b"half"], &[line("half")]);
    }
}
