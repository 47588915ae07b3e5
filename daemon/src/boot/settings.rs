//! Settings of one palace, in `<palace>/palaced.json`: hosts that start a daemon scrub the environment and pass no
//! arguments, so what is to hold for every daemon of a palace stands beside its store.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use palace_protocol::advice;
use palace_protocol::endpoint::SETTINGS_FILE;
use palace_system::files::{self, Links};
use serde::Deserialize;

use crate::config::Config;

/// What the file may say. Other members are a mistake, and told.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Seconds without a client after which the daemon ends; 0 is never.
    pub idle_timeout_secs: Option<u64>,
    /// Hours between two checks of the whole palace, made when it is not used; 0 is never, 24 unless given.
    pub scrub_every_hours: Option<u64>,
    /// Whether a palace of MemPalace in the same directory is imported; it is unless this says false.
    pub import: Option<bool>,
    /// Days for which removed drawers can be brought back; 0 is until they are purged.
    pub keep_removed_days: Option<u64>,
    /// Folder of the backups, in the palace unless it is an absolute path.
    pub backup_folder: Option<PathBuf>,
    /// Hours from one backup to the next; 0 is only when asked for.
    pub backup_every_hours: Option<u64>,
    /// Backups to keep, as points that can be restored; 0 is all.
    pub backup_keep: Option<usize>,
    /// An ONNX Runtime library to use, or a folder with one, by its absolute path. It comes before those that are found.
    pub runtime_library: Option<PathBuf>,
}

const HOUR_MS: i64 = 60 * 60 * 1_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

impl Settings {
    /// Reads the palace's settings; a palace without the file has none.
    ///
    /// # Errors
    /// Says what is wrong with the file. The daemon then serves with its defaults.
    pub fn read(palace: &Path) -> Result<Self, String> {
        let path = palace.join(SETTINGS_FILE);
        // First of all: nobody is to change the mode of what a link leads to, which may be the machine's.
        if let Some(odd) = files::odd(&path, Links::Followed) {
            return Err(format!("{} is ignored: {odd}; {}", path.display(), advice::ODD_SETTINGS));
        }
        if is_open_to_others(&path) {
            return Err(format!(
                "{} is ignored: others may write it, and it names a program to load; chmod go-w it",
                path.display()
            ));
        }
        match files::read(&path) {
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
        if let Some(hours) = self.scrub_every_hours {
            config.scrub.every = (hours > 0).then(|| Duration::from_secs(hours.saturating_mul(60 * 60)));
        }
        config.moves_in &= self.import.unwrap_or(true);
        if let Some(days) = self.keep_removed_days {
            let days = i64::try_from(days).unwrap_or(i64::MAX);
            config.keep_removed_ms = (days > 0).then(|| days.saturating_mul(DAY_MS));
        }
        config.backups.folder = self.backup_folder.clone().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(hours) = self.backup_every_hours {
            let hours = i64::try_from(hours).unwrap_or(i64::MAX);
            config.backups.every_ms = (hours > 0).then(|| hours.saturating_mul(HOUR_MS));
        }
        if let Some(keep) = self.backup_keep {
            config.backups.keep = (keep > 0).then_some(keep);
        }
    }

    /// Makes a configuration careful whose settings cannot be read: nothing is removed by itself, and status says why.
    pub fn unreadable(config: &mut Config, message: String) {
        config.keep_removed_ms = None;
        config.backups.keep = None;
        config.settings_error = Some(message);
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
    std::fs::metadata(path).is_ok_and(|found| found.uid() != user || found.mode() & 0o022 != 0)
}

/// A file has the rights of its folder, which is its user's.
#[cfg(windows)]
fn is_open_to_others(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_palace_names_a_library_and_no_other_user_does() {
        use std::os::unix::fs::PermissionsExt;
        let palace = tempfile::tempdir().unwrap();
        let path = palace.path().join(SETTINGS_FILE);
        fs::write(&path, r#"{"runtime_library": "/opt/ort"}"#).unwrap();
        let chmod = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        chmod(0o644);
        let settings = Settings::read(palace.path()).unwrap();
        assert_eq!(settings.runtime_library.as_deref(), Some(Path::new("/opt/ort")));
        chmod(0o664);
        assert!(Settings::read(palace.path()).unwrap_err().contains("chmod go-w"));
    }

    /// The advice was to change the mode of whatever it was, which is the machine's where it is a link to `/dev/null`.
    #[cfg(unix)]
    #[test]
    fn nobody_is_told_to_change_the_mode_of_what_is_no_settings_file() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let check = |named: &str, place: &dyn Fn(&Path)| {
            let palace = tempfile::tempdir().unwrap();
            place(&palace.path().join(SETTINGS_FILE));
            let told = Settings::read(palace.path()).unwrap_err();
            assert!(told.contains(named) && told.contains("move it away"), "{told}");
            assert!(!told.contains("chmod") && !told.contains("chown"), "{told}");
        };
        check("a device", &|path| std::os::unix::fs::symlink("/dev/null", path).unwrap());
        check("a folder", &|path| std::os::unix::fs::symlink(std::env::temp_dir(), path).unwrap());
        check("a link that leads to nothing", &|path| std::os::unix::fs::symlink(path, path).unwrap());
        check("a named pipe", &|path| {
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        });
    }

    #[test]
    fn a_palace_names_how_it_is_backed_up() {
        let read = |text: &str| {
            let arguments = ["palaced", "--palace", "/p"].map(std::ffi::OsString::from);
            let Ok(crate::config::Wanted::Serve(mut config)) = crate::config::read(arguments, |_| None)
            else {
                panic!("asked to serve");
            };
            serde_json::from_str::<Settings>(text).unwrap().apply(&mut config);
            config.backups
        };
        let usual = read("{}");
        assert_eq!((usual.every_ms, usual.keep), (None, Some(14)));
        assert_eq!(usual.folder_of(Path::new("/p")), Path::new("/p/backups"));
        let text = r#"{"backup_every_hours": 24, "backup_keep": 0, "backup_folder": "/mnt/b"}"#;
        let other = read(text);
        assert_eq!((other.every_ms, other.keep), (Some(24 * HOUR_MS), None));
        assert_eq!(other.folder_of(Path::new("/p")), Path::new("/mnt/b"));
        assert_eq!(read(r#"{"backup_every_hours": 0}"#).every_ms, None);
    }

    #[test]
    fn a_palace_names_its_idle_time() {
        let palace = tempfile::tempdir().unwrap();
        assert_eq!(Settings::read(palace.path()).unwrap().idle_timeout(), None);
        let write = |text: &str| fs::write(palace.path().join(SETTINGS_FILE), text).unwrap();
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
            fs::write(palace.path().join(SETTINGS_FILE), bytes).unwrap();
            let read = Settings::read(palace.path());
            assert!(
                read.is_ok() || read.is_err_and(|error| error.contains(SETTINGS_FILE)),
                "flipped bit {bit}"
            );
        }
        for bad in ["", "[]", r#"{"idle": 3}"#, r#"{"idle_timeout_secs": "soon"}"#] {
            write(bad);
            assert!(Settings::read(palace.path()).unwrap_err().contains(SETTINGS_FILE), "{bad}");
        }
    }
}
