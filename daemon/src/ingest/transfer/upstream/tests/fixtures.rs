//! Palaces that MemPalace itself wrote, compared with what its own libraries read from them.
//!
//! They lie in `tests/fixtures/upstream`, whose README says how they were made and what is special about each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::{Map, Value};

use super::super::Backend;
use super::source::everything;
use super::*;

/// A palace as it was packed, and what is expected of it.
pub(super) struct Fixture {
    pub(super) dir: TempDir,
    pub(super) scratch: TempDir,
    pub(super) expected: Value,
}

impl Fixture {
    pub(super) fn unpack(name: &str) -> Fixture {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/upstream");
        let open =
            |suffix: &str| GzDecoder::new(File::open(folder.join(format!("{name}.{suffix}"))).unwrap());
        let dir = TempDir::new().unwrap();
        tar::Archive::new(open("tar.gz")).unpack(dir.path()).unwrap();
        let mut json = String::new();
        open("expected.json.gz").read_to_string(&mut json).unwrap();
        Fixture { dir, scratch: TempDir::new().unwrap(), expected: serde_json::from_str(&json).unwrap() }
    }

    pub(super) fn open(&self) -> UpstreamPalace {
        let home = self.dir.path().join("home");
        open(&Places::of(&self.dir.path().join("memory/palace"), Some(&home)), self.scratch.path()).unwrap()
    }
}

pub(super) fn rows_by_id(palace: &UpstreamPalace, collection: &str) -> BTreeMap<String, SourceRow> {
    let mut rows = BTreeMap::new();
    let mut take = |row: SourceRow| {
        assert_eq!(rows.insert(row.id.clone(), row), None);
        ControlFlow::Continue(())
    };
    palace.each_row(collection, None, &mut take).unwrap();
    rows
}

fn metadata(expected: &Value) -> Vec<(String, MetaValue)> {
    let mut pairs: Vec<(String, MetaValue)> = expected
        .as_object()
        .unwrap_or(&Map::new())
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::String(text) => MetaValue::Text(text.clone()),
                Value::Bool(truth) => MetaValue::Bool(*truth),
                Value::Number(number) => match number.as_i64() {
                    Some(number) => MetaValue::Integer(number),
                    None => MetaValue::Float(number.as_f64().unwrap()),
                },
                Value::Null | Value::Array(_) | Value::Object(_) => panic!("{name}: {value}"),
            };
            (name.clone(), value)
        })
        .collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs
}

/// Returns a vector written in base64, brought to unit length.
fn vector(base64: &str) -> Vec<f32> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in base64.bytes().filter(|digit| *digit != b'=') {
        bits = bits << 6 | DIGITS.iter().position(|known| *known == digit).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    let floats: Vec<f32> =
        bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    let length = floats.iter().map(|float| f64::from(*float).powi(2)).sum::<f64>().sqrt();
    floats.iter().map(|float| (f64::from(*float) / length) as f32).collect()
}

fn check_rows(fixture: &Fixture, palace: &UpstreamPalace) {
    let inventory = palace.inventory().unwrap();
    for (collection, expected) in fixture.expected["collections"].as_object().unwrap() {
        let expected = expected.as_array().unwrap();
        let Some(listed) = inventory.collections.iter().find(|listed| listed.name == *collection) else {
            assert!(expected.is_empty(), "{collection}");
            continue;
        };
        let rows = rows_by_id(palace, collection);
        assert_eq!((rows.len(), listed.row_count), (expected.len(), expected.len() as u64));
        assert_eq!(listed.vectors.missing, 0);
        for expected in expected {
            let row = &rows[expected["id"].as_str().unwrap()];
            assert_eq!(row.document.as_deref(), expected["document"].as_str());
            assert_eq!(row.metadata, metadata(&expected["metadata"]), "{}", row.id);
            let expected = vector(expected["vector"].as_str().unwrap());
            let found = row.vector.as_ref().unwrap();
            let difference = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(found.len() == expected.len() && difference <= 1e-6, "{}: {difference}", row.id);
        }
    }
}

fn records(each: impl FnOnce(&mut dyn FnMut(Map<String, Value>) -> ControlFlow<()>)) -> Vec<Value> {
    let mut records = Vec::new();
    each(&mut |record| {
        records.push(Value::Object(record));
        ControlFlow::Continue(())
    });
    records
}

fn by_id(list: &Value) -> BTreeMap<&str, &Value> {
    list.as_array().into_iter().flatten().map(|row| (row["id"].as_str().unwrap(), row)).collect()
}

