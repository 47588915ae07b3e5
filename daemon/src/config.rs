//! Everything a daemon can be told, from arguments and environment, as plain data.

mod task;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use palace_protocol::endpoint::ManagedBy;

use crate::boot::NetworkFs;
use crate::session::ScrubTimes;

pub use task::Task;
use task::TaskArguments;

/// What `palaced --help` prints.
pub const HELP: &str = "\
palaced: serves one palace to any number of clients

Usage: palaced --palace DIR [options]
       palaced --palace DIR --task restore --from FILE-OR-FOLDER [--at POINT] [--store ID] [--dry-run]
       palaced --palace DIR --task repair [--dry-run]
       palaced --palace DIR --task check
       palaced --palace DIR --task backups [--from FOLDER]

It is started by palace-mcp or palacectl when needed; run it by hand only for services and tests.

Options:
  --palace DIR             the palace to serve (created when missing)
  --managed-by WHO         auto (default), systemd or launchd: shown in status; services never end when idle
  --idle-timeout SECONDS   end after so long without a client; 0 = never [PALACE_IDLE_TIMEOUT_SECS]; otherwise
                           idle_timeout_secs in DIR/palaced.json, otherwise 3600
  --exact-scan-max COUNT   vectors up to which every search is exact; default 50000 [PALACE_EXACT_SCAN_MAX]
  --threads COUNT          threads of the embedding model; default all cores [PALACE_THREADS]
  --self-check SECONDS     how often it is checked that the palace is still this daemon's; default 10
  --no-import              do not import a palace of MemPalace that stands in DIR; refuse to start where there is nothing
                           else yet [PALACE_NO_IMPORT=1]; otherwise import in DIR/palaced.json, otherwise it is imported
  --allow-network-fs       serve a palace on a network file system that only this computer uses
                           [PALACE_ALLOW_NETWORK_FS=1]
  --dies-with-host         note that this daemon could not leave its host's job; given by palace-mcp on Windows
  --readiness stdout       print one READY or ERR line as JSON to stdout, then close it
  --version, --help

Tasks are what `palacectl restore`, `repair` and `backup list` run: work on a palace that no daemon serves. They print how far
they are as lines of JSON; the last line says how it ended. POINT is a time, a day or a position as `palacectl backup list`
shows them; ID is the store's identity as a daemon that has it open says it, whose points are preferred.

Environment: ORT_DYLIB_PATH names an ONNX Runtime library to use, as runtime_library in DIR/palaced.json does;
PALACE_SCRUB_QUIET_SECS is how long no call must have been made before
the palace is checked, 300 by default; PALACE_UPGRADE_COOLDOWN_SECS is how old a daemon must be before it makes way for a newer build, 60 by default; PALACE_SETTLED_SECS is
how long it must serve until the failed starts before it are forgotten, 60 by default; LISTEN_FDS,
NOTIFY_SOCKET and WATCHDOG_USEC come from systemd.
Exit codes: 0 stopped in order, 1 failed, 2 usage, 3 the palace is served by another process or
belongs to another user.
";

/// Returns the folder below the user's cache for what jobs need while they run.
fn scratch_dir() -> PathBuf {
    let cache = directories::BaseDirs::new().map(|dirs| dirs.cache_dir().to_path_buf());
    cache.unwrap_or_else(std::env::temp_dir).join("mempalaced").join("scratch")
}

/// How long no call must have been made before the palace is checked.
const SCRUB_QUIET_SECS: u64 = 300;
/// How long removed drawers are kept unless the palace says otherwise: thirty days.
const KEEP_REMOVED_MS: i64 = 30 * 24 * 60 * 60 * 1_000;
/// Shorter than proxies wait for a daemon: a palace whose folder was removed is free again before they give up.
const SELF_CHECK_SECS: u64 = 10;
/// How long a daemon must serve until starters forget the failures before it.
const SETTLED_SECS: u64 = 60;

/// How a palace is backed up by itself, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backups {
    /// Folder of the backups; without one it is in the palace.
    pub folder: Option<PathBuf>,
    /// Time from one backup to the next; `None` is only when asked for.
    pub every_ms: Option<i64>,
    /// Points kept in the folder; `None` is all.
    pub keep: Option<usize>,
    /// How often it is looked whether one is due.
    pub look: Duration,
}

/// Name of the folder of backups in a palace.
pub const BACKUP_DIR: &str = "backups";
/// Points that are kept unless the palace says otherwise.
const BACKUP_KEEP: usize = 14;

