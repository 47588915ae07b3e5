//! Where each row's vector stands: in the index's files, or in the queue.
//!
//! The index is the older state, the queue is laid over it. A segment that MemPalace has put aside is read only when
//! nothing has taken its place; every vector is judged alone, so what made MemPalace distrust it does no harm.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::OptionalExtension as _;

use super::super::database::Database;
use super::super::error::UpstreamError;
use super::super::files;
use super::super::hnsw::{Segment, TABLE_FILE};
use super::super::inventory::VectorCounts;
use super::super::pickle;
use super::super::scratch::Scratch;
use super::super::vector::{self, Scale};
use super::catalog::Collection;
use super::queue::{self, Change, Operation};

/// What stands between the name of a segment and the time it was put aside.
const PUT_ASIDE: [&str; 2] = [".drift-", ".corrupt-"];
/// The only code of a source that is not the index's files.
const FROM_QUEUE: i64 = 1;
const FROM_INDEX: i64 = 0;

/// The vectors of a collection.
pub(super) struct Vectors {
    segment: Option<Segment>,
    /// Why a row that is found nowhere has no vector.
    absent: String,
    /// Whether everything an index ever held is at hand, so that a change of what it does not hold is void.
    is_complete: bool,
    /// Why none is used.
    objection: Option<String>,
    dimension: Option<usize>,
    number: i64,
}

