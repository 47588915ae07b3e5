//! What the file system below a directory is; what that means is in [`palace_protocol::filesystem`].

use std::path::Path;

use palace_protocol::filesystem::Shared;

/// Tells whether a directory is on a file system that other computers may write. Where the system does not tell, none is assumed.
#[cfg(target_os = "linux")]
pub fn shared(directory: &Path) -> Option<Shared> {
    let kind = rustix::fs::statfs(directory).ok()?.f_type;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers have 32 bits")]
    let number = kind as u32;
    palace_protocol::filesystem::network(number, &name(directory))
}

/// Returns the name of a directory's file system as the system has it, empty where it does not tell.
#[cfg(target_os = "linux")]
pub fn name(directory: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    palace_protocol::filesystem::mounted_as(&mounts, directory).unwrap_or_default().to_owned()
}

/// Tells whether a directory is on a file system that other computers may write. Where the system does not tell, none is assumed.
#[cfg(target_os = "macos")]
pub fn shared(directory: &Path) -> Option<Shared> {
    let is_local = rustix::fs::statfs(directory).ok()?.f_flags & libc::MNT_LOCAL.cast_unsigned() != 0;
    palace_protocol::filesystem::network_named(&name(directory), is_local)
}

/// Returns the name of a directory's file system as the system has it, empty where it does not tell.
#[cfg(target_os = "macos")]
pub fn name(directory: &Path) -> String {
    let Ok(found) = rustix::fs::statfs(directory) else { return String::new() };
    let letters = found.f_fstypename.into_iter().map_while(|letter| u8::try_from(letter).ok());
    letters.take_while(|letter| *letter != 0).map(char::from).collect()
}

/// Elsewhere the kind is not looked at.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub fn shared(_directory: &Path) -> Option<Shared> {
    None
}

/// Elsewhere the kind is not looked at.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub fn name(_directory: &Path) -> String {
    String::new()
}

#[cfg(all(test, any(target_os = "linux", target_os = "macos")))]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_is_local() {
        assert_eq!(shared(&std::env::temp_dir()), None);
        assert!(!name(&std::env::temp_dir()).is_empty());
    }
}
