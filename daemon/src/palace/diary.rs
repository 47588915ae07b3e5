//! Agents' diaries: which entries there are, newest first, without reading those of others.
//!
//! The store orders rows by place and by time, not by agent, so the agents' entries are kept in memory: made once from
//! the rows of all diary rooms, then brought up to date by the store's log, which knows whatever put or removed a row.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::engine::{DamagedRow, Filter, ReadError, Reader, RowKey, Seq, Snapshot, View};

use super::read;

/// Room of all diaries.
const ROOM: &str = "diary";

/// One diary entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Local date.
    pub date: String,
    /// Local ISO time.
    pub timestamp: String,
    /// Topic.
    pub topic: String,
    /// The whole text.
    pub content: String,
}

/// An agent's newest entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// Newest first.
    pub entries: Vec<Entry>,
    /// Entries in all.
    pub total: usize,
    /// Diary rows that cannot be read; whose they are is not known.
    pub unreadable: Vec<DamagedRow>,
}

/// Where every agent's entries are.
#[derive(Default)]
pub struct Diaries {
    /// Guards lookups and the entering of rows already read; the store is never read under it.
    known: RwLock<Option<Known>>,
}

/// An entry's place in its diary: time it was filed, then id.
type Place = (String, String);

#[derive(Default)]
struct Known {
    seq: Seq,
    agents: BTreeMap<String, BTreeMap<Place, Rows>>,
    /// Where each row is entered, to take it out again.
    places: BTreeMap<RowKey, (String, Place)>,
    unreadable: BTreeMap<RowKey, DamagedRow>,
}

struct Rows {
    wing: String,
    keys: Vec<RowKey>,
}

/// What a row is to a diary.
enum Look {
    /// Part of an entry.
    Entry { agent: String, place: Place, wing: String },
    /// Gone, or no part of a diary.
    Other,
    /// Not to be read.
    Damaged(DamagedRow),
}

impl Diaries {
    /// Returns an agent's newest entries, of one wing or of all.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn last(
        &self,
        reader: &Reader,
        agent: &str,
        wing: Option<&str>,
        count: usize,
    ) -> Result<Pages, ReadError> {
        let snapshot = self.refresh(reader)?;
        let (mut pages, found) = self.find(agent, wing, count);
        for (id, keys) in found {
            match entry(&snapshot, &id, &keys) {
                Ok(found) => pages.entries.extend(found),
                Err(error) => pages.unreadable.push(error.into_damaged_row()?),
            }
        }
        Ok(pages)
    }

    /// Returns the agents that have entries, sorted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn agents(&self, reader: &Reader) -> Result<Vec<String>, ReadError> {
        self.refresh(reader)?;
        let known = self.known.read();
        let agents = known.iter().flat_map(|known| &known.agents);
        let with_entries = agents.filter(|(agent, diary)| !agent.is_empty() && !diary.is_empty());
        Ok(with_entries.map(|(agent, _)| agent.clone()).collect())
    }

    /// Returns ids and rows of an agent's newest entries, with what is to be told beside them.
    fn find(&self, agent: &str, wing: Option<&str>, count: usize) -> (Pages, Vec<(String, Vec<RowKey>)>) {
        let known = self.known.read();
        let Some(known) = known.as_ref() else { return (Pages::default(), Vec::new()) };
        let entries = known.agents.get(agent).into_iter().flat_map(|diary| diary.iter().rev());
        let of_wing = |rows: &Rows| wing.is_none_or(|wing| wing == rows.wing);
        let (mut found, mut total) = (Vec::new(), 0);
        for ((_, id), rows) in entries.filter(|(_, rows)| of_wing(rows)) {
            total += 1;
            if total <= count {
                found.push((id.clone(), rows.keys.clone()));
            }
        }
        let unreadable = known.unreadable.values().cloned().collect();
        (Pages { entries: Vec::new(), total, unreadable }, found)
    }

    /// Enters what changed, and returns a snapshot of whose entries none is missing.
    fn refresh(&self, reader: &Reader) -> Result<Snapshot, ReadError> {
        let since = self.known.read().as_ref().map(|known| known.seq);
        // Taken after the known state, so that it is never older: the log leads forwards only.
        let snapshot = reader.snapshot()?;
        let touched = match since {
            Some(since) if since == snapshot.seq() => return Ok(snapshot),
            Some(since) => snapshot.touched_since(since)?,
            None => None,
        };
        let Some(touched) = touched else {
            let anew = Known::of(&snapshot)?;
            *self.known.write() = Some(anew);
            return Ok(snapshot);
        };
        let mut looked = Vec::with_capacity(touched.len());
        for key in touched {
            looked.push((key, look(&snapshot, key)?));
        }
        let mut known = self.known.write();
        // Another thread may have entered the same rows, or later states of them.
        if let Some(known) = known.as_mut().filter(|known| known.seq < snapshot.seq()) {
            looked.into_iter().for_each(|(key, look)| known.change(key, look));
            known.seq = snapshot.seq();
        }
        drop(known);
        Ok(snapshot)
    }
}

fn look(snapshot: &Snapshot, key: RowKey) -> Result<Look, ReadError> {
    match snapshot.row_at(key) {
        Ok(Some(row)) if row.room == ROOM => Ok(Look::Entry {
            agent: row.text("agent").to_owned(),
            place: (row.filed_at.clone(), row.drawer_id().to_owned()),
            wing: row.wing,
        }),
        Ok(_) => Ok(Look::Other),
        Err(error) => error.into_damaged_row().map(Look::Damaged),
    }
}

