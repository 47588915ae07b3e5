//! Both derived indexes together: applying commits, replaying the log, rebuilding.
//!
//! Invariant: `vectors` and `text` reflect exactly the first `applied_seq` commits. A record that
//! cannot be read is left out of its index; then the index knows fewer rows than the store, is not
//! saved, and `verify` names the drawer.

use std::collections::BTreeSet;
use std::sync::Arc;

use redb::ReadTransaction;

use super::error::ReadError;
use super::index::code::{Code, identity_of};
use super::index::vectors::{Prepared, Vectors};
use super::prepared::PreparedRow;
use super::snapshot::{Kind, Loaded, SnapshotDir};
use super::store::read;
use super::store::records::{State, Touch, decode_vector};
use super::text::postings::TextIndex;
use super::text::vocabulary::{Terms, Vocabulary, terms};
use super::types::{EngineOptions, RowKey, Seq};

pub(super) struct Derived {
    pub vectors: Vectors,
    pub text: TextIndex,
    /// History both indexes reflect.
    pub applied_seq: Seq,
    /// Rows of the store at `applied_seq`.
    pub rows: u64,
    /// Rows changed since the saved indexes were written: what a start after a crash would replay, all of them if
    /// there is nothing to start from.
    pub unsaved: u64,
}

/// A committed change, made ready outside the lock.
pub(super) enum Change {
    Put { key: RowKey, vector: Prepared, terms: Terms },
    PutPrepared { key: RowKey, row: Arc<PreparedRow> },
    Remove(RowKey),
}

/// Makes a stored vector ready for the index. `None` for bytes no unit vector has.
pub(super) fn prepare_vector(stored: &[u8], dimension: usize) -> Option<Prepared> {
    let vector = decode_vector(stored);
    let sound = stored.len() == dimension * 2
        && vector.iter().all(|value| value.is_finite())
        && vector.iter().any(|value| *value != 0.0);
    sound.then(|| Prepared { hash: identity_of(stored), code: Code::of(&vector) })
}

impl Derived {
    /// Brings up both indexes: from a saved one and the log where possible, from the store otherwise.
    pub fn load(
        txn: &ReadTransaction,
        options: &EngineOptions,
        saved: &SnapshotDir,
    ) -> Result<(Derived, Loaded), ReadError> {
        let state = read::state(txn)?;
        let mut loaded = Loaded::default();
        let (vectors, vectors_replayed) = load_one::<Vectors>(txn, &state, options, saved, &mut loaded)?;
        let (text, text_replayed) = load_one::<TextIndex>(txn, &state, options, saved, &mut loaded)?;
        let unsaved = vectors_replayed.max(text_replayed);
        Ok((Derived { vectors, text, applied_seq: state.seq, rows: state.rows, unsaved }, loaded))
    }

    /// Applies one commit.
    pub fn apply(&mut self, changes: Vec<Change>, state: &State) {
        debug_assert_eq!(self.applied_seq.0 + 1, state.seq.0, "commits are applied in order");
        self.unsaved += changes.len() as u64;
        for change in changes {
            match change {
                Change::Put { key, vector, terms } => {
                    self.vectors.put(key, &vector);
                    self.text.put(key, &terms);
                }
                Change::PutPrepared { key, row } => {
                    self.vectors.put(key, row.vector());
                    self.text.put(key, row.terms());
                }
                Change::Remove(key) => {
                    self.vectors.remove(key);
                    self.text.remove(key);
                }
            }
        }
        self.applied_seq = state.seq;
        self.rows = state.rows;
    }

    /// Catches up with a store that may have moved while the handle was unusable.
    pub fn resync(&mut self, txn: &ReadTransaction, options: &EngineOptions) -> Result<(), ReadError> {
        let state = read::state(txn)?;
        let touched =
            if self.applied_seq <= state.seq { history(txn, self.applied_seq, state.seq)? } else { None };
        match touched {
            Some(touched) => {
                self.unsaved += replay(&mut self.vectors, txn, options, &touched)?;
                replay(&mut self.text, txn, options, &touched)?;
            }
            None => {
                self.vectors = rebuild(txn, options)?;
                self.text = rebuild(txn, options)?;
                self.unsaved = state.rows;
            }
        }
        (self.applied_seq, self.rows) = (state.seq, state.rows);
        Ok(())
    }
}

/// An index that can be derived from the store, row by row.
trait Derivable: Sized {
    const KIND: Kind;

    fn empty(options: &EngineOptions) -> Self;
    fn from_body(body: &[u8], options: &EngineOptions) -> Option<Self>;
    fn indexed(&self) -> u64;
    /// Takes a row's present state from the store, whatever it was before.
    fn refresh(
        &mut self,
        txn: &ReadTransaction,
        key: RowKey,
        options: &EngineOptions,
    ) -> Result<(), ReadError>;
    /// Takes every row of the store.
    fn fill(&mut self, txn: &ReadTransaction, options: &EngineOptions) -> Result<(), ReadError>;
}

