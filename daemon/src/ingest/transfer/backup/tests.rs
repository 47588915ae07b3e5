//! Names, chains, what may go, when the next one is due: on data, without a palace. Whole backups are made in
//! `tests/it/backups.rs`.

use std::path::{Path, PathBuf};

use super::chain::{Entry, chain_of, continued};
use super::point::{At, Whose, pick};
use super::retention::superfluous;
use super::schedule::{Known, is_due};
use super::*;

const OURS: [u8; 16] = [7; 16];
const OTHER: [u8; 16] = [9; 16];
const HOUR: i64 = 60 * 60 * 1_000;

fn entry(store: [u8; 16], at: i64, seq: u64, since: Option<u64>) -> Entry {
    Entry {
        path: PathBuf::from(format!("{}-{at}-{seq}.palace", store[0])),
        bytes: 1,
        store,
        seq: Seq(seq),
        since: since.map(Seq),
        taken_at: Timestamp(at * 1_000),
        rows: 1,
        cut_off: false,
    }
}

/// Entries of our store from `(time, seq, since)`.
fn ours(of: &[(i64, u64, Option<u64>)]) -> Vec<Entry> {
    of.iter().map(|(at, seq, since)| entry(OURS, *at, *seq, *since)).collect()
}

fn times(entries: &[&Entry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.taken_at.0 / 1_000).collect()
}

fn remembered(entry: &Entry) -> Position {
    Position {
        folder: "/f".to_owned(),
        file: entry.path.display().to_string(),
        store: store_name(&entry.store),
        seq: entry.seq.0,
        at: entry.taken_at.0,
        lacks: false,
    }
}

#[test]
fn a_chain_goes_back_to_a_full_backup_of_the_same_store() {
    let mut entries = ours(&[(1, 10, None), (2, 20, Some(10)), (3, 30, Some(20)), (4, 50, Some(40))]);
    entries.push(entry(OTHER, 3, 40, None));
    let chain = |at: usize| chain_of(&entries, &entries[at]).map(|chain| times(&chain));
    assert_eq!(chain(0), Some(vec![1]));
    assert_eq!(chain(2), Some(vec![1, 2, 3]));
    assert_eq!(chain(3), None, "the one before is another store's");
}

#[test]
fn a_cut_off_backup_is_no_link() {
    let mut entries = ours(&[(1, 10, None), (2, 20, Some(10)), (3, 30, Some(20))]);
    entries[1].cut_off = true;
    assert!(chain_of(&entries, &entries[2]).is_none());
    // Another one that says the same takes its place.
    entries.push(entry(OURS, 5, 20, None));
    assert_eq!(times(&chain_of(&entries, &entries[2]).unwrap()), [5, 3]);
}

#[test]
fn a_position_that_was_reached_twice_is_continued_by_its_own() {
    // The store was put back by hand to 15 and came to 20 again, by another way.
    let entries =
        ours(&[(1, 10, None), (2, 20, Some(10)), (3, 30, Some(20)), (5, 20, Some(10)), (6, 31, Some(20))]);
    assert_eq!(times(&chain_of(&entries, &entries[2]).unwrap()), [1, 2, 3]);
    assert_eq!(times(&chain_of(&entries, &entries[4]).unwrap()), [1, 5, 6]);
}

#[test]
fn chains_that_bite_their_tail_end() {
    let entries = ours(&[(1, 10, Some(20)), (2, 20, Some(10)), (3, 30, Some(30))]);
    assert!(entries.iter().all(|entry| chain_of(&entries, entry).is_none()));
}

#[test]
fn only_what_the_palace_remembers_is_continued() {
    let entries = ours(&[(1, 10, None), (2, 20, Some(10))]);
    let last = remembered(&entries[1]);
    let found = |last: &Position| continued(&entries, Some(last), &OURS).map(|entry| entry.seq.0);
    assert_eq!(found(&last), Some(20));
    assert_eq!(continued(&entries, None, &OURS), None);
    for other in [
        Position { store: store_name(&OTHER), ..last.clone() },
        Position { seq: 19, ..last.clone() },
        Position { at: last.at + 1, ..last.clone() },
        Position { file: "gone.palace".to_owned(), ..last.clone() },
    ] {
        assert_eq!(found(&other), None, "{other:?}");
    }
    assert_eq!(continued(&entries[1..], Some(&last), &OURS), None, "the full one is gone");
}

