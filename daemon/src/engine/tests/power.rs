//! Power fails at any moment: what was acknowledged is there, and the store is sound.
//!
//! A disk that has not been told to sync keeps any part of what was written to it, sector by sector. The disk here does
//! the same: it fails at a chosen operation, and what it then holds is its state at the last sync and a random subset of
//! the sectors written since.

mod compaction;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

use super::fixture::{Numbers, options, row, vector};
use crate::engine::{
    CommitError, Engine, EngineOptions, IdempotencyKey, Op, Reader, Seq, Timestamp, Vector, View, verify,
};

const SECTOR: usize = 512;

/// A disk in memory that loses its power.
#[derive(Clone)]
pub(super) struct Disk(Arc<Mutex<State>>);

pub(super) struct State {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors written since the last sync.
    dirty: BTreeSet<usize>,
    operations_left: u64,
    operations: u64,
    /// Operations after which nothing more can be written.
    full_after: u64,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    pub fn new(content: Vec<u8>, operations_left: u64) -> Disk {
        let durable = content.clone();
        let (dirty, full_after) = (BTreeSet::new(), u64::MAX);
        let state = State { live: content, durable, dirty, operations_left, operations: 0, full_after };
        Disk(Arc::new(Mutex::new(state)))
    }

    /// Returns what is on the disk now.
    pub fn content(&self) -> Vec<u8> {
        self.0.lock().live.clone()
    }

    fn operate<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, io::Error> {
        let mut state = self.0.lock();
        let Some(left) = state.operations_left.checked_sub(1) else {
            return Err(io::Error::other("the power is off"));
        };
        state.operations_left = left;
        state.operations += 1;
        Ok(work(&mut state))
    }

    /// The same for what needs room.
    fn fill<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, io::Error> {
        self.operate(|state| {
            let is_full = state.operations > state.full_after;
            if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(work(state)) }
        })?
    }

    /// Returns what is found on the disk when the power is back.
    fn after_power_loss(&self, numbers: &mut Numbers) -> Vec<u8> {
        let state = self.0.lock();
        let mut found = state.durable.clone();
        if numbers.next().is_multiple_of(2) {
            found.resize(state.live.len(), 0);
        }
        // From nearly nothing to everything arrives.
        let odds = 1 + numbers.next() % 10;
        for sector in &state.dirty {
            let range = sectors(*sector, &found, &state.live);
            if numbers.next() % 10 < odds {
                found[range.clone()].copy_from_slice(&state.live[range]);
            }
        }
        found
    }
}

/// The bytes of a sector as far as both have it.
fn sectors(sector: usize, left: &[u8], right: &[u8]) -> Range<usize> {
    let end = left.len().min(right.len());
    (sector * SECTOR).min(end)..((sector + 1) * SECTOR).min(end)
}

impl StorageBackend for Disk {
    // Not an operation of the disk: the length is known without asking it.
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.operate(|state| {
            let offset = offset as usize;
            let found = state.live.get(offset..offset + out.len());
            found.map(|found| out.copy_from_slice(found)).ok_or(io::ErrorKind::UnexpectedEof)
        })?
        .map_err(io::Error::from)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.fill(|state| state.live.resize(len as usize, 0))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.operate(|state| {
            state.durable.clone_from(&state.live);
            state.dirty.clear();
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.fill(|state| {
            let offset = offset as usize;
            state.live[offset..offset + data.len()].copy_from_slice(data);
            state.dirty.extend(offset / SECTOR..(offset + data.len()).div_ceil(SECTOR));
        })
    }
}

/// What a store should hold: text and seed of the vector by id, remembered answers, position in history.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    rows: BTreeMap<String, (String, u64)>,
    answers: BTreeSet<u64>,
    seq: u64,
}

/// Makes one commit of random changes; tells what the store holds once it is there.
fn change(numbers: &mut Numbers, model: &Model) -> (Vec<Op>, Option<u64>, Model) {
    let mut after = model.clone();
    let mut ops = Vec::new();
    for _ in 0..1 + numbers.next() % 4 {
        let id = format!("id{:02}", numbers.next() % 40);
        if numbers.next().is_multiple_of(4) {
            if after.rows.remove(&id).is_some() {
                ops.push(Op::DeleteRow { id });
            }
            continue;
        }
        let seed = numbers.next() % 1000;
        let text = format!("text {seed} {}", "x".repeat((numbers.next() % 1500) as usize));
        ops.push(Op::PutRow(row(&id, &text), Vector(vector(seed))));
        after.rows.insert(id, (text, seed));
    }
    after.seq += u64::from(!ops.is_empty());
    let answer = numbers.next().is_multiple_of(2).then(|| numbers.next());
    after.answers.extend(answer);
    (ops, answer, after)
}

fn write(engine: &mut Engine, ops: &[Op], answer: Option<u64>) -> Result<Seq, CommitError> {
    let mut txn = engine.begin()?;
    for op in ops {
        txn.apply(op)?;
    }
    if let Some(answer) = answer {
        txn.put_key(&IdempotencyKey(u128::from(answer).to_be_bytes()), Timestamp(1), b"done")?;
    }
    txn.commit()
}

fn found(reader: &Reader, asked: &BTreeSet<u64>) -> Model {
    let snapshot = reader.snapshot().unwrap();
    let rows = snapshot.all_rows().unwrap().map(|row| row.unwrap());
    let rows = rows.map(|row| {
        let seed = row.document.split(' ').nth(1).unwrap().parse().unwrap();
        let stored = snapshot.vector(&row.id).unwrap().unwrap();
        let same: f32 = stored.iter().zip(vector(seed)).map(|(left, right)| left * right).sum();
        assert!(same > 0.999, "{} has another vector", row.id);
        (row.id, (row.document, seed))
    });
    let rows = rows.collect();
    let answer = |answer: &&u64| {
        snapshot.key_result(&IdempotencyKey(u128::from(**answer).to_be_bytes())).unwrap().is_some()
    };
    Model { rows, answers: asked.iter().filter(answer).copied().collect(), seq: snapshot.seq().0 }
}

