//! What the palace's file system is; what it means is in [`palace_protocol::filesystem`].

use std::path::Path;

/// Returns the kind of network file system that a directory is on. Where the system does not tell, it is not refused.
#[cfg(target_os = "linux")]
pub fn shared(directory: &Path) -> Option<&'static str> {
    use palace_protocol::filesystem::network;
    if crate::failpoint::fallible("daemon.filesystem").is_err() {
        return network(0x6969, "");
    }
    let kind = rustix::fs::statfs(directory).ok()?.f_type;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers have 32 bits")]
    let number = kind as u32;
    network(number, &name(directory))
}

/// Returns the name of a directory's file system as the mount table has it, empty where there is none.
#[cfg(target_os = "linux")]
pub fn name(directory: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    palace_protocol::filesystem::mounted_as(&mounts, directory).unwrap_or_default().to_owned()
}

/// Elsewhere the kind is not looked at.
#[cfg(not(target_os = "linux"))]
pub fn shared(_directory: &Path) -> Option<&'static str> {
    None
}

#[cfg(not(target_os = "linux"))]
pub fn name(_directory: &Path) -> String {
    String::new()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_is_local() {
        assert_eq!(shared(&std::env::temp_dir()), None);
        assert!(!name(&std::env::temp_dir()).is_empty());
    }
}
