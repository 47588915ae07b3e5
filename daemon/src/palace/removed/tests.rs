//! Removing and bringing back, as data.

use super::*;
use crate::palace::command::{Change, Delete, DeleteSource};
use crate::palace::decide::tests::{State, at, drawer, long, pieces};

fn undelete(state: &mut State, id: &str) -> Undeleted {
    let mut results = state.run(&Undelete { ids: vec![id.to_owned(), id.to_owned()], at: at(50) });
    assert_eq!(results.len(), 1, "an id that is named twice is one drawer");
    results.remove(0)
}

fn delete(state: &mut State, id: &str, minute: u32) {
    let results = state.run(&Delete { ids: vec![id.to_owned()], at: at(minute) });
    assert!(!results[0].rows.is_empty());
}

#[test]
fn a_deleted_drawer_comes_back_as_it_was() {
    for text in ["short".to_owned(), long("many rows")] {
        let mut state = State::default();
        let new = drawer("r", &text);
        state.run(&new);
        let before = state.0.clone();
        delete(&mut state, &new.id, 2);
        assert!(state.0.is_empty());
        let back = undelete(&mut state, &new.id);
        assert_eq!((back.rows, back.was_there), (before.len(), false));
        assert_eq!(state.0, before);
        assert!(state.1.is_empty(), "what came back is not kept twice");
    }
}

#[test]
fn a_replaced_text_can_be_exchanged_with_the_present_one() {
    let mut state = State::default();
    let new = drawer("r", &long("first"));
    state.run(&new);
    let change = |text: &str, minute: u32| Change {
        id: new.id.clone(),
        pieces: Some(pieces(text)),
        wing: None,
        room: None,
        at: at(minute),
    };
    state.run(&change("second", 2));
    state.run(&change("third", 3));
    assert_eq!(undelete(&mut state, &new.id).rows, 1);
    assert_eq!(state.text(&new.id).unwrap(), "second");
    assert_eq!(undelete(&mut state, &new.id).rows, 1);
    assert_eq!(state.text(&new.id).unwrap(), "third", "the newest replaced text is the one before");
    assert_eq!(list(&state, 10).unwrap().1, 2, "both others are still kept");
}

#[test]
fn a_change_of_place_keeps_nothing() {
    let mut state = State::default();
    let new = drawer("r", "a text");
    state.run(&new);
    let change = Change { id: new.id.clone(), pieces: None, wing: Some("x".into()), room: None, at: at(2) };
    state.run(&change);
    assert!(state.1.is_empty());
}

#[test]
fn what_is_there_is_not_replaced_by_what_was_deleted() {
    let mut state = State::default();
    let new = drawer("r", "a text");
    state.run(&new);
    delete(&mut state, &new.id, 2);
    state.run(&new);
    assert_eq!(
        undelete(&mut state, &new.id),
        Undeleted { drawer_id: new.id.clone(), rows: 0, was_there: true }
    );
    assert_eq!(undelete(&mut state, "never was").rows, 0);
}

#[test]
fn single_chunks_go_and_come_by_themselves() {
    let mut state = State::default();
    let new = drawer("r", &long("many"));
    state.run(&new);
    let before = state.0.clone();
    let chunks: Vec<String> = before.keys().cloned().collect();
    for (minute, chunk) in chunks.iter().enumerate() {
        delete(&mut state, chunk, minute as u32 + 2);
    }
    assert!(state.0.is_empty());
    let one = undelete(&mut state, &chunks[1]);
    assert_eq!((one.rows, state.0.len()), (1, 1));
    for _ in 1..chunks.len() {
        assert_eq!(undelete(&mut state, &new.id).rows, 1);
    }
    assert_eq!(state.0, before);
    let change = Change {
        id: chunks[0].clone(),
        pieces: Some(pieces("another chunk")),
        wing: None,
        room: None,
        at: at(30),
    };
    state.run(&change);
    assert_eq!(undelete(&mut state, &new.id).rows, 1);
    assert_eq!(state.text(&new.id).unwrap(), long("many"), "the other chunks stay where they are");
}

#[test]
fn a_text_behind_a_repeated_one_can_be_reached() {
    let mut state = State::default();
    let new = drawer("r", "first");
    state.run(&new);
    let change =
        Change { id: new.id.clone(), pieces: Some(pieces("second")), wing: None, room: None, at: at(2) };
    state.run(&change);
    delete(&mut state, &new.id, 3);
    assert_eq!(undelete(&mut state, &new.id).rows, 1);
    assert_eq!(state.text(&new.id).unwrap(), "second");
    assert_eq!(undelete(&mut state, &new.id).rows, 1);
    assert_eq!(state.text(&new.id).unwrap(), "first");
}

#[test]
fn index_cards_go_and_come_with_their_source() {
    let mut state = State::default();
    let mut new = drawer("r", "a text");
    new.source_file = "/s.md".into();
    state.run(&new);
    let card = records::put(Collection::Closets, [b"/s.md\0".as_slice(), b"c1"].concat(), &"card");
    let Op::PutRecord { collection, key, value } = card else { panic!() };
    state.1.insert((format!("{collection:?}"), key.clone()), value.clone());
    let before = state.1.clone();
    state.run(&DeleteSource { source_file: "/s.md".into(), at: at(2) });
    assert!(!state.1.contains_key(&("Closets".to_owned(), key)));
    undelete(&mut state, &new.id);
    assert_eq!(state.1, before);
}

#[test]
fn removals_are_listed_newest_first_and_go_when_they_are_old_or_purged() {
    let mut state = State::default();
    let ids: Vec<String> = (0..5u32)
        .map(|n| {
            let new = drawer("r", &format!("text {n}"));
            state.run(&new);
            delete(&mut state, &new.id, n);
            new.id
        })
        .collect();
    let (listed, total) = list(&state, 2).unwrap();
    assert_eq!(total, 5);
    assert_eq!(listed.iter().map(|one| one.preview.as_str()).collect::<Vec<_>>(), ["text 4", "text 3"]);
    assert_eq!((listed[0].why, listed[0].rows, listed[0].room.as_str()), (Why::Deleted, 1, "r"));

    for op in expire(&state, Timestamp(2)).unwrap() {
        let Op::DeleteRecord { collection, key } = op else { panic!("{op:?}") };
        state.1.remove(&(format!("{collection:?}"), key));
    }
    assert_eq!(list(&state, 10).unwrap().1, 3);
    let one = Purge { ids: vec![ids[3].clone()], before: None, count_max: 9 };
    let expect = Purged { removals: 1, rows: 1, more: false };
    assert_eq!(state.run(&one), expect);
    let all = || Purge { ids: Vec::new(), before: None, count_max: 1 };
    assert_eq!(state.run(&all()), Purged { removals: 1, rows: 1, more: true });
    assert_eq!(state.run(&all()), Purged { removals: 1, rows: 1, more: false });
    assert!(state.1.is_empty());
    assert_eq!(undelete(&mut state, &ids[4]).rows, 0);
}
