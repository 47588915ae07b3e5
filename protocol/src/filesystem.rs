//! Which file systems a palace may live on. Pure: the caller asks the system.
//!
//! Locks that every process of every computer respects are what keeps a palace whole; network file systems do not
//! promise them, and two computers would see two daemons. On Linux the kind of file system is known by its number
//! (statfs(2), `linux/magic.h`); FUSE has one number for all, so there the mount table tells. macOS tells a name and whether
//! it is local (statfs(2), `MNT_LOCAL`).

use std::path::Path;

/// Why the locks of a file system may not keep two computers from writing a palace at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// It is a network file system, of this kind.
    Network(&'static str),
    /// The system does not call it local and does not say more: a share, or a disk of this computer behind FUSE.
    NotLocal,
}

impl Shared {
    /// Returns what to do about a palace there, beside moving it to a local disk.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Network(_) => {
                "move the palace to a local disk, or start with --allow-network-fs (PALACE_ALLOW_NETWORK_FS=1) when only \
                 this computer uses it"
            }
            Self::NotLocal => {
                "start with --allow-network-fs (PALACE_ALLOW_NETWORK_FS=1) when it is on a disk of this computer, as an \
                 encrypted volume of macFUSE is; otherwise move the palace to a local disk"
            }
        }
    }
}

impl std::fmt::Display for Shared {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Network(kind) => {
                write!(text, "a network file system ({kind}), where locks do not keep two computers from writing at once")
            }
            Self::NotLocal => text.write_str(
                "a file system that the system does not call local, where locks may not keep two computers from writing at \
                 once",
            ),
        }
    }
}

/// Numbers of network file systems, and the names people know them by.
const NETWORK: [(u32, &str); 13] = [
    (0x0000_6969, "nfs"),
    (0x0000_517B, "smb"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb3"),
    (0x0102_1997, "9p"),
    (0x5346_414F, "afs"),
    (0x7375_7245, "coda"),
    (0x00C3_6400, "ceph"),
    (0x0BD0_0BD0, "lustre"),
    (0x1983_0326, "beegfs"),
    (0x0116_1970, "gfs2"),
    (0x7461_636F, "ocfs2"),
    (0x0000_564C, "ncp"),
];
/// The number of every FUSE file system.
const FUSE: u32 = 0x6573_5546;
/// FUSE file systems whose files live on other computers.
const NETWORK_FUSE: [&str; 9] = [
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.rclone",
    "fuse.davfs",
    "fuse.cephfs",
    "fuse.moosefs",
    "fuse.seaweedfs",
    "fuse.juicefs",
];

/// Tells whether a file system is a network one, by its number and by the name of its mount; `None` for a local one.
pub fn network(number: u32, mounted_as: &str) -> Option<Shared> {
    let named = NETWORK.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
    let fuse = NETWORK_FUSE.iter().copied().find(|name| number == FUSE && *name == mounted_as);
    named.or(fuse).map(Shared::Network)
}

/// Names of network file systems of macOS; FUSE has a few for all of its kinds, which the system calls local or not.
const NETWORK_NAMED: [&str; 7] = ["nfs", "smbfs", "afpfs", "webdav", "cifs", "ftp", "acfs"];
/// Tells whether a file system is a network one where the system tells its name and whether it calls it local; `None` for a
/// local one.
pub fn network_named(name: &str, is_local: bool) -> Option<Shared> {
    let named = NETWORK_NAMED.iter().copied().find(|known| *known == name).map(Shared::Network);
    named.or((!is_local).then_some(Shared::NotLocal))
}

/// Finds the type of the innermost mount above a directory (proc(5), `/proc/pid/mountinfo`): the fifth field is the
/// mount point, the type is the first word behind ` - `.
pub fn mounted_as<'a>(mounts: &'a str, directory: &Path) -> Option<&'a str> {
    mounts
        .lines()
        .filter_map(|line| {
            let (mount, source) = line.split_once(" - ")?;
            // Spaces in a mount point are written in octal.
            let point = mount.split(' ').nth(4)?.replace("\\040", " ");
            directory.starts_with(&point).then_some((point.len(), source.split(' ').next()?))
        })
        // A later mount on the same point hides the earlier one.
        .max_by_key(|(len, _)| *len)
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:35 / /home/u/far rw,nosuid - fuse.sshfs u@h:/ rw,user_id=1000
41 22 0:36 / /home/u/far/with\\040space rw - fuse.bindfs /x rw
42 22 0:37 / /srv rw - nfs4 h:/srv rw
";

    #[test]
    fn the_innermost_mount_counts() {
        assert_eq!(mounted_as(MOUNTS, Path::new("/home/u")), Some("ext4"));
        assert_eq!(mounted_as(MOUNTS, Path::new("/home/u/far/palace")), Some("fuse.sshfs"));
        assert_eq!(mounted_as(MOUNTS, Path::new("/home/u/far/with space/p")), Some("fuse.bindfs"));
        assert_eq!(mounted_as(MOUNTS, Path::new("/srvx")), Some("ext4"));
    }

    #[test]
    fn network_file_systems_are_known_by_number_or_by_name() {
        assert_eq!(network(0x6969, "nfs4"), Some(Shared::Network("nfs")));
        assert_eq!(network(0xFF53_4D42, ""), Some(Shared::Network("cifs")));
        assert_eq!(network(FUSE, "fuse.sshfs"), Some(Shared::Network("fuse.sshfs")));
        assert_eq!(network(FUSE, "fuse.bindfs"), None);
        assert_eq!(network(0xEF53, "ext4"), None);
    }

    #[test]
    fn what_the_system_calls_local_is_unless_its_name_tells_otherwise() {
        assert_eq!(network_named("apfs", true), None);
        assert_eq!(network_named("hfs", true), None);
        assert_eq!(network_named("smbfs", false), Some(Shared::Network("smbfs")));
        assert_eq!(
            network_named("nfs", true),
            Some(Shared::Network("nfs")),
            "over a server on this computer too"
        );
        assert_eq!(network_named("macfuse", true), None);
        assert_eq!(network_named("macfuse", false), Some(Shared::NotLocal));
        assert_eq!(network_named("", false), Some(Shared::NotLocal));
    }

    /// An encrypted volume of macFUSE was called a network file system, `not local`.
    #[test]
    fn what_is_only_not_called_local_is_said_to_be_so_and_how_it_is_allowed() {
        let (share, volume) = (Shared::Network("nfs"), Shared::NotLocal);
        assert!(share.to_string().contains("a network file system (nfs)"), "{share}");
        assert!(
            volume.to_string().contains("does not call local") && !volume.to_string().contains("network")
        );
        for kind in [share, volume] {
            assert!(kind.advice().contains("--allow-network-fs") && kind.advice().contains("local disk"));
        }
        assert!(volume.advice().contains("encrypted volume"));
    }
}