impl Derivable for Vectors {
    const KIND: Kind = Kind::Vectors;

    fn empty(options: &EngineOptions) -> Self {
        Vectors::new(options.dimension, options.exact_scan_max)
    }

    fn from_body(body: &[u8], options: &EngineOptions) -> Option<Self> {
        Vectors::read_from(body, options.dimension, options.exact_scan_max, options.search_threads)
    }

    fn indexed(&self) -> u64 {
        self.catalogue.rows_len() as u64
    }

    fn refresh(
        &mut self,
        txn: &ReadTransaction,
        key: RowKey,
        options: &EngineOptions,
    ) -> Result<(), ReadError> {
        let stored = without_damaged(read::vector_bytes(txn, key))?;
        match stored.and_then(|stored| prepare_vector(&stored, options.dimension)) {
            Some(vector) => self.put(key, &vector),
            None => self.remove(key),
        }
        Ok(())
    }

    fn fill(&mut self, txn: &ReadTransaction, options: &EngineOptions) -> Result<(), ReadError> {
        read::each_vector(txn, |key, stored| {
            if let Some(vector) = stored.ok().and_then(|stored| prepare_vector(stored, options.dimension)) {
                self.put(key, &vector);
            }
        })
    }
}

impl Derivable for TextIndex {
    const KIND: Kind = Kind::Text;

    fn empty(_: &EngineOptions) -> Self {
        TextIndex::default()
    }

    fn from_body(body: &[u8], _: &EngineOptions) -> Option<Self> {
        TextIndex::read_from(body)
    }

    fn indexed(&self) -> u64 {
        self.len() as u64
    }

    fn refresh(&mut self, txn: &ReadTransaction, key: RowKey, _: &EngineOptions) -> Result<(), ReadError> {
        match without_damaged(read::row_of_key(txn, key))? {
            Some(row) => self.put(key, &terms(&row.document)),
            None => self.remove(key),
        }
        Ok(())
    }

    fn fill(&mut self, txn: &ReadTransaction, _: &EngineOptions) -> Result<(), ReadError> {
        let mut vocabulary = Vocabulary::default();
        read::each_row(txn, |key, row| {
            if let Ok(row) = row {
                self.put(key, &vocabulary.terms(&row.document));
            }
        })
    }
}

/// Takes a record that fails its checks for one the index cannot know. Other faults stay errors.
fn without_damaged<T>(read: Result<Option<T>, ReadError>) -> Result<Option<T>, ReadError> {
    match read {
        Err(ReadError::Damaged { .. }) => Ok(None),
        Ok(_) | Err(ReadError::Io(_) | ReadError::NeedsReopen | ReadError::BadQuery { .. }) => read,
    }
}

/// Returns the index and how many rows it had to take from the store.
fn load_one<I: Derivable>(
    txn: &ReadTransaction,
    state: &State,
    options: &EngineOptions,
    saved: &SnapshotDir,
    loaded: &mut Loaded,
) -> Result<(I, u64), ReadError> {
    for candidate in saved.candidates(I::KIND, state.seq) {
        let Some(mut index) = I::from_body(&candidate.body, options) else { continue };
        if index.indexed() != candidate.count {
            continue;
        }
        let Some(touched) = history(txn, candidate.seq, state.seq)? else { continue };
        let replayed = replay(&mut index, txn, options, &touched)?;
        if index.indexed() == state.rows {
            loaded.note(I::KIND, candidate.generation, candidate.seq);
            return Ok((index, replayed));
        }
    }
    Ok((rebuild(txn, options)?, state.rows))
}

/// Returns what was touched since, `None` when the log cannot tell: it only saves a rebuild, so a damaged entry is no
/// reason to fail.
fn history(txn: &ReadTransaction, since: Seq, until: Seq) -> Result<Option<Vec<(Touch, RowKey)>>, ReadError> {
    without_damaged(read::touched_since(txn, since, until))
}

/// Takes what was touched from the store; returns how many rows that were.
fn replay<I: Derivable>(
    index: &mut I,
    txn: &ReadTransaction,
    options: &EngineOptions,
    touched: &[(Touch, RowKey)],
) -> Result<u64, ReadError> {
    let keys: BTreeSet<RowKey> =
        touched.iter().filter(|(touch, _)| *touch != Touch::Meta).map(|(_, key)| *key).collect();
    let count = keys.len() as u64;
    for key in keys {
        index.refresh(txn, key, options)?;
    }
    Ok(count)
}

fn rebuild<I: Derivable>(txn: &ReadTransaction, options: &EngineOptions) -> Result<I, ReadError> {
    let mut index = I::empty(options);
    index.fill(txn, options)?;
    Ok(index)
}
