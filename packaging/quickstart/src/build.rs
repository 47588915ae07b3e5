//! Builds the programs and provides the embedding runtime.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::say;

/// The built programs.
pub struct Programs {
    /// The daemon.
    pub palaced: PathBuf,
    /// The server that hosts spawn.
    pub palace_mcp: PathBuf,
    /// The command for people.
    pub palacectl: PathBuf,
}

/// Builds the three programs in release mode, with cargo's own progress, and installs the runtime if it can be had.
///
/// # Errors
/// When cargo fails.
pub fn programs() -> Result<Programs> {
    say("building palaced, palace-mcp and palacectl (a few minutes the first time)");
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "palace-daemon", "--package", "palace-proxy"])
        .current_dir(&root)
        .status()
        .context("cargo could not be run")?;
    if !status.success() {
        bail!("the build failed; a C++17 compiler is needed beside the Rust toolchain");
    }
    let own = std::env::current_exe().context("the place of this program")?;
    let folder = own.parent().context("the folder of this program")?.to_path_buf();
    let program = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let programs = Programs {
        palaced: program("palaced"),
        palace_mcp: program("palace-mcp"),
        palacectl: program("palacectl"),
    };
    provide_runtime(&programs);
    Ok(programs)
}

/// Installs ONNX Runtime. Without a package manager or a network the built-in runtime serves.
fn provide_runtime(programs: &Programs) {
    say("providing the embedding runtime (palacectl runtime install)");
    let installed =
        Command::new(&programs.palacectl).args(["runtime", "install"]).stdin(Stdio::null()).output();
    match installed {
        Ok(output) if output.status.success() => {
            say(&format!("  {}", String::from_utf8_lossy(&output.stdout).trim().replace('\n', "\n  ")));
        }
        Ok(output) => say(&format!(
            "  not installed, so the built-in runtime serves: {}",
            String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("no reason given")
        )),
        Err(error) => say(&format!("  not installed, so the built-in runtime serves: {error}")),
    }
}
