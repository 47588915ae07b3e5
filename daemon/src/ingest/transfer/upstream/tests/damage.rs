//! Damaged databases: what is lost is named, everything else is read.

use super::maker::{Maker, ROWS, Schema, database, unit};
use super::*;

const ROW_COUNT: i64 = 600;

/// Returns a palace with many rows, long texts among them.
fn large(home: &Home) -> Maker {
    let maker = Maker::new(home, Schema::Current);
    maker.conn.execute_batch("BEGIN").unwrap();
    for number in 1..=ROW_COUNT {
        let len = if number % 50 == 0 { 4_000 } else { 60 };
        maker.row(number, &format!("d{number}"), &format!("{number} ").repeat(len / 4), number);
    }
    maker.mark(ROWS, ROW_COUNT);
    maker.queue(
        ROW_COUNT,
        0,
        &format!("d{ROW_COUNT}"),
        Some(&unit(1)),
        r#"{"chroma:document":"600 queued"}"#,
    );
    maker.conn.execute_batch("COMMIT").unwrap();
    maker
}

fn middle(index: usize, count: usize) -> bool {
    index == count / 2
}

fn check_texts(rows: &[SourceRow]) {
    for row in rows {
        let number = format!("{} ", &row.id[1..]);
        assert!(row.document.as_ref().is_none_or(|text| text.starts_with(&number)), "{row:?}");
    }
}

#[test]
fn rows_of_a_damaged_table_come_from_its_index() {
    for choose in
        [middle, |index: usize, _: usize| index == 0, |index: usize, count: usize| index + 1 == count]
    {
        let home = Home::new();
        assert!(large(&home).spoil(&home, "embeddings", choose) == 1);
        let palace = home.open();
        let rows = drawers(&palace);
        assert_eq!(rows.len(), ROW_COUNT as usize);
        check_texts(&rows);
        assert_eq!(losses(&palace), [""; 0]);
    }
}

#[test]
fn rows_lost_in_table_and_index_are_told_by_number() {
    let home = Home::new();
    let maker = large(&home);
    maker.conn.execute("DELETE FROM embedding_metadata WHERE id = 300", []).unwrap();
    drop(maker);
    let maker = Maker { conn: rusqlite::Connection::open(database(&home)).unwrap(), schema: Schema::Current };
    maker.spoil(&home, "embeddings", middle);
    let maker = Maker { conn: rusqlite::Connection::open(database(&home)).unwrap(), schema: Schema::Current };
    maker.spoil(&home, "sqlite_autoindex_embeddings_1", |_, _| true);
    let palace = home.open();
    let rows = drawers(&palace);
    let lost = losses(&palace);
    assert!(rows.len() > 500 && rows.len() < ROW_COUNT as usize, "{}", rows.len());
    check_texts(&rows);
    let told = lost.iter().filter(|loss| loss.starts_with("Row row ")).count();
    let silent = ROW_COUNT as usize - rows.len() - told;
    assert!(silent <= 1, "{silent} of {lost:?}");
}

#[test]
fn texts_of_a_damaged_table_come_from_the_index_over_values() {
    let home = Home::new();
    assert_eq!(large(&home).spoil(&home, "embedding_metadata", middle), 1);
    let palace = home.open();
    let rows = drawers(&palace);
    check_texts(&rows);
    assert!(
        rows.iter().all(|row| row.document.is_some() && row.metadata == [("wing".to_owned(), text("w"))])
    );
    assert_eq!(losses(&palace), [""; 0]);
}

#[test]
fn what_neither_table_nor_indexes_have_is_told_by_id() {
    let home = Home::new();
    large(&home).spoil(&home, "embedding_metadata", middle);
    let maker = Maker { conn: rusqlite::Connection::open(database(&home)).unwrap(), schema: Schema::Current };
    maker.spoil(&home, "embedding_metadata_string_value", |_, _| true);
    let palace = home.open();
    let rows = drawers(&palace);
    assert_eq!(rows.len(), ROW_COUNT as usize);
    check_texts(&rows);
    let silent: Vec<&SourceRow> = rows.iter().filter(|row| row.document.is_none()).collect();
    assert!(!silent.is_empty() && silent.len() < 30, "{}", silent.len());
    let lost = losses(&palace);
    for row in silent {
        assert!(lost.contains(&format!("Document {}", row.id)), "{} {lost:?}", row.id);
    }
}

#[test]
fn damaged_indexes_cost_nothing() {
    for index in [
        "sqlite_autoindex_embedding_metadata_1",
        "sqlite_autoindex_embeddings_1",
        "embedding_metadata_string_value",
    ] {
        let home = Home::new();
        assert!(large(&home).spoil(&home, index, |_, _| true) > 0);
        let palace = home.open();
        let rows = drawers(&palace);
        check_texts(&rows);
        assert!(rows.iter().all(|row| row.document.is_some()));
        assert_eq!((rows.len(), losses(&palace).len()), (ROW_COUNT as usize, 0), "{index}");
    }
}

