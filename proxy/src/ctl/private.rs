//! What is its owner's alone in a palace, for `palacectl doctor`: the private folder, the store and its indexes, and
//! sockets that dead daemons left. Looked at without a daemon; nothing is changed.

use std::path::Path;

use palace_protocol::endpoint::{Address, DAEMON_DIR};
use palace_protocol::service::SERVICE_SOCKET;
#[cfg(unix)]
use palace_protocol::{
    advice,
    endpoint::{LOG_DIR, SETTINGS_FILE, STORE_FILE},
};
#[cfg(unix)]
use palace_system::files::{self, Links, Odd};
use palace_system::record;

use super::doctor::{Finding, note};
#[cfg(unix)]
use crate::os;

/// Names that are listed at most.
const LISTED_COUNT_MAX: usize = 4;

/// Looks at the folder that holds locks, socket and logs, if it is there.
#[cfg(unix)]
pub fn folder(palace: &Path) -> Option<Finding> {
    use super::doctor::{bad, good};
    use std::os::unix::fs::MetadataExt;
    let what = "folder";
    let folder = palace.join(DAEMON_DIR);
    let at = folder.display();
    let found = match std::fs::symlink_metadata(&folder) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            return Some(bad(
                what,
                format!("{at} cannot be looked at: {error}"),
                "check path and permissions",
            ));
        }
    };
    if !found.is_dir() {
        return Some(bad(
            what,
            format!("{at} is not a directory, or a link to one"),
            format!("move {at} away"),
        ));
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        let found = format!("{at} belongs to user {}, this is user {user}", found.uid());
        return Some(bad(what, found, whose(palace)));
    }
    if found.mode() & 0o077 != 0 {
        return Some(note(what, format!("{at} can be entered by others"), "the next start closes it"));
    }
    Some(good(what, format!("{at}, yours alone")))
}

/// Looks through everything that daemons keep: what belongs to another user stops the next one, what others may read
/// shows them memories.
#[cfg(unix)]
pub fn contents(palace: &Path) -> Vec<Finding> {
    use super::doctor::bad;
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid().as_raw();
    let (mut foreign, mut open, mut odd) = (Vec::new(), Vec::new(), Vec::new());
    for (path, metadata) in kept(palace) {
        odd.extend(oddity(palace, &path, &metadata));
        if metadata.uid() != user {
            foreign.push(path);
        } else if metadata.mode() & 0o077 != 0 && !metadata.is_symlink() {
            open.push(path);
        }
    }
    let mut findings = Vec::new();
    if !foreign.is_empty() {
        let found = format!("{} of another user than you, {user}", listed(&foreign, palace));
        findings.push(bad("owner", found, whose(palace)));
    }
    let settings = palace.join(SETTINGS_FILE);
    odd.extend(
        files::odd(&settings, Links::Followed).map(|odd| Oddity {
            found: format!("{}: {odd}", settings.display()),
            next: advice::ODD_SETTINGS,
        }),
    );
    findings.extend(
        odd.into_iter().take(LISTED_COUNT_MAX).map(|Oddity { found, next }| bad("kind", found, next)),
    );
    if !open.is_empty() {
        let found = format!("{} open to other users", listed(&open, palace));
        findings.push(note("mode", found, format!("chmod -R go-rwx {}", palace.display())));
    }
    findings
}

/// Returns what to do about files of another user: whoever does not own the palace has no business making them theirs.
#[cfg(unix)]
fn whose(palace: &Path) -> String {
    match os::check_owned_folder(palace) {
        Err(os::Unusable::Owner(_)) => os::RUN_AS_OWNER.to_owned(),
        Ok(()) | Err(os::Unusable::Kind(_)) => os::give_back(palace),
    }
}

/// Something of another kind under a name of ours: a start would fail of it, or do without what should be there.
#[cfg(unix)]
struct Oddity {
    found: String,
    next: &'static str,
}

#[cfg(unix)]
fn oddity(palace: &Path, path: &Path, metadata: &std::fs::Metadata) -> Option<Oddity> {
    let at = path.display();
    // A store may be a link to a file.
    if path == palace.join(STORE_FILE) {
        let odd = files::odd(path, Links::Followed)?;
        return Some(Oddity { found: format!("{at}: {odd}"), next: advice::ODD_STORE });
    }
    let inside = path.strip_prefix(palace.join(DAEMON_DIR)).ok()?.to_string_lossy();
    let odd = files::odd(path, Links::Refused);
    let found = match inside.as_ref() {
        // It has a finding of its own.
        "" => return None,
        LOG_DIR if metadata.is_dir() => return None,
        LOG_DIR => format!("{at}: {} stands where a folder should be", odd.map_or("a file", Odd::name)),
        name if name.starts_with("s.") && odd == Some(Odd::Socket) => return None,
        _ => format!("{at}: {}", odd?),
    };
    Some(Oddity { found, next: advice::ODD_FILE })
}

/// Files that are looked at; a palace has a few dozen.
#[cfg(unix)]
const KEPT_COUNT_MAX: usize = 10_000;

/// Returns the store, and what is in the folders that daemons make; no link is followed.
#[cfg(unix)]
fn kept(palace: &Path) -> Vec<(std::path::PathBuf, std::fs::Metadata)> {
    use palace_protocol::endpoint::DERIVED_DIR;
    let mut waiting = [DAEMON_DIR, DERIVED_DIR, STORE_FILE].map(|name| palace.join(name)).to_vec();
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            waiting.extend(entries.map(|entry| entry.path()).take(KEPT_COUNT_MAX));
        }
        found.push((path, metadata));
        if found.len() >= KEPT_COUNT_MAX {
            break;
        }
    }
    found
}

