//! Moved stores keep their identity, copied ones get another.

use std::fs;
use std::path::Path;

use super::fixture::{open, options, put, row, vector};
use crate::engine::{Engine, EngineOptions, StoreInfo, verify};

fn meta(dir: &Path, host: &str) -> StoreInfo {
    let options = EngineOptions { host: host.to_owned(), ..options() };
    let (engine, reader) = Engine::open(dir, options).unwrap();
    let info = reader.snapshot().unwrap().meta().unwrap();
    assert!(verify(&reader).unwrap().is_sound());
    engine.close().unwrap();
    info
}

fn store(dir: &Path) {
    let (mut engine, _reader) = open(dir);
    put(&mut engine, row("a", "some text"), vector(1));
    engine.close().unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join(".derived")).unwrap();
    fs::copy(from.join("palace.redb"), to.join("palace.redb")).unwrap();
    for entry in fs::read_dir(from.join(".derived")).unwrap().flatten() {
        fs::copy(entry.path(), to.join(".derived").join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_moved_store_keeps_its_identity() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    store(&old);
    let before = meta(&old, "");
    fs::rename(&old, &new).unwrap();
    assert_eq!(meta(&new, ""), before);
    assert_eq!(meta(&new, ""), before);
}

#[test]
fn a_copied_store_gets_an_identity_of_its_own_once() {
    let dir = tempfile::tempdir().unwrap();
    let (original, copied) = (dir.path().join("original"), dir.path().join("copied"));
    store(&original);
    let before = meta(&original, "");
    copy(&original, &copied);
    let after = meta(&copied, "");
    assert_ne!(after.database_uuid, before.database_uuid);
    assert_eq!(after.origin, Some(before.database_uuid));
    assert_eq!(meta(&copied, ""), after, "the second start changes nothing");
    assert_eq!(meta(&original, ""), before, "the original is not touched");
}

#[test]
fn a_store_that_comes_from_another_machine_may_live_there_still() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let here = meta(dir.path(), "");
    let there = meta(dir.path(), "another-machine");
    assert_ne!(there.database_uuid, here.database_uuid);
    assert_eq!(there.origin, Some(here.database_uuid));
}

#[cfg(unix)]
#[test]
fn another_way_to_the_same_file_is_no_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("hard"));
    store(&real);
    let before = meta(&real, "");
    fs::create_dir(&link).unwrap();
    fs::hard_link(real.join("palace.redb"), link.join("palace.redb")).unwrap();
    assert_eq!(meta(&link, "").database_uuid, before.database_uuid);
}
