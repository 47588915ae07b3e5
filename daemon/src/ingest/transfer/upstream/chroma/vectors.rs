//! Where each row's vector stands: in the files of the index, or in the queue.
//!
//! The index is the older state, the queue is laid over it. Segments that MemPalace has put aside come first and count
//! least: an index that was begun anew after them holds only what the queue still had. Every vector is judged alone, so
//! what made MemPalace distrust a segment does no harm; and none is taken that may be of an earlier text.

use super::super::database::Database;
use super::super::error::UpstreamError;
use super::super::inventory::VectorCounts;
use super::super::scratch::Scratch;
use super::super::vector::{self, Scale};
use super::catalog::Collection;
use super::queue::{self, Change, Operation};
use super::segments::Segments;

/// The source of vectors that stand in the queue; segments are counted from 1.
const FROM_QUEUE: i64 = 0;

/// Where the vector of a row stands.
pub(super) struct Found {
    pub source: i64,
    pub place: Option<i64>,
    /// Why it is not used.
    pub fault: Option<String>,
}

/// The vectors of a collection.
pub(super) struct Vectors {
    segments: Segments,
    /// Why none is used.
    objection: Option<String>,
    dimension: Option<usize>,
    number: i64,
}

impl Vectors {
    /// Returns the vectors of segments, or none if there is something against their model.
    pub fn new(collection: &Collection, segments: Segments, objection: Option<String>) -> Vectors {
        Vectors {
            segments,
            objection,
            dimension: collection.dimension.and_then(|dimension| usize::try_from(dimension).ok()),
            number: collection.number,
        }
    }

    /// Lays one change over the index.
    pub fn apply(
        &self,
        scratch: &Scratch,
        change: &Change,
        operation: Operation,
    ) -> Result<(), UpstreamError> {
        if self.objection.is_some() {
            return Ok(());
        }
        if operation == Operation::Delete {
            let sql = "DELETE FROM vector WHERE collection = ?1 AND id = ?2";
            scratch.conn.prepare_cached(sql)?.execute((self.number, &change.id))?;
            return Ok(());
        }
        let Some(len) = change.vector_len else {
            return Ok(());
        };
        let sql = match operation {
            // Adding what is there is void, unless what is there cannot be used.
            Operation::Add => {
                "INSERT INTO vector(collection, id, source, place, fault) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET source = ?3, place = ?4, fault = ?5 WHERE fault IS NOT NULL"
            }
            Operation::Update if self.segments.are_complete() => {
                "UPDATE vector SET source = ?3, place = ?4, fault = ?5 WHERE collection = ?1 AND id = ?2"
            }
            Operation::Update | Operation::Upsert | Operation::Delete => {
                "INSERT OR REPLACE INTO vector(collection, id, source, place, fault) VALUES (?1, ?2, ?3, ?4, ?5)"
            }
        };
        let fault = self.fault(change, len);
        scratch.conn.prepare_cached(sql)?.execute((
            self.number,
            &change.id,
            FROM_QUEUE,
            change.seq,
            fault,
        ))?;
        Ok(())
    }

    fn fault(&self, change: &Change, len: i64) -> Option<String> {
        let expected = self.dimension.map(|dimension| dimension * 4);
        if !change.is_float32 {
            Some("the queue has its vector in an unknown encoding".to_owned())
        } else if expected.is_some_and(|expected| usize::try_from(len) != Ok(expected)) {
            Some(format!("the queue has a vector of {len} bytes for it"))
        } else {
            None
        }
    }

    /// Gives up vectors that may be of an earlier text than the row's.
    ///
    /// The change that made a row what it is brings its vector or is in the queue without one. If the queue no longer has
    /// that change, nothing tells whether it brought a vector. To be called when all rows are known and the queue is
    /// applied.
    pub fn distrust_stale(
        &self,
        db: &Database,
        scratch: &Scratch,
        collection: &Collection,
        queue_is_whole: bool,
    ) -> Result<u64, UpstreamError> {
        let mark = self.index_mark(db, scratch, collection)?.unwrap_or(i64::MAX);
        let sql = "UPDATE vector SET fault = 'the vector that is left may be of an earlier text'
            WHERE collection = ?1 AND fault IS NULL AND EXISTS (
                SELECT 1 FROM row WHERE row.collection = ?1 AND row.id = vector.id
                    AND own > CASE vector.source WHEN ?2 THEN vector.place ELSE ?3 END
                    AND NOT (?4 AND EXISTS (
                        SELECT 1 FROM queued WHERE queued.collection = ?1 AND queued.id = row.id AND seq = own)))";
        let count = scratch.conn.execute(sql, (self.number, FROM_QUEUE, mark, queue_is_whole))?;
        Ok(count as u64)
    }

