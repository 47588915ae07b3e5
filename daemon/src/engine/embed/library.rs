//! Asks an ONNX Runtime library for its version, which builds do not otherwise tell.
//!
//! The one place of the embedder that calls into a library by hand.

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;

/// The first two entries of the table that `OrtGetApiBase` returns; fixed since the first release.
#[repr(C)]
struct ApiBase {
    api: unsafe extern "C" fn(u32) -> *const c_void,
    version: unsafe extern "C" fn() -> *const c_char,
}

/// A library that has been asked. Keep it until the library is loaded for good, so that it is loaded once.
pub struct Library {
    /// Its version, `1.24.4`.
    pub version: String,
    _handle: libloading::Library,
}

/// Loads the library at `path` far enough to ask for its version.
///
/// # Errors
/// The reason for people, when the file cannot be loaded or is another library.
pub fn open(path: &Path) -> Result<Library, String> {
    // SAFETY: running a library's initializers is what the person asked for who put or named it there.
    let handle = unsafe { libloading::Library::new(path) }.map_err(|error| error.to_string())?;
    // SAFETY: this symbol has had this one signature in every release.
    let base = unsafe { handle.get::<unsafe extern "C" fn() -> *const ApiBase>(b"OrtGetApiBase\0") }
        .map_err(|_| "it is not an ONNX Runtime library".to_owned())?;
    // SAFETY: the function takes nothing and returns a table that lives as long as the library, or null.
    let base = unsafe { base().as_ref() }.ok_or("it gives no interface")?;
    // SAFETY: the entry takes nothing and returns a constant string.
    let version = unsafe { CStr::from_ptr((base.version)()) }.to_string_lossy().into_owned();
    Ok(Library { version, _handle: handle })
}
