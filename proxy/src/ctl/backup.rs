//! `palacectl backup`, `backup list`, `restore` and `repair`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use palace_protocol::control::JobRequest;
use palace_protocol::endpoint::STORE_FILE;
use serde_json::Value;

use super::jobs::{absolute, run_job, told};
use super::offline;
use super::outcome::{Failure, Outcome};
use super::render::{columns, grouped, size};
use super::status::{self, Seen};

/// Backs up the palace while it is served.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BackupArgs {
    /// What to do instead.
    #[command(subcommand)]
    pub action: Option<BackupAction>,
    /// Folder of the backups; otherwise `backup_folder` in palaced.json, or `backups` in the palace
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Write everything, even if the last backup could be continued
    #[arg(long)]
    pub full: bool,
}

/// What else there is to do about backups.
#[derive(Debug, Subcommand)]
pub enum BackupAction {
    /// Shows the points in time that can be restored; needs no daemon
    List {
        /// Folder of the backups; otherwise the palace's own
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
    },
}

/// What to restore.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// A backup, or a folder of backups
    pub from: PathBuf,
    /// Point of the folder: a time, a day or a position as `palacectl backup list` shows them; otherwise the newest
    #[arg(long, value_name = "POINT")]
    pub at: Option<String>,
    /// Only read the backup and say what would be restored
    #[arg(long)]
    pub dry_run: bool,
    /// Replace the palace's store, which is kept beside; without this it is only said what would happen
    #[arg(long)]
    pub yes: bool,
}

/// How to repair.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Only say what would be brought back
    #[arg(long)]
    pub dry_run: bool,
    /// Do it; without this it is only said what would happen
    #[arg(long)]
    pub yes: bool,
}

/// Backs up, or lists backups.
///
/// # Errors
/// When there is no backup at the end; the palace goes on in any case.
pub fn run(palace: &Path, args: &BackupArgs, quiet: bool) -> Result<Outcome, Failure> {
    match &args.action {
        Some(BackupAction::List { from }) => list(palace, from.as_deref()),
        None => {
            let folder = args.to.as_deref().map(absolute).transpose()?;
            let request = JobRequest::Backup {
                folder: folder.map(|folder| folder.display().to_string()),
                full: args.full,
            };
            run_job(palace, request, quiet).map(told)
        }
    }
}

fn list(palace: &Path, from: Option<&Path>) -> Result<Outcome, Failure> {
    let mut arguments: Vec<OsString> = vec!["backups".into()];
    if let Some(from) = from {
        arguments.extend(["--from".into(), absolute(from)?.into_os_string()]);
    }
    let listed = offline::task(palace, &arguments, true)?;
    let backups = listed.json.get("backups").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = if backups.is_empty() {
        let folder = listed.json.get("folder").and_then(Value::as_str).unwrap_or_default();
        format!("no backups in {folder}; `palacectl backup` makes one")
    } else {
        table(&backups)
    };
    Ok(Outcome { text, ..listed })
}

/// Returns backups as aligned lines.
fn table(backups: &[Value]) -> String {
    let rows: Vec<Vec<String>> = backups.iter().map(row).collect();
    columns(&rows)
}

fn row(backup: &Value) -> Vec<String> {
    let text = |name: &str| backup.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let number = |name: &str| backup.get(name).and_then(Value::as_u64).unwrap_or_default();
    let file = Path::new(backup.get("file").and_then(Value::as_str).unwrap_or_default());
    let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let state = match backup.get("problem").and_then(Value::as_str) {
        Some(problem) => format!("CANNOT BE RESTORED: {problem}"),
        None => String::new(),
    };
    vec![
        text("taken_at"),
        number("seq").to_string(),
        text("kind"),
        format!("{} rows", grouped(number("rows"))),
        size(number("bytes")),
        file,
        state,
    ]
}

/// Restores a backup.
///
/// # Errors
/// When nothing was restored; the palace is as it was then.
pub fn restore(palace: &Path, args: &RestoreArgs, quiet: bool) -> Result<Outcome, Failure> {
    let mut arguments: Vec<OsString> =
        vec!["restore".into(), "--from".into(), absolute(&args.from)?.into_os_string()];
    if let Some(at) = &args.at {
        arguments.extend(["--at".into(), at.into()]);
    }
    let seen = status::look(palace);
    if args.yes {
        offline::refuse_busy(&seen)?;
    }
    if let Seen::Serving(status) = &seen {
        // It has the store open, so that nobody else can read whose points come first.
        arguments.extend(["--store".into(), status.palace.id.clone().into()]);
    }
    // Read whole before anything is ended: whoever asks for a damaged backup keeps a palace that serves.
    let rehearsal = [&arguments[..], &["--dry-run".into()]].concat();
    let rehearsed = offline::task(palace, &rehearsal, quiet)?;
    let replaces = palace.join(STORE_FILE).exists();
    if args.dry_run || (replaces && !args.yes) {
        let text = if args.dry_run {
            rehearsed.text
        } else {
            let command = "say it again with --yes to replace the store of";
            format!("{}\n{command} {}; it is kept beside the new one", rehearsed.text, palace.display())
        };
        return Ok(Outcome { text, ..rehearsed });
    }
    offline::run(palace, &arguments, quiet).map(offline::told)
}

/// Repairs the store and its indexes.
///
/// # Errors
/// When nothing could be repaired; the palace is as it was then.
pub fn repair(palace: &Path, args: &RepairArgs, quiet: bool) -> Result<Outcome, Failure> {
    let mut arguments: Vec<OsString> = vec!["repair".into()];
    if args.dry_run || !args.yes {
        arguments.push("--dry-run".into());
    }
    let mut outcome = offline::run(palace, &arguments, quiet).map(offline::told)?;
    if !args.dry_run && !args.yes {
        outcome.text.push_str("\n`palacectl repair --yes` does it; a damaged store is kept");
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn backups_are_lines_for_people() {
        let text = table(&[
            json!({
                "file": "/b/20260131T090507Z-12-part.palace", "taken_at": "2026-01-31T09:05:07Z", "kind": "part",
                "seq": 12, "rows": 1234, "bytes": 2048, "restorable": true, "problem": null,
            }),
            json!({ "file": "/b/x.palace", "restorable": false, "problem": "it ends too early" }),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("2026-01-31T09:05:07Z") && lines[0].contains("1,234 rows"), "{text}");
        assert!(lines[1].contains("CANNOT BE RESTORED: it ends too early"), "{text}");
    }
}
