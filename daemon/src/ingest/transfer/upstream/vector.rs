//! Vectors as bytes: little-endian floats, judged before they are believed.
//!
//! Whatever leaves here is finite and of unit length. A vector that was merely not normalised is normalised; one that
//! an index keeps normalised and that is not is damaged, for nothing tells which of its numbers still hold.

/// How far from one a length may be where the writer had normalised.
const UNIT_TOLERANCE: f64 = 1e-2;
/// Lengths this near to one are left bit for bit as they are.
const UNIT_EXACT: f64 = 1e-6;
/// Lengths no embedder produces: such numbers are not a scaled vector but garbage.
const LENGTHS: std::ops::RangeInclusive<f64> = 1e-9..=1e9;

/// What a writer promises about the length of its vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// One, as every index of cosine distances keeps them.
    Unit,
    /// Nothing.
    Any,
}

/// Why bytes are no usable vector.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub(super) enum Damage {
    #[error("the vector has {len} bytes, not {expected}")]
    Len { len: usize, expected: usize },
    #[error("the vector holds numbers that are not finite")]
    NotFinite,
    #[error("the vector has length {0}")]
    Length(f64),
}

/// Returns the length of the vector if it can be believed.
pub(super) fn check(bytes: &[u8], dimension: usize, scale: Scale) -> Result<f64, Damage> {
    let expected = dimension.saturating_mul(4);
    if bytes.len() != expected || expected == 0 {
        return Err(Damage::Len { len: bytes.len(), expected });
    }
    // Sums side by side, which the compiler makes one instruction of. No square is too large for 64 bits.
    let mut sums = [0.0f64; 8];
    for (at, float) in floats(bytes).enumerate() {
        sums[at % 8] += f64::from(float) * f64::from(float);
    }
    let length = sums.iter().sum::<f64>().sqrt();
    if !length.is_finite() {
        return Err(Damage::NotFinite);
    }
    let believable = match scale {
        Scale::Unit => (length - 1.0).abs() <= UNIT_TOLERANCE,
        Scale::Any => LENGTHS.contains(&length),
    };
    if believable { Ok(length) } else { Err(Damage::Length(length)) }
}

/// Returns the vector, of unit length.
pub(super) fn decode(bytes: &[u8], dimension: usize, scale: Scale) -> Result<Vec<f32>, Damage> {
    let length = check(bytes, dimension, scale)?;
    if (length - 1.0).abs() <= UNIT_EXACT {
        return Ok(floats(bytes).collect());
    }
    Ok(floats(bytes).map(|float| (f64::from(float) / length) as f32).collect())
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("chunks of four bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(floats: &[f32]) -> Vec<u8> {
        floats.iter().flat_map(|float| float.to_le_bytes()).collect()
    }

    #[test]
    fn scaled_vectors_are_normalised_and_garbage_is_refused() {
        assert_eq!(decode(&bytes(&[0.6, 0.8]), 2, Scale::Unit), Ok(vec![0.6, 0.8]));
        assert_eq!(decode(&bytes(&[3.0, 4.0]), 2, Scale::Any), Ok(vec![0.6, 0.8]));
        assert_eq!(decode(&bytes(&[3.0, 4.0]), 2, Scale::Unit), Err(Damage::Length(5.0)));
        assert_eq!(decode(&bytes(&[0.0, 0.0]), 2, Scale::Any), Err(Damage::Length(0.0)));
        assert_eq!(decode(&bytes(&[f32::NAN, 1.0]), 2, Scale::Any), Err(Damage::NotFinite));
        assert_eq!(decode(&bytes(&[f32::INFINITY, 1.0]), 2, Scale::Any), Err(Damage::NotFinite));
        assert_eq!(decode(&bytes(&[1.0]), 2, Scale::Any), Err(Damage::Len { len: 4, expected: 8 }));
        assert_eq!(decode(&[], 0, Scale::Any), Err(Damage::Len { len: 0, expected: 0 }));
    }
}
