//! Settings of one palace, in `<palace>/palaced.json`: hosts that start a daemon scrub the environment and pass no
//! arguments, so what is to hold for every daemon of a palace stands beside its store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::config::Config;

/// Name of the file in the palace directory.
const FILE_NAME: &str = "palaced.json";

/// What the file may say. Other members are a mistake, and told.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Seconds without a client after which the daemon ends; 0 is never.
    pub idle_timeout_secs: Option<u64>,
    /// Whether a palace of MemPalace in the same directory is imported; it is unless this says false.
    pub import: Option<bool>,
    /// Days for which removed drawers can be brought back; 0 is until they are purged.
    pub keep_removed_days: Option<u64>,
    /// An ONNX Runtime library to use, or a folder with one, by its absolute path. It comes before those that are found.
    pub runtime_library: Option<PathBuf>,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

impl Settings {
    /// Reads the palace's settings; a palace without the file has none.
    ///
    /// # Errors
    /// Says what is wrong with the file. The daemon then serves with its defaults.
    pub fn read(palace: &Path) -> Result<Self, String> {
        let path = palace.join(FILE_NAME);
        if is_open_to_others(&path) {
            return Err(format!(
                "{} is ignored: others may write it, and it names a program to load; chmod go-w it",
                path.display()
            ));
        }
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| format!("{} is ignored: {error}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
        }
    }

    /// Brings the settings into a configuration; what arguments and environment said of it stays.
    pub fn apply(&self, config: &mut Config) {
        if config.idle_is_default {
            config.idle_timeout = self.idle_timeout().unwrap_or(config.idle_timeout);
        }
        config.moves_in &= self.import.unwrap_or(true);
        if let Some(days) = self.keep_removed_days {
            let days = i64::try_from(days).unwrap_or(i64::MAX);
            config.keep_removed_ms = (days > 0).then(|| days.saturating_mul(DAY_MS));
        }
    }

    /// Returns the idle time, when the file names one: `Some(None)` is never.
    pub fn idle_timeout(&self) -> Option<Option<Duration>> {
        self.idle_timeout_secs.map(|secs| (secs > 0).then(|| Duration::from_secs(secs)))
    }
}

/// Tells whether anybody but this user may write the file.
#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid().as_raw();
    fs::metadata(path).is_ok_and(|found| found.uid() != user || found.mode() & 0o022 != 0)
}

/// A file has the rights of its folder, which is its user's.
#[cfg(windows)]
fn is_open_to_others(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_palace_names_a_library_and_no_other_user_does() {
        use std::os::unix::fs::PermissionsExt;
        let palace = tempfile::tempdir().unwrap();
        let path = palace.path().join(FILE_NAME);
        fs::write(&path, r#"{"runtime_library": "/opt/ort"}"#).unwrap();
        let chmod = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        chmod(0o644);
        let settings = Settings::read(palace.path()).unwrap();
        assert_eq!(settings.runtime_library.as_deref(), Some(Path::new("/opt/ort")));
        chmod(0o664);
        assert!(Settings::read(palace.path()).unwrap_err().contains("chmod go-w"));
    }

    #[test]
    fn a_palace_names_its_idle_time() {
        let palace = tempfile::tempdir().unwrap();
        assert_eq!(Settings::read(palace.path()).unwrap().idle_timeout(), None);
        let write = |text: &str| fs::write(palace.path().join(FILE_NAME), text).unwrap();
        write(r#"{"idle_timeout_secs": 90}"#);
        assert_eq!(
            Settings::read(palace.path()).unwrap().idle_timeout(),
            Some(Some(Duration::from_secs(90)))
        );
        write(r#"{"idle_timeout_secs": 0}"#);
        assert_eq!(Settings::read(palace.path()).unwrap().idle_timeout(), Some(None));
        for bad in ["", "[]", r#"{"idle": 3}"#, r#"{"idle_timeout_secs": "soon"}"#] {
            write(bad);
            assert!(Settings::read(palace.path()).unwrap_err().contains(FILE_NAME), "{bad}");
        }
    }
}
