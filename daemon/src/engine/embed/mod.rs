//! Turns text into vectors: one model, one worker thread, any number of callers.
//!
//! What must stay true: every vector has [`model::DIMENSION`] values and unit length; the same text gives the same
//! vector whatever it is batched with and whichever runtime runs the model; vectors of another space are never
//! given silently. Nothing here reads the environment, a clock that matters, or the network.

pub mod model;
pub mod provision;

mod batch;
mod error;
mod hash;
mod library;
mod memory;
mod onnx;
mod portable;
mod tensor;
#[cfg(test)]
mod tests;
mod tokenize;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use parking_lot::Mutex;

use batch::{Answer, QUEUE_REQUEST_COUNT_MAX, REQUEST_TEXT_COUNT_MAX, Request, Status, Worker};
pub use error::EmbedError;
pub use tokenize::Encoded;

/// One text's place in the model's space: [`model::DIMENSION`] values of unit length.
pub type Vector = Vec<f32>;

/// How long a caller waits for a place in the queue and then for its answer. Far beyond any honest batch, so that
/// only a stuck model is reported.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(300);

/// What runs a model: made and used on the worker thread only.
pub trait Backend: Send {
    /// Embeds a batch; one vector of unit length per text, in order.
    ///
    /// # Errors
    /// When the runtime fails; the batch has no vectors then.
    fn embed(&mut self, batch: &[Encoded]) -> Result<Vec<Vector>, EmbedError>;

    /// Names the runtime and its version for people: `onnxruntime 1.24.4`.
    fn name(&self) -> &str;
}

/// Which embedder to start.
#[derive(Debug, Clone)]
pub enum EmbedderSource {
    /// The model in the program.
    Builtin {
        /// ONNX Runtime libraries to try in order, see [`provision::candidates`].
        runtime_search: Vec<PathBuf>,
        /// Threads for one batch.
        threads: usize,
        /// How long an unused model stays in memory.
        idle_unload: Duration,
    },
    /// Hashed words, for tests.
    Hash,
}

/// How far the model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Being read; calls wait for it.
    Loading,
    /// In memory.
    Ready,
    /// Dropped for want of use; the next call reads it again.
    Unloaded,
    /// The last attempt to read it failed, for this reason; the next call tries again.
    Failed(String),
}

/// What `status` shows.
#[derive(Debug, Clone)]
pub struct EmbedderState {
    /// The model's name.
    pub model: String,
    /// Length of every vector.
    pub dimension: usize,
    /// The runtime in use, or last used; empty before the first load.
    pub runtime: String,
    /// Why a faster runtime is not in use, when one is not.
    pub runtime_note: Option<String>,
    /// How far the model is.
    pub state: Readiness,
    /// When the model was last read.
    pub loaded_at: Option<SystemTime>,
    /// How long reading it took.
    pub load_time: Option<Duration>,
}

/// The handle that sessions share. Dropping the last one, or [`Embedder::stop`], ends the worker.
#[derive(Clone)]
pub struct Embedder {
    shared: Arc<Shared>,
}

struct Shared {
    model: &'static str,
    identity: &'static str,
    queries: Sender<Request>,
    documents: Sender<Request>,
    warm: Sender<()>,
    /// Taken to stop the worker: it watches the other end close. Locked for the taking only.
    running: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
    status: Arc<Mutex<Status>>,
}

impl Embedder {
    /// Starts the worker and returns at once; the model loads on the worker's thread meanwhile.
    ///
    /// # Errors
    /// When the thread cannot be started. A model that cannot be loaded shows in [`Embedder::state`] and calls.
    pub fn start(source: EmbedderSource) -> Result<Embedder, EmbedError> {
        let embedder = match source {
            EmbedderSource::Builtin { runtime_search, threads, idle_unload } => {
                let load = Box::new(move || {
                    tokenize::warm()?;
                    provision::load(&runtime_search, threads.max(1))
                });
                Embedder::start_with(model::NAME, model::IDENTITY, idle_unload, load)?
            }
            EmbedderSource::Hash => {
                let load = Box::new(|| Ok(provision::Loaded { backend: Box::new(hash::Hash), note: None }));
                Embedder::start_with(hash::NAME, hash::IDENTITY, Duration::MAX, load)?
            }
        };
        embedder.warm();
        Ok(embedder)
    }

