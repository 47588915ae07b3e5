//! Vectors: right, alike in any company, and the same space whatever runs the model.

use super::*;

#[derive(Deserialize)]
struct Golden {
    text: String,
    token_count: usize,
    vector: String,
}

impl Golden {
    fn all() -> Vec<Golden> {
        serde_json::from_str(include_str!("../../../../model/minilm-l6-v2-q8/golden.json")).unwrap()
    }

    fn vector(&self) -> Vec<f32> {
        let byte = |at: usize| u8::from_str_radix(&self.vector[at..at + 2], 16).unwrap();
        (0..self.vector.len())
            .step_by(4)
            .map(|at| f16::from_le_bytes([byte(at), byte(at + 2)]).to_f32())
            .collect()
    }
}

fn check_golden(embedder: &Embedder) {
    let golden = Golden::all();
    let texts: Vec<&str> = golden.iter().map(|golden| golden.text.as_str()).collect();
    for (golden, vector) in golden.iter().zip(embedder.documents(&texts).unwrap()) {
        let likeness = cosine(&golden.vector(), &vector);
        assert!(likeness >= 0.998, "{likeness} for {:?} on {}", golden.text, embedder.state().runtime);
    }
}

#[test]
fn portable_vectors_are_those_of_the_unquantised_model() {
    check_golden(portable());
    assert_eq!(portable().state().runtime, portable::NAME);
}

#[test]
fn library_vectors_are_those_of_the_unquantised_model() {
    let Some(embedder) = with_library() else { return };
    assert!(embedder.state().runtime.starts_with("onnxruntime 1."), "{:?}", embedder.state());
    check_golden(&embedder);
    assert_eq!(embedder.identity(), portable().identity());
    let text = "both runtimes give one space";
    let likeness = cosine(&embedder.query(text).unwrap(), &portable().query(text).unwrap());
    assert!(likeness >= 0.99999, "{likeness}");
}

#[test]
fn tokens_are_those_of_the_published_tokenizer() {
    for golden in Golden::all() {
        assert_eq!(
            tokenize::encode(&golden.text).unwrap().token_count(),
            golden.token_count,
            "{:?}",
            golden.text
        );
    }
}

fn check_independence(embedder: &Embedder) {
    let golden = Golden::all();
    let texts: Vec<&str> = golden.iter().map(|golden| golden.text.as_str()).collect();
    let together = embedder.documents(&texts).unwrap();
    for (text, together) in texts.iter().zip(&together) {
        let alone = embedder.query(text).unwrap();
        assert_eq!(alone.len(), model::DIMENSION);
        assert!((cosine(&alone, &alone) - 1.0).abs() < 1e-5);
        assert!(cosine(&alone, together) >= 0.99999, "{:?}", text);
    }
}

#[test]
fn a_vector_does_not_depend_on_its_batch() {
    check_independence(portable());
    if let Some(embedder) = with_library() {
        check_independence(&embedder);
    }
}

#[test]
fn text_beyond_the_limit_changes_nothing() {
    let long = "one more word ".repeat(200);
    let longer = format!("{long}{}", "and something else entirely ".repeat(20_000));
    assert_eq!(tokenize::encode(&long).unwrap().token_count(), model::TOKEN_COUNT_MAX);
    assert_eq!(tokenize::encode(&long).unwrap(), tokenize::encode(&longer).unwrap());
    // The cut in bytes must not fall inside a character.
    for shift in 0..4 {
        let text = format!("{}{}", "a".repeat(shift), "🙂".repeat(tokenize::TEXT_LEN_MAX_BYTES));
        tokenize::encode(&text).unwrap();
    }
}

#[test]
fn nothing_to_embed_is_no_vectors() {
    assert!(portable().documents(&[]).unwrap().is_empty());
    assert_eq!(portable().documents(&["", "\0", " \n"]).unwrap().len(), 3);
}

