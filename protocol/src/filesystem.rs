//! Which file systems a palace may live on. Pure: the caller asks the system.
//!
//! Locks that every process of every computer respects are what keeps a palace whole; network file systems do not
//! promise them, and two computers would see two daemons. On Linux the kind of file system is known by its number
//! (statfs(2), `linux/magic.h`); FUSE has one number for all, so there the mount table tells. macOS tells a name and whether
//! it is local (statfs(2), `MNT_LOCAL`).

use std::path::Path;

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

/// Returns the kind of a network file system, by its number and by the name of its mount; `None` for a local one.
pub fn network(number: u32, mounted_as: &str) -> Option<&'static str> {
    let named = NETWORK.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
    let fuse = NETWORK_FUSE.iter().copied().find(|name| number == FUSE && *name == mounted_as);
    named.or(fuse)
}

/// Names of network file systems of macOS; FUSE has a few for all of its kinds, which the system calls local or not.
const NETWORK_NAMED: [&str; 7] = ["nfs", "smbfs", "afpfs", "webdav", "cifs", "ftp", "acfs"];
/// What one is called that is only known not to be local.
const NOT_LOCAL: &str = "not local";

/// Returns the kind of a network file system where the system tells its name and whether it calls it local; `None` for a
/// local one.
pub fn network_named(name: &str, is_local: bool) -> Option<&'static str> {
    let named = NETWORK_NAMED.iter().copied().find(|known| *known == name);
    named.or((!is_local).then_some(NOT_LOCAL))
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
        assert_eq!(network(0x6969, "nfs4").unwrap_or_default(), "nfs");
        assert_eq!(network(0xFF53_4D42, ""), Some("cifs"));
        assert_eq!(network(FUSE, "fuse.sshfs"), Some("fuse.sshfs"));
        assert_eq!(network(FUSE, "fuse.bindfs"), None);
        assert_eq!(network(0xEF53, "ext4"), None);
    }

    #[test]
    fn what_the_system_calls_local_is_unless_its_name_tells_otherwise() {
        assert_eq!(network_named("apfs", true), None);
        assert_eq!(network_named("hfs", true), None);
        assert_eq!(network_named("smbfs", false), Some("smbfs"));
        assert_eq!(network_named("nfs", true), Some("nfs"), "over a server on this computer too");
        assert_eq!(network_named("macfuse", true), None);
        assert_eq!(network_named("macfuse", false), Some("not local"));
        assert_eq!(network_named("", false), Some("not local"));
    }
}