impl Known {
    fn of(snapshot: &Snapshot) -> Result<Self, ReadError> {
        let mut known = Self { seq: snapshot.seq(), ..Self::default() };
        let filter = Filter { room: Some(ROOM.to_owned()), ..Filter::default() };
        for key in snapshot.rows_matching(&filter)?.iter() {
            known.enter(key, look(snapshot, key)?);
        }
        Ok(known)
    }

    /// Enters the present state of a row that was touched. One that cannot be read is of a diary if it was before.
    fn change(&mut self, key: RowKey, look: Look) {
        let was_known = self.remove(key);
        match look {
            Look::Damaged(_) if !was_known => {}
            Look::Entry { .. } | Look::Other | Look::Damaged(_) => self.enter(key, look),
        }
    }

    fn enter(&mut self, key: RowKey, look: Look) {
        match look {
            Look::Entry { agent, place, wing } => {
                let diary = self.agents.entry(agent.clone()).or_default();
                let rows = diary.entry(place.clone()).or_insert_with(|| Rows { wing, keys: Vec::new() });
                rows.keys.push(key);
                self.places.insert(key, (agent, place));
            }
            Look::Other => {}
            Look::Damaged(row) => {
                self.unreadable.insert(key, row);
            }
        }
    }

    /// Takes a row out and tells whether it was there.
    fn remove(&mut self, key: RowKey) -> bool {
        let was_unreadable = self.unreadable.remove(&key).is_some();
        let Some((agent, place)) = self.places.remove(&key) else { return was_unreadable };
        let diary = self.agents.get_mut(&agent).expect("a row is entered with its agent");
        let rows = diary.get_mut(&place).expect("a row is entered at its place");
        rows.keys.retain(|other| *other != key);
        if rows.keys.is_empty() {
            diary.remove(&place);
        }
        true
    }
}

fn entry(snapshot: &Snapshot, id: &str, keys: &[RowKey]) -> Result<Option<Entry>, ReadError> {
    let mut rows = Vec::with_capacity(keys.len());
    for key in keys {
        rows.extend(snapshot.row_at(*key)?);
    }
    rows.sort_by_key(|row| row.chunk_index);
    Ok(read::assemble(id, rows).map(|drawer| Entry {
        date: drawer.head.text("date").to_owned(),
        timestamp: drawer.head.filed_at.clone(),
        topic: drawer.head.text("topic").to_owned(),
        content: drawer.content,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::fixture::{damage_row, open, row, vector};
    use crate::engine::{Engine, MetaValue, Op, Row, Vector};

    fn put(engine: &mut Engine, id: &str, agent: &str, wing: &str, at: &str, parent: Option<(&str, u32)>) {
        let text = |value: &str| MetaValue::Text(value.to_owned());
        let row = Row {
            wing: wing.to_owned(),
            room: ROOM.to_owned(),
            filed_at: at.to_owned(),
            parent_id: parent.map(|(parent, _)| parent.to_owned()),
            chunk_index: parent.map_or(0, |(_, index)| index),
            extra: vec![("agent".into(), text(agent)), ("topic".into(), text("t"))],
            ..row(id, &format!("<{id}>"))
        };
        crate::engine::tests::fixture::commit(engine, &[Op::PutRow(row, Vector(vector(1)))]);
    }

    #[test]
    fn entries_come_newest_first_and_follow_every_change() {
        let folder = tempfile::tempdir().unwrap();
        let (mut engine, reader) = open(folder.path());
        let diaries = Diaries::default();
        let last = |agent: &str, wing: Option<&str>, count: usize| {
            let pages = diaries.last(&reader, agent, wing, count).unwrap();
            (pages.entries.into_iter().map(|entry| entry.content).collect::<Vec<_>>(), pages.total)
        };
        put(&mut engine, "a2", "ann", "w1", "2026-01-02", None);
        put(&mut engine, "a1", "ann", "w1", "2026-01-01", None);
        put(&mut engine, "b1", "bob", "w1", "2026-01-03", None);
        assert_eq!(last("ann", None, 5), (vec!["<a2>".into(), "<a1>".into()], 2));
        assert_eq!(last("nobody", None, 5), (vec![], 0));
        assert_eq!(diaries.agents(&reader).unwrap(), ["ann", "bob"]);

        put(&mut engine, "long_0", "ann", "w2", "2026-01-04", Some(("long", 0)));
        put(&mut engine, "long_1", "ann", "w2", "2026-01-04", Some(("long", 1)));
        assert_eq!(last("ann", None, 1), (vec!["<long_0><long_1>".into()], 3));
        assert_eq!(last("ann", Some("w1"), 5).1, 2);

        let mut txn = engine.begin().unwrap();
        txn.apply(&Op::DeleteRow { id: "a1".into() }).unwrap();
        txn.apply(&Op::DeleteRow { id: "b1".into() }).unwrap();
        let moved = Row { room: "elsewhere".into(), ..txn.row("a2").unwrap().unwrap() };
        txn.apply(&Op::PutMeta(moved)).unwrap();
        txn.commit().unwrap();
        assert_eq!(last("ann", None, 5), (vec!["<long_0><long_1>".into()], 1));
        assert_eq!(diaries.agents(&reader).unwrap(), ["ann"]);
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (mut engine, reader) = open(folder.path());
        put(&mut engine, "a1", "ann", "w1", "2026-01-01", None);
        put(&mut engine, "a2", "ann", "w1", "2026-01-02", None);
        engine.close().unwrap();
        drop(reader);
        damage_row(folder.path(), 1);
        let (_engine, reader) = open(folder.path());
        let pages = Diaries::default().last(&reader, "ann", None, 5).unwrap();
        assert_eq!((pages.entries.len(), pages.unreadable[0].id.as_str()), (1, "a1"));
    }
}