#[test]
fn the_embedded_bytes_are_the_committed_ones() {
    let sums = std::fs::read_to_string(Path::new(MODEL_DIR).join("SHA256SUMS")).unwrap();
    for (name, bytes) in [("model.onnx", model::GRAPH), ("tokenizer.json", model::TOKENIZER)] {
        let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(sums.lines().any(|line| line == format!("{sum}  {name}")), "{name} is {sum}");
    }
}

#[test]
fn an_unusable_library_is_told_and_the_portable_runtime_serves() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = dir.path().join("garbage.so");
    std::fs::write(&garbage, b"\x7fELF and then nothing of the kind").unwrap();
    let other_library = std::env::current_exe().unwrap();
    for (path, reason) in [
        (garbage, "garbage.so"),
        (dir.path().join("absent.so"), "no such file"),
        (dir.path().to_owned(), "no such file"),
        (PathBuf::from("libonnxruntime.so"), "not an absolute path"),
        (other_library, ""),
    ] {
        let embedder = builtin(vec![path.clone()], Duration::MAX);
        embedder.query("is anyone there").unwrap();
        let state = embedder.state();
        assert_eq!((state.state, state.runtime.as_str()), (Readiness::Ready, portable::NAME));
        let note = state.runtime_note.unwrap();
        assert!(note.contains(reason) && note.contains(path.to_str().unwrap()), "{note}");
    }
}

#[test]
fn libraries_are_tried_from_the_named_to_the_installed_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let library = |folder: &str| {
        let folder = dir.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let library = folder.join(provision::library_name());
        std::fs::write(&library, "").unwrap();
        library
    };
    let bundled = library("program");
    let configured = library("configured");
    let old = library("home/.mempalace/runtime/onnxruntime/1.9.0");
    let new = library("home/.mempalace/runtime/onnxruntime/1.24.4");
    library("home/.mempalace/runtime/onnxruntime/.tmp-1");
    let places = Places {
        configured: Some(dir.path().join("configured")),
        ort_dylib_path: Some("/named/by/variable.so".into()),
        program_dir: Some(dir.path().join("program")),
        home: Some(dir.path().join("home")),
    };
    assert_eq!(candidates(&places), [configured, "/named/by/variable.so".into(), bundled, new, old]);
    assert!(candidates(&Places { ort_dylib_path: Some("".into()), ..Places::default() }).is_empty());
}

#[test]
fn hashed_vectors_are_fixed_and_follow_words() {
    let hash = Embedder::start(EmbedderSource::Hash).unwrap();
    let vector = |text| hash.query(text).unwrap();
    let likeness = |a, b| cosine(&vector(a), &vector(b));
    assert_eq!(
        vector("the same text"),
        Embedder::start(EmbedderSource::Hash).unwrap().query("the same text").unwrap()
    );
    assert!(likeness("where is the red key", "the red key is where") > 0.99);
    assert!(likeness("the red key is in the kitchen", "a red key in that kitchen") > 0.5);
    assert!(likeness("the red key is in the kitchen", "quarterly budget review notes").abs() < 0.3);
    // Fixed across versions of this program: stores of test fixtures hold such vectors.
    let head: Vec<i32> = vector("hello").iter().take(6).map(|value| (value * 1e4) as i32).collect();
    assert_eq!(head, [507, 507, 558, -507, 507, -507]);
    assert_ne!(hash.identity(), portable().identity());
}

#[test]
fn library_versions_compare_as_numbers() {
    for (version, recent) in
        [("1.24.4", true), ("1.17.0", true), ("1.16.3", false), ("1.9.0", false), ("2.0", true)]
    {
        assert_eq!(onnx::is_recent(version), recent, "{version}");
    }
    assert!(!onnx::is_recent("unknown"));
    assert_eq!(format!("1.{}", ort::MINOR_VERSION), onnx::VERSION_MIN);
}

#[test]
fn the_portable_runtime_is_named_by_its_locked_version() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
    let version = portable::NAME.strip_prefix("rten ").unwrap();
    assert!(lock.contains(&format!("name = \"rten\"\nversion = \"{version}.")), "{}", portable::NAME);
}