#[test]
fn a_long_chain_begins_anew() {
    let chain = |len: u64| -> Vec<Entry> {
        (1..=len).map(|n| entry(OURS, i64::try_from(n).unwrap(), n, (n > 1).then(|| n - 1))).collect()
    };
    let goes_on = |len: u64| {
        let entries = chain(len);
        continued(&entries, entries.last().map(remembered).as_ref(), &OURS).is_some()
    };
    assert!(goes_on(CHAIN_LEN_MAX as u64 - 1));
    assert!(!goes_on(CHAIN_LEN_MAX as u64));
}

#[test]
fn old_points_go_and_what_kept_ones_need_stays() {
    let entries = ours(&[
        (1, 10, None),
        (2, 20, Some(10)),
        (3, 30, None),
        (4, 40, Some(30)),
        (5, 50, Some(40)),
        (6, 60, Some(30)),
    ]);
    let gone = |keep: usize| times(&superfluous(&entries, &entries[5], keep));
    assert_eq!(gone(10), [0; 0]);
    assert_eq!(gone(4), [2, 1], "partial ones go before the full one they need");
    assert_eq!(gone(2), [2, 1], "5 needs 4 and 3");
    assert_eq!(gone(1), [5, 4, 2, 1], "6 needs 3 alone");
    assert_eq!(gone(0), gone(1), "the newest stays");
}

#[test]
fn what_is_not_surely_superfluous_stays() {
    let mut entries = ours(&[(1, 10, None), (2, 20, None), (3, 99, Some(98)), (4, 40, None)]);
    entries[0].cut_off = true;
    entries.push(entry(OTHER, 1, 10, None));
    assert_eq!(times(&superfluous(&entries, &entries[3], 1)), [2]);
    assert_eq!(times(&superfluous(&entries, &entries[4], 1)), [0; 0]);
}

/// With the clock set back every new backup was the oldest, and removed itself.
#[test]
fn a_clock_that_is_set_back_costs_no_backup() {
    let entries = ours(&[(400, 10, None), (401, 20, None), (1, 30, None), (2, 40, Some(30)), (3, 50, None)]);
    for (made, gone) in [(2, vec![400]), (3, vec![401, 400]), (4, vec![401, 400])] {
        let there = &entries[..=made];
        assert_eq!(times(&superfluous(there, &there[made], 2)), gone, "{made}");
        let newest = pick(there, &At::Newest, Whose::Own(None)).unwrap();
        assert_eq!(newest.last().unwrap().seq, there[made].seq);
    }
    // Nothing happened between the two.
    let twice = ours(&[(400, 10, None), (1, 10, None)]);
    assert_eq!(times(&superfluous(&twice, &twice[1], 1)), [400]);
}

#[test]
fn a_store_that_was_taken_back_by_hand_keeps_what_is_ahead_of_it() {
    let entries = ours(&[(1, 10, None), (2, 20, None), (3, 90, Some(20)), (4, 15, None), (5, 16, None)]);
    assert_eq!(times(&superfluous(&entries[..4], &entries[3], 1)), [1], "90 and what it needs stay");
    assert_eq!(times(&superfluous(&entries, &entries[4], 1)), [4, 1]);
}

#[test]
fn the_newest_of_the_palaces_own_store_is_taken_first() {
    let mut entries = ours(&[(1, 10, None), (2, 20, Some(10))]);
    entries.push(entry(OTHER, 400, 10, None));
    let newest = |own| pick(&entries, &At::Newest, Whose::Own(own)).map(|chain| times(&chain));
    assert_eq!(newest(Some(OURS)), Ok(vec![1, 2]));
    assert_eq!(newest(Some(OTHER)), Ok(vec![400]));
    assert_eq!(newest(None), Ok(vec![400]), "a damaged store does not say who it is: time decides");
    assert_eq!(newest(Some([1; 16])), Ok(vec![400]), "there is none of it");
}

#[test]
fn a_point_lacks_what_its_chain_lacks() {
    let whole = remembered(&entry(OURS, 1, 10, None));
    let lacking = Position { lacks: true, ..whole.clone() };
    assert!(chain_lacks(true, false, Some(&whole)), "its own damage");
    assert!(chain_lacks(false, true, Some(&lacking)), "a clean partial one does not mend the full one");
    assert!(!chain_lacks(false, false, Some(&lacking)), "a clean full one does");
    assert!(!chain_lacks(false, true, Some(&whole)) && !chain_lacks(false, true, None));

    let older = serde_json::json!({ "folder": "/f", "file": "a", "store": "00", "seq": 1, "at": 2 });
    assert!(!serde_json::from_value::<Position>(older).unwrap().lacks, "notes of before are read");
}