impl Backups {
    /// Returns the folder of a palace's backups.
    pub fn folder_of(&self, palace: &std::path::Path) -> PathBuf {
        palace.join(self.folder.as_deref().unwrap_or(std::path::Path::new(BACKUP_DIR)))
    }
}

/// A daemon's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The palace, as given.
    pub palace: PathBuf,
    /// Who keeps the daemon running.
    pub managed_by: ManagedBy,
    /// How long to stay without a client; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// Whether the palace's own settings may name another idle time.
    pub idle_is_default: bool,
    /// When the daemon checks its palace by itself.
    pub scrub: ScrubTimes,
    /// Whether a palace of MemPalace that stands in the palace's directory is imported.
    pub moves_in: bool,
    /// Where jobs may put what they need only while they run; on the disk of the cache, readable by the owner alone.
    pub scratch_dir: PathBuf,
    /// Why the palace's own settings could not be read, if they could not.
    pub settings_error: Option<String>,
    /// How long removed drawers can be brought back, in milliseconds; `None` is until they are purged.
    pub keep_removed_ms: Option<i64>,
    /// How the palace is backed up.
    pub backups: Backups,
    /// How often it is checked that the palace is still this daemon's.
    pub self_check: Duration,
    /// How long a daemon must serve until its start counts as a success.
    pub settled: Duration,
    /// How old a daemon must be before it makes way for a newer build.
    pub upgrade_cooldown: Duration,
    /// Vectors up to which every search is an exact scan.
    pub exact_scan_max: usize,
    /// Threads of the embedding model.
    pub threads: usize,
    /// Whether the palace may be on a network file system.
    pub network_fs: NetworkFs,
    /// Whether the daemon ends with the host that started it.
    pub dies_with_host: bool,
    /// Whether a readiness line is wanted on stdout.
    pub readiness: bool,
    /// ONNX Runtime named by the environment.
    pub runtime_library: Option<PathBuf>,
    /// What a service manager passed on.
    pub service: ServiceVariables,
}

/// What a service manager tells the process it starts, as systemd defines it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceVariables {
    /// Number of listening sockets handed over, from descriptor 3 on.
    pub listen_fds: u32,
    /// Where to tell how far the daemon is.
    pub notify_socket: Option<OsString>,
    /// Without a sign of life for so long the manager ends the daemon.
    pub watchdog: Option<Duration>,
}

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Serve a palace.
    Serve(Box<Config>),
    /// Work on a palace that nobody serves.
    Task(Box<Config>, Task),
    /// Print help.
    Help,
    /// Print the version.
    Version,
}

