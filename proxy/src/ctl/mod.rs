//! The commands of `palacectl`, one file each.
//!
//! A command gets a palace and arguments and gives an outcome; reading the command line and printing happen here and
//! in [`outcome`].

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use palace_protocol::control::JobRequest;

pub mod backup;
pub mod client;
mod crashes;
pub mod doctor;
pub mod export;
pub mod force;
pub mod ground;
pub mod import;
pub mod jobs;
pub mod kept;
pub mod lifecycle;
pub mod logs;
pub mod manager;
pub mod memory;
pub mod obstacle;
pub mod offline;
pub mod outcome;
pub mod private;
pub mod removed;
pub mod render;
pub mod runtime;
pub mod service;
pub mod status;
pub mod unimported;
pub mod unit;

use outcome::{Exit, Failure, Outcome};

use crate::os::{self, Unusable};
use crate::palace::{self, Missing};

/// Looks after a memory palace: its daemon, its sessions, what it holds.
#[derive(Debug, Parser)]
#[command(name = "palacectl", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 held by another process, 4 another user's palace, or forbidden by the
system. `status` has its own: 0 ready, 1 stopped, 2 degraded or no palace can be there or be served, 3 held but unreachable,
4 as everywhere."
)]
struct Cli {
    /// The palace directory; otherwise PALACE_PATH, the configuration, ~/.mempalace/palace
    #[arg(long, global = true, value_name = "DIR")]
    palace: Option<PathBuf>,
    /// Prints one JSON value instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows how the palace fares
    Status,
    /// Starts the daemon
    Start,
    /// Ends the daemon once running calls are done
    Stop {
        /// Let running calls finish first, ten seconds at most; this is what happens anyway
        #[arg(long, conflicts_with = "force")]
        drain: bool,
        /// Do not wait for running calls; kill a daemon that does not answer
        #[arg(long)]
        force: bool,
    },
    /// Ends the daemon and starts it again
    Restart,
    /// Shows the end of the daemon's log
    Logs {
        /// Go on showing what is added
        #[arg(short, long)]
        follow: bool,
        /// Number of lines
        #[arg(short = 'n', long, default_value_t = 50)]
        lines: usize,
    },
    /// Shows who is connected
    Sessions,
    /// Finds stored passages by meaning and by words
    Search(memory::SearchArgs),
    /// Checks store and indexes without changing anything
    Verify,
    /// Moves a palace of MemPalace, or an export, into this one
    Import(import::ImportArgs),
    /// Writes everything, or a selection, as plain files
    Export(export::ExportArgs),
    /// Shows long jobs, watches or ends them
    Jobs {
        #[command(subcommand)]
        action: Option<jobs::JobsAction>,
    },
    /// Lists removed and replaced drawers that can be brought back
    Removed(removed::RemovedArgs),
    /// Brings removed drawers back, and replaced ones to their earlier text
    Undelete(removed::UndeleteArgs),
    /// Forgets removed drawers for good
    Purge(removed::PurgeArgs),
    /// Gives the room of removed things back to the file system
    Compact,
    /// Backs up the palace while it is served, or lists its backups
    Backup(backup::BackupArgs),
    /// Makes the palace's store anew from a backup; the old one is kept
    Restore(backup::RestoreArgs),
    /// Makes the indexes anew, and of a damaged store a sound one of all that can be read
    Repair(backup::RepairArgs),
    /// Finds out what is wrong and says what to do
    Doctor,
    /// Lets systemd or launchd keep the palace served
    Service {
        #[command(subcommand)]
        action: service::ServiceAction,
    },
    /// Manages the faster embedding runtime
    Runtime(runtime::RuntimeArgs),
}

/// Reads the command line, runs the command and prints its outcome.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too; a closed pipe at the other end is no failure of ours.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    // The runtime belongs to the user, not to a palace.
    if let Command::Runtime(args) = cli.command {
        return runtime::run(args, cli.json);
    }
    let ended = match palace::resolve(cli.palace.as_deref(), if_missing(&cli.command)) {
        Ok(palace) => {
            check_owner(&palace, &cli.command).and_then(|()| dispatch(&palace, cli.command, cli.json))
        }
        // Its exit codes are its answer; that of an ordinary failure would say that the palace is at rest.
        Err(error) if matches!(cli.command, Command::Status) => Ok(status::unusable(&error)),
        Err(error) => Err(Failure::from(error)),
    };
    outcome::report(ended, cli.json)
}

