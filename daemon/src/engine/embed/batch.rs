//! The worker: one thread that owns the one copy of the model and serves every session's texts.
//!
//! What must stay true: queries overtake documents between any two batches; texts of a round are sorted by
//! length and run in batches of a bounded number of tokens, because padding is paid for like text and a batch
//! that outgrows the cache is slower per text; an error or a panic of the model fails the texts of that batch
//! only; a model that nobody has used for a while is dropped and read again on demand.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, TryRecvError, after, never, select_biased};
use parking_lot::Mutex;

use super::provision::Loaded;
use super::tokenize::Encoded;
use super::{Backend, EmbedError, Readiness, Vector, memory};

/// Padded tokens in one batch. Measured: two 800-character texts at a time beat thirty-two by half.
pub const BATCH_TOKEN_COUNT_MAX: usize = 512;
/// Padding in one batch, in tokens. Measured: a batch of its own costs about as much as this many tokens, so that
/// short texts are not dragged along at the width of a long one.
pub const BATCH_PADDING_COUNT_MAX: usize = 32;
/// Texts in one request; longer calls are made of several. Bounds how long a round keeps others waiting.
pub const REQUEST_TEXT_COUNT_MAX: usize = 16;
/// Texts in one round, from however many sessions.
pub const ROUND_TEXT_COUNT_MAX: usize = 128;
/// Requests waiting for the worker, of either kind. A full queue makes callers wait, which slows the sessions
/// that bring more text than the model can read.
pub const QUEUE_REQUEST_COUNT_MAX: usize = 64;

/// Texts to embed, and where the vectors go.
pub struct Request {
    /// At most [`REQUEST_TEXT_COUNT_MAX`] texts.
    pub texts: Vec<Encoded>,
    /// Holds one answer; nobody waiting for it any more is not an error.
    pub answer: Sender<Answer>,
}

/// One vector per text of the request, in order.
pub type Answer = Result<Vec<Vector>, EmbedError>;

/// Makes the backend, on the worker thread, each time it is needed.
pub type Load = Box<dyn FnMut() -> Result<Loaded, EmbedError> + Send>;

/// What the worker tells the handles. Locked for single assignments only.
#[derive(Debug, Clone)]
pub struct Status {
    pub readiness: Readiness,
    pub runtime: String,
    pub runtime_note: Option<String>,
    pub loaded_at: Option<SystemTime>,
    pub load_time: Option<Duration>,
}

/// The thread's state.
pub struct Worker {
    pub queries: Receiver<Request>,
    pub documents: Receiver<Request>,
    pub warm: Receiver<()>,
    /// Never carries anything: it closes when the worker shall stop.
    pub stop: Receiver<()>,
    pub idle_unload: Duration,
    pub load: Load,
    pub status: Arc<Mutex<Status>>,
    pub backend: Option<Box<dyn Backend>>,
}

enum Event {
    Queries(Request),
    Documents(Request),
    Warm,
    Idle,
    Stop,
}

impl Worker {
    /// Works until the handles are gone or ask for a stop. Requests still waiting then are dropped unanswered,
    /// which their callers see as a stopped embedder.
    pub fn run(mut self) {
        loop {
            match self.next() {
                Event::Queries(first) => self.serve_queries(first),
                Event::Documents(first) => self.serve_documents(first),
                Event::Warm => drop(self.ensure_loaded()),
                Event::Idle => self.unload(),
                Event::Stop => return,
            }
        }
    }

    fn next(&self) -> Event {
        let idle = if self.backend.is_some() { after(self.idle_unload) } else { never() };
        select_biased! {
            recv(self.stop) -> _ => Event::Stop,
            recv(self.queries) -> request => request.map_or(Event::Stop, Event::Queries),
            recv(self.warm) -> asked => asked.map_or(Event::Stop, |()| Event::Warm),
            recv(self.documents) -> request => request.map_or(Event::Stop, Event::Documents),
            recv(idle) -> _ => Event::Idle,
        }
    }

    fn serve_queries(&mut self, first: Request) {
        let mut round = Round::collect(first, &self.queries);
        while let Some(batch) = round.next_batch() {
            let result = self.embed(&batch);
            round.answer(batch, result);
        }
    }

    fn serve_documents(&mut self, first: Request) {
        let mut round = Round::collect(first, &self.documents);
        while let Some(batch) = round.next_batch() {
            if let Ok(query) = self.queries.try_recv() {
                self.serve_queries(query);
            }
            if self.stop.try_recv() == Err(TryRecvError::Disconnected) {
                return;
            }
            let result = self.embed(&batch);
            round.answer(batch, result);
        }
    }

