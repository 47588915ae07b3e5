//! `palacectl export`: moving out, and what was left behind.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use palace_protocol::control::{ExportFormat, ExportSelection, JobRequest};
use serde_json::Value;

use super::jobs::{absolute, run_job};
use super::outcome::{Exit, Failure, Outcome};

/// Writes everything, or what the options choose, as plain files. The palace goes on meanwhile.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file that is written; for Markdown a directory, new or empty
    #[arg(value_name = "FILE|DIR")]
    pub target: PathBuf,
    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,
    /// Only this wing
    #[arg(long)]
    pub wing: Option<String>,
    /// Only rooms of this name
    #[arg(long)]
    pub room: Option<String>,
    /// Only what was filed at or after this ISO date or time
    #[arg(long)]
    pub since: Option<String>,
    /// Only what was filed before this ISO date or time
    #[arg(long)]
    pub before: Option<String>,
    /// Leave the vectors out: half the size, and whoever imports it embeds every text again
    #[arg(long)]
    pub no_vectors: bool,
    /// Replace a file that is there
    #[arg(long)]
    pub overwrite: bool,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object on each line: complete, and `palacectl import` reads it
    Jsonl,
    /// A directory of Markdown files for people
    Markdown,
}

/// Exports and shows how far it is.
///
/// # Errors
/// When something cannot be read or written. An export without what is damaged ends with exit code 1.
pub fn run(palace: &Path, args: &ExportArgs, quiet: bool) -> Result<Outcome, Failure> {
    let job = run_job(palace, request(args)?, quiet)?;
    let report = job.report.unwrap_or_default();
    let is_whole = report.get("damaged").and_then(Value::as_array).is_none_or(Vec::is_empty);
    Ok(Outcome {
        code: if is_whole { Exit::Done.code() } else { Exit::Failed.code() },
        text: job.message.unwrap_or_default(),
        json: report,
    })
}

fn request(args: &ExportArgs) -> Result<JobRequest, Failure> {
    if args.target.as_os_str() == "-" {
        return Err(Failure::new(Exit::Usage, "the daemon writes the export; name a file"));
    }
    if args.overwrite && args.format == Format::Markdown {
        return Err(Failure::new(Exit::Usage, "--overwrite is for files; name a new or an empty directory"));
    }
    let target = absolute(&args.target)?;
    let Some(target) = target.to_str() else {
        return Err(Failure::failed(format!("{}: name a path in UTF-8", target.display())));
    };
    Ok(JobRequest::Export {
        target: target.to_owned(),
        format: match args.format {
            Format::Jsonl => ExportFormat::Jsonl,
            Format::Markdown => ExportFormat::Markdown,
        },
        selection: ExportSelection {
            wing: args.wing.clone(),
            room: args.room.clone(),
            since: args.since.clone(),
            before: args.before.clone(),
        },
        vectors: !args.no_vectors,
        overwrite: args.overwrite,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ExportArgs {
        ExportArgs {
            target: "e.jsonl".into(),
            format: Format::Jsonl,
            wing: Some("w".into()),
            room: None,
            since: None,
            before: None,
            no_vectors: true,
            overwrite: false,
        }
    }

    #[test]
    fn the_daemon_is_told_a_path_of_its_own() {
        let JobRequest::Export { target, selection, vectors, .. } = request(&args()).unwrap() else {
            panic!("another job");
        };
        assert!(Path::new(&target).is_absolute() && target.ends_with("e.jsonl"), "{target}");
        assert_eq!((selection.wing.as_deref(), selection.room, vectors), (Some("w"), None, false));
    }

    #[test]
    fn what_cannot_be_is_usage() {
        let stdout = ExportArgs { target: "-".into(), ..args() };
        assert_eq!(request(&stdout).unwrap_err().exit, Exit::Usage);
        let over = ExportArgs { format: Format::Markdown, overwrite: true, ..args() };
        assert_eq!(request(&over).unwrap_err().exit, Exit::Usage);
    }
}
