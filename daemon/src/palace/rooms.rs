//! The graph of rooms: a room that stands in several wings joins them.
//!
//! It is counted, not stored: the engine keeps how many rows share room, wing, hall and date, so that no question about
//! the graph reads a drawer. Rooms and their order of answers are MemPalace's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::engine::{Facet, ReadError, Snapshot};

use super::bookkeeping::{self, Hidden};

/// Most rooms in one answer.
pub const ROOM_COUNT_MAX: usize = 50;
/// Rooms proposed for a name that is none.
const SUGGESTION_COUNT_MAX: usize = 5;
/// Rooms with the most wings shown in the numbers.
const TOP_COUNT_MAX: usize = 10;

/// A room over all wings it stands in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Wings.
    pub wings: BTreeSet<String>,
    /// Halls of its rows.
    pub halls: BTreeSet<String>,
    /// Rows.
    pub rows: u64,
    /// Latest date among its rows; empty when none has one.
    pub recent: String,
}

/// All rooms by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rooms(BTreeMap<String, Room>);

/// A room reached from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached<'a> {
    /// Name.
    pub name: &'a str,
    /// The room.
    pub room: &'a Room,
    /// Steps from the first room.
    pub hop: usize,
    /// Wings it shares with the room before it; empty for the first.
    pub via: Vec<&'a str>,
}

/// Numbers of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers<'a> {
    /// Names of rooms.
    pub rooms: usize,
    /// Rooms counted once per wing.
    pub instances: usize,
    /// Rooms in two or more wings.
    pub bridges: usize,
    /// Pairs of wings per bridge and hall.
    pub edges: usize,
    /// Rooms per wing, most first.
    pub per_wing: Vec<(&'a str, usize)>,
    /// Bridges with the most wings.
    pub top: Vec<(&'a str, &'a Room)>,
}

impl Rooms {
    /// Reads the graph of a state.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn of(snapshot: &Snapshot, hidden: &Hidden) -> Result<Self, ReadError> {
        Ok(Self::from_facets(bookkeeping::facets(snapshot, hidden)?))
    }

    fn from_facets(facets: Vec<Facet>) -> Self {
        let mut rooms: BTreeMap<String, Room> = BTreeMap::new();
        for facet in facets.into_iter().filter(|facet| !facet.room.is_empty() && !facet.wing.is_empty()) {
            let room = rooms.entry(facet.room).or_default();
            room.wings.insert(facet.wing);
            if !facet.hall.is_empty() {
                room.halls.insert(facet.hall);
            }
            room.rows += facet.rows;
            room.recent = std::mem::take(&mut room.recent).max(facet.date);
        }
        Self(rooms)
    }

    /// Walks from a room over shared wings, nearest rooms first; `None` when there is no such room.
    pub fn traverse<'a>(&'a self, start: &str, hops: usize) -> Option<Vec<Reached<'a>>> {
        let (name, room) = self.0.get_key_value(start)?;
        let mut reached = vec![Reached { name, room, hop: 0, via: Vec::new() }];
        let mut seen = BTreeSet::from([name.as_str()]);
        let mut frontier = VecDeque::from([(room, 0)]);
        while let Some((from, hop)) = frontier.pop_front() {
            if hop >= hops {
                continue;
            }
            for (name, room) in &self.0 {
                let via: Vec<&str> = from.wings.intersection(&room.wings).map(String::as_str).collect();
                if !via.is_empty() && seen.insert(name) {
                    reached.push(Reached { name, room, hop: hop + 1, via });
                    frontier.push_back((room, hop + 1));
                }
            }
        }
        reached.sort_by_key(|reached| (reached.hop, std::cmp::Reverse(reached.room.rows)));
        reached.truncate(ROOM_COUNT_MAX);
        Some(reached)
    }

    /// Returns names of rooms that contain the text or one of its words.
    pub fn suggestions(&self, text: &str) -> Vec<&str> {
        let text = text.to_lowercase();
        let whole = |name: &str| name.contains(&text);
        let part = |name: &str| text.split('-').any(|word| !word.is_empty() && name.contains(word));
        let names = || self.0.keys().map(String::as_str);
        names()
            .filter(|name| whole(name))
            .chain(names().filter(|name| !whole(name) && part(name)))
            .take(SUGGESTION_COUNT_MAX)
            .collect()
    }

    /// Returns the rooms in two or more wings, the given ones among them, most rows first.
    pub fn bridges<'a>(&'a self, wings: [Option<&str>; 2]) -> Vec<(&'a str, &'a Room)> {
        let wanted: Vec<&str> = wings.into_iter().flatten().collect();
        let mut bridges: Vec<(&str, &Room)> = self
            .0
            .iter()
            .filter(|(_, room)| {
                let stands_in = |wing: &&str| room.wings.iter().any(|found| same_wing(found, wing));
                room.wings.len() >= 2 && wanted.iter().all(stands_in)
            })
            .map(|(name, room)| (name.as_str(), room))
            .collect();
        bridges.sort_by_key(|(_, room)| std::cmp::Reverse(room.rows));
        bridges.truncate(ROOM_COUNT_MAX);
        bridges
    }

    /// Returns the numbers of the graph.
    pub fn numbers(&self) -> Numbers<'_> {
        let mut per_wing: BTreeMap<&str, usize> = BTreeMap::new();
        for wing in self.0.values().flat_map(|room| &room.wings) {
            *per_wing.entry(wing).or_default() += 1;
        }
        let mut per_wing: Vec<(&str, usize)> = per_wing.into_iter().collect();
        per_wing.sort_by_key(|(_, rooms)| std::cmp::Reverse(*rooms));
        let mut top: Vec<(&str, &Room)> = self.bridges_by_name().collect();
        top.sort_by_key(|(_, room)| std::cmp::Reverse(room.wings.len()));
        top.truncate(TOP_COUNT_MAX);
        let pairs = |room: &Room| room.wings.len() * (room.wings.len() - 1) / 2;
        Numbers {
            rooms: self.0.len(),
            instances: self.0.values().map(|room| room.wings.len()).sum(),
            bridges: self.bridges_by_name().count(),
            edges: self.bridges_by_name().map(|(_, room)| pairs(room) * room.halls.len()).sum(),
            per_wing,
            top,
        }
    }

    fn bridges_by_name(&self) -> impl Iterator<Item = (&str, &Room)> {
        self.0.iter().filter(|(_, room)| room.wings.len() >= 2).map(|(name, room)| (name.as_str(), room))
    }
}

