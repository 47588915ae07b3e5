//! What the palace's file system is; a test may have it be another.

use std::path::Path;

use palace_protocol::filesystem::Shared;
pub use palace_system::filesystem::name;

/// Tells whether a directory is on a file system that other computers may write.
pub fn shared(directory: &Path) -> Option<Shared> {
    match crate::failpoint::fallible("daemon.filesystem") {
        Ok(()) => palace_system::filesystem::shared(directory),
        Err(_) => palace_protocol::filesystem::network_named("nfs", false),
    }
}
