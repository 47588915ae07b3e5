//! `palacectl runtime`: the faster embedding runtime, installed, shown and removed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::runtime::{
    INSTALL_DIR, InstallOptions, Installed, PackageManager, Progress, RuntimeError, install, installed,
    library_name, remove,
};

/// Manages ONNX Runtime, which makes embedding faster. The palace works without it.
#[derive(Debug, Args)]
pub struct RuntimeArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: RuntimeAction,
}

/// What to do about the runtime.
#[derive(Debug, Subcommand)]
pub enum RuntimeAction {
    /// Gets the pinned version through pip or npm and checks its hash
    Install {
        /// Use only this package manager
        #[arg(long, value_enum)]
        from: Option<PackageManager>,
        /// Install below this folder instead of the home folder; set ORT_DYLIB_PATH to use it
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Shows which runtime a daemon started now would use
    Status,
    /// Removes what was installed
    Remove {
        /// The folder that was given to install
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

/// Runs the command and prints its outcome, as one JSON value if asked.
pub fn run(args: RuntimeArgs, json: bool) -> ExitCode {
    let outcome = match args.action {
        RuntimeAction::Install { from, dir } => install_command(from, dir),
        RuntimeAction::Status => root(None).map(|root| status(&root)),
        RuntimeAction::Remove { dir } => remove_command(dir),
    };
    match outcome {
        Ok(outcome) => {
            print(&if json { outcome.json.to_string() } else { outcome.text });
            ExitCode::SUCCESS
        }
        Err(error) => {
            let mut text = error.to_string();
            if let Some(source) = std::error::Error::source(&error) {
                text = format!("{text}: {source}");
            }
            if json {
                print(&json!({ "error": text }).to_string());
            } else {
                note(&format!("palacectl: {text}"));
            }
            ExitCode::FAILURE
        }
    }
}

struct Outcome {
    text: String,
    json: Value,
}

fn install_command(from: Option<PackageManager>, dir: Option<PathBuf>) -> Result<Outcome, RuntimeError> {
    let elsewhere = dir.is_some();
    let options = InstallOptions { from, root: root(dir)? };
    let mut downloaded = false;
    let runtime = install(&options, &mut |progress| {
        downloaded = true;
        note(&progress_line(&progress));
    })?;
    let library = runtime.library.display();
    let what = if downloaded { "installed" } else { "already installed" };
    let hint = if elsewhere {
        format!("\nset ORT_DYLIB_PATH={library} for the daemon to use it")
    } else {
        "\ndaemons that start from now on use it".to_owned()
    };
    Ok(Outcome {
        text: format!(
            "onnxruntime {} {what}: {library}{}",
            runtime.version,
            if downloaded { &hint } else { "" }
        ),
        json: json!({ "installed": runtime, "downloaded": downloaded }),
    })
}

fn remove_command(dir: Option<PathBuf>) -> Result<Outcome, RuntimeError> {
    let root = root(dir)?;
    let removed = remove(&root)?;
    let what = if removed { "removed" } else { "nothing was installed" };
    Ok(Outcome { text: format!("{what}: {}", root.display()), json: json!({ "removed": removed }) })
}

/// The daemon's own order: the variable, the program's folder, the installed versions, newest first. A path in
/// its configuration file comes before all of them and is told by the daemon's status, not here.
fn status(root: &Path) -> Outcome {
    let there = installed(root);
    let named = std::env::var_os("ORT_DYLIB_PATH").filter(|value| !value.is_empty()).map(PathBuf::from);
    let bundled =
        std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(library_name())));
    let chosen = named
        .map(|path| (path, "ORT_DYLIB_PATH"))
        .into_iter()
        .chain(bundled.map(|path| (path, "beside the programs")))
        .chain(there.iter().map(|runtime| (runtime.library.clone(), "installed")))
        .find(|(path, _)| path.is_file());
    let used = match &chosen {
        Some((path, why)) => format!("onnxruntime, {} ({why})", path.display()),
        None => "built-in (rten); `palacectl runtime install` makes embedding faster".to_owned(),
    };
    let mut text = format!("runtime: {used}");
    for runtime in &there {
        text.push_str(&format!("\n{}", installed_line(runtime)));
    }
    let library = chosen.as_ref().map(|(path, _)| path.display().to_string());
    let why = chosen.as_ref().map(|(_, why)| *why);
    Outcome {
        text,
        json: json!({
            "runtime": if chosen.is_some() { "onnxruntime" } else { "rten" },
            "library": library,
            "found": why,
            "installed": there,
        }),
    }
}

fn installed_line(runtime: &Installed) -> String {
    let state = if runtime.intact { "intact" } else { "damaged, run `palacectl runtime install`" };
    format!("installed: {} from {}, {state}, {}", runtime.version, runtime.package, runtime.library.display())
}

fn progress_line(progress: &Progress) -> String {
    match progress {
        Progress::Downloading { from, version, size_mb } => {
            format!("downloading onnxruntime {version} with {} (about {size_mb} MB)", from.name())
        }
        Progress::Verifying => "checking its hash".to_owned(),
        Progress::Extracting => "taking the library out".to_owned(),
    }
}

fn root(dir: Option<PathBuf>) -> Result<PathBuf, RuntimeError> {
    if let Some(dir) = dir {
        return std::path::absolute(&dir).map_err(|source| RuntimeError::Io {
            action: "resolve",
            path: dir,
            source,
        });
    }
    let home = directories::BaseDirs::new().ok_or_else(|| RuntimeError::Io {
        action: "find",
        path: PathBuf::from("the home folder"),
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    Ok(home.home_dir().join(INSTALL_DIR))
}

/// A closed pipe at the other end is that end's decision.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
