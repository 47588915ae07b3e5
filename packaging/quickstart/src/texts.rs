//! The real text that is filed: this project's own documents and the doc comments of its sources.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Paragraphs shorter than this say too little to be worth a drawer.
const TEXT_CHARS_MIN: usize = 60;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the paragraphs of the project's documents, with the document each is from.
///
/// # Errors
/// When a document cannot be read.
pub fn documents() -> Result<Vec<(String, String)>> {
    let names = [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "protocol/PROTOCOL.md",
        "daemon/DESIGN.md",
        "tests/README.md",
    ];
    let mut texts = Vec::new();
    for name in names {
        let text =
            std::fs::read_to_string(root().join(name)).with_context(|| format!("{name} cannot be read"))?;
        let room = name.rsplit('/').next().unwrap_or(name).trim_end_matches(".md").to_lowercase();
        texts.extend(long_enough(text.split("\n\n")).map(|paragraph| (room.clone(), paragraph)));
    }
    Ok(texts)
}

/// Returns `count` doc comments of the project's sources, with the crate each is from.
///
/// # Errors
/// When a source cannot be read.
pub fn comments(count: usize) -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for name in ["protocol", "proxy", "daemon"] {
        let mut files = Vec::new();
        sources(&root().join(name).join("src"), &mut files)?;
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            let mut paragraph = String::new();
            for line in text.lines().map(str::trim_start).chain([""]) {
                if let Some(comment) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) {
                    paragraph.push_str(comment);
                } else if !paragraph.is_empty() {
                    texts.extend(long_enough([paragraph.as_str()]).map(|text| (name.to_owned(), text)));
                    paragraph.clear();
                }
            }
        }
    }
    let step = (texts.len() / count).max(1);
    Ok(texts.into_iter().step_by(step).take(count).collect())
}

fn long_enough<'a>(paragraphs: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = String> {
    let trimmed = paragraphs.into_iter().map(|paragraph| paragraph.trim().to_owned());
    trimmed.filter(|paragraph| paragraph.chars().count() >= TEXT_CHARS_MIN)
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
