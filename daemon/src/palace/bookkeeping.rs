//! Rows that are no memories: notes of the miners that a source was looked at, and what a repair could not place.
//!
//! They are kept, because they came with a palace or belong to it, and are shown nowhere: not counted, listed, found,
//! proposed or taken for duplicates. Whoever answers about more than one row asks here. An id that is asked for by name
//! is answered.
//!
//! Most are told by room or id. What a repair left has neither, nor a time: such rows are looked at once and remembered,
//! until the store's log says that they were touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::engine::{
    Counts, Facet, Filter, MetaValue, Omit, ReadError, Reader, Row, RowKey, Selection, Seq, Snapshot, View,
};

/// What tells such rows without reading them.
pub const OMIT: Omit = Omit { rooms: &["_registry"], id_prefixes: &["_reg_", "sentinel_"] };
/// Metadata of a miner's note.
const NOTE: &str = "is_sentinel";
/// Metadata that a repair gives to a row that has none; what is filed again afterwards has a time.
const PLACELESS: &str = "_repaired_empty_meta";

/// Tells whether a row is no memory.
pub fn is_bookkeeping(row: &Row) -> bool {
    let is_flagged = |flag: &str| {
        let set = |value: &MetaValue| matches!(value, MetaValue::Bool(true) | MetaValue::Integer(1));
        row.extra.iter().any(|(name, value)| name == flag && set(value))
    };
    OMIT.rooms.contains(&row.room.as_str())
        || OMIT.id_prefixes.iter().any(|prefix| row.id.starts_with(prefix))
        || is_flagged(NOTE)
        || (row.filed_at.is_empty() && is_flagged(PLACELESS))
}

/// The rows without a time that are no memories, as they were when somebody last asked.
#[derive(Default)]
pub struct Bookkeeping {
    /// Exchanged as a whole; the store is never read under it.
    known: RwLock<Known>,
}

#[derive(Clone, Default)]
struct Known {
    seq: Seq,
    /// Rows without a time; with their place if they are no memories.
    judged: Arc<BTreeMap<RowKey, Option<Place>>>,
}

/// Wing, room and drawer id.
type Place = (String, String, String);

/// Rows of one state that are no memories, beside those that [`OMIT`] tells.
#[derive(Clone, Debug, Default)]
pub struct Hidden {
    /// The rows.
    pub rows: Selection,
    /// How many stand where.
    pub counts: Counts,
}

impl Bookkeeping {
    /// Returns a snapshot and what is hidden in it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn refresh(&self, reader: &Reader) -> Result<(Snapshot, Hidden), ReadError> {
        let known = self.known.read().clone();
        // Taken after the known state, so that it is never older: the log leads forwards only.
        let snapshot = reader.snapshot()?;
        let without_time = snapshot.rows_without_time()?;
        if without_time.is_empty() {
            return Ok((snapshot, Hidden::default()));
        }
        let touched =
            if known.seq == snapshot.seq() { Some(Vec::new()) } else { snapshot.touched_since(known.seq)? };
        let touched: Option<BTreeSet<RowKey>> = touched.map(|keys| keys.into_iter().collect());
        let mut judged = BTreeMap::new();
        for key in without_time.iter() {
            let before =
                known.judged.get(&key).filter(|_| touched.as_ref().is_some_and(|keys| !keys.contains(&key)));
            let place = match before {
                Some(place) => place.clone(),
                None => judge(&snapshot, key)?,
            };
            judged.insert(key, place);
        }
        let hidden = Hidden::of(&judged);
        let mut known = self.known.write();
        if known.seq <= snapshot.seq() {
            *known = Known { seq: snapshot.seq(), judged: Arc::new(judged) };
        }
        drop(known);
        Ok((snapshot, hidden))
    }
}

/// Returns the place of a row that is no memory. One that cannot be read is named by whoever lists it.
fn judge(snapshot: &Snapshot, key: RowKey) -> Result<Option<Place>, ReadError> {
    match snapshot.row_at(key) {
        Ok(Some(row)) if is_bookkeeping(&row) && !is_omitted(&row) => {
            let drawer = row.drawer_id().to_owned();
            Ok(Some((row.wing, row.room, drawer)))
        }
        Ok(_) => Ok(None),
        Err(error) => error.into_damaged_row().map(|_| None),
    }
}

