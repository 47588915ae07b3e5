//! An embedder for tests: a bag of tokens, hashed. No model, no meaning, the same on every machine.
//!
//! Texts that share words get near vectors, texts that share none get nearly orthogonal ones, which is all that
//! a test of storage or sessions needs. It is only ever built when a caller asks for it by name: vectors of this
//! space in a real palace would be silent nonsense.

use super::tokenize::Encoded;
use super::{Backend, EmbedError, Vector, model, tensor};

/// Names this space, so that a palace filed with it is never opened with the real model.
pub const IDENTITY: &str = "hash@1/bag/384";

/// What the state shows as model and runtime.
pub const NAME: &str = "hash";

/// The markers around every text. They count little, so that they give an empty text a direction and make no two
/// real texts alike.
const MARKERS: [u32; 2] = [101, 102];
const MARKER_WEIGHT: f32 = 0.05;

/// The hashing backend.
pub struct Hash;

impl Backend for Hash {
    fn embed(&mut self, batch: &[Encoded]) -> Result<Vec<Vector>, EmbedError> {
        batch.iter().map(vector).collect()
    }

    fn name(&self) -> &str {
        NAME
    }
}

fn vector(text: &Encoded) -> Result<Vector, EmbedError> {
    let mut sum = vec![0f32; model::DIMENSION];
    for &token in &text.tokens {
        let weight = if MARKERS.contains(&token) { MARKER_WEIGHT } else { 1.0 };
        let mut bits = u64::from(token);
        for lane in sum.chunks_mut(64) {
            bits = mix(bits);
            for (index, value) in lane.iter_mut().enumerate() {
                *value += if bits >> index & 1 == 1 { weight } else { -weight };
            }
        }
    }
    tensor::normalize(sum)
}

/// One step of splitmix64: a fixed function of its input, with no seed to differ between runs.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
