//! Repairs of stores that are sound page by page.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use super::*;
use crate::engine::embed::{Embedder, EmbedderSource};
use crate::engine::{Collection, EngineOptions, Op};
use crate::palace::Palace;
use crate::palace::import::{ImportBatch, Imported};

fn bench(dir: &Path) -> Bench {
    let embedder = Embedder::start(EmbedderSource::Hash).unwrap();
    Bench {
        palace: dir.to_owned(),
        options: EngineOptions { embedder_identity: embedder.identity(), ..EngineOptions::default() },
        embedder,
        own_backups: dir.join("backups"),
    }
}

fn fact() -> Imported {
    let fact = json!({"id": "f1", "subject": "ada", "predicate": "keeps", "object": "light", "valid_from": null,
                      "valid_to": null, "confidence": 1.0, "extracted_at": ""});
    serde_json::from_value(json!({"type": "fact", "record": fact})).unwrap()
}

fn repaired(bench: &Bench) -> Value {
    let interrupted = Arc::new(AtomicBool::new(false));
    let mut teller = Teller { interrupted, phase: String::new(), total: None, last: None };
    let finished = repair(bench, &mut teller).unwrap();
    assert!(finished.ok, "{}", finished.message);
    finished.report
}

#[test]
fn what_leads_to_a_fact_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(dir.path());
    let (engine, reader) = open(&bench).unwrap();
    let palace = Palace::new(engine, reader, Embedder::start(EmbedderSource::Hash).unwrap(), None, |_| {});
    let batch = ImportBatch { records: vec![fact()], ..ImportBatch::default() };
    palace.import(batch, &clock::now()).unwrap().wait().unwrap();
    palace.close().unwrap();
    assert_eq!(repaired(&bench)["record_indexes_mended"], 0);

    let (mut engine, _reader) = open(&bench).unwrap();
    let mut change = engine.begin().unwrap();
    let collection = Collection::OpenFacts;
    change.apply(&Op::DeleteRecord { collection, key: b"f1".to_vec() }).unwrap();
    change.apply(&Op::PutRecord { collection, key: b"f2".to_vec(), value: b"null".to_vec() }).unwrap();
    change.commit().unwrap();
    engine.close().unwrap();
    assert_eq!(repaired(&bench)["record_indexes_mended"], 2);
    assert_eq!(repaired(&bench)["record_indexes_mended"], 0);
}

/// A link whose volume is not mounted was no store at all, and a restore replaced it: the store that it leads to was cut off.
#[cfg(unix)]
#[test]
fn what_stands_in_the_place_of_a_store_is_named_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(dir.path());
    let store = dir.path().join(STORE_FILE);
    let away = dir.path().join("unmounted/palace.redb");
    let interrupted = Arc::new(AtomicBool::new(false));
    let mut teller = Teller { interrupted, phase: String::new(), total: None, last: None };
    let point = super::super::restore::Point { from: &dir.path().join("backups"), at: None, store: None };
    for (target, name) in
        [(away.as_path(), "a link that leads to nothing"), (Path::new("/dev/null"), "a device")]
    {
        std::os::unix::fs::symlink(target, &store).unwrap();
        let refusals = [
            ("repair", repair(&bench, &mut teller)),
            ("rehearsal", rehearse(&bench, &mut teller)),
            ("check", check(&bench, &mut teller)),
            ("restore", super::super::restore::restore(&bench, &point, &mut teller)),
        ];
        for (what, refused) in refusals {
            let Err(told) = refused else { panic!("{what} of {name}") };
            for part in [name, "is a volume unmounted?", "nothing was changed"] {
                assert!(told.contains(part), "{what}: {part} in {told}");
            }
        }
        assert_eq!(fs::read_link(&store).unwrap(), target, "it is as it was");
        fs::remove_file(&store).unwrap();
    }
}
