//! Settings of one palace, in `<palace>/palaced.json`: hosts that start a daemon scrub the environment and pass no
//! arguments, so what is to hold for every daemon of a palace stands beside its store.

use std::fs;
use std::io;
use std::path::Path;
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
    /// Days for which removed drawers can be brought back; 0 is until they are purged.
    pub keep_removed_days: Option<u64>,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

impl Settings {
    /// Reads the palace's settings; a palace without the file has none.
    ///
    /// # Errors
    /// Says what is wrong with the file. The daemon then serves with its defaults.
    pub fn read(palace: &Path) -> Result<Self, String> {
        let path = palace.join(FILE_NAME);
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let sound = br#"{"idle_timeout_secs": 600, "keep_removed_days": 30}"#;
        for bit in 0..sound.len() * 8 {
            let mut bytes = sound.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(palace.path().join(FILE_NAME), bytes).unwrap();
            let read = Settings::read(palace.path());
            assert!(read.is_ok() || read.is_err_and(|error| error.contains(FILE_NAME)), "flipped bit {bit}");
        }
        for bad in ["", "[]", r#"{"idle": 3}"#, r#"{"idle_timeout_secs": "soon"}"#] {
            write(bad);
            assert!(Settings::read(palace.path()).unwrap_err().contains(FILE_NAME), "{bad}");
        }
    }
}
