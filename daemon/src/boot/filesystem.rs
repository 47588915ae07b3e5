//! What the palace's file system is; a test may have it be another.

use std::path::Path;

pub use palace_system::filesystem::name;

/// Returns the kind of network file system that a directory is on.
pub fn shared(directory: &Path) -> Option<&'static str> {
    match crate::failpoint::fallible("daemon.filesystem") {
        Ok(()) => palace_system::filesystem::shared(directory),
        Err(_) => palace_protocol::filesystem::network_named("nfs", false),
    }
}
