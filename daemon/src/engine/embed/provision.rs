//! Finds the runtime for the embedded model.
//!
//! ONNX Runtime where a library can be loaded, the portable runtime otherwise, on the same model either way: the
//! choice changes speed and never the vector space. Why the faster one was not taken is kept for `status`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Backend, EmbedError, onnx, portable};

/// Where a library may stand, each from whoever knows: this module never reads the environment.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The configured path: a library or a folder with one.
    pub configured: Option<PathBuf>,
    /// The value of `ORT_DYLIB_PATH`, the name that other users of ONNX Runtime already set.
    pub ort_dylib_path: Option<OsString>,
    /// The folder of `palaced`, where release bundles carry the library.
    pub program_dir: Option<PathBuf>,
    /// The home folder, below which `palacectl runtime install` puts it.
    pub home: Option<PathBuf>,
}

/// A runtime with the model in it.
pub struct Loaded {
    /// What embeds.
    pub backend: Box<dyn Backend>,
    /// Why a better runtime was not taken, when there was one to try.
    pub note: Option<String>,
}

/// Below the home folder; a folder per installed version. `palacectl runtime install` writes here.
pub const INSTALLED: &str = ".mempalace/runtime/onnxruntime";

/// Returns the libraries to try, best first. Places that someone named are kept even if nothing is there, so that
/// the reason can be told; the others only if they hold a library.
pub fn candidates(places: &Places) -> Vec<PathBuf> {
    let named =
        [places.configured.clone(), places.ort_dylib_path.clone().filter(|v| !v.is_empty()).map(Into::into)];
    let mut found: Vec<PathBuf> =
        named.into_iter().flatten().map(|path| in_folder(&path).unwrap_or(path)).collect();
    found.extend(places.program_dir.as_deref().and_then(in_folder));
    if let Some(home) = &places.home {
        found.extend(installed(&home.join(INSTALLED)));
    }
    found
}

/// Loads the model with the first library that takes it, else with the portable runtime.
///
/// # Errors
/// When not even the portable runtime can read the embedded model.
pub fn load(candidates: &[PathBuf], threads: usize) -> Result<Loaded, EmbedError> {
    let mut reasons = Vec::new();
    for path in candidates {
        match with_library(path, threads) {
            Ok(backend) => return Ok(Loaded { backend: Box::new(backend), note: None }),
            Err(reason) => reasons.push(format!("{}: {reason}", path.display())),
        }
    }
    let backend = Box::new(portable::load(threads)?);
    let note =
        if reasons.is_empty() { "no onnxruntime library found".to_owned() } else { reasons.join("; ") };
    Ok(Loaded { backend, note: Some(note) })
}

fn with_library(path: &Path, threads: usize) -> Result<onnx::Onnx, String> {
    // A relative path would mean another file in every folder the daemon is started from, and the loader would
    // go on to search the system for a bare name.
    if !path.is_absolute() {
        return Err("not an absolute path".into());
    }
    if !path.is_file() {
        return Err("no such file".into());
    }
    onnx::load(path, threads)
}

/// The library as the installer names it on this platform.
pub fn library_name() -> String {
    format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// The library in a folder: under its plain name, or with a version behind it as its makers ship it.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(library_name());
    if plain.is_file() {
        return Some(plain);
    }
    let mut versioned: Vec<PathBuf> =
        entries(folder).into_iter().filter(|path| path.is_file() && is_versioned_library(path)).collect();
    versioned.sort();
    versioned.pop()
}

fn is_versioned_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let on_linux = name.starts_with("libonnxruntime.so.");
    let on_mac = name.starts_with("libonnxruntime.") && name.ends_with(".dylib");
    (cfg!(target_os = "macos") && on_mac) || (cfg!(all(unix, not(target_os = "macos"))) && on_linux)
}

/// The installed versions, newest first.
fn installed(folder: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(Vec<u32>, PathBuf)> = entries(folder)
        .into_iter()
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            // Whatever is not a plain version is an installation in progress.
            let version = name.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>()?;
            Some((version, in_folder(&path)?))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, library)| library).collect()
}

/// What a folder holds; nothing when it cannot be read, which here is the same as not being there.
fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).map(|dir| dir.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}
