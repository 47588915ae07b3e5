//! Small stores with known content, and vectors without a model.

use std::path::Path;

use crate::engine::store::tables;
use crate::engine::{Engine, EngineOptions, Op, Reader, Row, Timestamp, Vector};

pub const DIMENSION: usize = 32;

pub fn options() -> EngineOptions {
    EngineOptions {
        embedder_identity: "test-model".to_owned(),
        dimension: DIMENSION,
        cache_bytes: 4 << 20,
        now: Timestamp(1_700_000_000_000),
        ..EngineOptions::default()
    }
}

pub fn open(dir: &Path) -> (Engine, Reader) {
    Engine::open(dir, options()).unwrap()
}

/// Numbers that look random and are the same in every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number between -1 and 1.
    pub fn signed(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn vector(&mut self, dimension: usize) -> Vec<f32> {
        unit((0..dimension).map(|_| self.signed()).collect())
    }

    /// A vector near another one.
    pub fn near(&mut self, centre: &[f32], spread: f32) -> Vec<f32> {
        unit(centre.iter().map(|value| value + spread * self.signed()).collect())
    }
}

pub fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}

pub fn vector(seed: u64) -> Vec<f32> {
    Numbers(seed).vector(DIMENSION)
}

pub fn row(id: &str, document: &str) -> Row {
    Row {
        id: id.to_owned(),
        document: document.to_owned(),
        wing: "wing".to_owned(),
        room: "room".to_owned(),
        source_file: "/src/a.md".to_owned(),
        filed_at: "2026-01-02T03:04:05".to_owned(),
        ..Row::default()
    }
}

pub fn put(engine: &mut Engine, row: Row, vector: Vec<f32>) {
    commit(engine, &[Op::PutRow(row, Vector(vector))]);
}

pub fn commit(engine: &mut Engine, ops: &[Op]) {
    let mut txn = engine.begin().unwrap();
    for op in ops {
        txn.apply(op).unwrap();
    }
    txn.commit().unwrap();
}

/// Changes the file through redb, so that its pages stay sound and only our checks can notice.
pub fn tamper(dir: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let db = redb::Database::open(dir.join("palace.redb")).unwrap();
    let txn = db.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
}

/// Flips one bit of the stored value of one key.
pub(in crate::engine) fn flip(dir: &Path, table: &'static tables::Table, key: &[u8], at: usize) {
    tamper(dir, |txn| {
        let mut open = txn.open_table(table.definition()).unwrap();
        let mut value = open.remove(key).unwrap().unwrap().value().to_vec();
        let at = at % value.len();
        value[at] ^= 1;
        open.insert(key, value.as_slice()).unwrap();
    });
}

/// Damages the stored row of a key, counted from one in the order of the first puts.
pub fn damage_row(dir: &Path, key: u64) {
    flip(dir, &tables::ROWS, &key.to_be_bytes(), 40);
}
