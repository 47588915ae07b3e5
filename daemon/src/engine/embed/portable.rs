//! The model in pure Rust (rten): what serves when no ONNX Runtime library is found.
//!
//! Same embedded bytes, same vector space, no file outside the program.

use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};

use super::tokenize::Encoded;
use super::{Backend, EmbedError, Vector, model, tensor};

/// What status shows. The crate does not tell its version; a test compares this with the lock file.
pub const NAME: &str = "rten 0.27";

/// Keeps weights in the order the matrix kernel reads them. Costs 40 MB and makes one query 1.6 times faster.
const PREPACK: bool = true;

/// A loaded model with its own threads.
pub struct Portable {
    model: Model,
    tokens: NodeId,
    mask: NodeId,
    segments: NodeId,
    hidden: NodeId,
    threads: Arc<ThreadPool>,
}

/// Loads the embedded model.
///
/// # Errors
/// When rten cannot read it.
pub fn load(threads: usize) -> Result<Portable, EmbedError> {
    let unreadable = |reason: String| EmbedError::Load { reason: format!("{NAME}: {reason}") };
    let model = ModelOptions::with_all_ops()
        .prepack_weights(PREPACK)
        .load_static_slice(model::GRAPH)
        .map_err(|error| unreadable(error.to_string()))?;
    let node = |name: &str| model.node_id(name).map_err(|error| unreadable(error.to_string()));
    Ok(Portable {
        tokens: node("input_ids")?,
        mask: node("attention_mask")?,
        segments: node("token_type_ids")?,
        hidden: node("last_hidden_state")?,
        model,
        threads: Arc::new(ThreadPool::with_num_threads(threads)),
    })
}

impl Backend for Portable {
    fn embed(&mut self, batch: &[Encoded]) -> Result<Vec<Vector>, EmbedError> {
        let input = tensor::input(batch, |token| token as i32);
        let shape = [input.row_count, input.width];
        let view = |data| NdTensorView::<i32, 2>::from_data(shape, data);
        let inputs = vec![
            (self.tokens, view(&input.tokens[..]).into()),
            (self.mask, view(&input.mask[..]).into()),
            (self.segments, view(&input.segments[..]).into()),
        ];
        let options = RunOptions::default().with_thread_pool(Some(self.threads.clone()));
        let failed = |reason: String| EmbedError::Run { reason: format!("{NAME}: {reason}") };
        let [hidden] = self
            .model
            .run_n(inputs, [self.hidden], Some(options))
            .map_err(|error| failed(error.to_string()))?;
        let hidden: NdTensor<f32, 3> =
            hidden.try_into().map_err(|_| failed("an output of another type".into()))?;
        tensor::pool(batch, input.width, &hidden.to_vec())
    }

    fn name(&self) -> &str {
        NAME
    }
}