impl Vectors {
    /// Finds the vectors of a collection's index.
    pub fn load(
        palace: &Path,
        collection: &Collection,
        objection: Option<String>,
        scratch: &Scratch,
        notes: &mut Vec<String>,
    ) -> Result<Vectors, UpstreamError> {
        let mut vectors = Vectors {
            segment: None,
            absent: "neither the index nor the queue has its vector".to_owned(),
            is_complete: false,
            objection,
            dimension: collection.dimension.and_then(|dimension| usize::try_from(dimension).ok()),
            number: collection.number,
        };
        if vectors.objection.is_some() {
            return Ok(vectors);
        }
        for dir in candidates(palace, collection, notes) {
            match scratch.in_one(|| read(&dir.path, collection, scratch))? {
                Ok(found) => {
                    found.tell(&dir, collection, notes);
                    vectors.is_complete = !dir.is_put_aside && found.lost_count == 0;
                    vectors.segment = Some(found.segment);
                    return Ok(vectors);
                }
                Err(reason) => {
                    notes.push(format!("index {} is not read: {reason}", dir.path.display()));
                    vectors.absent = reason;
                }
            }
        }
        Ok(vectors)
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
            Operation::Update if self.is_complete => {
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

    /// Returns the vector of a row, or why it has none.
    pub fn vector(
        &self,
        db: &Database,
        scratch: &Scratch,
        id: &str,
    ) -> Result<Result<Vec<f32>, String>, UpstreamError> {
        if let Some(objection) = &self.objection {
            return Ok(Err(objection.clone()));
        }
        let sql = "SELECT source, place, fault FROM vector WHERE collection = ?1 AND id = ?2";
        let mut statement = scratch.conn.prepare_cached(sql)?;
        let found: Option<(i64, Option<i64>, Option<String>)> = statement
            .query_row((self.number, id), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        Ok(match (found, &self.segment) {
            (None, _) => Err(self.absent.clone()),
            (Some((_, _, Some(fault))), _) => Err(fault),
            (Some((FROM_INDEX, Some(place), None)), Some(segment)) => segment.vector(place),
            (Some((_, Some(seq), None)), _) => self.queued(db, seq),
            (Some((_, None, None)), _) => Err(self.absent.clone()),
        })
    }

    fn queued(&self, db: &Database, seq: i64) -> Result<Vec<f32>, String> {
        let bytes = queue::vector(db, seq).map_err(|_| "the queue is damaged where its vector stands")?;
        let bytes = bytes.unwrap_or_default();
        let dimension = self.dimension.unwrap_or(bytes.len() / 4);
        vector::decode(&bytes, dimension, Scale::Any).map_err(|damage| damage.to_string())
    }

    /// Refuses if the files have changed since they were opened.
    pub fn check_unchanged(&self) -> Result<(), UpstreamError> {
        self.segment.as_ref().map_or(Ok(()), Segment::check_unchanged)
    }

    /// Counts rows by where their vector stands.
    pub fn counts(&self, scratch: &Scratch) -> Result<VectorCounts, UpstreamError> {
        let sql = "SELECT coalesce(source, -1), vector.place IS NULL OR fault IS NOT NULL, count(*)
            FROM row LEFT JOIN vector USING (collection, id) WHERE row.collection = ?1 GROUP BY 1, 2";
        let mut counts = VectorCounts::default();
        let mut statement = scratch.conn.prepare(sql)?;
        let mut groups = statement.query([self.number])?;
        while let Some(group) = groups.next()? {
            let count = u64::try_from(group.get::<_, i64>(2)?).unwrap_or(0);
            match (group.get(0)?, group.get(1)?) {
                (FROM_INDEX, false) => counts.in_index += count,
                (FROM_QUEUE, false) => counts.in_queue += count,
                _ => counts.missing += count,
            }
        }
        Ok(counts)
    }
}

struct Candidate {
    path: PathBuf,
    is_put_aside: bool,
}

/// Returns the directories that may hold a collection's index, best first.
fn candidates(palace: &Path, collection: &Collection, notes: &mut Vec<String>) -> Vec<Candidate> {
    let Some(name) = collection.vector_segment.as_deref().filter(|name| is_plain(name)) else {
        return Vec::new();
    };
    let live = palace.join(name);
    if live.join(TABLE_FILE).exists() {
        return vec![Candidate { path: live, is_put_aside: false }];
    }
    let mut aside: Vec<(String, PathBuf)> = fs::read_dir(palace)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let file_name = entry.file_name().into_string().ok()?;
            let rest = file_name.strip_prefix(name)?;
            let time = PUT_ASIDE.iter().find_map(|kind| rest.strip_prefix(kind))?;
            Some((time.to_owned(), entry.path()))
        })
        .collect();
    aside.sort_by(|a, b| b.cmp(a));
    if !aside.is_empty() {
        notes.push(format!(
            "the index of collection {:?} was put aside by MemPalace; vectors in it that are sound are used",
            collection.name
        ));
    }
    aside.into_iter().map(|(_, path)| Candidate { path, is_put_aside: true }).collect()
}

/// Returns whether a segment's name, which comes from the database, can be the name of a directory in the palace.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

struct Found {
    segment: Segment,
    /// Ids the table has and the elements do not.
    lost_count: u64,
}

impl Found {
    fn tell(&self, dir: &Candidate, collection: &Collection, notes: &mut Vec<String>) {
        let (readable, all) = (self.segment.readable_count, self.segment.header().element_count);
        if readable < all {
            notes.push(format!("index {} ends after {readable} of {all} vectors", dir.path.display()));
        }
        if self.lost_count > 0 {
            let (count, name) = (self.lost_count, &collection.name);
            notes.push(format!("{count} vectors of the index of collection {name:?} cannot be used"));
        }
    }
}

/// Reads the table and the elements of a segment and joins them; the inner error says why the segment is not usable.
fn read(
    dir: &Path,
    collection: &Collection,
    scratch: &Scratch,
) -> Result<Result<Found, String>, UpstreamError> {
    let segment = match Segment::open(dir, collection.dimension, collection.scale) {
        Ok(segment) => segment,
        Err(error) => return Ok(Err(error.to_string())),
    };
    scratch.conn.execute_batch("DELETE FROM label; DELETE FROM place")?;
    if let Err(reason) = read_table(&dir.join(TABLE_FILE), &segment, scratch)? {
        return Ok(Err(reason));
    }
    let mut insert =
        scratch.conn.prepare("INSERT OR REPLACE INTO place(label, place, fault) VALUES (?1, ?2, ?3)")?;
    segment.each_element(&mut |element| {
        let fault = element.damage.map(|damage| damage.to_string());
        insert.execute((element.label, element.place, fault))?;
        Ok(())
    })?;
    let join = "INSERT OR REPLACE INTO vector(collection, id, source, place, fault)
        SELECT ?1, label.id, ?2, place.place,
            CASE WHEN place.label IS NULL THEN 'the file of the index ends before its vector' ELSE place.fault END
        FROM label LEFT JOIN place ON place.label = label.label";
    scratch.conn.execute(join, (collection.number, FROM_INDEX))?;
    let lost_count: i64 = scratch.conn.query_row(
        "SELECT count(*) FROM vector WHERE collection = ?1 AND fault IS NOT NULL",
        [collection.number],
        |row| row.get(0),
    )?;
    scratch.conn.execute_batch("DELETE FROM label; DELETE FROM place")?;
    Ok(Ok(Found { segment, lost_count: u64::try_from(lost_count).unwrap_or(0) }))
}

fn read_table(
    path: &Path,
    segment: &Segment,
    scratch: &Scratch,
) -> Result<Result<(), String>, UpstreamError> {
    let file = match files::open(path) {
        Ok(file) => file,
        Err(error) => return Ok(Err(format!("{TABLE_FILE} cannot be read: {error}"))),
    };
    let mut insert = scratch.conn.prepare("INSERT OR REPLACE INTO label(id, label) VALUES (?1, ?2)")?;
    let count = Cell::new(0_u64);
    let summary = pickle::read(file, &mut |id, label| {
        count.set(count.get() + 1);
        insert.execute((id, label)).map(drop)
    });
    match summary {
        Ok(summary) => match summary.dimension.map(u64::try_from) {
            Some(dimension) if dimension != Ok(segment.header().dimension()) => {
                Ok(Err(format!("{TABLE_FILE} and the index differ in dimension")))
            }
            Some(_) | None => Ok(Ok(())),
        },
        Err(pickle::PickleError::Scratch(source)) => Err(source.into()),
        Err(error) => Ok(Err(format!("{TABLE_FILE} is damaged after {} ids: {error}", count.get()))),
    }
}
