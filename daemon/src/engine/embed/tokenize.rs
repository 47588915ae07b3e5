//! Turns text into the model's token ids.
//!
//! There is one tokenizer per process, used through a shared reference by every calling thread: text is encoded
//! where the call is made, so that the worker's time goes to the model alone.

use std::sync::LazyLock;

use tokenizers::{Tokenizer, TruncationParams};

use super::{EmbedError, model};

/// How much of a text is looked at, in bytes. Two hundred and fifty-six tokens of any real text end long before
/// this; without the cut, a pasted log of many megabytes would be tokenized in full to throw nearly all away.
pub const TEXT_LEN_MAX_BYTES: usize = 32 * 1024;

/// A text as the model reads it, markers included. Never empty and never longer than the model's limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, first to last.
    pub tokens: Vec<u32>,
}

impl Encoded {
    /// Returns how many tokens the text has, both markers included.
    pub fn token_count(&self) -> usize {
        self.tokens.len()
    }
}

static TOKENIZER: LazyLock<Result<Tokenizer, String>> = LazyLock::new(|| {
    let mut tokenizer = Tokenizer::from_bytes(model::TOKENIZER).map_err(|error| error.to_string())?;
    // The published file asks for 128 tokens and pads everything to 128. The weights were trained for 256, and
    // padding is the batch's business.
    tokenizer
        .with_truncation(Some(TruncationParams { max_length: model::TOKEN_COUNT_MAX, ..Default::default() }))
        .map_err(|error| error.to_string())?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
});

/// Reads the tokenizer now rather than at the first text.
///
/// # Errors
/// When the embedded tokenizer cannot be read, which every later [`encode`] would report as well.
pub fn warm() -> Result<(), EmbedError> {
    tokenizer().map(drop)
}

/// Encodes one text, cut to the model's limit.
///
/// # Errors
/// When the tokenizer itself fails; no text is refused for its content.
pub fn encode(text: &str) -> Result<Encoded, EmbedError> {
    let text = &text[..text.floor_char_boundary(TEXT_LEN_MAX_BYTES)];
    let encoding = tokenizer()?
        .encode_fast(text, true)
        .map_err(|error| EmbedError::Tokenize { reason: error.to_string() })?;
    let tokens = encoding.get_ids().to_vec();
    debug_assert!(
        (2..=model::TOKEN_COUNT_MAX).contains(&tokens.len()),
        "both markers and no more than the limit"
    );
    Ok(Encoded { tokens })
}

fn tokenizer() -> Result<&'static Tokenizer, EmbedError> {
    TOKENIZER.as_ref().map_err(|reason| EmbedError::Tokenize { reason: reason.clone() })
}