/// Compares the knowledge graph; `merged` is the number of facts when the two files have some in common.
fn check_graph(fixture: &Fixture, palace: &UpstreamPalace, merged: Option<usize>) {
    let graphs = &fixture.expected["knowledge_graph"];
    let found = |kind: &str| {
        Value::Array(match kind {
            "entities" => records(|visit| palace.each_entity(visit).unwrap()),
            _ => records(|visit| palace.each_fact(visit).unwrap()),
        })
    };
    for kind in ["entities", "triples"] {
        let mut expected = by_id(&graphs["home"][kind]);
        // Those in the palace are read first.
        expected.append(&mut by_id(&graphs["palace"][kind]));
        let found = found(kind);
        let found = by_id(&found);
        if let (Some(merged), "triples") = (merged, kind) {
            assert_eq!(found.len(), merged);
            assert!(found.iter().all(|(id, row)| expected[id] == *row));
        } else {
            assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        }
    }
}

fn check_log(fixture: &Fixture, palace: &UpstreamPalace) {
    let list = |name: &str| fixture.expected[name].as_array().cloned().unwrap_or_default();
    assert_eq!(records(|visit| palace.each_artifact(visit).unwrap()), list("artifacts"));
    let mut links = Vec::new();
    let events = records(|visit| palace.each_event(visit).unwrap()).into_iter().map(|mut event| {
        let ids = event.as_object_mut().unwrap().remove("artifact_ids").unwrap();
        let id = event["id"].clone();
        links.extend(ids.as_array().unwrap().iter().map(|artifact| (id.clone(), artifact.clone())));
        event
    });
    assert_eq!(events.collect::<Vec<_>>(), list("events"));
    let expected = list("event_artifacts");
    let mut expected: Vec<(Value, Value)> =
        expected.iter().map(|link| (link["event_id"].clone(), link["artifact_id"].clone())).collect();
    for links in [&mut links, &mut expected] {
        links.sort_by_key(|(event, artifact)| format!("{event} {artifact}"));
    }
    assert_eq!(links, expected);
}

fn check_files(fixture: &Fixture, palace: &UpstreamPalace) {
    let expected = &fixture.expected;
    assert_eq!(palace.tunnels(), expected["tunnels"].as_array().map_or(&[][..], Vec::as_slice));
    assert_eq!(palace.hallways(), expected["hallways"]["hallways"].as_array().map_or(&[][..], Vec::as_slice));
    let replica = palace.files().iter().find(|file| file.name == "replica.json");
    let replica = replica.map_or(Value::Null, |file| serde_json::from_slice(&file.bytes).unwrap());
    assert_eq!(replica, expected["replica"]);
}

fn check(name: &str, backend: Backend, merged: Option<usize>) -> UpstreamPalace {
    let fixture = Fixture::unpack(name);
    let before = everything(fixture.dir.path());
    let palace = fixture.open();
    assert_eq!(palace.inventory().unwrap().backend, backend);
    check_rows(&fixture, &palace);
    check_graph(&fixture, &palace, merged);
    check_log(&fixture, &palace);
    check_files(&fixture, &palace);
    assert_eq!(losses(&palace), [""; 0]);
    assert!(everything(fixture.dir.path()) == before, "the source has changed");
    palace
}

#[test]
fn every_kind_of_record_with_all_vectors_in_the_queue() {
    let palace = check("queue-only", Backend::Chroma, None);
    let counts = palace.inventory().unwrap().collections[0].vectors;
    assert_eq!((counts.in_index, counts.in_queue), (0, 32));
}

#[test]
fn replaced_moved_and_deleted_drawers() {
    check("updated", Backend::Chroma, None);
}

#[test]
fn a_mined_project_with_conversations_and_hooks() {
    let palace = check("mined", Backend::Chroma, None);
    let inventory = palace.inventory().unwrap();
    assert_eq!(inventory.closets.as_deref(), Some("mempalace_closets"));
    for name in ["config.json", "identity.txt", "known_entities.json", "hook_state/wednesday_last_save"] {
        assert!(inventory.files.iter().any(|file| file == name), "{name} {:?}", inventory.files);
    }
}

#[test]
fn one_table_with_a_log_that_was_not_checked_in() {
    check("exact", Backend::SqliteExact, None);
}

#[test]
fn two_knowledge_graphs() {
    let palace = check("kg-split", Backend::Chroma, Some(5));
    assert_eq!(palace.inventory().unwrap().entity_count, 6);
}

#[test]
fn an_index_with_changes_after_it_in_the_queue() {
    let palace = check("hnsw", Backend::Chroma, None);
    let counts = palace.inventory().unwrap().collections[0].vectors;
    assert!(counts.in_index > 40 && counts.in_queue > 5, "{counts:?}");
}
