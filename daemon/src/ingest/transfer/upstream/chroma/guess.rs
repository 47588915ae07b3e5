//! Collections and segments that their tables no longer name, told from the rows: which segments these are of, whether
//! their ids are those of drawers or of closets, and whose changes in the queue have the same ids. Whatever is assumed is
//! noted.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use super::super::database::{Database, text};
use super::super::error::UpstreamError;
use super::super::{CLOSETS, DRAWERS, salvage};
use super::catalog::{Draft, Segment};

/// How the ids of closets begin.
const CLOSET_PREFIX: &str = "closet_";
/// More segments than there are: the rest are misread.
const SEGMENT_COUNT_MAX: usize = 1_000;

/// What the rows of a segment are.
#[derive(Default)]
struct Rows {
    count: u64,
    closet_count: u64,
}

impl Rows {
    fn name(&self) -> &'static str {
        if self.closet_count * 2 > self.count { CLOSETS } else { DRAWERS }
    }
}

/// Fills in what the drafts lack.
pub(super) fn complete(
    db: &Database,
    drafts: &mut Vec<Draft>,
    segments: &mut [Segment],
    other_ids: &[(i64, String)],
    notes: &mut Vec<String>,
) -> Result<(), UpstreamError> {
    let rows = rows_by_segment(db)?;
    // Of two names of a segment the one that has rows is right.
    for (number, id) in other_ids {
        let Some(segment) = segments.iter_mut().find(|segment| segment.number == *number) else { continue };
        if rows.contains_key(id) && !rows.contains_key(&segment.id) {
            let wrong = std::mem::replace(&mut segment.id, id.clone());
            for draft in drafts.iter_mut().filter(|draft| draft.rows.as_ref() == Some(&wrong)) {
                draft.rows = Some(id.clone());
            }
        }
    }
    // Those with most rows first; a single row that no list knows is a misread one.
    let mut open: Vec<(&String, &Rows)> = rows
        .iter()
        .filter(|(id, rows)| {
            let is_listed = segments.iter().any(|segment| segment.id == **id);
            let is_taken = drafts.iter().any(|draft| draft.rows.as_ref() == Some(id));
            !is_taken && (is_listed || rows.count > 1)
        })
        .collect();
    open.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.count));
    for (id, rows) in open {
        let listed = segments.iter().find(|segment| segment.id == *id);
        let listed = listed.and_then(|segment| segment.collection.clone());
        let queued = collection_in_queue(db, id)?;
        let by_id = [&listed, &queued].into_iter().find_map(|collection| {
            drafts.iter().position(|draft| collection.is_some() && draft.id == *collection)
        });
        let by_name = drafts.iter().position(|draft| draft.name.as_deref() == Some(rows.name()));
        let place = match (by_id, by_name) {
            (Some(place), _) => Some(place),
            // Where the queue has these rows in another collection than the one of that name, it is not theirs.
            (None, Some(place)) => (queued.is_none() || drafts[place].id.is_none()).then_some(place),
            (None, None) => {
                drafts.push(Draft::default());
                Some(drafts.len() - 1)
            }
        };
        let Some(draft) = place.map(|place| &mut drafts[place]).filter(|draft| draft.rows.is_none()) else {
            notes.push(format!("{} rows are of segment {id}, of which no collection is known", rows.count));
            continue;
        };
        draft.rows = Some(id.clone());
        draft.id = draft.id.take().or(queued).or(listed);
        let name = draft.name.get_or_insert_with(|| rows.name().to_owned());
        notes.push(format!(
            "the lists of collections and segments are damaged: the {} rows of segment {id} are taken as collection \
             {name:?}",
            rows.count
        ));
    }
    name(drafts, &rows, notes);
    for at in 0..drafts.len() {
        if drafts[at].index.is_none() {
            drafts[at].index = index(&drafts[at], drafts, segments, &rows);
        }
    }
    Ok(())
}

/// Names collections that are known by their id only.
fn name(drafts: &mut [Draft], rows: &BTreeMap<String, Rows>, notes: &mut Vec<String>) {
    for at in 0..drafts.len() {
        let Some(rows) = drafts[at].rows.as_ref().and_then(|segment| rows.get(segment)) else { continue };
        let is_taken = drafts.iter().any(|draft| draft.name.as_deref() == Some(rows.name()));
        if drafts[at].name.is_none() && !is_taken {
            drafts[at].name = Some(rows.name().to_owned());
            notes.push(format!(
                "the name of a collection is lost: its {} rows are taken as collection {:?}",
                rows.count,
                rows.name()
            ));
        }
    }
}

