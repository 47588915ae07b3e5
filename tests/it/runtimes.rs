//! Embedding runtimes that are named and cannot be had: the built-in one serves, with the real model, and people are told.

use std::path::Path;

use palace_tests::wait::{SOON, wait_until};
use palace_tests::{Client, Sandbox, daemon};
use serde_json::{Value, json};

use crate::sandbox;

/// A host whose daemons embed with the model that is built in.
fn host(sandbox: &Sandbox) -> Client {
    let mut command = sandbox.command(&sandbox.programs().palace_mcp);
    command.env_remove("PALACE_TEST_EMBEDDER").arg("--palace").arg(sandbox.palace());
    let mut host = Client::start("host", command);
    host.initialize();
    host
}

fn told(sandbox: &Sandbox, arguments: &[&str]) -> String {
    String::from_utf8_lossy(&sandbox.palacectl(arguments).output().unwrap().stdout).into_owned()
}

#[test]
fn a_runtime_that_is_named_and_not_there_is_done_without() {
    let sandbox = sandbox();
    let no_library = sandbox.home().join("libonnxruntime.so");
    std::fs::write(&no_library, "no library").unwrap();
    std::fs::create_dir(sandbox.palace()).unwrap();
    let nowhere = sandbox.home().join("nowhere/libonnxruntime.so");
    let named: [(&Path, &str); 3] = [
        (&nowhere, "no such file"),
        (Path::new("onnxruntime"), "not an absolute path"),
        (&no_library, "libonnxruntime.so: "),
    ];
    for (number, (library, why)) in named.into_iter().enumerate() {
        let settings = json!({"runtime_library": library}).to_string();
        std::fs::write(sandbox.palace().join("palaced.json"), settings).unwrap();
        let mut host = host(&sandbox);
        let text = format!("round {number}: the cat sat on the mat");
        host.add("wing", "room", &text);
        // Found by meaning: no word of the question is in the text.
        let found = host.call("search", &json!({"query": "a kitten resting upon a rug", "limit": 5}));
        assert_eq!(found["vector_disabled"], Value::Null, "{found}");
        let texts = found["results"].as_array().cloned().unwrap_or_default();
        assert!(texts.iter().any(|hit| hit["text"] == text), "{found}");

        let status: Value = serde_json::from_str(&told(&sandbox, &["--json", "status"])).unwrap();
        assert_eq!(status["state"], "ready", "{status}");
        assert!(status["embedder"]["runtime"].as_str().unwrap().starts_with("rten"), "{status}");
        let note = status["embedder"]["runtime_note"].as_str().unwrap();
        assert!(note.contains(why) && note.contains(library.to_str().unwrap()), "{note}");
        assert!(told(&sandbox, &["status"]).contains("on rten"));
        let doctor = told(&sandbox, &["doctor"]);
        assert!(doctor.contains(why) && doctor.contains("palacectl runtime install"), "{doctor}");
        assert!(doctor.contains("nothing is wrong"), "{doctor}");
        drop(host);
        daemon::stop(&sandbox.palace());
        wait_until("no daemon", SOON, || sandbox.daemons().is_empty());
    }
}
