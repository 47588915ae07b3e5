//! The table of an HNSW segment, a Python pickle, read without running it.
//!
//! A pickle is a program for a small stack machine that can call anything. This one knows the few instructions that
//! build a dictionary of plain values, and one class name that it takes for a name only; every other instruction is an
//! error. Pairs of `id_to_label` are handed on as they come, so memory does not grow with the number of ids.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};

/// The class older versions of Chroma pickled; it has the fields the dictionary of newer ones has.
const CLASS: (&str, &str) = ("chromadb.segment.impl.vector.local_persistent_hnsw", "PersistentData");
/// Longest text that is read; an id is far shorter.
const TEXT_LEN_MAX: u64 = 1 << 20;
/// Longest number that is read.
const NUMBER_LEN_MAX: usize = 16;
/// Deepest stack: the outer dictionary's pairs and one pair of an inner one.
const STACK_LEN_MAX: usize = 64;
/// How many texts are kept for instructions that refer back: names of fields and of the class stand at the beginning.
const KEPT_COUNT_MAX: usize = 64;

/// Why a pickle is not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum PickleError {
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("instruction {0:#04x} is not one a table of ids needs")]
    Instruction(u8),
    #[error("it names {0}, which a table of ids does not need")]
    Class(String),
    #[error("it is not a table of ids: {0}")]
    Shape(&'static str),
    #[error("a value of {0} bytes is too long")]
    TooLong(u64),
    #[error("a text is not UTF-8")]
    Text,
    #[error("the scratch database fails")]
    Scratch(#[from] rusqlite::Error),
}

/// What stands beside the ids.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Dimension of the vectors; absent in tables of newer versions.
    pub dimension: Option<i64>,
    /// Up to which change the index is; only tables of older versions say so.
    pub mark: Option<i64>,
    /// How many pairs were handed on.
    pub id_count: u64,
}

/// Where pairs of id and label go.
pub(super) type Emit<'a> = dyn FnMut(&str, i64) -> rusqlite::Result<()> + 'a;

/// Reads a table, handing on each id with its label.
pub(super) fn read(input: impl Read, emit: &mut Emit<'_>) -> Result<Summary, PickleError> {
    let mut machine = Machine {
        input: BufReader::with_capacity(1 << 16, input),
        stack: Vec::new(),
        kept: HashMap::new(),
        memo_count: 0,
        settled: None,
        summary: Summary::default(),
        saw_labels: false,
        emit,
    };
    while machine.step()? {}
    Ok(machine.summary)
}

#[derive(Clone, Debug)]
enum Atom {
    None,
    Int(i64),
    /// A boolean or a fraction; no field of interest is one.
    Other,
    Text(String),
    /// A text that was written before and has not been kept.
    Past,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dict {
    Root,
    Labels,
    /// A dictionary of no interest; its pairs are dropped.
    Other,
}

#[derive(Clone, Debug)]
enum Item {
    Mark,
    Class,
    Empty,
    Object,
    Dict(Dict),
    Atom(Atom),
}

struct Machine<'a, R> {
    input: BufReader<R>,
    stack: Vec<Item>,
    kept: HashMap<u32, Atom>,
    memo_count: u32,
    /// The value of a pair that was handed on and left the stack; only the very next instruction may refer to it.
    settled: Option<Atom>,
    summary: Summary,
    saw_labels: bool,
    emit: &'a mut Emit<'a>,
}

