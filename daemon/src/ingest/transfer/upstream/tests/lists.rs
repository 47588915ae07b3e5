//! Damage in the lists of collections and segments, and rows whose segment nobody lists.

use super::maker::{COLLECTION, INDEX, Layout, Maker, ROWS, Schema, database, index, unit};
use super::*;

const OTHER: &str = "c0c0c0c0-0000-4000-8000-000000000002";

/// A palace with drawers `d1..`, as many closets and an index of the drawers.
fn two(home: &Home) -> Maker {
    let maker = Maker::new(home, Schema::Current);
    maker
        .conn
        .execute_batch(&format!(
            "INSERT INTO collections(id, name, dimension) VALUES ('{OTHER}', 'mempalace_closets', 4);
             INSERT INTO segments(id, type, scope, collection) VALUES ('5e7-index', 'x', 'VECTOR', '{OTHER}');
             INSERT INTO segments(id, type, scope, collection) VALUES ('5e7-rows', 'x', 'METADATA', '{OTHER}');"
        ))
        .unwrap();
    for number in 1..=9 {
        maker.row(number, &format!("d{number}"), &format!("drawer {number}"), number);
        maker.row(100 + number, &format!("closet_{number}"), &format!("closet {number}"), number);
    }
    maker.conn.execute("UPDATE embeddings SET segment_id = '5e7-rows' WHERE id > 100", []).unwrap();
    maker.mark(ROWS, 9);
    let (one, two) = (unit(1), unit(2));
    index(&home.palace().join(INDEX), &Layout::of(2), &[("d1", &one), ("d2", &two)]);
    maker
}

fn ids(palace: &UpstreamPalace, collection: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut take = |row: SourceRow| {
        assert!(row.document.is_some(), "{row:?}");
        ids.push(row.id);
        ControlFlow::Continue(())
    };
    palace.each_row(collection, None, &mut take).unwrap();
    ids
}

fn check(home: &Home, trees: &[&str]) -> UpstreamPalace {
    for tree in trees {
        let maker =
            Maker { conn: rusqlite::Connection::open(database(home)).unwrap(), schema: Schema::Current };
        assert_eq!(maker.spoil(home, tree, |_, _| true), 1, "{tree}");
    }
    let palace = home.open();
    let drawers: Vec<String> = (1..=9).map(|number| format!("d{number}")).collect();
    let closets: Vec<String> = (1..=9).map(|number| format!("closet_{number}")).collect();
    assert_eq!(ids(&palace, "mempalace_drawers"), drawers, "{trees:?}");
    assert_eq!(ids(&palace, "mempalace_closets"), closets, "{trees:?}");
    assert_eq!(losses(&palace), [""; 0]);
    palace
}

#[test]
fn lists_that_are_lost_are_told_from_the_rows() {
    let all = ["collections", "segments", "sqlite_autoindex_collections_1", "sqlite_autoindex_segments_1"];
    for trees in [&all[..1], &all[1..2], &all[..2], &all[..3], &all] {
        let home = Home::new();
        drop(two(&home));
        let palace = check(&home, trees);
        let notes = palace.inventory().unwrap().notes;
        let told = notes.iter().filter(|note| note.contains("are taken as collection")).count();
        assert_eq!(told, 2, "{trees:?} {notes:?}");
    }
}

#[test]
fn vectors_are_still_found_when_a_list_is_lost() {
    for tree in ["collections", "segments"] {
        let home = Home::new();
        let maker = two(&home);
        // Chroma makes the segment of vectors first.
        for (number, segment) in [(10, INDEX), (11, ROWS)] {
            let sql = "UPDATE segments SET rowid = ?1 WHERE id = ?2";
            maker.conn.execute(sql, (number, segment)).unwrap();
        }
        drop(maker);
        let rows = drawers(&check(&home, &[tree]));
        assert!(rows[0].vector.is_ok() && rows[1].vector.is_ok(), "{tree}: {:?}", rows[0].vector);
    }
}

#[test]
fn rows_of_which_the_collection_cannot_be_told_are_lost_by_id() {
    let home = Home::new();
    let maker = two(&home);
    // More drawers, of a collection whose name and id stood only where the damage is.
    for number in 201..=203 {
        maker.row(number, &format!("x{number}"), "of another", number);
    }
    maker.conn.execute("UPDATE embeddings SET segment_id = '5e8-rows' WHERE id > 200", []).unwrap();
    assert_eq!(maker.spoil(&home, "segments", |_, _| true), 1);
    let palace = home.open();
    assert_eq!(ids(&palace, "mempalace_drawers").len(), 9);
    assert_eq!(losses(&palace), ["Row x201", "Row x202", "Row x203"]);
}

#[test]
fn a_row_whose_segment_has_a_wrong_bit_is_placed_by_the_index() {
    for has_index in [true, false] {
        let home = Home::new();
        drop(two(&home));
        let mut bytes = std::fs::read(database(&home)).unwrap();
        let wanted = format!("{ROWS}d5");
        // In the table the mark and a time follow, in the index only a number.
        let found: Vec<usize> = (0..bytes.len() - 20)
            .filter(|at| {
                bytes[*at..].starts_with(wanted.as_bytes()) && bytes[at + 10..at + 14].contains(&b'2')
            })
            .collect();
        assert_eq!(found.len(), 1);
        bytes[found[0]] ^= 2;
        std::fs::write(database(&home), bytes).unwrap();
        if !has_index {
            let maker =
                Maker { conn: rusqlite::Connection::open(database(&home)).unwrap(), schema: Schema::Current };
            maker.spoil(&home, "sqlite_autoindex_embeddings_1", |_, _| true);
        }
        let palace = home.open();
        let found = ids(&palace, "mempalace_drawers");
        assert_eq!(found.iter().any(|id| id == "d5"), has_index);
        assert_eq!(losses(&palace), if has_index { vec![] } else { vec!["Row d5"] });
    }
}

#[test]
fn rows_of_a_removed_collection_are_counted() {
    let home = Home::new();
    let maker = two(&home);
    maker.row(300, "old", "of a removed one", 1);
    maker.conn.execute("UPDATE embeddings SET segment_id = 'gone' WHERE id = 300", []).unwrap();
    drop(maker);
    let palace = check(&home, &[]);
    let notes = palace.inventory().unwrap().notes;
    assert!(notes.iter().any(|note| note.starts_with("1 rows are of segment gone")), "{notes:?}");
    assert!(notes.iter().all(|note| !note.contains(COLLECTION)));
}
