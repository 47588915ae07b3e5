//! Reciprocal rank fusion of the vector and the lexical ranking.
//!
//! Source: Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
//! Methods", SIGIR 2009. Ranks need no common scale, so neither ranking has to be calibrated against the other.

use std::collections::BTreeMap;
use std::hash::Hash;

/// The paper's constant: damps the weight of the first ranks.
const RANK_CONSTANT: f32 = 60.0;

/// Returns every key of the rankings with its fused score, best first; ties keep the order of keys.
pub fn fuse<K: Copy + Ord + Hash>(rankings: &[&[K]]) -> Vec<(K, f32)> {
    let mut scores: BTreeMap<K, f32> = BTreeMap::new();
    for ranking in rankings {
        for (rank, key) in ranking.iter().enumerate() {
            // Ranks beyond 2^24 would lose precision; rankings are a few hundred long.
            #[expect(clippy::cast_precision_loss)]
            let score = 1.0 / (RANK_CONSTANT + rank as f32 + 1.0);
            *scores.entry(*key).or_default() += score;
        }
    }
    let mut fused: Vec<(K, f32)> = scores.into_iter().collect();
    fused.sort_by(|left, right| right.1.total_cmp(&left.1));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_rankings_hold_comes_first() {
        let fused = fuse(&[&[1, 2, 3], &[3, 4]]);
        assert_eq!(fused.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [3, 1, 2, 4]);
    }

    #[test]
    fn one_ranking_keeps_its_order() {
        let fused = fuse(&[&[9, 1, 5], &[]]);
        assert_eq!(fused.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [9, 1, 5]);
    }
}