/// Returns the segment of a collection's vectors: the one listed for it, or else the one made just before that of its rows.
/// Vectors are found by id, so a wrong one costs no more than none.
fn index(
    draft: &Draft,
    drafts: &[Draft],
    segments: &[Segment],
    rows: &BTreeMap<String, Rows>,
) -> Option<String> {
    let is_open = |segment: &&Segment| {
        segment.scope.as_deref() != Some("METADATA")
            && !rows.contains_key(&segment.id)
            && !drafts.iter().any(|draft| draft.index.as_ref() == Some(&segment.id))
    };
    let number = segments.iter().find(|segment| Some(&segment.id) == draft.rows.as_ref())?.number;
    let mut open = segments.iter().filter(is_open);
    let is_own = |segment: &&Segment| segment.collection.is_some() && segment.collection == draft.id;
    let own = open.clone().find(is_own);
    own.or_else(|| open.find(|segment| segment.collection.is_none() && segment.number + 1 == number))
        .map(|segment| segment.id.clone())
}

/// Returns the segments that rows are of.
fn rows_by_segment(db: &Database) -> Result<BTreeMap<String, Rows>, UpstreamError> {
    let mut found: BTreeMap<String, Rows> = BTreeMap::new();
    let mut count = |row: &rusqlite::Row<'_>| -> rusqlite::Result<()> {
        let (Some((segment, _)), Some((id, _))) = (text(row.get_ref(1)?), text(row.get_ref(2)?)) else {
            return Ok(());
        };
        if found.len() >= SEGMENT_COUNT_MAX && !found.contains_key(&segment) {
            return Ok(());
        }
        let rows = found.entry(segment).or_default();
        rows.count += 1;
        rows.closet_count += u64::from(id.starts_with(CLOSET_PREFIX));
        Ok(())
    };
    let sql = "SELECT id, segment_id, embedding_id FROM embeddings NOT INDEXED WHERE id >= ?1 ORDER BY id";
    let gaps = salvage::scan(db, sql, i64::MIN, &[], &mut |row| {
        count(row).map_err(|error| db.failed(error))?;
        Ok(ControlFlow::Continue(()))
    })?;
    let Some(own) = db.own_index("embeddings").filter(|_| !gaps.is_empty()) else { return Ok(found) };
    let sql = format!(
        "SELECT id, segment_id, embedding_id FROM embeddings INDEXED BY \"{own}\" ORDER BY segment_id, embedding_id"
    );
    salvage::scan_index(db, &sql, &[], &mut |row| {
        let number: i64 = row.get(0).map_err(|error| db.failed(error))?;
        if gaps.iter().any(|gap| gap.holds(number)) {
            count(row).map_err(|error| db.failed(error))?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// Returns the id of the collection whose changes in the queue are of most rows of a segment: topics end in it.
fn collection_in_queue(db: &Database, segment: &str) -> Result<Option<String>, UpstreamError> {
    let sql = "SELECT 1 FROM embeddings WHERE segment_id = ?1 AND embedding_id = ?2";
    let mut find = db.conn.prepare(sql).map_err(|error| db.failed(error))?;
    let mut counts: HashMap<String, u64> = HashMap::new();
    let sql = "SELECT seq_id, topic, id FROM embeddings_queue NOT INDEXED WHERE seq_id >= ?1 ORDER BY seq_id";
    salvage::scan(db, sql, i64::MIN, &[], &mut |row| {
        let topic = row.get_ref(1).map(text).map_err(|error| db.failed(error))?;
        let id = row.get_ref(2).map(text).map_err(|error| db.failed(error))?;
        if let (Some((topic, _)), Some((id, _))) = (topic, id)
            && let Some((_, collection)) = topic.rsplit_once('/')
            && find.exists([segment, &id]).unwrap_or(false)
            && (counts.len() < SEGMENT_COUNT_MAX || counts.contains_key(collection))
        {
            *counts.entry(collection.to_owned()).or_default() += 1;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    Ok(most.map(|(collection, _)| collection))
}
