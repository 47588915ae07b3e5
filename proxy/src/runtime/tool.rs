//! Runs the package managers: always to an end within a deadline, never on a person's terminal.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A tool that answers at all does so within this time.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(30);
/// A download of under a hundred megabytes on a slow line.
pub const DOWNLOAD_WAIT_MAX: Duration = Duration::from_secs(900);
/// Unpacking on a slow disk.
pub const UNPACK_WAIT_MAX: Duration = Duration::from_secs(120);
/// How much of a failing tool's last words is shown.
const TAIL_LINE_COUNT: usize = 6;

/// Why a tool gave no result.
#[derive(Debug)]
pub enum ToolFailure {
    /// It is not installed, or cannot be started.
    Absent,
    /// It ran and failed; its last lines.
    Failed(String),
    /// It was stopped at its deadline.
    TimedOut(Duration),
}

/// Finds the first Python that has pip. Windows has a `python3` that only opens a shop window, hence the trial.
pub fn python_with_pip() -> Option<&'static str> {
    let names: &[&str] = if cfg!(windows) { &["python", "py", "python3"] } else { &["python3", "python"] };
    names.iter().copied().find(|name| {
        let mut command = Command::new(name);
        command.args(["-m", "pip", "--version"]);
        run(command, PROBE_WAIT_MAX).is_ok()
    })
}

/// Finds npm, which on Windows is a script.
pub fn npm() -> Option<&'static str> {
    let name = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let mut command = Command::new(name);
    command.arg("--version");
    run(command, PROBE_WAIT_MAX).is_ok().then_some(name)
}

/// Starts a command in a folder of its own, so that nothing it finds in the present one changes what it does.
pub fn command(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(folder);
    command
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// See [`ToolFailure`]. A command past its deadline is killed.
pub fn run(mut command: Command, wait_max: Duration) -> Result<String, ToolFailure> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|_| ToolFailure::Absent)?;
    let (sender, outputs) = mpsc::channel();
    collect(child.stdout.take(), 0, sender.clone());
    collect(child.stderr.take(), 1, sender);
    let deadline = Instant::now() + wait_max;
    let mut printed = [String::new(), String::new()];
    for _ in 0..printed.len() {
        match outputs.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((index, text)) => printed[index] = text,
            Err(_) => {
                // Already gone is as good as killed.
                let _ = child.kill();
                let _ = child.wait();
                return Err(ToolFailure::TimedOut(wait_max));
            }
        }
    }
    let [output, errors] = printed;
    // Both pipes are closed: the process has ended or is about to.
    match child.wait() {
        Ok(status) if status.success() => Ok(output),
        Ok(_) => Err(ToolFailure::Failed(tail(if errors.trim().is_empty() { &output } else { &errors }))),
        Err(error) => Err(ToolFailure::Failed(error.to_string())),
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>, index: usize, sender: mpsc::Sender<(usize, String)>) {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What arrived before an error is still the best account of what happened.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody waits any more once the deadline has passed.
        let _ = sender.send((index, String::from_utf8_lossy(&bytes).into_owned()));
    });
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINE_COUNT)..].join("\n")
}
