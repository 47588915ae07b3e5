//! Small files that are handed on as they are: who the owner is, whom they know, what was set, how far hooks got.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::error::{Lost, UpstreamError};
use super::super::files;
use super::super::places::Places;
use super::super::scratch::Scratch;

const IN_PALACE: [&str; 1] = ["replica.json"];
const IN_CONFIG: [&str; 5] =
    ["config.json", "identity.txt", "known_entities.json", "entity_registry.json", "people_map.json"];
const HOOK_DIR: &str = "hook_state";
/// How the names of counters end that say at which message a session was last saved.
const COUNTER_SUFFIX: &str = "_last_save";

/// A file, verbatim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideFile {
    /// Its name, below the directory of the palace or of the settings, with `/`.
    pub name: String,
    /// Where it stands.
    pub path: PathBuf,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// Reads them; of files of one name in two directories of settings the first counts.
pub(in super::super) fn read(
    places: &Places,
    scratch: &Scratch,
    notes: &mut Vec<String>,
) -> Result<Vec<SideFile>, UpstreamError> {
    let mut found: Vec<SideFile> = Vec::new();
    for name in IN_PALACE {
        take(&places.palace, name, scratch, notes, &mut found)?;
    }
    for dir in &places.config_dirs {
        for name in IN_CONFIG {
            take(dir, name, scratch, notes, &mut found)?;
        }
        for name in counters(dir) {
            take(dir, &name, scratch, notes, &mut found)?;
        }
    }
    Ok(found)
}

fn take(
    dir: &Path,
    name: &str,
    scratch: &Scratch,
    notes: &mut Vec<String>,
    found: &mut Vec<SideFile>,
) -> Result<(), UpstreamError> {
    let path = dir.join(name);
    match files::whole(&path) {
        Ok(None) => {}
        Ok(Some(bytes)) => match found.iter().find(|file| file.name == name) {
            None => found.push(SideFile { name: name.to_owned(), path, bytes }),
            Some(first) if first.bytes == bytes => {}
            Some(first) => {
                notes.push(format!("{} differs from {}, which counts", path.display(), first.path.display()))
            }
        },
        Err(error) => scratch.lose(Lost::File, &path.display().to_string(), &error.to_string())?,
    }
    Ok(())
}

fn counters(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join(HOOK_DIR)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| name.ends_with(COUNTER_SUFFIX))
        .map(|name| format!("{HOOK_DIR}/{name}"))
        .collect();
    names.sort();
    names
}