    fn embed(&mut self, batch: &Batch) -> Answer {
        let backend = self.ensure_loaded()?;
        match catch_unwind(AssertUnwindSafe(|| backend.embed(&batch.texts))) {
            Ok(answer) => answer,
            Err(_) => {
                // Whatever state the panic left behind goes with the backend; the next batch loads a new one.
                self.unload();
                Err(EmbedError::Run { reason: "the model broke on this batch".into() })
            }
        }
    }

    fn ensure_loaded(&mut self) -> Result<&mut Box<dyn Backend>, EmbedError> {
        if self.backend.is_none() {
            self.status.lock().readiness = Readiness::Loading;
            let start = Instant::now();
            let loaded = catch_unwind(AssertUnwindSafe(|| (self.load)()))
                .unwrap_or_else(|_| Err(EmbedError::Load { reason: "loading the model broke".into() }));
            match loaded {
                Ok(loaded) => self.backend = Some(self.note_loaded(loaded, start.elapsed())),
                Err(error) => {
                    self.status.lock().readiness = Readiness::Failed(error.to_string());
                    return Err(error);
                }
            }
            memory::trim();
        }
        Ok(self.backend.as_mut().expect("it was loaded above"))
    }

    fn note_loaded(&self, loaded: Loaded, load_time: Duration) -> Box<dyn Backend> {
        *self.status.lock() = Status {
            readiness: Readiness::Ready,
            runtime: loaded.backend.name().to_owned(),
            runtime_note: loaded.note,
            loaded_at: Some(SystemTime::now()),
            load_time: Some(load_time),
        };
        loaded.backend
    }

    fn unload(&mut self) {
        self.backend = None;
        self.status.lock().readiness = Readiness::Unloaded;
        memory::trim();
    }
}

/// Some requests' texts, shortest last, and the vectors they have got so far.
struct Round {
    requests: Vec<Open>,
    waiting: Vec<Place>,
}

struct Open {
    answer: Sender<Answer>,
    vectors: Vec<Vector>,
    missing: usize,
}

struct Place {
    request_index: usize,
    text_index: usize,
    text: Encoded,
}

struct Batch {
    texts: Vec<Encoded>,
    places: Vec<(usize, usize)>,
}

impl Round {
    /// Takes what is ready now, so that texts of several sessions share batches.
    fn collect(first: Request, queue: &Receiver<Request>) -> Round {
        let mut round = Round { requests: Vec::new(), waiting: Vec::new() };
        round.add(first);
        while round.waiting.len() < ROUND_TEXT_COUNT_MAX {
            match queue.try_recv() {
                Ok(request) => round.add(request),
                Err(_) => break,
            }
        }
        // Longest first, so that taking from the end gives the short ones first: many answers early.
        round.waiting.sort_by_key(|place| std::cmp::Reverse(place.text.token_count()));
        round
    }

    fn add(&mut self, request: Request) {
        let request_index = self.requests.len();
        let missing = request.texts.len();
        self.requests.push(Open { answer: request.answer, vectors: vec![Vec::new(); missing], missing });
        let texts = request.texts.into_iter().enumerate();
        self.waiting.extend(texts.map(|(text_index, text)| Place { request_index, text_index, text }));
    }

    fn next_batch(&mut self) -> Option<Batch> {
        let mut batch = Batch { texts: Vec::new(), places: Vec::new() };
        let mut token_count = 0;
        // Invariant: texts come in ascending length, so the one that is added sets the batch's width.
        while let Some(next) = self.waiting.last() {
            token_count += next.text.token_count();
            let padded_count = (batch.texts.len() + 1) * next.text.token_count();
            let fits = padded_count <= BATCH_TOKEN_COUNT_MAX
                && padded_count - token_count <= BATCH_PADDING_COUNT_MAX;
            if !fits && !batch.texts.is_empty() {
                break;
            }
            let place = self.waiting.pop().expect("it was looked at above");
            batch.texts.push(place.text);
            batch.places.push((place.request_index, place.text_index));
        }
        (!batch.texts.is_empty()).then_some(batch)
    }

    fn answer(&mut self, batch: Batch, result: Answer) {
        match result {
            Ok(vectors) => {
                debug_assert_eq!(vectors.len(), batch.places.len(), "a backend answers every text");
                for ((request_index, text_index), vector) in batch.places.into_iter().zip(vectors) {
                    self.requests[request_index].put(text_index, vector);
                }
            }
            Err(error) => {
                for (request_index, _) in batch.places {
                    // A second error of the same request finds the one place taken: the first is enough.
                    let _ = self.requests[request_index].answer.try_send(Err(error.clone()));
                }
            }
        }
    }
}

impl Open {
    fn put(&mut self, text_index: usize, vector: Vector) {
        self.vectors[text_index] = vector;
        self.missing -= 1;
        if self.missing == 0 {
            // The caller may have stopped waiting; its vectors are of no use to anyone else.
            let _ = self.answer.try_send(Ok(std::mem::take(&mut self.vectors)));
        }
    }
}