#[test]
fn the_full_text_tables_do_not_matter() {
    let home = Home::new();
    let maker = large(&home);
    maker
        .conn
        .execute("INSERT INTO embedding_fulltext_search(rowid, string_value) VALUES (1, 'some text')", [])
        .unwrap();
    maker.conn.execute("DELETE FROM embedding_fulltext_search_config", []).unwrap();
    maker.spoil(&home, "embedding_fulltext_search_data", |_, _| true);
    let palace = home.open();
    assert_eq!((drawers(&palace).len(), losses(&palace).len()), (ROW_COUNT as usize, 0));
}

#[test]
fn a_database_cut_off_gives_what_stands_before() {
    let home = Home::new();
    drop(large(&home));
    let whole = std::fs::read(database(&home)).unwrap();
    std::fs::write(database(&home), &whole[..whole.len() / 2]).unwrap();
    match home.try_open() {
        Ok(palace) => {
            let rows = drawers(&palace);
            check_texts(&rows);
            assert!(!palace.inventory().unwrap().notes.is_empty());
            assert!(rows.len() == ROW_COUNT as usize || !losses(&palace).is_empty());
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn damage_at_the_beginning_does_not_hide_what_stands_behind() {
    let home = Home::new();
    large(&home).spoil(&home, "embedding_metadata", |index, _| index == 0);
    let maker = Maker { conn: rusqlite::Connection::open(database(&home)).unwrap(), schema: Schema::Current };
    maker.spoil(&home, "embedding_metadata_string_value", |_, _| true);
    let maker = Maker { conn: rusqlite::Connection::open(database(&home)).unwrap(), schema: Schema::Current };
    maker.spoil(&home, "sqlite_autoindex_embedding_metadata_1", |_, _| true);
    let palace = home.open();
    let rows = drawers(&palace);
    let silent = rows.iter().filter(|row| row.document.is_none()).count();
    assert!(rows.len() == ROW_COUNT as usize && (1..30).contains(&silent), "{silent}");
    assert!(losses(&palace).len() >= silent);
}

#[test]
fn a_damaged_queue_is_told() {
    let home = Home::new();
    let maker = Maker::new(&home, Schema::Current);
    maker.row(1, "a", "one", 1);
    maker.mark(ROWS, 1);
    for seq in 1..=200 {
        maker.queue(seq, 0, &format!("q{seq}"), Some(&unit(1)), r#"{"chroma:document":"text"}"#);
    }
    assert_eq!(maker.spoil(&home, "embeddings_queue", middle), 1);
    let palace = home.open();
    let rows = drawers(&palace);
    assert!(rows.len() > 150 && rows.len() < 200, "{}", rows.len());
    let lost = losses(&palace);
    assert!(lost.len() == 1 && lost[0].ends_with("queued for mempalace_drawers"), "{lost:?}");
}

fn again(home: &Home) -> Maker {
    Maker { conn: rusqlite::Connection::open(database(home)).unwrap(), schema: Schema::Current }
}

#[test]
fn leaves_that_nothing_leads_to_are_found() {
    for inner in [middle as fn(usize, usize) -> bool, |_, _| true] {
        let home = Home::new();
        assert!(large(&home).spoil_inner(&home, "embedding_metadata", inner) > 0);
        again(&home).spoil(&home, "embedding_metadata_string_value", |_, _| true);
        let rows = drawers(&home.open());
        assert_eq!(rows.len(), ROW_COUNT as usize);
        check_texts(&rows);
        assert!(rows.iter().all(|row| row.document.is_some()), "the leaves have every text, long ones too");
        assert!(rows.iter().all(|row| row.metadata == [("wing".to_owned(), text("w"))]));
    }
}

#[test]
fn rows_come_from_leaves_when_neither_table_nor_index_leads_to_them() {
    let home = Home::new();
    assert!(large(&home).spoil_inner(&home, "embeddings", |_, _| true) > 0);
    again(&home).spoil(&home, "sqlite_autoindex_embeddings_1", |_, _| true);
    let rows = drawers(&home.open());
    assert_eq!(rows.len(), ROW_COUNT as usize);
    check_texts(&rows);
    assert!(rows.iter().all(|row| row.document.is_some()));
}

#[test]
fn what_was_removed_does_not_come_back_from_free_pages() {
    let home = Home::new();
    let maker = large(&home);
    maker.conn.execute("DELETE FROM embedding_metadata WHERE id BETWEEN 200 AND 400", []).unwrap();
    maker.conn.execute("DELETE FROM embeddings WHERE id BETWEEN 200 AND 400", []).unwrap();
    maker.spoil_inner(&home, "embedding_metadata", |_, _| true);
    again(&home).spoil_inner(&home, "embeddings", |_, _| true);
    let rows = drawers(&home.open());
    assert_eq!(rows.len(), ROW_COUNT as usize - 201);
    check_texts(&rows);
    assert!(rows.iter().all(|row| row.document.is_some()));
}