/// Tells whether [`OMIT`] leaves a row out.
pub fn is_omitted(row: &Row) -> bool {
    OMIT.rooms.contains(&row.room.as_str())
        || OMIT.id_prefixes.iter().any(|prefix| row.drawer_id().starts_with(prefix))
}

impl Hidden {
    /// Returns the number of drawers in the wing and room of a filter.
    pub fn drawers(&self, filter: &Filter) -> u64 {
        let equal =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let wings = self.counts.wings.iter().filter(|(wing, _)| equal(&filter.wing, wing));
        let rooms = wings.flat_map(|(_, rooms)| rooms).filter(|(room, _)| equal(&filter.room, room));
        rooms.map(|(_, tally)| tally.drawers).sum()
    }

    fn of(judged: &BTreeMap<RowKey, Option<Place>>) -> Self {
        let mut counts = Counts::default();
        let mut drawers = BTreeSet::new();
        let hidden = judged.iter().filter_map(|(key, place)| Some((*key, place.as_ref()?)));
        let rows = hidden.map(|(key, place)| {
            let (wing, room, _) = place;
            let tally = counts.wings.entry(wing.clone()).or_default().entry(room.clone()).or_default();
            tally.rows += 1;
            tally.drawers += u64::from(drawers.insert(place));
            key
        });
        Self { rows: rows.collect(), counts }
    }
}

/// Returns the number of memories per wing and room.
///
/// # Errors
/// When the store cannot be read.
pub fn counts(snapshot: &Snapshot, hidden: &Hidden) -> Result<Counts, ReadError> {
    let mut counts = snapshot.counts()?;
    for omitted in [&snapshot.omitted(OMIT)?, &hidden.counts] {
        for (wing, rooms) in &omitted.wings {
            let Some(counted) = counts.wings.get_mut(wing) else { continue };
            for (room, left_out) in rooms {
                if let Some(tally) = counted.get_mut(room) {
                    tally.rows = tally.rows.saturating_sub(left_out.rows);
                    tally.drawers = tally.drawers.saturating_sub(left_out.drawers);
                }
            }
            counted.retain(|_, tally| tally.rows > 0);
        }
    }
    counts.wings.retain(|_, rooms| !rooms.is_empty());
    Ok(counts)
}

/// Returns the number of rows in a room.
pub fn rows_in(counts: &Counts, wing: &str, room: &str) -> u64 {
    counts.wings.get(wing).and_then(|rooms| rooms.get(room)).map_or(0, |tally| tally.rows)
}