/// One life of a store, from a start on what is on the disk to the loss of power. Returns what is on the disk then, what
/// was acknowledged, and what was under way.
fn life(
    dir: &Path,
    content: Vec<u8>,
    fails_at: u64,
    possible: &[Model],
    numbers: &mut Numbers,
) -> (Vec<u8>, Model, Option<Model>, u64) {
    let disk = Disk::new(content, fails_at);
    let run = || -> (Model, Option<Model>) {
        let last = possible.last().expect("something may be on the disk");
        let opened = Engine::open_over(disk.clone(), dir, options());
        // A start that meets the end of the power has promised nothing beyond what was there.
        let Ok((mut engine, reader)) = opened else { return (possible[0].clone(), possible.get(1).cloned()) };
        let mut asked = last.answers.clone();
        asked.extend(&possible[0].answers);
        let mut acknowledged = found_or_cut(&disk, || found(&reader, &asked)).unwrap_or_else(|| last.clone());
        if disk.is_on() {
            assert!(possible.contains(&acknowledged), "{acknowledged:?} is none of {possible:?}");
        } else {
            return (possible[0].clone(), possible.get(1).cloned());
        }
        for _ in 0..12 {
            let (ops, answer, after) = change(numbers, &acknowledged);
            match write(&mut engine, &ops, answer) {
                Ok(_) => acknowledged = after,
                Err(_) => return (acknowledged, Some(after)),
            }
        }
        (acknowledged, None)
    };
    let (acknowledged, under_way) =
        catch_unwind(AssertUnwindSafe(run)).expect("no panic, whatever the disk does");
    let operations = disk.0.lock().operations;
    (disk.after_power_loss(numbers), acknowledged, under_way, operations)
}

impl Disk {
    fn is_on(&self) -> bool {
        self.0.lock().operations_left > 0
    }
}

/// Runs a check that may be cut short by the end of the power, and by nothing else.
fn found_or_cut<T>(disk: &Disk, check: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(check)) {
        Ok(found) => Some(found),
        Err(_) if !disk.is_on() => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[test]
fn acknowledged_commits_survive_a_loss_of_power() {
    let dir = tempfile::tempdir().unwrap();
    let start = {
        let disk = Disk::new(Vec::new(), u64::MAX);
        drop(Engine::open_over(disk.clone(), dir.path(), options()).unwrap());
        disk.content()
    };
    let mut numbers = Numbers(1);
    let (_, _, _, whole) = life(dir.path(), start.clone(), u64::MAX, &[Model::default()], &mut numbers);
    let (mut exact, mut ahead, mut cut, mut twice) = (0, 0, 0, 0);
    for run in 0..400 {
        let mut numbers = Numbers(1_000 + run);
        let mut content = start.clone();
        let mut possible = vec![Model::default()];
        // Every third store loses its power again, often while it is being repaired.
        for again in 0..1 + u64::from(run % 3 == 0) {
            let fails_at = numbers.next() % if again == 0 { whole } else { whole / 4 };
            let (found, acknowledged, under_way, _) =
                life(dir.path(), content, fails_at, &possible, &mut numbers);
            content = found;
            possible = std::iter::once(acknowledged).chain(under_way).collect();
            twice += again;
            cut += usize::from(possible.len() > 1);
        }
        let disk = Disk::new(content, u64::MAX);
        let opened = Engine::open_over(disk, dir.path(), options());
        let (mut engine, reader) = opened.unwrap_or_else(|error| panic!("run {run}: {error}"));
        let asked = possible.iter().flat_map(|model| model.answers.iter().copied()).collect();
        let found = found(&reader, &asked);
        assert!(possible.contains(&found), "run {run}: {found:?} is none of {possible:?}");
        exact += usize::from(found == possible[0]);
        ahead += usize::from(found != possible[0]);
        let report = verify(&reader).unwrap();
        assert!(report.is_sound() && !report.indexes_skipped, "run {run}: {report:?}");
        let (ops, answer, after) = change(&mut numbers, &found);
        write(&mut engine, &ops, answer).unwrap();
        assert_eq!(reader.snapshot().unwrap().seq().0, after.seq);
    }
    let counted = format!("{exact} as acknowledged, {ahead} one ahead, {cut} cut in a commit, {twice} twice");
    assert!(exact > 200 && ahead > 0 && cut > 200 && twice > 50, "{counted}");
}

/// The same with a store that redb does not check at its start: what is acknowledged does not depend on the check.
#[test]
fn a_start_without_checks_finds_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let unchecked = || EngineOptions { integrity_check_max_bytes: 0, ..options() };
    for run in 0..20 {
        let mut numbers = Numbers(50_000 + run);
        let disk = Disk::new(Vec::new(), u64::MAX);
        let (mut engine, reader) = Engine::open_over(disk.clone(), dir.path(), unchecked()).unwrap();
        let mut model = Model::default();
        for _ in 0..6 {
            let (ops, answer, after) = change(&mut numbers, &model);
            write(&mut engine, &ops, answer).unwrap();
            model = after;
        }
        let content = disk.after_power_loss(&mut numbers);
        drop((engine, reader));
        let (_engine, reader) =
            Engine::open_over(Disk::new(content, u64::MAX), dir.path(), unchecked()).unwrap();
        assert_eq!(found(&reader, &model.answers), model, "run {run}");
        assert!(verify(&reader).unwrap().is_sound());
    }
}