#[test]
fn a_point_is_chosen_by_time_or_position() {
    let entries = ours(&[(100, 10, None), (200, 20, Some(10)), (300, 30, Some(20))]);
    let picked =
        |at: &str| pick(&entries, &At::parse(at).unwrap(), Whose::Own(None)).map(|chain| times(&chain));
    assert_eq!(
        pick(&entries, &At::Newest, Whose::Own(None)).map(|chain| times(&chain)),
        Ok(vec![100, 200, 300])
    );
    assert_eq!(picked("20"), Ok(vec![100, 200]));
    assert_eq!(picked("1970-01-01T00:04:00Z"), Ok(vec![100, 200]));
    assert_eq!(picked("19700101T000320Z"), Ok(vec![100, 200]));
    assert_eq!(picked("1970-01-01"), Ok(vec![100, 200, 300]));
    assert!(picked("21").unwrap_err().contains("backup list"));
    assert!(picked("1970-01-01T00:00:59Z").unwrap_err().contains("1970-01-01T00:01:40Z"));
    for bad in ["", "yesterday", "2026-13-01", "-5"] {
        assert!(At::parse(bad).unwrap_err().contains("backup list"), "{bad}");
    }
}

#[test]
fn another_palaces_backup_is_not_taken_by_mistake() {
    let mut entries = ours(&[(1, 10, None)]);
    entries.push(entry(OTHER, 2, 10, None));
    assert!(pick(&entries, &At::Newest, Whose::Other).unwrap_err().contains("several palaces"));
    assert_eq!(pick(&entries, &At::Newest, Whose::Own(None)).map(|chain| times(&chain)), Ok(vec![2]));
    let first = At::Time(Timestamp(1_000));
    assert_eq!(pick(&entries, &first, Whose::Other).map(|chain| times(&chain)), Ok(vec![1]));
}

#[test]
fn backups_are_due_when_something_changed_and_the_time_has_come() {
    let last = Known { last_at: Some(0), ..Known::default() };
    for (known, seq, now, due) in [
        (Known::default(), 5, 0, true),
        (Known::default(), 0, 0, false),
        (last, 5, HOUR - 1, false),
        (last, 5, HOUR, true),
        (last, 5, -HOUR, true),
        (Known { seen_seq: Some(5), ..last }, 5, HOUR, false),
        (Known { seen_seq: Some(5), ..last }, 6, HOUR, true),
        (Known { failed_at: Some(HOUR), ..last }, 5, HOUR + 1, false),
        (Known { failed_at: Some(HOUR), ..last }, 5, 2 * HOUR, true),
    ] {
        assert_eq!(is_due(HOUR, known, seq, now), due, "{known:?} {seq} {now}");
    }
    let failed = Known { failed_at: Some(0), last_at: Some(-25 * HOUR), seen_seq: None };
    assert!(!is_due(24 * HOUR, failed, 5, HOUR - 1) && is_due(24 * HOUR, failed, 5, HOUR));
}

#[test]
fn names_are_free_and_unfinished_ones_are_of_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let name = || folder::name(folder.path(), "20260131T090507", Seq(12), true);
    let first = name();
    assert_eq!(first.file_name().unwrap(), "20260131T090507Z-12-full.palace");
    fs::write(&first, "").unwrap();
    assert_eq!(name().file_name().unwrap(), "20260131T090507Z-12-full-2.palace");
    let unfinished = |store| folder::unfinished(folder.path(), store);
    assert_ne!(unfinished(&OURS), unfinished(&OTHER));
    fs::write(unfinished(&OURS), "half").unwrap();
    fs::write(unfinished(&OTHER), "half").unwrap();
    folder::remove_unfinished(folder.path(), &OURS);
    assert!(!unfinished(&OURS).exists() && unfinished(&OTHER).exists());
}

#[test]
fn a_folder_says_what_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.palace"), "no backup at all").unwrap();
    fs::write(folder.path().join("b.txt"), "not looked at").unwrap();
    let found = scan(folder.path()).unwrap();
    assert_eq!((found.entries.len(), found.unreadable.len()), (0, 1));
    let listed = list(&found);
    assert_eq!((listed.len(), &listed[0]["restorable"]), (1, &Value::Bool(false)));
    assert!(listed[0]["problem"].as_str().unwrap().contains("not a backup"));
    assert_eq!(scan(&folder.path().join("missing")).unwrap(), Folder::default());
    assert!(choose(folder.path(), &At::Newest, Path::new("/own"), None).unwrap_err().contains("no backup"));
}
