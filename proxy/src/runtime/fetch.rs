//! Downloads a package, checks it, and moves what is wanted of it into place.
//!
//! Everything happens in a scratch folder beside the destination, on the same disk, and shows under its final name
//! by one rename. Archives are taken apart by the interpreter that pip runs on and by `tar`, which stands beside
//! npm everywhere: no archive reader has to be carried for a file that is unpacked once.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256, Sha512};

use super::tool::{self, ToolFailure};
use super::{Installed, PackageManager, Progress, RuntimeError, library_name, package, record};

const WHEEL_SIZE_MB: u32 = 17;
const NODE_SIZE_MB: u32 = 86;

/// Takes the named members out of a wheel, each to the path that follows it. `-I` keeps the interpreter from
/// reading anything from the environment or the folder it runs in.
const UNPACK_WHEEL: &str = "import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for member, target in zip(sys.argv[2::2], sys.argv[3::2]):
        with wheel.open(member) as source, open(target, 'wb') as sink:
            shutil.copyfileobj(source, sink)
";

/// Installs by one package manager.
pub fn fetch(
    manager: PackageManager,
    root: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Installed, RuntimeError> {
    let scratch = Scratch::new(root)?;
    let package = match manager {
        PackageManager::Pip => from_wheel(&scratch, progress)?,
        PackageManager::Npm => from_node(&scratch, progress)?,
    };
    record::write(&scratch.result, package)?;
    publish(&scratch, root, manager.version())
}

fn from_wheel(scratch: &Scratch, progress: &mut dyn FnMut(Progress)) -> Result<String, RuntimeError> {
    let wheel = package::wheel().ok_or_else(unsupported)?;
    let python = tool::python_with_pip().ok_or(RuntimeError::NoPackageManager { wanted: "pip" })?;
    let package = format!("onnxruntime {}", package::WHEEL_VERSION);
    progress(Progress::Downloading {
        from: PackageManager::Pip,
        version: package::WHEEL_VERSION,
        size_mb: WHEEL_SIZE_MB,
    });
    // Hashes are only accepted from a requirements file.
    let requirement = scratch.work.join("requirements.txt");
    let line = format!("onnxruntime=={} --hash=sha256:{}\n", package::WHEEL_VERSION, wheel.sha256);
    std::fs::write(&requirement, line).map_err(RuntimeError::io("write", &requirement))?;
    let mut command = tool::command(python, &scratch.work);
    let (python_version, abi) = package::WHEEL_PYTHON;
    command.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    command.args(["--only-binary", ":all:", "--require-hashes", "--platform", wheel.pip_platform]);
    command.args(["--python-version", python_version, "--implementation", "cp", "--abi", abi]);
    command.args(["--dest", ".", "--requirement", "requirements.txt"]);
    tool::run(command, tool::DOWNLOAD_WAIT_MAX).map_err(|failure| download("pip", &package, failure))?;
    let archive = downloaded(&scratch.work, "whl", "pip", &package)?;
    verify::<Sha256>(&archive, wheel.sha256, &package, progress)?;

    progress(Progress::Extracting);
    let mut command = tool::command(python, &scratch.work);
    command.args(["-I", "-c", UNPACK_WHEEL]).arg(&archive);
    command.arg(wheel.member).arg(scratch.result.join(library_name()));
    for notice in package::WHEEL_NOTICES {
        let name = Path::new(notice).file_name().expect("a notice is a file");
        command.arg(notice).arg(scratch.result.join(name));
    }
    tool::run(command, tool::UNPACK_WAIT_MAX).map_err(|failure| extract(&package, failure))?;
    Ok(package)
}

fn from_node(scratch: &Scratch, progress: &mut dyn FnMut(Progress)) -> Result<String, RuntimeError> {
    let binary = package::node_binary().ok_or_else(unsupported)?;
    let npm = tool::npm().ok_or(RuntimeError::NoPackageManager { wanted: "npm" })?;
    let package = format!("onnxruntime-node {}", package::NODE_VERSION);
    progress(Progress::Downloading {
        from: PackageManager::Npm,
        version: package::NODE_VERSION,
        size_mb: NODE_SIZE_MB,
    });
    let mut command = tool::command(npm, &scratch.work);
    command.arg("pack").arg(format!("onnxruntime-node@{}", package::NODE_VERSION));
    command.args(["--ignore-scripts", "--loglevel=error"]);
    tool::run(command, tool::DOWNLOAD_WAIT_MAX).map_err(|failure| download("npm", &package, failure))?;
    let archive = downloaded(&scratch.work, "tgz", "npm", &package)?;
    verify::<Sha512>(&archive, package::NODE_SHA512, &package, progress)?;

    progress(Progress::Extracting);
    let mut command = tool::command("tar", &scratch.work);
    command.arg("-xzf").arg(&archive).args([binary.member, package::NODE_NOTICE]);
    tool::run(command, tool::UNPACK_WAIT_MAX).map_err(|failure| extract(&package, failure))?;
    for (member, name) in [(binary.member, library_name()), (package::NODE_NOTICE, "README.md".to_owned())] {
        let (from, to) = (scratch.work.join(member), scratch.result.join(name));
        std::fs::rename(&from, &to).map_err(RuntimeError::io("move", &from))?;
    }
    Ok(package)
}

/// The one file of this kind that the tool left; its name is the tool's business.
fn downloaded(
    folder: &Path,
    extension: &str,
    tool: &'static str,
    package: &str,
) -> Result<PathBuf, RuntimeError> {
    let entries = std::fs::read_dir(folder).map_err(RuntimeError::io("read", folder))?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|it| it == extension))
        .ok_or(RuntimeError::Download {
            tool,
            package: package.to_owned(),
            reason: format!("it left no .{extension} file"),
        })
}

