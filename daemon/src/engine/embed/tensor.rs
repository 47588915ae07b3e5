//! The model's inputs and outputs as plain slices, the same for both runtimes.
//!
//! Padding is invisible here: a padded position is masked on the way in and left out of the mean on the way out,
//! so a text's vector does not depend on the company it is embedded in.

use super::model::{DIMENSION, PADDING_TOKEN};
use super::tokenize::Encoded;
use super::{EmbedError, Vector};

/// One batch laid out row by row, every row padded to the longest text.
pub struct Input<T> {
    /// Texts.
    pub row_count: usize,
    /// Tokens in each row.
    pub width: usize,
    /// Token ids, padded.
    pub tokens: Vec<T>,
    /// One where a token stands, zero where padding does.
    pub mask: Vec<T>,
    /// All zero: the model is given one segment.
    pub segments: Vec<T>,
}

/// Lays out a batch in the integer type that a runtime wants.
pub fn input<T: Copy + From<bool>>(batch: &[Encoded], token: impl Fn(u32) -> T) -> Input<T> {
    let width = batch.iter().map(Encoded::token_count).max().unwrap_or(0);
    let cells = batch.len() * width;
    let mut tokens = Vec::with_capacity(cells);
    let mut mask = Vec::with_capacity(cells);
    for text in batch {
        let padding = width - text.token_count();
        tokens.extend(text.tokens.iter().map(|&id| token(id)));
        tokens.extend(std::iter::repeat_n(token(PADDING_TOKEN), padding));
        mask.extend(std::iter::repeat_n(T::from(true), text.token_count()));
        mask.extend(std::iter::repeat_n(T::from(false), padding));
    }
    Input { row_count: batch.len(), width, tokens, mask, segments: vec![T::from(false); cells] }
}

/// Averages each text's token vectors (`hidden` is texts × width × dimension) and scales them to unit length.
///
/// # Errors
/// When the runtime gave another shape than asked for, or a vector without a direction.
pub fn pool(batch: &[Encoded], width: usize, hidden: &[f32]) -> Result<Vec<Vector>, EmbedError> {
    let row_len = width * DIMENSION;
    if hidden.len() != batch.len() * row_len {
        return Err(EmbedError::Run {
            reason: format!("{} values for {} texts of {width} tokens", hidden.len(), batch.len()),
        });
    }
    batch
        .iter()
        .zip(hidden.chunks_exact(row_len))
        .map(|(text, row)| {
            let mut vector = vec![0f32; DIMENSION];
            for token in row.chunks_exact(DIMENSION).take(text.token_count()) {
                vector.iter_mut().zip(token).for_each(|(sum, value)| *sum += value);
            }
            normalize(vector)
        })
        .collect()
}

/// Scales a vector to unit length.
///
/// # Errors
/// When it has no direction: zero, infinite or not a number. Such a vector must never reach an index.
pub fn normalize(mut vector: Vector) -> Result<Vector, EmbedError> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if !length.is_finite() || length == 0.0 {
        return Err(EmbedError::Run { reason: "the model gave a vector without a direction".into() });
    }
    vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    Ok(vector)
}