    fn start_with(
        model: &'static str,
        identity: &'static str,
        idle_unload: Duration,
        load: batch::Load,
    ) -> Result<Embedder, EmbedError> {
        let status = Arc::new(Mutex::new(Status {
            readiness: Readiness::Loading,
            runtime: String::new(),
            runtime_note: None,
            loaded_at: None,
            load_time: None,
        }));
        let (queries, queries_out) = bounded(QUEUE_REQUEST_COUNT_MAX);
        let (documents, documents_out) = bounded(QUEUE_REQUEST_COUNT_MAX);
        let (warm, warm_out) = bounded(1);
        let (stop, stop_out) = bounded(1);
        let worker = Worker {
            queries: queries_out,
            documents: documents_out,
            warm: warm_out,
            stop: stop_out,
            idle_unload,
            load,
            status: status.clone(),
            backend: None,
        };
        let thread = std::thread::Builder::new()
            .name("embedder".into())
            .spawn(move || worker.run())
            .map_err(|source| EmbedError::Thread { source: Arc::new(source) })?;
        let running = Mutex::new(Some((stop, thread)));
        Ok(Embedder {
            shared: Arc::new(Shared { model, identity, queries, documents, warm, running, status }),
        })
    }

    /// Embeds texts to be stored. Blocks the calling thread; an async caller uses a blocking thread.
    ///
    /// # Errors
    /// When one of the texts cannot be embedded: all or nothing.
    pub fn documents(&self, texts: &[&str]) -> Result<Vec<Vector>, EmbedError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for texts in texts.chunks(REQUEST_TEXT_COUNT_MAX) {
            let texts = texts.iter().map(|text| tokenize::encode(text)).collect::<Result<_, _>>()?;
            vectors.extend(self.wait(self.ask(&self.shared.documents, texts)?)?);
        }
        Ok(vectors)
    }

    /// Embeds a search. Blocks the calling thread, and overtakes all documents that are waiting.
    ///
    /// # Errors
    /// When the text cannot be embedded.
    pub fn query(&self, text: &str) -> Result<Vector, EmbedError> {
        let answer = self.ask(&self.shared.queries, vec![tokenize::encode(text)?])?;
        Ok(self.wait(answer)?.pop().expect("an answer has as many vectors as its request has texts"))
    }

    /// Asks for the model to be loaded, without waiting for it.
    pub fn warm(&self) {
        // Full means that it is already asked for, disconnected that there is nothing left to ask.
        let _ = self.shared.warm.try_send(());
    }

    /// Returns how the model is doing.
    pub fn state(&self) -> EmbedderState {
        let status = self.shared.status.lock().clone();
        EmbedderState {
            model: self.shared.model.to_owned(),
            dimension: model::DIMENSION,
            runtime: status.runtime,
            runtime_note: status.runtime_note,
            state: status.readiness,
            loaded_at: status.loaded_at,
            load_time: status.load_time,
        }
    }

    /// Names the vector space. A store remembers it and refuses vectors of another.
    pub fn identity(&self) -> String {
        self.shared.identity.to_owned()
    }

    /// Ends the worker after the batch in hand and waits for it. Calls under way and later ones get
    /// [`EmbedError::Stopped`].
    pub fn stop(&self) {
        let Some((stop, thread)) = self.shared.running.lock().take() else { return };
        drop(stop);
        // The worker catches the panics of what it runs; one of its own has nothing to tell a stopping daemon.
        let _ = thread.join();
    }

    fn ask(&self, queue: &Sender<Request>, texts: Vec<Encoded>) -> Result<Receiver<Answer>, EmbedError> {
        let (answer, answer_out) = bounded(1);
        match queue.send_timeout(Request { texts, answer }, ANSWER_WAIT_MAX) {
            Ok(()) => Ok(answer_out),
            Err(SendTimeoutError::Timeout(_)) => Err(timed_out()),
            Err(SendTimeoutError::Disconnected(_)) => Err(EmbedError::Stopped),
        }
    }

    fn wait(&self, answer: Receiver<Answer>) -> Answer {
        match answer.recv_timeout(ANSWER_WAIT_MAX) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(timed_out()),
            Err(RecvTimeoutError::Disconnected) => Err(EmbedError::Stopped),
        }
    }
}

fn timed_out() -> EmbedError {
    EmbedError::TimedOut { waited_s: ANSWER_WAIT_MAX.as_secs() }
}
