//! Files replaced, taken away, and odd things in their place.

use super::*;

#[test]
fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    for (kept, text) in [(Kept::Durably, "first"), (Kept::Loosely, "second, longer"), (Kept::Durably, "3")] {
        replace(&path, text.as_bytes(), kept, Readers::Owner).unwrap();
        assert_eq!(read(&path).unwrap(), text.as_bytes());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    replace(&folder.path().join("folder"), b"x", Kept::Loosely, Readers::Owner).unwrap_err();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "a failure leaves nothing either");
}

#[test]
fn writers_at_the_same_time_leave_one_whole_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    std::thread::scope(|scope| {
        for number in 0..8_u8 {
            let path = &path;
            scope.spawn(move || {
                let bytes = vec![b'a' + number; 1_000 + usize::from(number)];
                for _ in 0..50 {
                    replace(path, &bytes, Kept::Loosely, Readers::Owner).unwrap();
                }
            });
        }
    });
    let left = read(&path).unwrap();
    assert!(left.iter().all(|byte| *byte == left[0]) && left.len() == 1_000 + usize::from(left[0] - b'a'));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A starting daemon removes temporary files; a client that wrote one at that moment lost its record.
#[test]
fn a_temporary_file_that_is_taken_away_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    let mut taken = 0;
    let mut put = |times: usize| {
        put(&path, b"record", Kept::Loosely, Readers::Owner, |from, to| {
            taken += 1;
            if taken <= times {
                std::fs::remove_file(from)?;
            }
            std::fs::rename(from, to)
        })
    };
    put(ATTEMPT_COUNT_MAX - 1).unwrap();
    assert_eq!(read(&path).unwrap(), b"record");
    assert_eq!(put(usize::MAX).unwrap_err().kind(), io::ErrorKind::NotFound, "not for ever");
}

#[test]
fn a_refusal_that_passes_is_waited_for_and_no_other_error_is() {
    let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
    let mut left = 3;
    let passes = || {
        left -= 1;
        if left == 0 { Ok(()) } else { Err(refused()) }
    };
    patiently(passes, || true).unwrap();
    let mut looks = 0;
    let patience = || {
        looks += 1;
        looks < 5
    };
    assert_eq!(patiently(|| Err(refused()), patience).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(looks, 5);
    let missing = || Err(io::Error::from(io::ErrorKind::NotFound));
    let error = patiently(missing, || panic!("nothing is waited for")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[cfg(unix)]
#[test]
fn what_is_made_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    replace(&folder.path().join("record"), b"x", Kept::Loosely, Readers::Owner).unwrap();
    open_lock(&folder.path().join("lock")).unwrap();
    append(&folder.path().join("log")).unwrap();
    assert_eq!([mode("record"), mode("lock"), mode("log")], [0o600; 3]);
    replace(&folder.path().join("unit"), b"x", Kept::Loosely, Readers::Others).unwrap();
    assert_ne!(mode("unit") & 0o400, 0);
}

/// Each of these waited for ever on a FIFO.
#[cfg(unix)]
#[test]
fn nothing_waits_for_what_is_no_file() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record");
    let fifo = || mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
    let openings: [fn(&Path) -> io::Result<File>; 4] = [open, open_lock, open_lock_there, append];
    if let Err(error) = fifo() {
        // Not every file system of a container has them.
        assert_eq!(error, rustix::io::Errno::PERM);
        return;
    }
    for opening in openings {
        opening(&path).unwrap_err();
    }
    replace(&path, b"a file again", Kept::Durably, Readers::Owner).unwrap();
    assert_eq!(read(&path).unwrap(), b"a file again");
    std::fs::remove_file(&path).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    for opening in openings {
        opening(&path).unwrap_err();
    }
}

#[cfg(unix)]
#[test]
fn no_link_is_followed_to_make_something() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (path, target) = (folder.path().join("record"), elsewhere.path().join("of somebody else"));
    std::os::unix::fs::symlink(&target, &path).unwrap();
    open_lock(&path).unwrap_err();
    append(&path).unwrap_err();
    assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    replace(&path, b"ours", Kept::Loosely, Readers::Owner).unwrap();
    assert!(!target.exists() && !path.is_symlink());
}

#[cfg(unix)]
type Open = fn(&Path) -> io::Result<File>;

/// A FIFO was "something else than a file", a socket "No such device or address", a link a loop of links.
#[cfg(unix)]
#[test]
fn what_stands_in_the_place_of_a_file_is_called_by_its_name() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
    std::fs::create_dir(at("folder")).unwrap();
    std::fs::write(at("file"), "x").unwrap();
    let links = [("dangling", "nothing"), ("to-file", "file"), ("to-folder", "folder")];
    for (link, target) in links {
        std::os::unix::fs::symlink(at(target), at(link)).unwrap();
    }
    let opened: [(&str, Open); 4] =
        [("read", open), ("lock", open_lock), ("lock there", open_lock_there), ("append", append)];
    for (how, open) in opened {
        for (name, kind) in [("fifo", "a named pipe"), ("socket", "a socket"), ("folder", "a folder")] {
            let error = open(&at(name)).unwrap_err();
            assert_eq!(error.to_string(), format!("{kind} stands where a file should be"), "{how}");
            assert!(advice(&error, "").starts_with("move it away"), "{how}");
        }
        open(&at("file")).unwrap();
        match open(&at("to-file")) {
            Ok(_) => assert_eq!(how, "read"),
            Err(error) => assert!(error.to_string().starts_with("a link stands"), "{how}: {error}"),
        }
    }
    assert_eq!(open(&at("dangling")).unwrap_err().kind(), io::ErrorKind::NotFound, "there is no such file");
    std::os::unix::fs::symlink(at("loop"), at("loop")).unwrap();
    std::os::unix::fs::symlink("/dev/null", at("to-device")).unwrap();
    let expect = [
        ("fifo", Some(Odd::Pipe), Some(Odd::Pipe)),
        ("socket", Some(Odd::Socket), Some(Odd::Socket)),
        ("folder", Some(Odd::Folder), Some(Odd::Folder)),
        ("dangling", Some(Odd::DanglingLink), Some(Odd::DanglingLink)),
        ("loop", Some(Odd::DanglingLink), Some(Odd::DanglingLink)),
        ("to-folder", Some(Odd::Folder), Some(Odd::Link)),
        ("to-device", Some(Odd::Device), Some(Odd::Link)),
        ("to-file", None, Some(Odd::Link)),
        ("file", None, None),
        ("nothing", None, None),
    ];
    for (name, followed, refused) in expect {
        let found = (odd(&at(name), Links::Followed), odd(&at(name), Links::Refused));
        assert_eq!(found, (followed, refused), "{name}");
    }
    let full = io::Error::from(io::ErrorKind::StorageFull);
    assert!(advice(&full, "").contains("free space"));
    assert_eq!(advice(&io::Error::from(io::ErrorKind::TimedOut), "otherwise"), "otherwise");
}
