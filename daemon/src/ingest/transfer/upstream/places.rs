//! Where MemPalace keeps things. Nothing here reads the environment or a file: callers say what their home is.

use std::path::{Path, PathBuf};

/// Directories below a home that have held settings and palaces, in the order MemPalace looks for them.
const CONFIG_DIRS: [&str; 2] = [".mempalace", ".config/mempalace"];
/// Name of the palace in such a directory.
const PALACE_DIR: &str = "palace";

/// What belongs to one palace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The palace itself.
    pub palace: PathBuf,
    /// Directories of settings, hook counters, identity and, most often, the knowledge graph; first one first.
    pub config_dirs: Vec<PathBuf>,
}

impl Places {
    /// Returns the places of a palace whose owner has a home: a fresh MemPalace keeps the palace in one configuration
    /// directory and everything else in the other.
    pub fn of(palace: &Path, home: Option<&Path>) -> Places {
        let beside = palace.parent().filter(|_| palace.file_name().is_some_and(|name| name == PALACE_DIR));
        let below_home = CONFIG_DIRS.iter().filter_map(|dir| Some(home?.join(dir)));
        let mut config_dirs: Vec<PathBuf> = Vec::new();
        for dir in below_home.chain(beside.map(Path::to_owned)) {
            if !config_dirs.contains(&dir) {
                config_dirs.push(dir);
            }
        }
        Places { palace: palace.to_owned(), config_dirs }
    }

    /// Returns where the palaces of a home stand unless its settings say otherwise, likeliest first.
    pub fn candidates(home: &Path) -> Vec<Places> {
        CONFIG_DIRS.iter().map(|dir| Places::of(&home.join(dir).join(PALACE_DIR), Some(home))).collect()
    }
}
