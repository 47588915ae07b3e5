//! Installs ONNX Runtime for the daemon through a package manager that is already on the machine.
//!
//! What must stay true: a library appears under its final name only when it is whole and its package had the
//! pinned hash; nothing is ever executed from a package; an installation that is there and intact is left alone.
//! The palace works without any of this, on the portable runtime, somewhat slower.
//!
//! The place is below the home folder and not in the platform's data folder, because hosts clear `XDG_*` for what
//! they spawn: the installer, run from a shell, and the daemon, spawned by a host, would look in two places.

mod fetch;
mod package;
mod record;
#[cfg(test)]
mod tests;
mod tool;

use std::path::{Path, PathBuf};

pub use record::{Installed, installed};

/// Where runtimes are kept below the home folder, one folder per version. The daemon looks here as well
/// (`engine::embed::provision`): the two must agree.
pub const INSTALL_DIR: &str = ".mempalace/runtime/onnxruntime";

/// A package manager that has the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PackageManager {
    /// Python's.
    Pip,
    /// Node's.
    Npm,
}

impl PackageManager {
    /// The command's name.
    pub fn name(self) -> &'static str {
        match self {
            PackageManager::Pip => "pip",
            PackageManager::Npm => "npm",
        }
    }

    /// The version it would install.
    pub fn version(self) -> &'static str {
        match self {
            PackageManager::Pip => package::WHEEL_VERSION,
            PackageManager::Npm => package::NODE_VERSION,
        }
    }
}

/// What to install and where.
#[derive(Debug, Clone)]
pub struct InstallOptions {
    /// Only this one; otherwise pip, and npm if there is no pip.
    pub from: Option<PackageManager>,
    /// The folder that gets a folder for the version, usually [`INSTALL_DIR`] below the home folder.
    pub root: PathBuf,
}

/// How far an installation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The package is being downloaded.
    Downloading {
        /// By this one.
        from: PackageManager,
        /// This version.
        version: &'static str,
        /// About this much, in megabytes.
        size_mb: u32,
    },
    /// The package is here; its hash is being compared.
    Verifying,
    /// The library is being taken out.
    Extracting,
}

/// Why no runtime was installed. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// There is no library for this machine at all.
    #[error(
        "there is no ONNX Runtime build for {platform}; the built-in runtime serves, nothing needs to be done"
    )]
    Unsupported {
        /// System and architecture.
        platform: String,
    },
    /// Nothing to download with.
    #[error(
        "{wanted} is not installed; install python3 with pip, or Node.js with npm, and try again, or set \
         ORT_DYLIB_PATH to an onnxruntime library (1.17 or newer). The built-in runtime serves meanwhile"
    )]
    NoPackageManager {
        /// What was looked for.
        wanted: &'static str,
    },
    /// The package manager failed.
    #[error("{tool} could not get {package}: {reason}")]
    Download {
        /// The command.
        tool: &'static str,
        /// Package and version.
        package: String,
        /// Its last words.
        reason: String,
    },
    /// The package is not the one that was pinned.
    #[error("{package} has the hash {found} instead of {expected}; it was not installed")]
    WrongHash {
        /// Package and version.
        package: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// The package could not be unpacked.
    #[error("the library could not be taken out of {package}: {reason}")]
    Extract {
        /// Package and version.
        package: String,
        /// What went wrong.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl RuntimeError {
    /// Not being there, or not having the package, is what the other package manager is for. A wrong hash is not:
    /// someone should look at it.
    fn another_may_do(&self) -> bool {
        match self {
            RuntimeError::NoPackageManager { .. } | RuntimeError::Download { .. } => true,
            RuntimeError::Unsupported { .. }
            | RuntimeError::WrongHash { .. }
            | RuntimeError::Extract { .. }
            | RuntimeError::Io { .. } => false,
        }
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RuntimeError {
        move |source| RuntimeError::Io { action, path: path.to_owned(), source }
    }
}

/// Installs the pinned runtime, or returns the one that is already there. Blocks for as long as a download takes.
///
/// # Errors
/// See [`RuntimeError`]; nothing is left behind except what was there before.
pub fn install(
    options: &InstallOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Installed, RuntimeError> {
    let wanted = match options.from {
        Some(one) => vec![one],
        None => vec![PackageManager::Pip, PackageManager::Npm],
    };
    for manager in &wanted {
        if let Some(there) = record::intact(&options.root, manager.version()) {
            return Ok(there);
        }
    }
    let mut first_failure = None;
    for manager in wanted {
        let error = match fetch::fetch(manager, &options.root, progress) {
            Ok(installed) => return Ok(installed),
            Err(error) => error,
        };
        if !error.another_may_do() {
            return Err(error);
        }
        first_failure.get_or_insert(error);
    }
    Err(first_failure.expect("at least one manager was tried and none returned"))
}

/// Removes every installed runtime below `root` and returns whether there was one. Only folders that an installer
/// made are touched: `root` may be a folder that someone uses for other things.
///
/// # Errors
/// When a file cannot be removed; on Windows while a daemon uses it.
pub fn remove(root: &Path) -> Result<bool, RuntimeError> {
    let mut removed = false;
    for runtime in installed(root) {
        let folder = runtime.folder();
        std::fs::remove_dir_all(folder).map_err(RuntimeError::io("remove", folder))?;
        removed = true;
    }
    Ok(removed)
}

/// The library's name here: what the daemon looks for.
pub fn library_name() -> String {
    format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}