/// Reads arguments and environment.
///
/// # Errors
/// Names the argument and what it takes.
pub fn read(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Wanted, String> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_iter(arguments);
    let mut palace = None;
    let mut managed_by = ManagedBy::Auto;
    let mut self_check_secs = number(&environment, "PALACE_SELF_CHECK_SECS")?;
    let settled_secs = number(&environment, "PALACE_SETTLED_SECS")?.unwrap_or(SETTLED_SECS);
    let upgrade_cooldown_secs = number(&environment, "PALACE_UPGRADE_COOLDOWN_SECS")?.unwrap_or(60);
    let backup_look_secs = number(&environment, "PALACE_BACKUP_LOOK_SECS")?.unwrap_or(60);
    let mut task = TaskArguments::default();
    let mut dies_with_host = false;
    let mut readiness = false;
    let scrub_quiet_secs = number(&environment, "PALACE_SCRUB_QUIET_SECS")?.unwrap_or(SCRUB_QUIET_SECS);
    let mut moves_in = environment("PALACE_NO_IMPORT").is_none_or(|value| value != "1");
    let mut allow_network_fs = environment("PALACE_ALLOW_NETWORK_FS").is_some_and(|value| value == "1");
    let mut idle_secs = number(&environment, "PALACE_IDLE_TIMEOUT_SECS")?;
    let mut exact_scan_max = number(&environment, "PALACE_EXACT_SCAN_MAX")?;
    let mut threads = number(&environment, "PALACE_THREADS")?;
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Long("palace") => palace = Some(PathBuf::from(value(&mut parser)?)),
            Long("managed-by") => managed_by = manager(&value(&mut parser)?)?,
            Long("idle-timeout") => idle_secs = Some(parsed(&value(&mut parser)?, "--idle-timeout")?),
            Long("exact-scan-max") => {
                exact_scan_max = Some(parsed(&value(&mut parser)?, "--exact-scan-max")?)
            }
            Long("threads") => threads = Some(parsed(&value(&mut parser)?, "--threads")?),
            Long("self-check") => self_check_secs = Some(parsed(&value(&mut parser)?, "--self-check")?),
            Long("no-import") => moves_in = false,
            Long("allow-network-fs") => allow_network_fs = true,
            Long("dies-with-host") => dies_with_host = true,
            Long("task") => task.name = Some(value(&mut parser)?),
            Long("from") => task.from = Some(PathBuf::from(value(&mut parser)?)),
            Long("at") => task.at = Some(value(&mut parser)?.to_string_lossy().into_owned()),
            Long("store") => task.store = Some(task::store(&value(&mut parser)?)?),
            Long("dry-run") => task.dry_run = true,
            Long("readiness") => match value(&mut parser)?.to_str() {
                Some("stdout") => readiness = true,
                _ => return Err("--readiness takes 'stdout'".into()),
            },
            Short('h') | Long("help") => return Ok(Wanted::Help),
            Short('V') | Long("version") => return Ok(Wanted::Version),
            Short(_) | Long(_) | Value(_) => return Err(argument.unexpected().to_string()),
        }
    }
    let palace = palace.ok_or("--palace DIR is required; palace-mcp and palacectl pass it by themselves")?;
    let idle_is_default = managed_by == ManagedBy::Auto && idle_secs.is_none();
    let idle_secs = match managed_by {
        ManagedBy::Auto => idle_secs.unwrap_or(3_600),
        ManagedBy::Systemd | ManagedBy::Launchd => 0,
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let task = task.task()?;
    let config = Box::new(Config {
        palace,
        managed_by,
        idle_timeout: (idle_secs > 0).then(|| Duration::from_secs(idle_secs)),
        idle_is_default,
        scrub: ScrubTimes {
            every: Some(Duration::from_secs(24 * 60 * 60)),
            quiet: Duration::from_secs(scrub_quiet_secs),
            look: Duration::from_secs(scrub_quiet_secs.clamp(1, 60)),
        },
        moves_in,
        scratch_dir: scratch_dir(),
        settings_error: None,
        keep_removed_ms: Some(KEEP_REMOVED_MS),
        backups: Backups {
            folder: None,
            every_ms: None,
            keep: Some(BACKUP_KEEP),
            look: Duration::from_secs(backup_look_secs.clamp(1, 3_600)),
        },
        settled: Duration::from_secs(settled_secs),
        self_check: Duration::from_secs(self_check_secs.unwrap_or(SELF_CHECK_SECS).clamp(1, 3_600)),
        upgrade_cooldown: Duration::from_secs(upgrade_cooldown_secs),
        exact_scan_max: exact_scan_max.map_or(50_000, |count| usize::try_from(count).unwrap_or(usize::MAX)),
        threads: threads.map_or(cores, |count| usize::try_from(count).unwrap_or(1)).clamp(1, 64),
        network_fs: if allow_network_fs { NetworkFs::Allowed } else { NetworkFs::Refused },
        dies_with_host,
        readiness,
        runtime_library: environment("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from),
        service: service(&environment, std::process::id())?,
    });
    Ok(match task {
        Some(task) => Wanted::Task(config, task),
        None => Wanted::Serve(config),
    })
}

/// Variables that were meant for another process, an ancestor of this one, count for nothing.
fn service(
    environment: &impl Fn(&str) -> Option<OsString>,
    own_pid: u32,
) -> Result<ServiceVariables, String> {
    let meant_for_us = |pid: Option<u64>| pid == Some(u64::from(own_pid));
    let mut service = ServiceVariables {
        notify_socket: environment("NOTIFY_SOCKET").filter(|path| !path.is_empty()),
        ..ServiceVariables::default()
    };
    if meant_for_us(number(environment, "LISTEN_PID")?) {
        let count = number(environment, "LISTEN_FDS")?.unwrap_or(0);
        service.listen_fds = u32::try_from(count).unwrap_or(u32::MAX);
    }
    let watchdog_pid = number(environment, "WATCHDOG_PID")?;
    if watchdog_pid.is_none() || meant_for_us(watchdog_pid) {
        let limit = number(environment, "WATCHDOG_USEC")?.filter(|limit| *limit > 0);
        service.watchdog = limit.map(Duration::from_micros);
    }
    Ok(service)
}

fn value(parser: &mut lexopt::Parser) -> Result<OsString, String> {
    parser.value().map_err(|error| error.to_string())
}

fn manager(value: &OsString) -> Result<ManagedBy, String> {
    match value.to_str() {
        Some("auto") => Ok(ManagedBy::Auto),
        Some("systemd") => Ok(ManagedBy::Systemd),
        Some("launchd") => Ok(ManagedBy::Launchd),
        _ => Err("--managed-by takes auto, systemd or launchd".into()),
    }
}

fn number(environment: &impl Fn(&str) -> Option<OsString>, name: &str) -> Result<Option<u64>, String> {
    environment(name).map(|value| parsed(&value, name)).transpose()
}

fn parsed(value: &OsString, name: &str) -> Result<u64, String> {
    value
        .to_str()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| format!("{name} takes a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
        let find = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        let arguments = std::iter::once("palaced").chain(arguments.iter().copied()).map(OsString::from);
        let Wanted::Serve(config) = read(arguments, find)? else { panic!("asked to serve") };
        Ok(*config)
    }

    #[test]
    fn an_argument_beats_the_environment() {
        let config =
            serve(&["--palace", "/p", "--idle-timeout", "5"], &[("PALACE_IDLE_TIMEOUT_SECS", "9")]).unwrap();
        assert_eq!(config.idle_timeout, Some(Duration::from_secs(5)));
        let config = serve(&["--palace", "/p"], &[("PALACE_IDLE_TIMEOUT_SECS", "0")]).unwrap();
        assert_eq!(config.idle_timeout, None);
    }

    #[test]
    fn a_service_never_ends_when_idle() {
        let config =
            serve(&["--palace", "/p", "--managed-by", "systemd", "--idle-timeout", "5"], &[]).unwrap();
        assert_eq!(config.idle_timeout, None);
    }

    #[test]
    fn what_a_manager_meant_for_another_process_is_ignored() {
        let variables = [
            ("LISTEN_FDS", "1"),
            ("LISTEN_PID", "7"),
            ("WATCHDOG_USEC", "2000000"),
            ("WATCHDOG_PID", "7"),
            ("NOTIFY_SOCKET", "/n"),
        ];
        let find = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        let ours = ServiceVariables {
            listen_fds: 1,
            notify_socket: Some("/n".into()),
            watchdog: Some(Duration::from_secs(2)),
        };
        assert_eq!(service(&find, 7).unwrap(), ours);
        let others = ServiceVariables { listen_fds: 0, watchdog: None, ..ours };
        assert_eq!(service(&find, 8).unwrap(), others);
        assert_eq!(service(&|_: &str| None, 8).unwrap(), ServiceVariables::default());
    }

    #[test]
    fn a_task_takes_what_belongs_to_it() {
        let task = |line: &str| {
            let arguments = format!("palaced --palace /p {line}");
            match read(arguments.split(' ').map(OsString::from), |_| None)? {
                Wanted::Task(_, task) => Ok(task),
                Wanted::Serve(_) | Wanted::Help | Wanted::Version => Err("no task".to_owned()),
            }
        };
        let restore = Task::Restore {
            from: "/b".into(),
            at: Some("12".into()),
            store: Some([0xab; 16]),
            dry_run: true,
        };
        assert_eq!(
            task("--task restore --from /b --at 12 --store abababababababababababababababab --dry-run"),
            Ok(restore)
        );
        assert_eq!(task("--task repair"), Ok(Task::Repair { dry_run: false }));
        assert_eq!(task("--task check"), Ok(Task::Check));
        assert_eq!(task("--task backups"), Ok(Task::Backups { from: None }));
        for (line, part) in [
            ("--task restore", "--from"),
            ("--task repair --from /b", "--from"),
            ("--task check --dry-run", "--dry-run"),
            ("--task backups --at 3", "--at"),
            ("--task restore --from /b --store 12", "32 hex digits"),
            ("--task check --store abababababababababababababababab", "--store"),
            ("--task cook", "restore, repair"),
            ("--dry-run", "--task"),
        ] {
            assert!(task(line).unwrap_err().contains(part), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(serve(&[], &[]).unwrap_err().contains("--palace"));
        assert!(serve(&["--palace", "/p", "--frobnicate"], &[]).unwrap_err().contains("--frobnicate"));
        assert!(
            serve(&["--palace", "/p", "--idle-timeout", "soon"], &[]).unwrap_err().contains("--idle-timeout")
        );
        assert!(
            serve(&["--palace", "/p"], &[("PALACE_THREADS", "x")]).unwrap_err().contains("PALACE_THREADS")
        );
    }
}
