//! The one model that is part of the program: all-MiniLM-L6-v2 with 8-bit weights, embedded as bytes.
//!
//! Nothing is ever downloaded for it, and both runtimes read these same bytes, so every palace's vectors lie in
//! one space. Provenance and the script that regenerates the file stand beside it in `model/minilm-l6-v2-q8`.

/// The ONNX graph with its weights. Standard operators only, so any ONNX runtime can read it.
pub static GRAPH: &[u8] = include_bytes!("../../../model/minilm-l6-v2-q8/model.onnx");

/// The tokenizer as its authors publish it. Its truncation and padding settings are overridden on load.
pub static TOKENIZER: &[u8] = include_bytes!("../../../model/minilm-l6-v2-q8/tokenizer.json");

/// What people are shown as the model's name.
pub const NAME: &str = "all-MiniLM-L6-v2 (8-bit weights)";

/// Names the vector space: model, revision of the original weights, pooling, dimension.
///
/// The number format is left out on purpose: 8-bit and full-precision vectors of these weights may be mixed.
pub const IDENTITY: &str = "all-MiniLM-L6-v2@1110a243/mean/384";

/// Length of every vector.
pub const DIMENSION: usize = 384;

/// Longest text the model is given, in tokens with both markers. The sentence-transformers value.
pub const TOKEN_COUNT_MAX: usize = 256;

/// Fills the rows of a batch up to its longest text; hidden by the attention mask.
pub const PADDING_TOKEN: u32 = 0;
