//! A page begun at a landmark is the page that a walk from the first drawer finds, whatever was filed, moved or removed.

use super::*;
use crate::engine::tests::fixture::{commit, open, row, vector};
use crate::engine::{Engine, Op, Reader, Row, Vector};

/// Drawers of three rooms whose ids lie between each other; every seventh is of two chunks.
fn drawers(from: usize, to: usize) -> Vec<Op> {
    let mut ops = Vec::new();
    for number in from..to {
        let room = format!("room{}", number % 3);
        // Spread over the order of ids, as hashes are.
        let id = format!("drawer_{:05}_{number}", number * 7_919 % 10_007);
        let mut put = |row: Row| ops.push(Op::PutRow(Row { room: room.clone(), ..row }, Vector(vector(1))));
        if number % 7 == 0 {
            for index in 0..2 {
                let chunk = row(&format!("{id}_chunk_{index}"), "text");
                put(Row { parent_id: Some(id.clone()), chunk_index: index, ..chunk });
            }
        } else {
            put(row(&id, "text"));
        }
    }
    ops
}

struct Ground {
    engine: Engine,
    reader: Reader,
    listings: Listings,
    _folder: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (engine, reader) = open(folder.path());
        Self { engine, reader, listings: Listings::default(), _folder: folder }
    }

    fn page(&self, filter: &Filter, offset: usize) -> (Vec<String>, u64) {
        let snapshot = self.reader.snapshot().unwrap();
        let page = self.listings.page(&snapshot, &Hidden::default(), filter, offset, 5).unwrap();
        (page.drawers.into_iter().map(|drawer| drawer.id).collect(), page.total)
    }

    /// Compares pages from everywhere with those of whoever asks for the first time.
    fn compare(&self) {
        let of_room = Filter { room: Some("room1".into()), ..Filter::default() };
        for filter in [Filter::default(), of_room] {
            for offset in [0, 511, 512, 513, 700, 1_300, 1_301, 600, 2_000, 999_999, 30] {
                let fresh = self.reader.snapshot().unwrap().page(&filter, offset, 5).unwrap();
                let ids: Vec<String> = fresh.rows.iter().map(|row| row.drawer_id().to_owned()).collect();
                assert_eq!(self.page(&filter, offset), (ids, fresh.total), "{filter:?} from {offset}");
            }
        }
    }

    /// Returns how many landmarks of the whole palace hold in the present state.
    fn landmarks(&self) -> usize {
        let snapshot = self.reader.snapshot().unwrap();
        self.listings.landmarks(&snapshot, &Hidden::default(), &Filter::default()).unwrap().len()
    }
}

#[test]
fn pages_are_the_same_with_and_without_landmarks() {
    let mut ground = Ground::new();
    commit(&mut ground.engine, &drawers(0, 1_500));
    ground.compare();
    let mut known = ground.landmarks();
    assert_eq!(known, 2);
    // Filing moves landmarks and loses none.
    for round in 0..3 {
        commit(&mut ground.engine, &drawers(1_500 + round * 100, 1_600 + round * 100));
        assert_eq!(ground.landmarks(), known);
        ground.compare();
        known = ground.landmarks();
    }
    // A chunk that comes to a drawer makes it no second drawer, except in another room.
    let late = |room: &str, index| {
        let chunk = row(&format!("late_{room}_{index}"), "text");
        let parent = "drawer_00000_0".to_owned();
        let row = Row { room: room.into(), parent_id: Some(parent), chunk_index: index, ..chunk };
        Op::PutRow(row, Vector(vector(2)))
    };
    commit(&mut ground.engine, &[late("room0", 3), late("room0", 4), late("room2", 5)]);
    assert_eq!(ground.landmarks(), known);
    ground.compare();
    // What was filed and removed again moves nothing.
    commit(&mut ground.engine, &drawers(2_001, 2_002));
    commit(&mut ground.engine, &[Op::DeleteRow { id: format!("drawer_{:05}_2001", 2_001 * 7_919 % 10_007) }]);
    assert_eq!(ground.landmarks(), known);
    ground.compare();
    // What changes or removes a row takes the landmarks away.
    commit(&mut ground.engine, &[Op::DeleteRow { id: format!("drawer_{:05}_1", 7_919) }]);
    assert_eq!(ground.landmarks(), 0);
    ground.compare();
    let moved = Row { room: "room9".into(), ..row(&format!("drawer_{:05}_2", 15_838 % 10_007), "text") };
    commit(&mut ground.engine, &[Op::PutMeta(moved)]);
    assert_eq!(ground.landmarks(), 0);
    ground.compare();
    assert!(ground.landmarks() >= 2);
}

#[test]
fn only_the_listings_that_were_asked_for_last_are_remembered() {
    let mut ground = Ground::new();
    commit(&mut ground.engine, &drawers(0, 3));
    for wing in 0..=LISTING_COUNT_MAX {
        ground.page(&Filter { wing: Some(format!("w{wing}")), ..Filter::default() }, 0);
    }
    let known = ground.listings.known.lock();
    assert_eq!(known.len(), LISTING_COUNT_MAX);
    assert_eq!(known[0].filter.wing.as_deref(), Some("w1"));
}
