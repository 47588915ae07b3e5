//! Texts that stand only in the full-text table, pages that may be free, and rows without a text.

use super::maker::{INDEX, Layout, Maker, ROWS, Schema, database, index, unit};
use super::*;

const ROW_COUNT: i64 = 200;

fn again(home: &Home) -> Maker {
    Maker { conn: rusqlite::Connection::open(database(home)).unwrap(), schema: Schema::Current }
}

/// Many rows, whose texts the full-text table numbers from `first` on.
fn palace(home: &Home, first: i64) -> Maker {
    let maker = Maker::new(home, Schema::Current);
    maker.conn.execute_batch("BEGIN").unwrap();
    for number in 1..=ROW_COUNT {
        let document = format!("{number} {}", "word ".repeat(12));
        maker.row(number, &format!("d{number}"), &document, number);
        let sql = "INSERT INTO embedding_fulltext_search(rowid, string_value) VALUES (?1, ?2)";
        maker.conn.execute(sql, (first + number - 1, document)).unwrap();
    }
    maker.mark(ROWS, ROW_COUNT);
    maker.conn.execute_batch("COMMIT").unwrap();
    maker
}

fn right(row: &SourceRow) -> bool {
    row.document.as_ref().is_some_and(|text| text.starts_with(&format!("{} ", &row.id[1..])))
}

/// Says that the list of free pages begins behind the end of the file.
fn hide_free_pages(home: &Home) {
    let mut bytes = std::fs::read(database(home)).unwrap();
    bytes[32..36].copy_from_slice(&u32::MAX.to_be_bytes());
    std::fs::write(database(home), bytes).unwrap();
}

#[test]
fn a_text_that_is_nowhere_else_comes_from_the_full_text_table() {
    for (first, agrees) in [(1, true), (2, false), (1_000, false)] {
        let home = Home::new();
        palace(&home, first)
            .spoil(&home, "embedding_metadata", |index, count| index > 0 && index < count - 1);
        again(&home).spoil(&home, "embedding_metadata_string_value", |_, _| true);
        let palace = home.open();
        let notes = palace.inventory().unwrap().notes;
        let rows = drawers(&palace);
        assert_eq!(rows.len(), ROW_COUNT as usize);
        let silent = rows.iter().filter(|row| row.document.is_none()).count();
        assert!(rows.iter().all(|row| row.document.is_none() || right(row)));
        if agrees {
            assert_eq!(silent, 0);
            let note = notes.iter().find(|note| note.contains("full-text table")).expect("a note");
            let count: usize = note.split(' ').next().unwrap().parse().unwrap();
            assert!(count > 100 && count < ROW_COUNT as usize, "{note}");
        } else {
            assert!(silent > 100, "{first} {silent}");
            let told = losses(&palace).iter().filter(|loss| loss.starts_with("Document d")).count();
            assert_eq!(told, silent);
            assert!(notes.iter().all(|note| !note.contains("full-text")), "{notes:?}");
        }
    }
}

#[test]
fn without_texts_to_compare_the_full_text_table_is_not_believed() {
    let home = Home::new();
    palace(&home, 1).spoil(&home, "embedding_metadata", |_, _| true);
    again(&home).spoil(&home, "embedding_metadata_string_value", |_, _| true);
    let palace = home.open();
    assert!(drawers(&palace).iter().all(|row| row.document.is_none()));
}

#[test]
fn leaves_are_found_though_the_list_of_free_pages_is_lost() {
    let home = Home::new();
    let maker = palace(&home, 1_000);
    maker.spoil_inner(&home, "embedding_metadata", |_, _| true);
    again(&home).spoil(&home, "embedding_metadata_string_value", |_, _| true);
    hide_free_pages(&home);
    let palace = home.open();
    assert!(drawers(&palace).iter().all(right), "the table's own index names every value");
    assert_eq!(losses(&palace), [""; 0]);
}

#[test]
fn what_may_have_been_removed_does_not_come_back_unnamed() {
    let home = Home::new();
    let maker = palace(&home, 1);
    for table in ["embedding_metadata", "embeddings"] {
        maker.conn.execute(&format!("DELETE FROM {table} WHERE id BETWEEN 50 AND 120"), []).unwrap();
    }
    maker.conn.execute("DELETE FROM embedding_fulltext_search WHERE rowid BETWEEN 50 AND 120", []).unwrap();
    maker.spoil_inner(&home, "embeddings", |_, _| true);
    again(&home).spoil(&home, "sqlite_autoindex_embeddings_1", |_, _| true);
    hide_free_pages(&home);
    let palace = home.open();
    let rows = drawers(&palace);
    assert_eq!(rows.len(), ROW_COUNT as usize - 71, "those in use elsewhere are there, and no other");
    assert!(rows.iter().all(right));
    let told = losses(&palace);
    assert!(!told.is_empty() && told.iter().all(|loss| loss.starts_with("Row d")), "{told:?}");
    assert!(rows.iter().all(|row| !told.contains(&format!("Row {}", row.id))));
}

#[test]
fn rows_that_only_the_index_of_vectors_knows_are_told_by_id() {
    let home = Home::new();
    let maker = Maker::new(&home, Schema::Current);
    for number in 1..=60 {
        maker.row(number, &format!("d{number}"), "some text of a row", number);
    }
    maker.mark(ROWS, 60);
    let ids: Vec<String> = (1..=60).map(|number| format!("d{number}")).collect();
    let vectors: Vec<_> = (1..=60).map(unit).collect();
    let pairs: Vec<(&str, &[f32])> =
        ids.iter().map(String::as_str).zip(vectors.iter().map(|vector| &vector[..])).collect();
    index(&home.palace().join(INDEX), &Layout::of(60), &pairs);
    let last = |at: usize, count: usize| at + 1 == count;
    maker.spoil(&home, "embeddings", last);
    for tree in
        ["sqlite_autoindex_embeddings_1", "embedding_metadata", "sqlite_autoindex_embedding_metadata_1"]
    {
        again(&home).spoil(&home, tree, |_, _| true);
    }
    let palace = home.open();
    let found: Vec<String> = drawers(&palace).into_iter().map(|row| row.id).collect();
    let told = losses(&palace);
    assert!(found.len() > 10 && found.len() < 60, "{}", found.len());
    for id in ids.iter().filter(|id| !found.contains(id)) {
        assert!(told.contains(&format!("Row {id}")), "{id} {told:?}");
    }
}

#[test]
fn a_row_without_a_text_in_a_sound_palace_costs_nothing() {
    let home = Home::new();
    let maker = palace(&home, 1);
    maker
        .conn
        .execute("DELETE FROM embedding_metadata WHERE id = 7 AND key = 'chroma:document'", [])
        .unwrap();
    drop(maker);
    let palace = home.open();
    let rows = drawers(&palace);
    assert_eq!(rows.iter().filter(|row| row.document.is_none()).count(), 1);
    assert_eq!(losses(&palace), [""; 0]);
    let copied: i64 =
        palace.scratch.conn.query_row("SELECT count(*) FROM cell", [], |row| row.get(0)).unwrap();
    assert_eq!(copied, 0);
}
