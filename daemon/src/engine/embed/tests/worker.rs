//! The queue: order, batches, faults, unloading. A scripted backend stands in for the model.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::*;

/// Tells what it is given and fails on cue.
#[derive(Clone, Default)]
struct Script {
    /// Token counts of every batch, in the order they ran.
    ran: Arc<Mutex<Vec<Vec<usize>>>>,
    /// Held by a test to keep the model busy.
    gate: Arc<Mutex<()>>,
    loads: Arc<AtomicUsize>,
    refuse_loads: Arc<AtomicUsize>,
}

const PANIC: &str = "panic";
const ERROR: &str = "error";

impl Backend for Script {
    fn embed(&mut self, batch: &[Encoded]) -> Result<Vec<Vector>, EmbedError> {
        self.ran.lock().push(batch.iter().map(Encoded::token_count).collect());
        drop(self.gate.lock());
        let cue = |word| batch.contains(&tokenize::encode(word).unwrap());
        assert!(!cue(PANIC), "on cue");
        if cue(ERROR) {
            return Err(EmbedError::Run { reason: "on cue".into() });
        }
        Ok(batch.iter().map(|text| vec![text.token_count() as f32]).collect())
    }

    fn name(&self) -> &str {
        "script"
    }
}

impl Script {
    fn start(&self, idle_unload: Duration) -> Embedder {
        let script = self.clone();
        let load = move || {
            script.loads.fetch_add(1, Ordering::Relaxed);
            let refused =
                script.refuse_loads.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            match refused {
                Ok(_) => Err(EmbedError::Load { reason: "on cue".into() }),
                Err(_) => Ok(Loaded { backend: Box::new(script.clone()), note: None }),
            }
        };
        Embedder::start_with("script", "script", idle_unload, Box::new(load)).unwrap()
    }

    fn close(&self) -> MutexGuard<'_, ()> {
        self.gate.lock()
    }

    fn wait_for_batches(&self, count: usize) {
        wait_until("batches", || self.ran.lock().len() >= count);
    }
}

fn words(count: usize) -> String {
    "word ".repeat(count)
}

#[test]
fn a_query_overtakes_documents_that_wait() {
    let script = Script::default();
    let embedder = script.start(Duration::MAX);
    let closed = script.close();
    let (long, query) = (words(200), "query");
    std::thread::scope(|scope| {
        scope.spawn(|| embedder.documents(&[long.as_str(); 12]).unwrap());
        script.wait_for_batches(1);
        scope.spawn(|| embedder.query(query).unwrap());
        wait_until("the query waits", || embedder.shared.queries.len() == 1);
        drop(closed);
    });
    let ran = script.ran.lock();
    assert_eq!(ran[0], [202, 202], "the batch that was running");
    assert_eq!(ran[1], [3], "the query");
    assert_eq!(ran[2..].concat(), [202; 10]);
}

#[test]
fn batches_hold_texts_of_one_length_and_a_bounded_number_of_tokens() {
    let script = Script::default();
    let embedder = script.start(Duration::MAX);
    let texts: Vec<String> = [1, 250, 2, 251, 100, 3, 99, 252, 98].map(words).into();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = embedder.documents(&texts).unwrap();
    assert_eq!(
        vectors.concat(),
        [3., 252., 4., 253., 102., 5., 101., 254., 100.],
        "answers keep the caller's order"
    );
    assert_eq!(*script.ran.lock(), [vec![3, 4, 5], vec![100, 101, 102], vec![252, 253], vec![254]]);
}

#[test]
fn sessions_share_batches() {
    let script = Script::default();
    let embedder = script.start(Duration::MAX);
    let closed = script.close();
    std::thread::scope(|scope| {
        scope.spawn(|| embedder.documents(&["first"]).unwrap());
        script.wait_for_batches(1);
        for _ in 0..5 {
            scope.spawn(|| embedder.documents(&["one of several"]).unwrap());
        }
        wait_until("all wait", || embedder.shared.documents.len() == 5);
        drop(closed);
    });
    assert_eq!(*script.ran.lock(), [vec![3], vec![5; 5]]);
}

#[test]
fn a_fault_is_the_fault_of_its_batch() {
    for cue in [PANIC, ERROR] {
        let script = Script::default();
        let embedder = script.start(Duration::MAX);
        let long = words(200);
        let closed = script.close();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| embedder.query("first"));
            script.wait_for_batches(1);
            let bad = scope.spawn(|| embedder.documents(&[cue]));
            let good = scope.spawn(|| embedder.documents(&[long.as_str(); 4]));
            wait_until("both wait", || embedder.shared.documents.len() == 2);
            drop(closed);
            assert!(first.join().unwrap().is_ok());
            assert!(matches!(bad.join().unwrap(), Err(EmbedError::Run { .. })), "{cue}");
            assert_eq!(good.join().unwrap().unwrap().len(), 4, "{cue}");
        });
        assert!(embedder.query("afterwards").is_ok());
    }
}

#[test]
fn an_unused_model_is_dropped_and_read_again() {
    let script = Script::default();
    let embedder = script.start(Duration::from_millis(20));
    assert_eq!(embedder.state().state, Readiness::Loading);
    embedder.query("load").unwrap();
    wait_until("unloaded", || embedder.state().state == Readiness::Unloaded);
    embedder.warm();
    wait_until("loaded again", || script.loads.load(Ordering::Relaxed) == 2);
    embedder.documents(&["and used"]).unwrap();
}

#[test]
fn a_failed_load_is_told_and_tried_again() {
    let script = Script::default();
    script.refuse_loads.store(1, Ordering::Relaxed);
    let embedder = script.start(Duration::MAX);
    assert!(matches!(embedder.query("one"), Err(EmbedError::Load { .. })));
    assert!(matches!(embedder.state().state, Readiness::Failed(reason) if reason.contains("on cue")));
    embedder.query("two").unwrap();
    assert_eq!(embedder.state().state, Readiness::Ready);
}

#[test]
fn stopping_answers_everyone() {
    let script = Script::default();
    let embedder = script.start(Duration::MAX);
    let closed = script.close();
    let long = words(200);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| embedder.documents(&[long.as_str(); 64]));
        script.wait_for_batches(1);
        let stopping = scope.spawn(|| embedder.stop());
        wait_until("asked to stop", || {
            embedder.shared.running.try_lock().is_some_and(|running| running.is_none())
        });
        drop(closed);
        stopping.join().unwrap();
        assert!(matches!(waiting.join().unwrap(), Err(EmbedError::Stopped)));
    });
    assert!(matches!(embedder.query("late"), Err(EmbedError::Stopped)));
    embedder.stop();
}
