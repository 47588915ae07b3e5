//! Agents' diaries: which entries there are, newest first, without reading those of others.
//!
//! The store orders rows by place and by time, not by agent, so the agents' entries are kept in memory: made once from
//! the rows of all diary rooms, then brought up to date by the store's log, which knows whatever put or removed a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::engine::{DamagedRow, Filter, ReadError, Reader, Row, RowKey, Seq, Snapshot, View};

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
    /// Guards the exchange of one state for a newer one, never a read of the store.
    state: Mutex<Option<(Seq, Arc<State>)>>,
}

/// An entry's place in its diary: time it was filed, then id.
type Place = (String, String);

#[derive(Clone, Default)]
struct State {
    agents: BTreeMap<String, BTreeMap<Place, Rows>>,
    /// Where each row is entered, to take it out again.
    places: BTreeMap<RowKey, (String, Place)>,
    unreadable: BTreeMap<RowKey, DamagedRow>,
}

#[derive(Clone)]
struct Rows {
    wing: String,
    keys: Vec<RowKey>,
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
        let (snapshot, state) = self.newest(reader)?;
        let mut pages =
            Pages { unreadable: state.unreadable.values().cloned().collect(), ..Pages::default() };
        let Some(diary) = state.agents.get(agent) else { return Ok(pages) };
        let of_wing = |rows: &Rows| wing.is_none_or(|wing| wing == rows.wing);
        for ((_, id), rows) in diary.iter().rev().filter(|(_, rows)| of_wing(rows)) {
            pages.total += 1;
            if pages.total > count {
                continue;
            }
            match entry(&snapshot, id, &rows.keys) {
                Ok(found) => pages.entries.extend(found),
                Err(error) => pages.unreadable.push(error.into_damaged_row()?),
            }
        }
        Ok(pages)
    }

    /// Returns the newest state of the store and where the entries are in it.
    fn newest(&self, reader: &Reader) -> Result<(Snapshot, Arc<State>), ReadError> {
        let known = self.state.lock().clone();
        // Taken after the known state, so that it is never older: the log leads forwards only.
        let snapshot = reader.snapshot()?;
        let seq = snapshot.seq();
        let touched = match &known {
            Some((known, _)) => snapshot.touched_since(*known)?,
            None => None,
        };
        let state = match (known, touched) {
            (Some((_, state)), Some(touched)) if touched.is_empty() => state,
            (Some((_, state)), Some(touched)) => changed(state, &snapshot, touched)?,
            (Some(_) | None, None) | (None, Some(_)) => Arc::new(State::of(&snapshot)?),
        };
        let mut held = self.state.lock();
        if held.as_ref().is_none_or(|(held, _)| *held < seq) {
            *held = Some((seq, Arc::clone(&state)));
        }
        drop(held);
        Ok((snapshot, state))
    }
}

/// Returns the state after these rows were touched; the same one when none of them is in a diary.
fn changed(
    mut state: Arc<State>,
    snapshot: &Snapshot,
    touched: Vec<RowKey>,
) -> Result<Arc<State>, ReadError> {
    for key in touched {
        let row = snapshot.row_at(key);
        let is_diary = match &row {
            Ok(Some(row)) => row.room == ROOM,
            Ok(None) | Err(_) => false,
        };
        if is_diary || state.places.contains_key(&key) || state.unreadable.contains_key(&key) {
            let state = Arc::make_mut(&mut state);
            state.remove(key);
            state.enter(key, row)?;
        }
    }
    Ok(state)
}

impl State {
    fn of(snapshot: &Snapshot) -> Result<Self, ReadError> {
        let mut state = Self::default();
        let filter = Filter { room: Some(ROOM.to_owned()), ..Filter::default() };
        for key in snapshot.rows_matching(&filter)?.iter() {
            state.enter(key, snapshot.row_at(key))?;
        }
        Ok(state)
    }

    fn enter(&mut self, key: RowKey, row: Result<Option<Row>, ReadError>) -> Result<(), ReadError> {
        match row {
            Ok(Some(row)) if row.room == ROOM => {
                let agent = row.text("agent").to_owned();
                let place = (row.filed_at.clone(), row.drawer_id().to_owned());
                let diary = self.agents.entry(agent.clone()).or_default();
                let rows = diary
                    .entry(place.clone())
                    .or_insert_with(|| Rows { wing: row.wing.clone(), keys: Vec::new() });
                rows.keys.push(key);
                self.places.insert(key, (agent, place));
            }
            Ok(_) => {}
            Err(error) => {
                self.unreadable.insert(key, error.into_damaged_row()?);
            }
        }
        Ok(())
    }

    fn remove(&mut self, key: RowKey) {
        self.unreadable.remove(&key);
        let Some((agent, place)) = self.places.remove(&key) else { return };
        let diary = self.agents.get_mut(&agent).expect("a row is entered with its agent");
        let rows = diary.get_mut(&place).expect("a row is entered at its place");
        rows.keys.retain(|other| *other != key);
        if rows.keys.is_empty() {
            diary.remove(&place);
        }
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
    use crate::engine::{Engine, MetaValue, Op, Vector};

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

        put(&mut engine, "long_0", "ann", "w2", "2026-01-04", Some(("long", 0)));
        put(&mut engine, "long_1", "ann", "w2", "2026-01-04", Some(("long", 1)));
        assert_eq!(last("ann", None, 1), (vec!["<long_0><long_1>".into()], 3));
        assert_eq!(last("ann", Some("w1"), 5).1, 2);

        let mut txn = engine.begin().unwrap();
        txn.apply(&Op::DeleteRow { id: "a1".into() }).unwrap();
        let moved = Row { room: "elsewhere".into(), ..txn.row("a2").unwrap().unwrap() };
        txn.apply(&Op::PutMeta(moved)).unwrap();
        txn.commit().unwrap();
        assert_eq!(last("ann", None, 5), (vec!["<long_0><long_1>".into()], 1));
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
