//! Why a text has no vector: a variant for each thing a caller may do about it.

use std::sync::Arc;

/// Why a text has no vector.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EmbedError {
    /// The model is not there; every text will fail until it can be loaded.
    #[error("the embedding model cannot be loaded: {reason}")]
    Load {
        /// What the runtime said.
        reason: String,
    },
    /// The model failed on these texts; others may succeed.
    #[error("the embedding model failed: {reason}")]
    Run {
        /// What the runtime said.
        reason: String,
    },
    /// The text could not be turned into tokens.
    #[error("the text cannot be tokenized: {reason}")]
    Tokenize {
        /// What the tokenizer said.
        reason: String,
    },
    /// The embedder was stopped before it answered.
    #[error("the embedder has stopped")]
    Stopped,
    /// No answer came in time.
    #[error("the embedding model gave no answer within {waited_s} seconds")]
    TimedOut {
        /// How long the caller waited.
        waited_s: u64,
    },
    /// The worker thread could not be started.
    #[error("the embedding thread cannot be started")]
    Thread {
        /// What the system said.
        #[source]
        source: Arc<std::io::Error>,
    },
}
