//! Rows that are no memories: notes of the miners that a source was looked at, and what a repair could not place.
//!
//! They are kept, because they came with a palace or belong to it, and are shown nowhere: not counted, listed, found,
//! proposed or taken for duplicates. Whoever answers about more than one row asks here. An id that is asked for by name
//! is answered.

use crate::engine::{Counts, Facet, MetaValue, Omit, ReadError, Row, Snapshot, View};

/// What tells such rows without reading them.
pub const OMIT: Omit = Omit { rooms: &["_registry"], id_prefixes: &["_reg_", "sentinel_"] };
/// Metadata that tells the others.
const FLAGS: [&str; 2] = ["is_sentinel", "_repaired_empty_meta"];

/// Tells whether a row is no memory.
pub fn is_bookkeeping(row: &Row) -> bool {
    let flagged = |(name, value): &(String, MetaValue)| {
        FLAGS.contains(&name.as_str()) && matches!(value, MetaValue::Bool(true) | MetaValue::Integer(1))
    };
    OMIT.rooms.contains(&row.room.as_str())
        || OMIT.id_prefixes.iter().any(|prefix| row.id.starts_with(prefix))
        || row.extra.iter().any(flagged)
}

/// Returns the number of memories per wing and room.
///
/// # Errors
/// When the store cannot be read.
pub fn counts(snapshot: &Snapshot) -> Result<Counts, ReadError> {
    let mut counts = snapshot.counts()?;
    for (wing, rooms) in snapshot.omitted(OMIT)?.wings {
        let Some(counted) = counts.wings.get_mut(&wing) else { continue };
        for (room, left_out) in rooms {
            if let Some(tally) = counted.get_mut(&room) {
                tally.rows = tally.rows.saturating_sub(left_out.rows);
                tally.drawers = tally.drawers.saturating_sub(left_out.drawers);
            }
        }
        counted.retain(|_, tally| tally.rows > 0);
    }
    counts.wings.retain(|_, rooms| !rooms.is_empty());
    Ok(counts)
}

/// Returns how many memories share room, wing, hall and date.
///
/// # Errors
/// When the store cannot be read.
pub fn facets(snapshot: &Snapshot) -> Result<Vec<Facet>, ReadError> {
    let mut omitted = snapshot.omitted(OMIT)?;
    let mut facets = snapshot.facets()?;
    for facet in &mut facets {
        // Such rows have neither hall nor date, so they are in the room's first facet.
        let left_out = omitted.wings.get_mut(&facet.wing).and_then(|rooms| rooms.get_mut(&facet.room));
        if let Some(left_out) = left_out {
            let taken = left_out.rows.min(facet.rows);
            left_out.rows -= taken;
            facet.rows -= taken;
        }
    }
    facets.retain(|facet| facet.rows > 0);
    Ok(facets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::fixture::{open, put, row, vector};
    use crate::engine::{Filter, Reader};
    use crate::palace::read;
    use crate::palace::rooms::Rooms;

    fn palace(folder: &std::path::Path) -> Reader {
        let (mut engine, reader) = open(folder);
        let flag = |name: &str| vec![(name.to_owned(), MetaValue::Bool(true))];
        let rows = [
            row("drawer_1", "a memory"),
            row("drawer_2", "another"),
            Row { room: "_registry".into(), ..row("_reg_1", "[registry] /a") },
            row("_reg_2", "[registry] /b"),
            Row { extra: flag("is_sentinel"), ..row("sentinel_w_1", "[empty]") },
            Row { room: "documents".into(), extra: flag("is_sentinel"), ..row("sentinel_w_2", "[empty]") },
            Row { extra: flag("_repaired_empty_meta"), ..row("lost", "lost") },
        ];
        for (number, row) in rows.into_iter().enumerate() {
            put(&mut engine, row, vector(number as u64));
        }
        reader
    }

    #[test]
    fn what_is_no_memory_is_not_counted_listed_or_in_the_graph() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = palace(folder.path()).snapshot().unwrap();
        let told: Vec<bool> = snapshot.all_rows().unwrap().map(|row| is_bookkeeping(&row.unwrap())).collect();
        assert_eq!(told, [false, false, true, true, true, true, true]);
        // A flag alone is not seen without reading the row.
        let counted = counts(&snapshot).unwrap();
        assert_eq!((counted.rows(), counted.drawers()), (3, 3));
        assert_eq!(counted.wings["wing"].keys().collect::<Vec<_>>(), ["room"]);
        let page = read::page(&snapshot, &Filter::default(), 0, 10).unwrap();
        let listed: Vec<&str> = page.drawers.iter().map(|drawer| drawer.id.as_str()).collect();
        assert_eq!((listed, page.total), (vec!["drawer_1", "drawer_2"], 3));
        let since = Filter { since: Some("2000-01-01".into()), ..Filter::default() };
        assert_eq!(read::page(&snapshot, &since, 0, 10).unwrap().drawers.len(), 2);
        assert_eq!(Rooms::of(&snapshot).unwrap().numbers().rooms, 1);
    }
}
