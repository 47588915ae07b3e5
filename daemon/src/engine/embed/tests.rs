//! What callers may rely on, with the real model where vectors are judged and with scripted backends where the
//! worker is.

use std::path::Path;
use std::sync::LazyLock;

use half::f16;
use parking_lot::MutexGuard;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::provision::{Loaded, Places, candidates};
use super::*;

mod front;
mod worker;

const MODEL_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/model/minilm-l6-v2-q8");

fn builtin(runtime_search: Vec<PathBuf>, idle_unload: Duration) -> Embedder {
    Embedder::start(EmbedderSource::Builtin { runtime_search, threads: 1, idle_unload }).unwrap()
}

/// One embedder without any library, shared by the tests that only look at vectors.
fn portable() -> &'static Embedder {
    static PORTABLE: LazyLock<Embedder> = LazyLock::new(|| builtin(Vec::new(), Duration::MAX));
    &PORTABLE
}

/// An embedder on ONNX Runtime, if this machine has one where a daemon would look; says so when it has not.
#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
fn with_library() -> Option<Embedder> {
    let home = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
    let places = Places { ort_dylib_path: std::env::var_os("ORT_DYLIB_PATH"), home, ..Places::default() };
    let found = candidates(&places);
    if found.is_empty() {
        eprintln!("skipped: no ONNX Runtime library in ORT_DYLIB_PATH or below the home folder");
        return None;
    }
    let embedder = builtin(found, Duration::MAX);
    embedder.query("load").unwrap();
    Some(embedder)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Waits for a state that the worker reaches on its own; its changes have no event to wait for.
fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(std::time::Instant::now() < deadline, "not reached: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
