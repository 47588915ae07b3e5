//! Which directory is the palace.
//!
//! The answer must be the same for every host of a user, so it never depends on XDG variables or TMPDIR, which hosts
//! scrub, and it is canonical: symlinks, `..` and trailing slashes name the same palace.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use palace_protocol::advice;
use serde::Deserialize;

/// Variables that name the palace, first one wins; the last three are the peer's.
const VARIABLES: [&str; 4] =
    ["PALACE_PATH", "MEMPALACE_PALACE_PATH", "MEMPALACE_PALACE", "MEMPAL_PALACE_PATH"];
/// Configuration files that may name it, below the home folder.
const CONFIG_FILES: [&str; 2] = [".mempalace/config.json", ".config/mempalace/config.json"];
/// Where it is when nothing names it, below the home folder.
pub const DEFAULT: &str = ".mempalace/palace";

/// Why there is no palace directory.
#[derive(Debug, thiserror::Error)]
pub enum PalaceError {
    /// No path was named and the user has no home folder.
    #[error("no home folder is known and no palace is named; use --palace DIR or PALACE_PATH")]
    NoHome,
    /// A configuration file cannot be understood.
    #[error("{} cannot be read: {reason}; mend it, or name the palace with --palace", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else stands where the directory should be.
    #[error("{} is a file, not a directory; name the palace's directory with --palace or PALACE_PATH", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The path cannot be written into the endpoint record, which is JSON.
    #[error("the palace directory {} has a name that is not UTF-8; rename it, or name another with --palace", path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The directory cannot be made or entered.
    #[error(
        "the palace directory {} cannot be used: {source}; {}", path.display(),
        advice::about(source.kind()).unwrap_or("check its path")
    )]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl PalaceError {
    /// Tells whether the system keeps this process from the palace.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// What to do about a palace that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make its directory: it is about to be served.
    Make,
    /// Leave it so: it is only looked at.
    Leave,
}

/// Returns the canonical palace directory, or what it would be.
///
/// # Errors
/// Names the path, what is wrong with it and what to do.
pub fn resolve(flag: Option<&Path>, missing: Missing) -> Result<PathBuf, PalaceError> {
    let home = directories::BaseDirs::new().map(|base| base.home_dir().to_path_buf());
    let named = named(flag, |name| std::env::var_os(name), home.as_deref())?;
    prepare(&absolute(named), missing)
}

#[derive(Deserialize)]
struct ConfigFile {
    palace_path: Option<String>,
}

fn named(
    flag: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    home: Option<&Path>,
) -> Result<PathBuf, PalaceError> {
    let given = flag.map(Path::to_path_buf).or_else(|| {
        VARIABLES.iter().filter_map(|name| variable(name)).find(|value| !value.is_empty()).map(PathBuf::from)
    });
    if let Some(given) = given {
        return Ok(expanded(&given, home));
    }
    let home = home.ok_or(PalaceError::NoHome)?;
    for file in CONFIG_FILES {
        let path = home.join(file);
        let text = match palace_system::files::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(PalaceError::Config { path, reason: error.to_string() }),
        };
        match serde_json::from_slice::<ConfigFile>(&text) {
            Ok(ConfigFile { palace_path: Some(palace) }) if !palace.is_empty() => {
                return Ok(expanded(Path::new(&palace), Some(home)));
            }
            Ok(_) => {}
            Err(error) => return Err(PalaceError::Config { path, reason: error.to_string() }),
        }
    }
    Ok(home.join(DEFAULT))
}

/// Replaces a leading `~` by the home folder.
fn expanded(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_path_buf(),
    }
}

/// Makes a path of the command line absolute.
fn absolute(path: PathBuf) -> PathBuf {
    // The one place where the current directory counts: a person or a host wrote this path relative to it.
    std::path::absolute(&path).unwrap_or(path)
}

fn prepare(path: &Path, missing: Missing) -> Result<PathBuf, PalaceError> {
    let failed = |source| PalaceError::Io { path: path.to_path_buf(), source };
    if path.to_str().is_none() {
        return Err(PalaceError::NotUtf8 { path: path.to_path_buf() });
    }
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => return Err(PalaceError::NotADirectory { path: path.to_path_buf() }),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::Leave => {
            return Ok(future(path));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(path).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    let canonical = std::fs::canonicalize(path).map_err(failed)?;
    // A link with a plain name may lead to a directory without one.
    if canonical.to_str().is_some() { Ok(canonical) } else { Err(PalaceError::NotUtf8 { path: canonical }) }
}

/// Makes a directory and those above it, and brings their names to disk, as the daemon does where it makes them.
fn make(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    let there = path.ancestors().find(|above| above.exists());
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    #[cfg(unix)]
    for above in path.ancestors().skip(1) {
        // Not every file system syncs directories; the palace is made all the same.
        let _ = std::fs::File::open(above).and_then(|above| above.sync_all());
        if there == Some(above) {
            break;
        }
    }
    Ok(())
}

/// Returns what a path that names nothing yet will be called once it does.
fn future(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            std::fs::canonicalize(parent).unwrap_or_else(|_| future(parent)).join(name)
        }
        _ => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(flag: Option<&str>, variables: &[(&str, &str)], home: &Path) -> PathBuf {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        named(flag.map(Path::new), find, Some(home)).unwrap()
    }

    #[test]
    fn the_flag_beats_variables_beat_configuration_beats_default() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        assert_eq!(name(None, &[], home), home.join(".mempalace/palace"));
        std::fs::create_dir(home.join(".mempalace")).unwrap();
        std::fs::write(home.join(".mempalace/config.json"), r#"{"palace_path":"~/mine","other":1}"#).unwrap();
        assert_eq!(name(None, &[], home), home.join("mine"));
        assert_eq!(
            name(None, &[("MEMPAL_PALACE_PATH", "/c"), ("MEMPALACE_PALACE", "/b")], home),
            Path::new("/b")
        );
        assert_eq!(name(Some("/a"), &[("PALACE_PATH", "/b")], home), Path::new("/a"));
    }

    #[test]
    fn a_broken_configuration_is_an_error_not_another_palace() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".mempalace")).unwrap();
        std::fs::write(home.path().join(".mempalace/config.json"), "{").unwrap();
        let error = named(None, |_| None, Some(home.path())).unwrap_err();
        assert!(error.to_string().contains("config.json"), "{error}");
    }

    #[test]
    fn spellings_of_one_directory_are_one_palace() {
        let home = tempfile::tempdir().unwrap();
        let palace = prepare(&home.path().join("p"), Missing::Make).unwrap();
        assert_eq!(prepare(&home.path().join("p/../p/"), Missing::Make).unwrap(), palace);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&palace, home.path().join("link")).unwrap();
            assert_eq!(prepare(&home.path().join("link"), Missing::Leave).unwrap(), palace);
        }
    }

    #[test]
    fn a_file_is_not_a_palace() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("f");
        std::fs::write(&file, "").unwrap();
        for missing in [Missing::Make, Missing::Leave] {
            assert!(matches!(prepare(&file, missing), Err(PalaceError::NotADirectory { .. })));
        }
    }

    /// Looking at a palace that was not there made it.
    #[test]
    fn a_glance_makes_nothing_and_names_what_will_be() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("above/palace");
        let named = prepare(&path, Missing::Leave).unwrap();
        assert!(!home.path().join("above").exists());
        assert_eq!(prepare(&path, Missing::Make).unwrap(), named);
    }
}
