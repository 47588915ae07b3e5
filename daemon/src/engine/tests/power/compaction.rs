//! Compaction moves every page of the store. Power that fails and disks that fill up in the middle of it cost nothing.

use super::*;

/// A store much of which was removed again, and what it holds.
fn store(dir: &Path) -> (Vec<u8>, Model) {
    let disk = Disk::new(Vec::new(), u64::MAX);
    let (mut engine, _reader) = Engine::open_over(disk.clone(), dir, options()).unwrap();
    let mut model = Model::default();
    let mut numbers = Numbers(7);
    for _ in 0..60 {
        let (ops, answer, after) = change(&mut numbers, &model);
        write(&mut engine, &ops, answer).unwrap();
        model = after;
    }
    let doomed: Vec<String> = model.rows.keys().step_by(2).cloned().collect();
    let ops: Vec<Op> = doomed.iter().map(|id| Op::DeleteRow { id: id.clone() }).collect();
    write(&mut engine, &ops, None).unwrap();
    model.rows.retain(|id, _| !doomed.contains(id));
    model.seq += 1;
    engine.close().unwrap();
    (disk.content(), model)
}

/// Compacts a store on a disk; returns whether that was done, and how many operations of the disk it began and ended with.
fn compact(dir: &Path, disk: &Disk) -> Option<(bool, u64, u64)> {
    let (mut engine, reader) = Engine::open_over(disk.clone(), dir, options()).ok()?;
    drop(reader);
    let before = disk.0.lock().operations;
    let done = engine.compact().is_ok();
    Some((done, before, disk.0.lock().operations))
}

fn holds(dir: &Path, content: Vec<u8>, model: &Model, context: &str) {
    let opened = Engine::open_over(Disk::new(content, u64::MAX), dir, options());
    let (_engine, reader) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(found(&reader, &model.answers), *model, "{context}");
    assert!(verify(&reader).unwrap().is_sound(), "{context}");
}

#[test]
fn power_that_fails_while_the_store_is_compacted_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (content, model) = store(dir.path());
    let disk = Disk::new(content.clone(), u64::MAX);
    let (done, first, last) = compact(dir.path(), &disk).unwrap();
    assert!(done && disk.content().len() < content.len(), "there is something to give back");
    holds(dir.path(), disk.content(), &model, "whole");
    for run in 0..60 {
        let mut numbers = Numbers(90_000 + run);
        let fails_at = first + numbers.next() % (last - first);
        let disk = Disk::new(content.clone(), fails_at);
        let cut = compact(dir.path(), &disk);
        assert!(cut.is_none_or(|(done, ..)| !done), "run {run}: nothing can be done without power");
        holds(dir.path(), disk.after_power_loss(&mut numbers), &model, &format!("run {run}"));
    }
}

#[test]
fn a_disk_that_fills_up_while_the_store_is_compacted_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (content, model) = store(dir.path());
    let disk = Disk::new(content.clone(), u64::MAX);
    let (_, first, last) = compact(dir.path(), &disk).unwrap();
    let mut failed = 0;
    for full_after in (first..last).step_by(((last - first) / 40).max(1) as usize) {
        let disk = Disk::new(content.clone(), u64::MAX);
        disk.0.lock().full_after = full_after;
        let (done, ..) = compact(dir.path(), &disk).expect("the disk is full only after the start");
        failed += usize::from(!done);
        holds(dir.path(), disk.content(), &model, &format!("full after {full_after}"));
    }
    assert!(failed > 20, "{failed}");
}
