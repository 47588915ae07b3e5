//! The model on ONNX Runtime, a library that is loaded while the program runs.
//!
//! What must stay true: the library is loaded once per process and never unloaded (its threads and the runtime's
//! own global state do not survive that), and nothing here panics because a file is missing, is not a library,
//! or is too old. The caller then takes the portable runtime.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use parking_lot::Mutex;

use super::tokenize::Encoded;
use super::{Backend, EmbedError, Vector, library, model, tensor};

/// The oldest release whose interface is asked for.
pub const VERSION_MIN: &str = "1.17";

/// The library that this process has loaded. Held while a library is being loaded, at most once per model load.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

struct Loaded {
    path: PathBuf,
    name: String,
    // Only one environment may ever be made in a process, so it outlives every session.
    environment: Environment,
}

/// A session on the embedded model.
pub struct Onnx {
    session: Session,
    name: String,
}

/// Loads ONNX Runtime from `library` (an absolute path to a file) and the embedded model into it.
///
/// # Errors
/// The reason for people, when the file is not a usable ONNX Runtime, another one is already loaded, or it refuses
/// the model.
pub fn load(library: &Path, threads: usize) -> Result<Onnx, String> {
    // The loader asserts where it could return an error, and what a stranger's library does is not ours to know.
    catch_unwind(AssertUnwindSafe(|| open(library, threads)))
        .unwrap_or_else(|_| Err("the library broke while it was being loaded".into()))
}

fn open(path: &Path, threads: usize) -> Result<Onnx, String> {
    let mut loaded = LOADED.lock();
    if loaded.is_none() {
        *loaded = Some(load_library(path)?);
    }
    let runtime = loaded.as_ref().expect("it was put there above");
    if runtime.path != path {
        return Err(format!("this process already uses the runtime at {}", runtime.path.display()));
    }
    let session = session(&runtime.environment, threads).map_err(|error| error.to_string())?;
    Ok(Onnx { session, name: runtime.name.clone() })
}

fn load_library(library: &Path) -> Result<Loaded, String> {
    let opened = library::open(library)?;
    if !is_recent(&opened.version) {
        return Err(format!("version {} is too old, {VERSION_MIN} or newer is needed", opened.version));
    }
    let environment = ort::init_from(library)
        .map_err(|error| error.to_string())?
        .with_name("palaced")
        .with_telemetry(false)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(Loaded { path: library.to_owned(), name: format!("onnxruntime {}", opened.version), environment })
}

/// Whether this program can use a library of that version.
pub fn is_recent(version: &str) -> bool {
    let parts = |version: &str| {
        version.split('.').map(|part| part.parse().unwrap_or(0)).take(2).collect::<Vec<u32>>()
    };
    parts(version) >= parts(VERSION_MIN)
}

fn session(environment: &Environment, threads: usize) -> ort::Result<Session> {
    // Spinning threads would burn a core while the palace is idle and steal time from every other process.
    Session::builder(environment)?
        .with_intra_threads(threads)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .commit_from_memory(model::GRAPH)
}

impl Backend for Onnx {
    fn embed(&mut self, batch: &[Encoded]) -> Result<Vec<Vector>, EmbedError> {
        let failed = |error: ort::Error| EmbedError::Run { reason: error.to_string() };
        let input = tensor::input(batch, i64::from);
        let shape = [input.row_count, input.width];
        let view = |data| TensorRef::from_array_view((shape, data)).map_err(failed);
        let outputs = self
            .session
            .run(ort::inputs![
                "input_ids" => view(&input.tokens[..])?,
                "attention_mask" => view(&input.mask[..])?,
                "token_type_ids" => view(&input.segments[..])?,
            ])
            .map_err(failed)?;
        let (_, hidden) = outputs["last_hidden_state"].try_extract_tensor::<f32>().map_err(failed)?;
        tensor::pool(batch, input.width, hidden)
    }

    fn name(&self) -> &str {
        &self.name
    }
}
