//! Codes, slots and the two structures, below the store.

use super::catalogue::Catalogue;
use super::code::{Code, NotUnit, Probe, biased, cosine_distance, unit};
use super::flat::Flat;
use super::graph::Graph;
use super::{Slot, VectorIndex};
use crate::engine::tests::fixture::Numbers;
use crate::engine::types::RowKey;

#[test]
fn codes_keep_distances_within_half_a_percent() {
    let mut numbers = Numbers(1);
    for dimension in [3, 32, 384, 385] {
        for _ in 0..20 {
            let (left, right) = (numbers.vector(dimension), numbers.vector(dimension));
            let (a, b) = (Code::of(&left), Code::of(&right));
            let row: Vec<u8> = b.values.iter().map(|value| biased(*value)).collect();
            let coded = 1.0 - Probe::of(&a).inner_product(&row) * b.scale;
            let exact = cosine_distance(&left, &right);
            let plain: f32 = left.iter().zip(&right).map(|(l, r)| l * r).sum();
            assert!((exact - (1.0 - plain)).abs() < 1e-5);
            let tolerance = if dimension < 32 { 0.02 } else { 0.005 };
            assert!((coded - exact).abs() < tolerance, "{dimension}: {coded} instead of {exact}");
        }
    }
}

#[test]
fn only_unit_vectors_pass() {
    let third = (1.0f32 / 3.0).sqrt();
    assert!(unit(&[third, third, third * 1.001], 3).is_ok());
    let length = unit(&[0.6, 0.8004], 2).unwrap().iter().map(|v| v * v).sum::<f32>();
    assert!((length - 1.0).abs() < 1e-6);
    assert_eq!(unit(&[1.0], 2), Err(NotUnit::Dimension { found: 1, expected: 2 }));
    assert_eq!(unit(&[f32::NAN, 1.0], 2), Err(NotUnit::NotFinite));
    assert!(matches!(unit(&[0.0, 0.0], 2), Err(NotUnit::Length(_))));
    assert!(matches!(unit(&[1.0, 0.1], 2), Err(NotUnit::Length(_))));
}

#[test]
fn slots_are_shared_by_equal_vectors_and_given_out_again() {
    let mut catalogue = Catalogue::default();
    let first = catalogue.attach(RowKey(1), 77);
    let second = catalogue.attach(RowKey(2), 77);
    assert!(first.is_new && !second.is_new && first.slot == second.slot);
    assert_eq!(catalogue.attach(RowKey(1), 77).released, None, "nothing changes");
    let moved = catalogue.attach(RowKey(1), 88);
    assert!(moved.is_new && moved.released.is_none());
    let last = catalogue.attach(RowKey(2), 88);
    assert_eq!((last.slot, last.released), (moved.slot, Some(first.slot)));
    assert_eq!(catalogue.rows_of(moved.slot), [1, 2]);
    assert_eq!(catalogue.attach(RowKey(3), 99).slot, first.slot);
    assert_eq!((catalogue.rows_len(), catalogue.distinct_len()), (3, 2));
    assert_eq!(catalogue.detach(RowKey(9)), None);

    let mut bytes = Vec::new();
    catalogue.write_to(&mut bytes);
    let read = Catalogue::read_from(&mut bytes.as_slice(), catalogue.slots_len()).unwrap();
    assert_eq!(read.rows_of(moved.slot), [1, 2]);
    assert_eq!(read.slot_of(RowKey(3)), Some(first.slot));
    for len in 0..bytes.len() {
        assert!(Catalogue::read_from(&mut &bytes[..len], catalogue.slots_len()).is_none());
    }
}

/// Puts, replaces and removes in both, then compares answers. The graph must never give a removed
/// slot, nor the library's own sentinel.
#[test]
fn graph_and_scan_agree_under_churn() {
    let mut numbers = Numbers(4);
    let mut flat = Flat::new(24);
    let mut graph = Graph::new(24, 0, 4).unwrap();
    let mut live = std::collections::BTreeSet::new();
    for round in 0..4_000u64 {
        let slot = (numbers.next() % 1_500) as Slot;
        if round % 4 == 3 {
            flat.remove(slot).unwrap();
            graph.remove(slot).unwrap();
            live.remove(&slot);
        } else {
            let code = Code::of(&numbers.vector(24));
            flat.put(slot, &code).unwrap();
            graph.put(slot, &code).unwrap();
            live.insert(slot);
        }
    }
    assert_eq!(graph.len(), live.len());
    let mut bytes = Vec::new();
    graph.write_to(&mut bytes).unwrap();
    let loaded = Graph::read_from(&mut bytes.as_slice(), 24, 4).unwrap();
    assert!(Graph::read_from(&mut bytes.as_slice(), 25, 4).is_none(), "another dimension");
    for graph in [&graph, &loaded] {
        let (mut found, mut wanted) = (0, 0);
        for _ in 0..40 {
            let query = Code::of(&numbers.vector(24));
            let near = graph.nearest(&query, 20, &|_| true).unwrap();
            assert!(near.iter().all(|near| live.contains(&near.slot)));
            let exact = flat.nearest(&query, 20, &|_| true).unwrap();
            let farthest = exact.last().unwrap().distance + 1e-3;
            wanted += exact.len();
            found += near.iter().filter(|near| near.distance <= farthest).count();
        }
        assert!(found * 100 >= wanted * 93, "{found} of {wanted}");
    }
}

#[test]
fn a_panicking_predicate_and_a_huge_count_are_survived() {
    let mut numbers = Numbers(6);
    let mut graph = Graph::new(24, 0, 2).unwrap();
    for slot in 0..50 {
        graph.put(slot, &Code::of(&numbers.vector(24))).unwrap();
    }
    let query = Code::of(&numbers.vector(24));
    let refusing = |slot: Slot| slot.is_multiple_of(2) || panic!("predicate");
    let near = graph.nearest(&query, 50, &refusing).unwrap();
    assert!(!near.is_empty() && near.iter().all(|near| near.slot % 2 == 0));
    assert_eq!(graph.nearest(&query, usize::MAX, &|_| true).unwrap().len(), 50);
}