/// Rights are those of the folder above on this system.
#[cfg(not(unix))]
pub fn folder(_palace: &Path) -> Option<Finding> {
    None
}

/// Nor are those of what is in it.
#[cfg(not(unix))]
pub fn contents(_palace: &Path) -> Vec<Finding> {
    Vec::new()
}

/// Lists sockets of daemons that are gone.
pub fn leftovers(palace: &Path) -> Option<Finding> {
    let folder = palace.join(DAEMON_DIR);
    let record = record::read(&folder);
    let current = record.and_then(|record| match record.address {
        Address::Unix(path) => Some(Path::new(&path).to_path_buf()),
        Address::Pipe(_) => None,
    });
    let left: Vec<_> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("s.") && name != SERVICE_SOCKET
        })
        .map(|entry| entry.path())
        .filter(|path| Some(path) != current.as_ref())
        .collect();
    (!left.is_empty()).then(|| {
        let found = format!("{} left by daemons that are gone", listed(&left, palace));
        note("sockets", found, "nothing is wrong with that: the next start removes them")
    })
}

/// Names a few paths of a palace, as the beginning of a sentence about all of them.
fn listed(paths: &[std::path::PathBuf], palace: &Path) -> String {
    let name = |path: &std::path::PathBuf| path.strip_prefix(palace).unwrap_or(path).display().to_string();
    let named: Vec<String> = paths.iter().take(LISTED_COUNT_MAX).map(name).collect();
    let more = match paths.len().saturating_sub(LISTED_COUNT_MAX) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let verb = if paths.len() == 1 { "is" } else { "are" };
    format!("{}{more} {verb}", named.join(", "))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::ctl::doctor::Verdict;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_that_is_none_or_open_is_told() {
        let palace = tempfile::tempdir().unwrap();
        let path = palace.path().join(DAEMON_DIR);
        assert_eq!(folder(palace.path()), None);
        symlink(palace.path(), &path).unwrap();
        assert_eq!(folder(palace.path()).unwrap().verdict, Verdict::Bad);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        chmod(&path, 0o755);
        assert_eq!(folder(palace.path()).unwrap().verdict, Verdict::Note);
        chmod(&path, 0o700);
        assert_eq!(folder(palace.path()).unwrap().verdict, Verdict::Good);
    }

    #[test]
    fn what_others_may_read_is_found_at_any_depth() {
        let palace = tempfile::tempdir().unwrap();
        assert_eq!(contents(palace.path()), []);
        let deep = palace.path().join(".derived/text/0001");
        std::fs::create_dir_all(&deep).unwrap();
        let store = palace.path().join("palace.redb");
        std::fs::write(&store, "x").unwrap();
        for (path, mode) in [(&deep, 0o750), (&store, 0o644)] {
            chmod(path, mode);
        }
        for above in [".derived", ".derived/text"] {
            chmod(&palace.path().join(above), 0o700);
        }
        let [finding] = &contents(palace.path())[..] else { panic!("one finding") };
        assert_eq!(finding.verdict, Verdict::Note);
        for name in [".derived/text/0001", "palace.redb", "are open to other users"] {
            assert!(finding.found.contains(name), "{finding:?}");
        }
        chmod(&store, 0o600);
        chmod(&deep, 0o700);
        assert_eq!(contents(palace.path()), []);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&deep, Some(65_534), None).unwrap();
            let [finding] = &contents(palace.path())[..] else { panic!("one finding") };
            assert_eq!(finding.verdict, Verdict::Bad);
        }
    }

    #[test]
    fn sockets_of_the_dead_are_listed_and_a_managers_is_not() {
        let palace = tempfile::tempdir().unwrap();
        let folder = palace.path().join(DAEMON_DIR);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(SERVICE_SOCKET), "").unwrap();
        assert_eq!(leftovers(palace.path()), None);
        std::fs::write(folder.join("s.dead0000"), "").unwrap();
        assert!(leftovers(palace.path()).unwrap().found.contains("s.dead0000 is left"));
    }

    #[test]
    fn what_stands_in_the_place_of_a_file_is_named() {
        let palace = tempfile::tempdir().unwrap();
        let folder = palace.path().join(DAEMON_DIR);
        std::fs::create_dir_all(folder.join("log")).unwrap();
        std::fs::write(folder.join("writer.lock"), "").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.join("s.1")).unwrap();
        let kinds = |palace: &Path| {
            contents(palace).into_iter().filter(|finding| finding.what == "kind").collect::<Vec<_>>()
        };
        assert_eq!(kinds(palace.path()), []);
        std::fs::create_dir(folder.join("start.lock")).unwrap();
        let found = kinds(palace.path());
        assert!(found.len() == 1 && found[0].found.contains("start.lock"), "{found:?}");
        std::fs::remove_dir(folder.join("start.lock")).unwrap();
        std::os::unix::fs::symlink("elsewhere", folder.join("log/daemon.stderr")).unwrap();
        assert!(kinds(palace.path())[0].found.contains("daemon.stderr"));
        std::fs::remove_file(folder.join("log/daemon.stderr")).unwrap();
        for name in ["palace.redb", "palaced.json"] {
            std::fs::write(palace.path().join("file"), "").unwrap();
            std::os::unix::fs::symlink("file", palace.path().join(name)).unwrap();
            assert_eq!(kinds(palace.path()), [], "a link to a file is one");
            std::fs::remove_file(palace.path().join("file")).unwrap();
            let found = kinds(palace.path());
            assert!(found[0].found.contains(&format!("{name}: a link that leads to nothing")), "{found:?}");
            std::fs::remove_file(palace.path().join(name)).unwrap();
        }
    }
}
