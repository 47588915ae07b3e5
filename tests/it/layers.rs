//! The layer table as a test: who may name whom.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten()
    {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

/// Returns the code of a file without comments.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn must_not_name(folder: &str, words: &[&str]) {
    let sources = sources(&root().join(folder));
    assert!(!sources.is_empty(), "{folder} holds sources");
    for (path, text) in sources {
        let is_test =
            path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")));
        let text = code(&text);
        let text =
            if is_test { "" } else { text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default() };
        for word in words {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}

#[test]
fn each_layer_names_only_those_below() {
    must_not_name("daemon/src/session", &["crate::engine", "redb::", "usearch::"]);
    must_not_name(
        "daemon/src/tools",
        &["crate::engine", "crate::session", "tokio", "std::fs", "redb::", "usearch::"],
    );
    must_not_name(
        "daemon/src/ingest",
        &[
            "crate::engine",
            "crate::session",
            "crate::tools",
            "palace_protocol",
            "tokio",
            "redb::",
            "usearch::",
        ],
    );
    must_not_name(
        "daemon/src/palace",
        &[
            "crate::session",
            "crate::tools",
            "crate::ingest",
            "crate::boot",
            "tokio",
            "std::fs",
            "SystemTime",
            "redb::",
        ],
    );
    must_not_name(
        "daemon/src/ingest",
        &["crate::engine", "crate::session", "crate::tools", "palace_protocol", "tokio", "redb::"],
    );
    must_not_name(
        "daemon/src/engine",
        &[
            "crate::session",
            "crate::tools",
            "crate::palace",
            "crate::ingest",
            "crate::boot",
            "serde_json::",
            "tokio::",
            "env::var",
        ],
    );
}

#[test]
fn the_environment_is_read_in_few_places() {
    for folder in ["session", "tools", "palace", "engine"] {
        must_not_name(&format!("daemon/src/{folder}"), &["env::var", "env::args", "env::current_dir"]);
    }
    must_not_name("protocol/src", &["std::env", "std::fs", "std::net", "std::process", "tokio"]);
}

fn dependencies(package: &str) -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-");
        } else if inside && let Some((name, _)) = line.split_once(['.', ' ', '=']) {
            found.push(name.trim().to_owned());
        }
    }
    found
}

#[test]
fn crates_depend_on_what_their_layer_may_use() {
    assert_eq!(dependencies("protocol"), ["serde", "serde_json", "thiserror"]);
    assert_eq!(dependencies("protocol/system"), ["palace-protocol", "serde_json", "libc", "rustix"]);
    let proxy = dependencies("proxy");
    for word in ["palace-daemon", "redb", "ort", "usearch", "rmcp", "rten", "tokenizers"] {
        assert!(!proxy.iter().any(|name| name == word), "the proxy depends on {word}");
    }
}

#[test]
fn no_test_file_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("it");
    let main = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    for (path, _) in sources(&folder) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(name == "main" || main.contains(&format!("mod {name};")), "{name} is not listed in main.rs");
    }
}

/// The tables of faults and scenarios name tests by module and the beginning of their names.
#[test]
fn the_tables_name_tests_that_are_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let rows = readme.lines().filter(|line| {
        let row = line.strip_prefix("| ").unwrap_or_default();
        row.starts_with(['R', 'S']) && row[1..].starts_with(|letter: char| letter.is_ascii_digit())
    });
    let mut named = 0;
    for row in rows {
        for name in row.split('`').skip(1).step_by(2) {
            let is_module = name.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
            let (module, test) = match name.split_once("::") {
                Some(named) => named,
                // A whole module: that it has tests at all.
                None if is_module => (name, ""),
                None => continue,
            };
            let text = std::fs::read_to_string(folder.join(format!("it/{module}.rs")))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(text.contains("#[test]") && text.contains(&format!("fn {test}")), "{row} names {name}");
            named += 1;
        }
    }
    assert!(named > 60, "{named} tests are named");
}
