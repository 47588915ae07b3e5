//! The segments of a collection's index: the one in use, and those MemPalace has put aside.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::error::UpstreamError;
use super::super::files;
use super::super::hnsw::{Segment, TABLE_FILE};
use super::super::pickle::{self, PickleError, Summary};
use super::super::scratch::Scratch;
use super::catalog::Collection;

/// What stands between the name of a segment and the time it was put aside.
const PUT_ASIDE: [&str; 2] = [".drift-", ".corrupt-"];

/// The segments that could be read, their elements joined with their ids in the scratch database.
pub(super) struct Segments {
    opened: Vec<Segment>,
    /// Why a row that is found nowhere has no vector.
    absent: String,
    /// Whether everything the index ever held is at hand.
    are_complete: bool,
    /// Up to which change the one in use is, if its table says so.
    mark: Option<i64>,
    /// Its source, if it could be read.
    live: Option<i64>,
}

impl Segments {
    /// Returns none.
    pub fn none() -> Segments {
        Segments {
            opened: Vec::new(),
            absent: "neither the index nor the queue has its vector".to_owned(),
            are_complete: false,
            mark: None,
            live: None,
        }
    }

    /// Reads the segments of a collection, those put aside first, so that later ones count over earlier ones.
    pub fn load(
        palace: &Path,
        collection: &Collection,
        scratch: &Scratch,
        notes: &mut Vec<String>,
    ) -> Result<Segments, UpstreamError> {
        let mut segments = Segments::none();
        let dirs = directories(palace, collection);
        if dirs.iter().any(|dir| dir.is_put_aside) {
            notes.push(format!(
                "an index of collection {:?} was put aside by MemPalace; vectors that stand only there are used if \
                 they are sound",
                collection.name
            ));
        }
        for dir in &dirs {
            // Counted from 1: 0 is the queue.
            let source = i64::try_from(segments.opened.len()).expect("few directories") + 1;
            match scratch.in_one(|| read(&dir.path, collection, source, scratch))? {
                Ok(found) => {
                    found.tell(&dir.path, notes);
                    segments.are_complete = dirs.len() == 1 && !dir.is_put_aside && found.fault_count == 0;
                    segments.mark = found.summary.mark.filter(|_| !dir.is_put_aside);
                    segments.live = (!dir.is_put_aside).then_some(source);
                    segments.opened.push(found.segment);
                }
                Err(reason) => {
                    notes.push(format!("index {} is not read: {reason}", dir.path.display()));
                    segments.absent = reason;
                }
            }
        }
        Ok(segments)
    }

    /// Returns why a row that is found nowhere has no vector.
    pub fn absent(&self) -> &str {
        &self.absent
    }

    /// Returns whether everything the index ever held is at hand, so that a change of what it does not hold is void.
    pub fn are_complete(&self) -> bool {
        self.are_complete
    }

    /// Returns up to which change the index is, if its table says so.
    pub fn mark(&self) -> Option<i64> {
        self.mark
    }

    /// Returns the source of the vectors of the segment in use; none if it could not be read.
    pub fn live(&self) -> Option<i64> {
        self.live
    }

    /// Returns the vector at a place in a segment, which are counted from 1.
    pub fn vector(&self, source: i64, place: i64) -> Result<Vec<f32>, String> {
        let segment = usize::try_from(source - 1).ok().and_then(|index| self.opened.get(index));
        segment.ok_or_else(|| self.absent.clone())?.vector(place)
    }

    /// Refuses if a file has changed since it was opened.
    pub fn check_unchanged(&self) -> Result<(), UpstreamError> {
        self.opened.iter().try_for_each(Segment::check_unchanged)
    }
}

struct Directory {
    path: PathBuf,
    is_put_aside: bool,
}

/// Returns the directories that may hold a collection's index, those put aside first and in the order of time.
fn directories(palace: &Path, collection: &Collection) -> Vec<Directory> {
    let Some(name) = collection.vector_segment.as_deref().filter(|name| is_plain(name)) else {
        return Vec::new();
    };
    let entries = fs::read_dir(palace).into_iter().flatten().flatten();
    let mut aside: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| {
            let file_name = entry.file_name().into_string().ok()?;
            let rest = file_name.strip_prefix(name)?;
            let time = PUT_ASIDE.iter().find_map(|kind| rest.strip_prefix(kind))?;
            Some((time.to_owned(), entry.path()))
        })
        .collect();
    aside.sort();
    let aside = aside.into_iter().map(|(_, path)| Directory { path, is_put_aside: true });
    let live = Directory { path: palace.join(name), is_put_aside: false };
    // Without its table a segment is empty, whatever the other files hold.
    aside.chain([live]).filter(|dir| dir.path.join(TABLE_FILE).exists()).collect()
}

/// Returns whether a segment's name, which comes from the database, can be the name of a directory in the palace.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

struct Found {
    segment: Segment,
    summary: Summary,
    /// Ids of the table whose vector is not there or cannot be believed.
    fault_count: u64,
}

impl Found {
    fn tell(&self, dir: &Path, notes: &mut Vec<String>) {
        let (readable, all) = (self.segment.readable_count, self.segment.header().element_count);
        if readable < all {
            notes.push(format!("index {} ends after {readable} of {all} vectors", dir.display()));
        }
        if self.fault_count > 0 {
            notes.push(format!("{} vectors of index {} cannot be used", self.fault_count, dir.display()));
        }
    }
}

/// Reads the table and the elements of a segment and joins them; the inner error says why the segment is not usable.
fn read(
    dir: &Path,
    collection: &Collection,
    source: i64,
    scratch: &Scratch,
) -> Result<Result<Found, String>, UpstreamError> {
    let segment = match Segment::open(dir, collection.dimension, collection.scale) {
        Ok(segment) => segment,
        Err(error) => return Ok(Err(error.to_string())),
    };
    scratch.conn.execute_batch("DELETE FROM label; DELETE FROM place")?;
    let summary = match read_table(&dir.join(TABLE_FILE), &segment, scratch)? {
        Ok(summary) => summary,
        Err(reason) => return Ok(Err(reason)),
    };
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
    scratch.conn.execute(join, (collection.number, source))?;
    let count = "SELECT count(*) FROM vector WHERE collection = ?1 AND source = ?2 AND fault IS NOT NULL";
    let fault_count: i64 = scratch.conn.query_row(count, (collection.number, source), |row| row.get(0))?;
    scratch.conn.execute_batch("DELETE FROM label; DELETE FROM place")?;
    Ok(Ok(Found { segment, summary, fault_count: u64::try_from(fault_count).unwrap_or(0) }))
}

fn read_table(
    path: &Path,
    segment: &Segment,
    scratch: &Scratch,
) -> Result<Result<Summary, String>, UpstreamError> {
    let file = match files::open(path) {
        Ok(file) => file,
        Err(error) => return Ok(Err(format!("{TABLE_FILE} cannot be read: {error}"))),
    };
    let mut insert = scratch.conn.prepare("INSERT OR REPLACE INTO label(id, label) VALUES (?1, ?2)")?;
    let summary = pickle::read(file, &mut |id, label| insert.execute((id, label)).map(drop));
    match summary {
        Ok(summary) => match summary.dimension.map(u64::try_from) {
            Some(dimension) if dimension != Ok(segment.header().dimension()) => {
                Ok(Err(format!("{TABLE_FILE} and the index differ in dimension")))
            }
            Some(_) | None => Ok(Ok(summary)),
        },
        Err(PickleError::Scratch(source)) => Err(source.into()),
        Err(error) => Ok(Err(format!("{TABLE_FILE} is damaged: {error}"))),
    }
}
