//! Stores that older versions wrote, kept as they were written, are opened and mean what they meant.
//!
//! A new format adds a file here and keeps the old ones; see `fixtures/README.md` for how one is made.

use std::io::Read;
use std::path::Path;

use super::fixture::options;
use crate::engine::{Collection, Engine, EngineOptions, Reader, View, verify};

fn unpack(name: &str, dir: &Path) {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/tests/fixtures").join(name);
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap()).read_to_end(&mut bytes).unwrap();
    std::fs::write(dir.join("palace.redb"), bytes).unwrap();
}

fn open(dir: &Path) -> (Engine, Reader) {
    let options =
        EngineOptions { embedder_identity: "hash@1/bag/384".to_owned(), dimension: 384, ..options() };
    Engine::open(dir, options).unwrap()
}

#[test]
fn a_store_of_format_2_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    unpack("format-2.redb.gz", dir.path());
    let (engine, reader) = open(dir.path());
    let snapshot = reader.snapshot().unwrap();
    let info = snapshot.meta().unwrap();
    assert_eq!((info.format, info.origin), (3, None));
    let counts = snapshot.counts().unwrap();
    assert_eq!((counts.rows(), counts.drawers()), (17, 14));
    assert_eq!(snapshot.record_count(Collection::Facts).unwrap(), 2);
    assert_eq!(snapshot.record_count(Collection::Tunnels).unwrap(), 1);
    assert_eq!(snapshot.record_count(Collection::Events).unwrap(), 1);
    assert_eq!(snapshot.record_count(Collection::Artifacts).unwrap(), 1);
    assert!(reader.lexical("lighthouse number 77", 3, None).len() == 3);
    let report = verify(&reader).unwrap();
    assert!(report.is_sound() && report.self_searches == 17, "{report:?}");
    drop(snapshot);
    engine.close().unwrap();
    let (_engine, reader) = open(dir.path());
    assert_eq!(reader.snapshot().unwrap().meta().unwrap(), info);
}