/// Tells whether two spellings name one wing: case does not matter, and spaces, hyphens and underscores are one.
pub fn same_wing(left: &str, right: &str) -> bool {
    left == right || normal_wing(left) == normal_wing(right)
}

fn normal_wing(wing: &str) -> String {
    wing.trim().to_lowercase().replace([' ', '-'], "_").trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(given: &[(&str, &str, &str, u64)]) -> Rooms {
        let facet = |(room, wing, hall, rows): &(&str, &str, &str, u64)| Facet {
            room: (*room).into(),
            wing: (*wing).into(),
            hall: (*hall).into(),
            date: format!("2026-01-0{rows}"),
            rows: *rows,
        };
        Rooms::from_facets(given.iter().map(facet).collect())
    }

    fn palace() -> Rooms {
        rooms(&[
            ("auth", "app", "technical", 3),
            ("auth", "web", "technical", 1),
            ("cache", "app", "", 2),
            ("design", "web", "", 5),
            ("garden", "home", "", 1),
        ])
    }

    #[test]
    fn rooms_are_reached_over_shared_wings() {
        let rooms = palace();
        let names = |hops| -> Vec<(&str, usize)> {
            let reached = rooms.traverse("cache", hops).unwrap();
            reached.into_iter().map(|reached| (reached.name, reached.hop)).collect()
        };
        assert_eq!(names(1), [("cache", 0), ("auth", 1)]);
        assert_eq!(names(2), [("cache", 0), ("auth", 1), ("design", 2)]);
        assert!(rooms.traverse("nowhere", 2).is_none());
        assert_eq!(rooms.suggestions("aut"), ["auth"]);
        assert_eq!(rooms.suggestions("old-cache"), ["cache"]);
    }

    #[test]
    fn bridges_join_wings() {
        let rooms = palace();
        let bridges = rooms.bridges([Some("APP"), None]);
        assert_eq!(bridges.len(), 1);
        assert_eq!((bridges[0].0, bridges[0].1.rows), ("auth", 4));
        assert_eq!(bridges[0].1.recent, "2026-01-03");
        assert!(rooms.bridges([Some("home"), None]).is_empty());
    }

    #[test]
    fn numbers_count_names_and_instances() {
        let rooms = palace();
        let numbers = rooms.numbers();
        assert_eq!((numbers.rooms, numbers.instances, numbers.bridges, numbers.edges), (4, 5, 1, 1));
        assert_eq!(numbers.per_wing, [("app", 2), ("web", 2), ("home", 1)]);
        assert_eq!(numbers.top[0].0, "auth");
    }
}