    /// Returns up to which change the index certainly is; none if there is no reason to ask.
    fn index_mark(
        &self,
        db: &Database,
        scratch: &Scratch,
        collection: &Collection,
    ) -> Result<Option<i64>, UpstreamError> {
        let ask = |sql: &str| scratch.conn.query_row(sql, [self.number], |row| row.get::<_, Option<i64>>(0));
        let recorded = collection.vector_segment.as_deref().and_then(|segment| queue::recorded(db, segment));
        let last_of_rows: Option<i64> =
            scratch.conn.query_row("SELECT max(own) FROM row", [], |row| row.get(0))?;
        let last = queue::last_seq(db)?.max(last_of_rows.unwrap_or(0));
        match recorded {
            Some(queue::Recorded::Seq(mark)) if mark <= last => Ok(Some(mark)),
            // The queue is the end of the history, so the index has what was before it; but a mark that is too high
            // makes Chroma empty the queue, and then nothing is certain.
            Some(queue::Recorded::Seq(_) | queue::Recorded::Garbage) => {
                let first = ask("SELECT min(seq) FROM queued WHERE collection = ?1")?;
                Ok(Some(first.map_or(-1, |first| first - 1)))
            }
            None => Ok(self.segments.mark()),
        }
    }

    /// Returns the vector of a row, or why it has none, from where the scratch database says that it stands.
    pub fn vector(&self, db: &Database, found: Option<Found>) -> Result<Vec<f32>, String> {
        if let Some(objection) = &self.objection {
            return Err(objection.clone());
        }
        match found {
            Some(Found { fault: Some(fault), .. }) => Err(fault),
            Some(Found { source: FROM_QUEUE, place: Some(seq), .. }) => self.queued(db, seq),
            Some(Found { source, place: Some(place), .. }) => self.segments.vector(source, place),
            Some(Found { place: None, .. }) | None => Err(self.segments.absent().to_owned()),
        }
    }

    fn queued(&self, db: &Database, seq: i64) -> Result<Vec<f32>, String> {
        let bytes = queue::vector(db, seq).map_err(|_| "the queue is damaged where its vector stands")?;
        let bytes = bytes.unwrap_or_default();
        let dimension = self.dimension.unwrap_or(bytes.len() / 4);
        vector::decode(&bytes, dimension, Scale::Any).map_err(|damage| damage.to_string())
    }

    /// Returns the source of the vectors of the index in use, whose ids are rows unless the queue removes them.
    pub fn live(&self) -> Option<i64> {
        self.segments.live()
    }

    /// Refuses if the files have changed since they were opened.
    pub fn check_unchanged(&self) -> Result<(), UpstreamError> {
        self.segments.check_unchanged()
    }

    /// Counts rows by where their vector stands.
    pub fn counts(&self, scratch: &Scratch) -> Result<VectorCounts, UpstreamError> {
        let sql = "SELECT source = ?2, vector.id IS NULL OR fault IS NOT NULL, count(*)
            FROM row LEFT JOIN vector USING (collection, id) WHERE row.collection = ?1 GROUP BY 1, 2";
        let mut counts = VectorCounts::default();
        let mut statement = scratch.conn.prepare(sql)?;
        let mut groups = statement.query((self.number, FROM_QUEUE))?;
        while let Some(group) = groups.next()? {
            let count = u64::try_from(group.get::<_, i64>(2)?).unwrap_or(0);
            let (is_queued, is_missing): (Option<bool>, bool) = (group.get(0)?, group.get(1)?);
            match (is_missing, is_queued) {
                (true, _) | (false, None) => counts.missing += count,
                (false, Some(true)) => counts.in_queue += count,
                (false, Some(false)) => counts.in_index += count,
            }
        }
        Ok(counts)
    }
}