impl<R: Read> Machine<'_, R> {
    /// Runs one instruction; returns false after the last.
    fn step(&mut self) -> Result<bool, PickleError> {
        let instruction = self.byte()?;
        let settled = self.settled.take();
        match instruction {
            0x80 => self.protocol()?,
            // A frame only tells how far to read ahead.
            0x95 => drop(self.bytes::<8>()?),
            b'(' => self.push(Item::Mark)?,
            b'}' => self.begin_dict()?,
            b')' => self.push(Item::Empty)?,
            b'N' => self.atom(Atom::None)?,
            0x88 | 0x89 => self.atom(Atom::Other)?,
            b'G' => {
                self.bytes::<8>()?;
                self.atom(Atom::Other)?;
            }
            b'K' | b'M' | b'J' | 0x8a => self.number(instruction)?,
            0x8c | b'X' | 0x8d => self.text(instruction)?,
            0x94 | b'q' | b'r' => self.memoize(instruction, settled)?,
            b'h' | b'j' => self.recall(instruction)?,
            b'c' | 0x93 => self.class(instruction)?,
            0x81 | b'R' => self.instantiate()?,
            b's' => self.set_item()?,
            b'u' => self.set_items()?,
            b'b' => self.build()?,
            b'.' => return self.stop(),
            other => return Err(PickleError::Instruction(other)),
        }
        Ok(true)
    }

    fn protocol(&mut self) -> Result<(), PickleError> {
        match self.byte()? {
            2..=5 => Ok(()),
            _ => Err(PickleError::Shape("unknown protocol")),
        }
    }

    fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.bytes::<1>()?[0])
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn push(&mut self, item: Item) -> Result<(), PickleError> {
        if self.stack.len() >= STACK_LEN_MAX {
            return Err(PickleError::Shape("too deep"));
        }
        self.stack.push(item);
        Ok(())
    }

    /// Pushes a plain value; a pair that is complete by it leaves the stack at once instead of waiting for its batch.
    fn atom(&mut self, atom: Atom) -> Result<(), PickleError> {
        self.push(Item::Atom(atom))?;
        if let [.., Item::Dict(dict), Item::Mark, Item::Atom(_), Item::Atom(_)] = self.stack.as_slice() {
            let dict = *dict;
            let (value, key) = (self.stack.pop(), self.stack.pop());
            if let (Some(Item::Atom(key)), Some(Item::Atom(value))) = (key, value) {
                self.assign(dict, &key, &value)?;
                self.settled = Some(value);
            }
        }
        Ok(())
    }

    fn begin_dict(&mut self) -> Result<(), PickleError> {
        let dict = match self.stack.as_slice() {
            [] | [Item::Object] => Dict::Root,
            [.., Item::Dict(Dict::Root), Item::Atom(Atom::Text(name))] => inner(name),
            [.., Item::Atom(Atom::Text(name))] if self.in_batch_of_root() => inner(name),
            _ => return Err(PickleError::Shape("a dictionary where none belongs")),
        };
        if dict == Dict::Labels {
            // Two such tables would mix; the last one of a name counts in Python.
            if self.saw_labels {
                return Err(PickleError::Shape("id_to_label twice"));
            }
            self.saw_labels = true;
        }
        self.push(Item::Dict(dict))
    }

    /// Returns whether the top of the stack is the key of a pair of the outer dictionary.
    fn in_batch_of_root(&self) -> bool {
        let mark = self.stack.iter().rposition(|item| matches!(item, Item::Mark)).unwrap_or(0);
        let is_key = (self.stack.len() - mark).is_multiple_of(2);
        is_key && mark > 0 && matches!(self.stack[mark - 1], Item::Dict(Dict::Root))
    }

    fn number(&mut self, instruction: u8) -> Result<(), PickleError> {
        let number = match instruction {
            b'K' => i64::from(self.byte()?),
            b'M' => i64::from(u16::from_le_bytes(self.bytes()?)),
            b'J' => i64::from(i32::from_le_bytes(self.bytes()?)),
            _ => self.long()?,
        };
        self.atom(Atom::Int(number))
    }

    /// Reads a number of any length; one that is too large for us is cut off, as nothing of interest is that large.
    fn long(&mut self) -> Result<i64, PickleError> {
        let len = usize::from(self.byte()?);
        if len > NUMBER_LEN_MAX {
            return Err(PickleError::TooLong(len as u64));
        }
        let mut bytes = [0; NUMBER_LEN_MAX];
        self.input.read_exact(&mut bytes[..len])?;
        if len > 0 && bytes[len - 1] & 0x80 != 0 {
            bytes[len..].fill(0xff);
        }
        let number = i128::from_le_bytes(bytes);
        Ok(i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX }))
    }

    fn text(&mut self, instruction: u8) -> Result<(), PickleError> {
        let len = match instruction {
            0x8c => u64::from(self.byte()?),
            b'X' => u64::from(u32::from_le_bytes(self.bytes()?)),
            _ => u64::from_le_bytes(self.bytes()?),
        };
        if len > TEXT_LEN_MAX {
            return Err(PickleError::TooLong(len));
        }
        // Bytes are taken as they come: a length in a damaged file must not reserve memory.
        let mut bytes = Vec::new();
        (&mut self.input).take(len).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != len {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let text = String::from_utf8(bytes).map_err(|_| PickleError::Text)?;
        self.atom(Atom::Text(text))
    }

    fn memoize(&mut self, instruction: u8, settled: Option<Atom>) -> Result<(), PickleError> {
        let index = match instruction {
            b'q' => u32::from(self.byte()?),
            b'r' => u32::from_le_bytes(self.bytes()?),
            _ => self.memo_count,
        };
        self.memo_count = self.memo_count.max(index).saturating_add(1);
        if self.kept.len() >= KEPT_COUNT_MAX {
            return Ok(());
        }
        let atom = match (settled, self.stack.last()) {
            (Some(atom), _) => atom,
            (None, Some(Item::Atom(atom))) => atom.clone(),
            // Containers and the class are memoized by habit; a table of ids never refers back to them.
            (None, Some(Item::Mark | Item::Class | Item::Empty | Item::Object | Item::Dict(_)) | None) => {
                return Ok(());
            }
        };
        self.kept.insert(index, atom);
        Ok(())
    }

    fn recall(&mut self, instruction: u8) -> Result<(), PickleError> {
        let index = match instruction {
            b'h' => u32::from(self.byte()?),
            _ => u32::from_le_bytes(self.bytes()?),
        };
        let atom = self.kept.get(&index).cloned().unwrap_or(Atom::Past);
        self.atom(atom)
    }

    fn class(&mut self, instruction: u8) -> Result<(), PickleError> {
        let (module, name) = if instruction == b'c' {
            (self.line()?, self.line()?)
        } else {
            match (self.stack.pop(), self.stack.pop()) {
                (Some(Item::Atom(Atom::Text(name))), Some(Item::Atom(Atom::Text(module)))) => (module, name),
                _ => return Err(PickleError::Shape("a class without a name")),
            }
        };
        if (module.as_str(), name.as_str()) != CLASS {
            return Err(PickleError::Class(format!("{module}.{name}")));
        }
        self.push(Item::Class)
    }

    fn line(&mut self) -> Result<String, PickleError> {
        let mut bytes = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return String::from_utf8(bytes).map_err(|_| PickleError::Text),
                byte if bytes.len() < 256 => bytes.push(byte),
                _ => return Err(PickleError::TooLong(256)),
            }
        }
    }

    fn instantiate(&mut self) -> Result<(), PickleError> {
        match (self.stack.pop(), self.stack.pop()) {
            (Some(Item::Empty), Some(Item::Class)) if self.stack.is_empty() => self.push(Item::Object),
            _ => Err(PickleError::Shape("an object made of arguments")),
        }
    }

    fn set_item(&mut self) -> Result<(), PickleError> {
        let (value, key) = (self.stack.pop(), self.stack.pop());
        match (self.stack.last(), key, value) {
            (Some(Item::Dict(dict)), Some(Item::Atom(key)), Some(value)) => self.store(*dict, &key, value),
            _ => Err(PickleError::Shape("a pair outside a dictionary")),
        }
    }

    fn set_items(&mut self) -> Result<(), PickleError> {
        let mark = self.stack.iter().rposition(|item| matches!(item, Item::Mark));
        let mark = mark.ok_or(PickleError::Shape("pairs without a beginning"))?;
        let mut pairs = self.stack.split_off(mark).into_iter().skip(1);
        let Some(&Item::Dict(dict)) = self.stack.last() else {
            return Err(PickleError::Shape("pairs outside a dictionary"));
        };
        while let Some(key) = pairs.next() {
            match (key, pairs.next()) {
                (Item::Atom(key), Some(value)) => self.store(dict, &key, value)?,
                _ => return Err(PickleError::Shape("half a pair")),
            }
        }
        Ok(())
    }

    fn store(&mut self, dict: Dict, key: &Atom, value: Item) -> Result<(), PickleError> {
        match value {
            Item::Atom(value) => self.assign(dict, key, &value),
            // Its pairs were handed on or dropped when they came.
            Item::Dict(_) if dict != Dict::Labels => Ok(()),
            Item::Dict(_) | Item::Mark | Item::Class | Item::Empty | Item::Object => {
                Err(PickleError::Shape("a value of another kind"))
            }
        }
    }

    fn assign(&mut self, dict: Dict, key: &Atom, value: &Atom) -> Result<(), PickleError> {
        match (dict, key, value) {
            (Dict::Other, _, _) => Ok(()),
            (Dict::Root, Atom::Text(name), value) => {
                let number = match value {
                    Atom::Int(number) => Some(*number),
                    Atom::None | Atom::Other | Atom::Text(_) | Atom::Past => None,
                };
                match name.as_str() {
                    "dimensionality" => self.summary.dimension = number,
                    "max_seq_id" => self.summary.mark = number,
                    _ => {}
                }
                Ok(())
            }
            (Dict::Labels, Atom::Text(id), Atom::Int(label)) if *label >= 0 => {
                self.summary.id_count += 1;
                Ok((self.emit)(id, *label)?)
            }
            (Dict::Root | Dict::Labels, _, _) => {
                Err(PickleError::Shape("a pair that is not an id and its label"))
            }
        }
    }

    fn build(&mut self) -> Result<(), PickleError> {
        match (self.stack.pop(), self.stack.last()) {
            (Some(Item::Dict(Dict::Root)), Some(Item::Object)) => Ok(()),
            _ => Err(PickleError::Shape("an object built of something else")),
        }
    }

    fn stop(&mut self) -> Result<bool, PickleError> {
        match self.stack.as_slice() {
            [Item::Dict(Dict::Root) | Item::Object] if self.saw_labels => Ok(false),
            _ => Err(PickleError::Shape("no id_to_label")),
        }
    }
}

fn inner(name: &str) -> Dict {
    if name == "id_to_label" { Dict::Labels } else { Dict::Other }
}
