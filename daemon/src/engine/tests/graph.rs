//! The graph against the exact scan.

use super::fixture::{DIMENSION, Numbers, commit, options, row};
use crate::engine::{Engine, EngineOptions, Filter, Op, Reader, Vector, VectorHit, VectorIndexKind, verify};

const ROWS: usize = 1_500;

fn graph_options() -> EngineOptions {
    EngineOptions { exact_scan_max: 200, ..options() }
}

/// Vectors in forty clusters, the first hundred of them equal.
fn vectors() -> Vec<Vec<f32>> {
    let mut numbers = Numbers(5);
    let centres: Vec<Vec<f32>> = (0..40).map(|_| numbers.vector(DIMENSION)).collect();
    (0..ROWS)
        .map(|n| {
            let n = n.max(100);
            Numbers(n as u64).near(&centres[n * 7 % 40], 0.25)
        })
        .collect()
}

fn fill(engine: &mut Engine, vectors: &[Vec<f32>]) {
    let ops: Vec<Op> = vectors
        .iter()
        .enumerate()
        .map(|(n, vector)| {
            let mut row = row(&format!("id{n:04}"), "text");
            row.wing = if n % 3 == 0 { "third" } else { "rest" }.to_owned();
            Op::PutRow(row, Vector(vector.clone()))
        })
        .collect();
    ops.chunks(500).for_each(|ops| commit(engine, ops));
}

/// Share of the exact answer's distances that the graph's answer reaches.
fn recall(graph: &Reader, exact: &Reader, filter: Option<&Filter>) -> f64 {
    let mut numbers = Numbers(99);
    let (mut found, mut wanted) = (0, 0);
    let vectors = vectors();
    for round in 0..60 {
        let query = numbers.near(&vectors[100 + round * 17], 0.1);
        let answer = |reader: &Reader| -> Vec<VectorHit> {
            let snapshot = reader.snapshot().unwrap();
            let within = filter.map(|filter| snapshot.rows_matching(filter).unwrap());
            reader.nearest(&query, 10, within.as_ref()).unwrap()
        };
        let (near, oracle) = (answer(graph), answer(exact));
        let farthest = oracle.last().unwrap().distance + 1e-6;
        wanted += oracle.len();
        found += near.iter().filter(|hit| hit.distance <= farthest).count();
    }
    found as f64 / wanted as f64
}

#[test]
fn the_graph_finds_what_the_scan_finds_and_survives_a_restart() {
    let (graph_dir, exact_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut engine, reader) = Engine::open(graph_dir.path(), graph_options()).unwrap();
    let (mut exact_engine, exact) = Engine::open(exact_dir.path(), options()).unwrap();
    let vectors = vectors();
    fill(&mut exact_engine, &vectors);
    // Half before the graph is there, half into it.
    fill(&mut engine, &vectors[..ROWS / 2]);
    assert_eq!(reader.stats().vector_index, VectorIndexKind::Exact);
    assert!(!reader.build_graph_if_due(&|| false).unwrap(), "told to stop, it stops");
    assert!(reader.build_graph_if_due(&|| true).unwrap());
    assert!(!reader.build_graph_if_due(&|| true).unwrap(), "once is enough");
    fill(&mut engine, &vectors);
    let stats = reader.stats();
    assert_eq!(stats.vector_index, VectorIndexKind::Graph);
    assert_eq!((stats.vectors, stats.distinct_vectors), (ROWS as u64, ROWS as u64 - 100));

    let third = Filter { wing: Some("third".to_owned()), ..Filter::default() };
    let check = |reader: &Reader| {
        assert!(recall(reader, &exact, None) >= 0.95);
        assert!(recall(reader, &exact, Some(&third)) >= 0.95);
        assert!(verify(reader).unwrap().is_sound());
    };
    check(&reader);
    engine.close().unwrap();
    drop(reader);
    let (mut engine, reader) = Engine::open(graph_dir.path(), graph_options()).unwrap();
    assert_eq!(reader.stats().vector_index, VectorIndexKind::Graph, "the saved graph was loaded");
    check(&reader);

    // Removals wear the graph until a new one is due.
    let removed: Vec<Op> = (0..700).map(|n| Op::DeleteRow { id: format!("id{n:04}") }).collect();
    commit(&mut engine, &removed);
    assert!(reader.stats().tombstones > 500);
    assert!(reader.build_graph_if_due(&|| true).unwrap());
    assert_eq!(reader.stats().tombstones, 0);
    assert!(verify(&reader).unwrap().is_sound());
}

#[test]
fn rows_with_equal_vectors_are_all_found() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = Engine::open(dir.path(), graph_options()).unwrap();
    let vectors = vectors();
    fill(&mut engine, &vectors);
    reader.build_graph_if_due(&|| true).unwrap();
    let hits = reader.nearest(&vectors[0], 200, None).unwrap();
    assert!(hits[..101].iter().all(|hit| hit.distance < 1e-3));
    commit(&mut engine, &(0..50).map(|n| Op::DeleteRow { id: format!("id{n:04}") }).collect::<Vec<_>>());
    let hits = reader.nearest(&vectors[0], 200, None).unwrap();
    assert_eq!(hits.iter().filter(|hit| hit.distance < 1e-3).count(), 51);
}

#[test]
fn searches_and_commits_run_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, reader) = Engine::open(dir.path(), graph_options()).unwrap();
    let vectors = vectors();
    fill(&mut engine, &vectors[..400]);
    let done = std::sync::atomic::AtomicBool::new(false);
    let running = || !done.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (reader, vectors) = (reader.clone(), &vectors);
            scope.spawn(move || {
                let mut round = thread;
                while running() {
                    let snapshot = reader.snapshot().unwrap();
                    for hit in reader.nearest(&vectors[200 + round % 200], 5, None).unwrap() {
                        reader.resolve(&snapshot, hit.row_key).unwrap();
                    }
                    round += 3;
                }
            });
        }
        scope.spawn(|| reader.build_graph_if_due(&|| true).unwrap());
        scope.spawn(|| reader.save_snapshots().unwrap());
        for (n, chunk) in vectors.chunks(50).enumerate() {
            let ops = chunk.iter().enumerate().map(|(index, vector)| {
                Op::PutRow(row(&format!("id{:04}", (n * 50 + index) % 900), "text"), Vector(vector.clone()))
            });
            commit(&mut engine, &ops.collect::<Vec<_>>());
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(verify(&reader).unwrap().is_sound());
}