/// Compares the hash once more, here: a package manager may be configured to trust something else.
fn verify<D: Digest>(
    archive: &Path,
    expected: &'static str,
    package: &str,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), RuntimeError> {
    progress(Progress::Verifying);
    let found = record::hash::<D>(archive)?;
    if found == expected {
        return Ok(());
    }
    Err(RuntimeError::WrongHash { package: package.to_owned(), expected, found })
}

fn publish(scratch: &Scratch, root: &Path, version: &str) -> Result<Installed, RuntimeError> {
    let target = root.join(version);
    if target.exists() {
        // Damaged, or another installer was faster. Moved aside rather than removed, so that there is never half
        // a folder under the final name.
        std::fs::rename(&target, scratch.folder.join("replaced"))
            .map_err(RuntimeError::io("replace", &target))?;
    }
    std::fs::rename(&scratch.result, &target).map_err(RuntimeError::io("create", &target))?;
    record::intact(root, version).ok_or_else(|| {
        let reason = std::io::Error::other("it changed while it was being installed");
        RuntimeError::io("use", &target)(reason)
    })
}

fn unsupported() -> RuntimeError {
    RuntimeError::Unsupported { platform: package::platform_name() }
}

fn download(tool: &'static str, package: &str, failure: ToolFailure) -> RuntimeError {
    RuntimeError::Download { tool, package: package.to_owned(), reason: reason(failure) }
}

fn extract(package: &str, failure: ToolFailure) -> RuntimeError {
    RuntimeError::Extract { package: package.to_owned(), reason: reason(failure) }
}

fn reason(failure: ToolFailure) -> String {
    match failure {
        ToolFailure::Absent => "the command is not installed".to_owned(),
        ToolFailure::Failed(lines) => lines,
        ToolFailure::TimedOut(after) => format!("stopped after {} seconds", after.as_secs()),
    }
}

/// A folder beside the destination that goes away with whatever is left in it.
struct Scratch {
    folder: PathBuf,
    work: PathBuf,
    result: PathBuf,
}

impl Scratch {
    fn new(root: &Path) -> Result<Scratch, RuntimeError> {
        // The leading dot keeps it from being taken for a version.
        let folder = root.join(format!(".tmp-{}", uuid::Uuid::new_v4().simple()));
        let scratch = Scratch { work: folder.join("work"), result: folder.join("result"), folder };
        for folder in [&scratch.work, &scratch.result] {
            std::fs::create_dir_all(folder).map_err(RuntimeError::io("create", folder))?;
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover is litter, not a fault: nothing ever looks into it.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
