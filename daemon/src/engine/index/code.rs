//! Eight-bit codes of vectors.
//!
//! Each vector is scaled by its own largest component, so that all eight bits are used: components
//! of a unit vector of 384 dimensions rarely pass 0.2.

use xxhash_rust::xxh3::xxh3_128;

/// A vector in eight bits per component: `component ≈ value × scale`.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct Code {
    pub values: Vec<i8>,
    pub scale: f32,
}

impl Code {
    /// Codes a finite, non-zero vector.
    pub fn of(vector: &[f32]) -> Code {
        let largest = vector.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        debug_assert!(largest > 0.0 && largest.is_finite(), "vectors are checked before they are coded");
        let scale = largest / 127.0;
        let values = vector.iter().map(|value| rounded(value / scale)).collect();
        Code { values, scale }
    }
}

/// Rounds to the nearest whole number, halves away from zero. The same as `f32::round`, which is a call for each component
/// where the processor that is compiled for has no instruction for it; this is a few for many components at once.
fn rounded(value: f32) -> i8 {
    let whole = value as i8;
    let rest = value - f32::from(whole);
    whole + i8::from(rest >= 0.5) - i8::from(rest <= -0.5)
}

/// Added to a code value to make it an unsigned byte.
pub(super) const BIAS: u8 = 128;

/// Returns a code value as the matrix stores it.
pub(super) fn biased(value: i8) -> u8 {
    value.cast_unsigned().wrapping_add(BIAS)
}

/// A query made ready for many rows of the matrix.
pub(super) struct Probe {
    values: Vec<i16>,
    scale: f32,
    /// What the bias of a row adds to the inner product with this query.
    bias: i32,
}

impl Probe {
    pub fn of(code: &Code) -> Probe {
        let values: Vec<i16> = code.values.iter().map(|value| i16::from(*value)).collect();
        let sum: i32 = values.iter().map(|value| i32::from(*value)).sum();
        Probe { values, scale: code.scale, bias: sum * i32::from(BIAS) }
    }

    /// Returns the inner product with a row of the matrix, still to be multiplied with its scale.
    ///
    /// Plain loops over whole chunks: the compiler makes multiply-add instructions of them that
    /// every 64-bit processor has, as fast here as hand-written wider ones.
    pub fn inner_product(&self, row: &[u8]) -> f32 {
        let (row_chunks, row_rest) = row.as_chunks::<32>();
        let (chunks, rest) = self.values.as_chunks::<32>();
        let mut sum = 0i32;
        for (row, values) in row_chunks.iter().zip(chunks) {
            let mut partial = 0i32;
            for lane in 0..32 {
                partial += i32::from(row[lane]) * i32::from(values[lane]);
            }
            sum += partial;
        }
        let rest = row_rest.iter().zip(rest).map(|(row, value)| i32::from(*row) * i32::from(*value));
        (sum + rest.sum::<i32>() - self.bias) as f32 * self.scale
    }
}

/// Returns the exact cosine distance of two unit vectors.
pub(in crate::engine) fn cosine_distance(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (left_chunks, left_rest) = left.as_chunks::<16>();
    let (right_chunks, right_rest) = right.as_chunks::<16>();
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..16 {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    1.0 - (lanes.iter().sum::<f32>() + rest)
}

/// Names a distinct vector by its stored bytes.
pub(in crate::engine) fn identity_of(stored: &[u8]) -> u128 {
    xxh3_128(stored)
}

/// Why a vector cannot be stored or searched with.
#[derive(Debug, PartialEq)]
pub(in crate::engine) enum NotUnit {
    Dimension { found: usize, expected: usize },
    NotFinite,
    Length(f32),
}

impl std::fmt::Display for NotUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotUnit::Dimension { found, expected } => write!(f, "dimension {found} instead of {expected}"),
            NotUnit::NotFinite => f.write_str("not finite"),
            NotUnit::Length(length) => write!(f, "length {length} instead of 1"),
        }
    }
}

/// Largest departure from length one that is taken for rounding.
const LENGTH_TOLERANCE: f32 = 1e-3;

/// Returns the length of a vector, which is finite exactly if all of its components are: the square of none is too large
/// for 64 bits.
pub(in crate::engine) fn length(vector: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let (chunks, rest) = vector.as_chunks::<8>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(*value) * f64::from(*value);
        }
    }
    let rest: f64 = rest.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    (lanes.iter().sum::<f64>() + rest).sqrt()
}

/// Returns the vector at exactly unit length, or why it is not one.
pub(in crate::engine) fn unit(vector: &[f32], dimension: usize) -> Result<Vec<f32>, NotUnit> {
    let length = almost_unit(vector, dimension)?;
    Ok(vector.iter().map(|value| value / length).collect())
}

/// Returns the length of a vector that is of unit length but for rounding, or why it is not one.
pub(in crate::engine) fn almost_unit(vector: &[f32], dimension: usize) -> Result<f32, NotUnit> {
    if vector.len() != dimension {
        return Err(NotUnit::Dimension { found: vector.len(), expected: dimension });
    }
    let length = length(vector) as f32;
    if !length.is_finite() {
        return Err(NotUnit::NotFinite);
    }
    if (length - 1.0).abs() > LENGTH_TOLERANCE {
        return Err(NotUnit::Length(length));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_rounded_as_the_standard_library_rounds() {
        for step in -127 * 1_000..=127 * 1_000 {
            let value = step as f32 / 1_000.0;
            assert_eq!(rounded(value), value.round() as i8, "{value}");
        }
        for value in [0.499_999_97, -0.499_999_97, 126.500_01, -126.5, -0.0] {
            assert_eq!(rounded(value), value.round() as i8, "{value}");
        }
    }

    #[test]
    fn a_length_is_finite_exactly_if_all_components_are() {
        let mut vector = vec![f32::MAX; 19];
        assert!(length(&vector).is_finite());
        assert_eq!(length(&[3.0, 4.0]), 5.0);
        for place in [0, 7, 8, 18] {
            for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                vector[place] = odd;
                assert!(!length(&vector).is_finite(), "{odd} at {place}");
            }
            vector[place] = 1.0;
        }
    }
}