/// Returns how many memories share room, wing, hall and date.
///
/// # Errors
/// When the store cannot be read.
pub fn facets(snapshot: &Snapshot, hidden: &Hidden) -> Result<Vec<Facet>, ReadError> {
    let mut facets = snapshot.facets()?;
    for mut omitted in [snapshot.omitted(OMIT)?, hidden.counts.clone()] {
        for facet in &mut facets {
            // Such rows have neither hall nor date, so they are in the room's first facet.
            let left_out = omitted.wings.get_mut(&facet.wing).and_then(|rooms| rooms.get_mut(&facet.room));
            if let Some(left_out) = left_out {
                let taken = left_out.rows.min(facet.rows);
                left_out.rows -= taken;
                facet.rows -= taken;
            }
        }
    }
    facets.retain(|facet| facet.rows > 0);
    Ok(facets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::fixture::{commit, open, put, row, vector};
    use crate::engine::{Engine, Op};
    use crate::palace::listing::Listings;
    use crate::palace::rooms::Rooms;

    fn flag(name: &str) -> Vec<(String, MetaValue)> {
        vec![(name.to_owned(), MetaValue::Bool(true))]
    }

    /// A row as a repair leaves it.
    fn placeless(id: &str) -> Row {
        Row { extra: flag(PLACELESS), filed_at: String::new(), source_file: String::new(), ..row(id, id) }
    }

    fn palace(folder: &std::path::Path) -> (Engine, Reader) {
        let (mut engine, reader) = open(folder);
        let rows = [
            row("drawer_1", "a memory"),
            row("drawer_2", "another"),
            Row { room: "_registry".into(), ..row("_reg_1", "[registry] /a") },
            row("_reg_2", "[registry] /b"),
            Row { extra: flag(NOTE), ..row("sentinel_w_1", "[empty]") },
            Row { room: "documents".into(), extra: flag(NOTE), ..row("sentinel_w_2", "[empty]") },
            placeless("lost"),
            Row { room: "general".into(), wing: "unsorted".into(), ..placeless("lost too") },
            Row { filed_at: String::new(), ..row("drawer_3", "a memory of an unknown time") },
            // What was filed again is a memory, whatever a repair once called it.
            Row { extra: flag(PLACELESS), ..row("drawer_4", "found again") },
        ];
        for (number, row) in rows.into_iter().enumerate() {
            put(&mut engine, row, vector(number as u64));
        }
        (engine, reader)
    }

    #[test]
    fn what_is_no_memory_is_not_counted_listed_or_in_the_graph() {
        let folder = tempfile::tempdir().unwrap();
        let (_engine, reader) = palace(folder.path());
        let bookkeeping = Bookkeeping::default();
        let (snapshot, hidden) = bookkeeping.refresh(&reader).unwrap();
        let told: Vec<bool> = snapshot.all_rows().unwrap().map(|row| is_bookkeeping(&row.unwrap())).collect();
        assert_eq!(told, [false, false, true, true, true, true, true, true, false, false]);
        let counted = counts(&snapshot, &hidden).unwrap();
        assert_eq!((counted.rows(), counted.drawers()), (4, 4));
        assert_eq!(counted.wings.keys().collect::<Vec<_>>(), ["wing"]);
        assert_eq!(counted.wings["wing"].keys().collect::<Vec<_>>(), ["room"]);
        let listings = Listings::default();
        let page = listings.page(&snapshot, &hidden, &Filter::default(), 0, 10).unwrap();
        let listed: Vec<&str> = page.drawers.iter().map(|drawer| drawer.id.as_str()).collect();
        assert_eq!((listed, page.total), (vec!["drawer_1", "drawer_2", "drawer_3", "drawer_4"], 4));
        let since = Filter { since: Some("2000-01-01".into()), ..Filter::default() };
        let page = listings.page(&snapshot, &hidden, &since, 0, 10).unwrap();
        assert_eq!((page.drawers.len(), page.total), (3, 3));
        let rooms = Rooms::of(&snapshot, &hidden).unwrap();
        assert_eq!(rooms.numbers().rooms, 1);
    }

    #[test]
    fn what_a_repair_left_is_followed_through_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (mut engine, reader) = palace(folder.path());
        let bookkeeping = Bookkeeping::default();
        let rows = |bookkeeping: &Bookkeeping| {
            let (snapshot, hidden) = bookkeeping.refresh(&reader).unwrap();
            let counted = counts(&snapshot, &hidden).unwrap().rows();
            // Whoever asks for the first time is told the same.
            let (_, anew) = Bookkeeping::default().refresh(&reader).unwrap();
            assert_eq!(hidden.rows, anew.rows);
            counted
        };
        assert_eq!(rows(&bookkeeping), 4);
        commit(&mut engine, &[Op::PutMeta(Row { extra: Vec::new(), ..placeless("lost") })]);
        assert_eq!(rows(&bookkeeping), 5);
        put(&mut engine, placeless("lost again"), vector(70));
        assert_eq!(rows(&bookkeeping), 5);
        let drawer = Row { document: "a memory of an unknown time".into(), ..placeless("drawer_3") };
        commit(&mut engine, &[Op::DeleteRow { id: "lost again".into() }, Op::PutMeta(drawer)]);
        assert_eq!(rows(&bookkeeping), 4);
    }
}
