//! Who holds a palace's writer lock, for messages: what the holder wrote down, held against what the system knows.
//!
//! A description outlives a holder that was killed, and process ids are given again, so it is believed only while the
//! process it names lives and is the one that wrote it. Pure: the caller reads the files.

use serde::{Deserialize, Serialize};

use crate::endpoint::ManagedBy;

/// What a daemon writes about itself into [`crate::endpoint::WRITER_INFO_FILE`] and removes at an orderly end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterInfo {
    /// Process id.
    pub pid: u32,
    /// UTC seconds since 1970.
    pub started_at: i64,
    /// When the process began, in ticks since the boot, where the system tells: with `boot_id` it names the process.
    #[serde(default)]
    pub start_ticks: Option<u64>,
    /// Identity of the boot, empty where the system tells none.
    #[serde(default)]
    pub boot_id: String,
    /// Who keeps the daemon running.
    pub managed_by: ManagedBy,
    /// Version of the build.
    pub build: String,
    /// Canonical path of the palace.
    pub palace: String,
}

/// Who holds the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The daemon that wrote itself down.
    Daemon {
        /// Process id.
        pid: u32,
        /// UTC seconds since 1970.
        started_at: i64,
    },
    /// A process that wrote nothing down: a backup, a tool, a daemon in another container.
    Other {
        /// Process id.
        pid: u32,
        /// Name of its program, empty where the system tells none.
        program: String,
    },
    /// The system does not tell.
    Unknown,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Daemon { pid, .. } => write!(out, "pid {pid}"),
            Self::Other { pid, program } if program.is_empty() => write!(out, "pid {pid}"),
            Self::Other { pid, program } => write!(out, "pid {pid} ({program})"),
            Self::Unknown => out.write_str("an unknown process"),
        }
    }
}

/// Decides who holds the lock. `locker` is whom the system names, `is_writer` tells whether the process that wrote the
/// description still lives, `program` names a process's program.
pub fn holder(
    info: Option<WriterInfo>,
    locker: Option<u32>,
    is_writer: impl Fn(&WriterInfo) -> bool,
    program: impl Fn(u32) -> Option<String>,
) -> Holder {
    let believed = info.filter(|info| locker.is_none_or(|pid| pid == info.pid) && is_writer(info));
    match (believed, locker) {
        (Some(info), _) => Holder::Daemon { pid: info.pid, started_at: info.started_at },
        (None, Some(pid)) => Holder::Other { pid, program: program(pid).unwrap_or_default() },
        (None, None) => Holder::Unknown,
    }
}

/// Returns when a process began, in ticks since the boot, from its `/proc/<pid>/stat` (proc(5), field 22). The second
/// field is the program's name in parentheses and may hold anything.
pub fn start_ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Returns the process that `/proc/locks` names as holding a whole-file lock on a file, by the file's device and number.
/// A process of another container has no number here.
pub fn locker(locks: &str, (major, minor): (u32, u32), inode: u64) -> Option<u32> {
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        // Those that wait for a lock have an arrow behind the number.
        let [_, "FLOCK", _, _, pid, at, ..] = words[..] else { return None };
        (at == file).then(|| pid.parse().ok()).flatten().filter(|pid| *pid > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "\
1: POSIX  ADVISORY  READ 28140 fe:00:10455096 128 128
2: FLOCK  ADVISORY  WRITE 28053 fe:00:5376569 0 EOF
2: -> FLOCK  ADVISORY  WRITE 77 fe:00:5376569 0 EOF
3: FLOCK  ADVISORY  WRITE 0 00:2a:12 0 EOF
";

    fn info(pid: u32) -> WriterInfo {
        let text =
            format!(r#"{{"pid":{pid},"started_at":9,"managed_by":"auto","build":"0.1.0","palace":"/p"}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_lock_table_names_the_holder() {
        assert_eq!(locker(LOCKS, (0xFE, 0), 5_376_569), Some(28_053));
        assert_eq!(locker(LOCKS, (0, 0x2A), 12), None);
        assert_eq!(locker(LOCKS, (0xFE, 0), 10_455_096), None);
    }

    #[test]
    fn a_name_with_parentheses_hides_no_field() {
        let fields: Vec<String> = (4..=30).map(|field| field.to_string()).collect();
        assert_eq!(start_ticks(&format!("7 (a) S 1 (b) S {}", fields.join(" "))), Some(22));
        assert_eq!(start_ticks("7 (a) S 1 2"), None);
    }

    /// A lock that something else holds was said to be held by the daemon that ended before.
    #[test]
    fn a_description_is_believed_only_of_the_process_that_wrote_it() {
        let program = |_| Some("rsync".to_owned());
        let daemon = Holder::Daemon { pid: 7, started_at: 9 };
        let other = Holder::Other { pid: 8, program: "rsync".into() };
        assert_eq!(holder(Some(info(7)), Some(7), |_| true, program), daemon);
        assert_eq!(holder(Some(info(7)), None, |_| true, program), daemon);
        assert_eq!(holder(Some(info(7)), Some(8), |_| true, program), other);
        assert_eq!(holder(Some(info(8)), Some(8), |_| false, program), other);
        assert_eq!(holder(Some(info(7)), None, |_| false, program), Holder::Unknown);
        assert_eq!(holder(None, None, |_| true, program).to_string(), "an unknown process");
        assert_eq!(other.to_string(), "pid 8 (rsync)");
    }
}
