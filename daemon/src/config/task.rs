//! Which task the arguments ask for.

use std::ffi::OsString;
use std::path::PathBuf;

/// Work on a palace that nobody serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Makes the store anew from a backup.
    Restore {
        /// A backup, or a folder of backups.
        from: PathBuf,
        /// The wanted point of a folder; without one the newest.
        at: Option<String>,
        /// Identity of the palace's store, from a daemon that has it open; otherwise it is looked up.
        store: Option<[u8; 16]>,
        /// Only reads the backups and tells what would be restored.
        dry_run: bool,
    },
    /// Makes what is damaged anew, as far as it can be read.
    Repair {
        /// Only tells what can be read.
        dry_run: bool,
    },
    /// Checks store and indexes.
    Check,
    /// Lists backups.
    Backups {
        /// The folder; the palace's own when absent.
        from: Option<PathBuf>,
    },
}

impl Task {
    /// Returns the name under which it is asked for.
    pub fn name(&self) -> &'static str {
        match self {
            Task::Restore { .. } => "restore",
            Task::Repair { .. } => "repair",
            Task::Check => "check",
            Task::Backups { .. } => "backups",
        }
    }
}

/// Reads the identity of a store.
pub(super) fn store(text: &OsString) -> Result<[u8; 16], String> {
    let id = text.to_str().and_then(|text| uuid::Uuid::try_parse(text).ok());
    id.map(uuid::Uuid::into_bytes).ok_or_else(|| "--store takes 32 hex digits".into())
}

/// What the arguments say about a task.
#[derive(Default)]
pub(super) struct TaskArguments {
    pub name: Option<OsString>,
    pub from: Option<PathBuf>,
    pub at: Option<String>,
    pub store: Option<[u8; 16]>,
    pub dry_run: bool,
}

impl TaskArguments {
    /// Returns the task, if there is one; what belongs to no task or to another one is a mistake.
    pub fn task(self) -> Result<Option<Task>, String> {
        let Self { name, from, at, store, dry_run } = self;
        let name = match &name {
            None if from.is_some() || at.is_some() || store.is_some() || dry_run => {
                return Err("--from, --at, --store and --dry-run belong to a --task".into());
            }
            None => return Ok(None),
            Some(name) => name.to_string_lossy(),
        };
        let no_point = || at.is_none().then_some(()).ok_or(format!("--task {name} takes no --at"));
        let no_source = || from.is_none().then_some(()).ok_or(format!("--task {name} takes no --from"));
        let no_rehearsal = || (!dry_run).then_some(()).ok_or(format!("--task {name} takes no --dry-run"));
        if store.is_some() && name != "restore" {
            return Err(format!("--task {name} takes no --store"));
        }
        match name.as_ref() {
            "restore" => {
                let from = from.ok_or("--task restore takes --from, a backup or a folder of backups")?;
                Ok(Some(Task::Restore { from, at, store, dry_run }))
            }
            "repair" => no_source().and_then(|()| no_point()).map(|()| Some(Task::Repair { dry_run })),
            "check" => {
                no_source().and_then(|()| no_point()).and_then(|()| no_rehearsal())?;
                Ok(Some(Task::Check))
            }
            "backups" => {
                no_point().and_then(|()| no_rehearsal())?;
                Ok(Some(Task::Backups { from }))
            }
            _ => Err("--task takes restore, repair, check or backups".into()),
        }
    }
}