/// Only what needs a daemon makes a palace.
fn if_missing(command: &Command) -> Missing {
    match command {
        Command::Status
        | Command::Stop { .. }
        | Command::Logs { .. }
        | Command::Sessions
        | Command::Doctor
        | Command::Jobs { .. }
        | Command::Repair(_)
        | Command::Backup(backup::BackupArgs { action: Some(backup::BackupAction::List { .. }), .. })
        | Command::Runtime(_) => Missing::Leave,
        Command::Start
        | Command::Restart
        | Command::Search(_)
        | Command::Verify
        | Command::Import(_)
        | Command::Export(_)
        | Command::Removed(_)
        | Command::Undelete(_)
        | Command::Purge(_)
        | Command::Compact
        | Command::Backup(backup::BackupArgs { action: None, .. })
        | Command::Restore(_)
        | Command::Service { .. } => Missing::Make,
    }
}

/// Refuses another user's palace before anything is asked of it, whatever the command: its scripts branch on the exit code.
///
/// # Errors
/// Says whose the palace is, in the words of `status`.
fn check_owner(palace: &std::path::Path, command: &Command) -> Result<(), Failure> {
    // They tell it themselves, one with its state and the other among all that is wrong.
    if matches!(command, Command::Status | Command::Doctor) {
        return Ok(());
    }
    match os::check_palace(palace) {
        Err(Unusable::Owner(reason)) => Err(Failure::new(Exit::Forbidden, reason)),
        Err(Unusable::Kind(_)) | Ok(()) => Ok(()),
    }
}

fn dispatch(palace: &std::path::Path, command: Command, quiet: bool) -> Result<Outcome, Failure> {
    match command {
        Command::Status => Ok(status::status(palace)),
        Command::Start => lifecycle::start(palace),
        Command::Stop { force, drain: _ } => lifecycle::stop(palace, force),
        Command::Restart => lifecycle::restart(palace),
        Command::Logs { follow, lines } => logs::logs(palace, lines, follow, quiet),
        Command::Sessions => status::sessions(palace),
        Command::Search(args) => memory::search(palace, &args),
        Command::Verify => memory::verify(palace, quiet),
        Command::Import(args) => import::run(palace, &args, quiet),
        Command::Export(args) => export::run(palace, &args, quiet),
        Command::Jobs { action } => jobs::run(palace, action, quiet),
        Command::Removed(args) => removed::removed(palace, &args),
        Command::Undelete(args) => removed::undelete(palace, &args),
        Command::Purge(args) => removed::purge(palace, &args),
        Command::Compact => jobs::run_job(palace, JobRequest::Compact, quiet).map(jobs::told),
        Command::Backup(args) => backup::run(palace, &args, quiet),
        Command::Restore(args) => backup::restore(palace, &args, quiet),
        Command::Repair(args) => backup::repair(palace, &args, quiet),
        Command::Doctor => Ok(doctor::doctor(palace)),
        Command::Service { action } => service::run(palace, action),
        Command::Runtime(_) => Err(Failure::failed("the runtime belongs to no palace")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn palace_and_json_may_stand_anywhere() {
        for line in ["palacectl --palace /p --json status", "palacectl status --json --palace /p"] {
            let cli = parse(line).unwrap();
            assert_eq!((cli.palace, cli.json), (Some(PathBuf::from("/p")), true));
            assert!(matches!(cli.command, Command::Status));
        }
    }

    #[test]
    fn arguments_reach_their_command() {
        assert!(matches!(
            parse("palacectl stop").unwrap().command,
            Command::Stop { force: false, drain: false }
        ));
        assert!(parse("palacectl stop --drain").is_ok() && parse("palacectl stop --drain --force").is_err());
        assert!(matches!(
            parse("palacectl stop --force").unwrap().command,
            Command::Stop { force: true, drain: false }
        ));
        assert!(matches!(
            parse("palacectl logs -f -n 3").unwrap().command,
            Command::Logs { follow: true, lines: 3 }
        ));
        let Command::Search(search) = parse("palacectl search two words --wing w --limit 9").unwrap().command
        else {
            panic!("another command");
        };
        let expect = serde_json::json!({"query": "two words", "limit": 9, "wing": "w"});
        assert_eq!(search.tool_arguments(), expect);
    }

    #[test]
    fn backups_are_made_and_listed_under_one_word() {
        let Command::Backup(args) = parse("palacectl backup --to /b --full").unwrap().command else {
            panic!("another command");
        };
        assert_eq!((args.to, args.full), (Some(PathBuf::from("/b")), true));
        let listed = parse("palacectl backup list --from /b").unwrap().command;
        assert!(matches!(listed, Command::Backup(backup::BackupArgs { action: Some(_), .. })));
        assert!(parse("palacectl backup --full list").is_err());
    }

    #[test]
    fn a_wrong_command_line_is_code_two() {
        let lines = ["palacectl", "palacectl frobnicate", "palacectl search", "palacectl search q --limit 0"];
        for line in lines {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
