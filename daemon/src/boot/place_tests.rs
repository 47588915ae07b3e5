//! A palace is taken once, given up in order, and noticed to be lost.

use super::*;

#[test]
fn a_palace_is_taken_once() {
    let home = tempfile::tempdir().unwrap();
    let palace = home.path().join("palace");
    let place = Place::take(&palace, ManagedBy::Auto, NetworkFs::Refused).unwrap();
    let socket = place.folder().join(place.socket_name());
    fs::write(&socket, "").unwrap();
    place.publish(&Address::Unix(socket.display().to_string()), EndpointState::Ready).unwrap();
    let refused = Place::take(&palace, ManagedBy::Auto, NetworkFs::Refused).err().unwrap();
    assert_eq!(refused.code, StartFailureCode::Locked);
    assert!(refused.message.contains(&std::process::id().to_string()), "{refused}");
    assert!(refused.message.contains(&place.palace().display().to_string()), "{refused}");
    assert_eq!(place.lost(), None);
    place.withdraw();
    assert!(!place.folder().join(WRITER_INFO_FILE).exists(), "an orderly end leaves no description");
}

#[test]
fn dead_sockets_go_and_locks_stay() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(DAEMON_DIR);
    drop(Place::take(home.path(), ManagedBy::Auto, NetworkFs::Refused).unwrap());
    fs::write(folder.join("s.dead0000"), "").unwrap();
    let place = Place::take(home.path(), ManagedBy::Auto, NetworkFs::Refused).unwrap();
    assert!(!folder.join("s.dead0000").exists());
    assert_eq!(place.last_crash(), None, "the first one ended before it had published anything");
    assert!(folder.join(WRITER_LOCK_FILE).exists());
    fs::remove_file(folder.join(WRITER_LOCK_FILE)).unwrap();
    assert!(place.lost().unwrap().contains("lock"));
}

/// A store that was put back from a copy under a living daemon went unnoticed: writes went into the file that was gone.
#[test]
fn another_store_or_directory_of_the_same_name_is_noticed() {
    let home = tempfile::tempdir().unwrap();
    let palace = home.path().join("palace");
    let place = Place::take(&palace, ManagedBy::Auto, NetworkFs::Refused).unwrap();
    let socket = place.folder().join(place.socket_name());
    fs::write(&socket, "").unwrap();
    place.publish(&Address::Unix(socket.display().to_string()), EndpointState::Ready).unwrap();
    let exchange = || {
        fs::write(palace.join("copy"), "x").unwrap();
        fs::rename(palace.join("copy"), palace.join(STORE_FILE)).unwrap();
    };
    exchange();
    place.note_store();
    assert_eq!(place.lost(), None);
    place.forget_store();
    exchange();
    assert_eq!(place.lost(), None, "while this daemon exchanges it");
    place.note_store();
    assert_eq!(place.lost(), None);
    exchange();
    let lost = place.lost().unwrap();
    assert!(lost.contains(STORE_FILE) && lost.contains("was replaced"), "{lost}");
    place.note_store();
    fs::rename(&palace, home.path().join("aside")).unwrap();
    fs::create_dir(&palace).unwrap();
    let lost = place.lost().unwrap();
    assert!(lost.ends_with("palace was replaced"), "{lost}");
}

#[test]
fn a_service_keeps_its_token_and_its_socket() {
    let home = tempfile::tempdir().unwrap();
    let palace = home.path().canonicalize().unwrap();
    let folder = palace.join(DAEMON_DIR);
    drop(Place::take(&palace, ManagedBy::Auto, NetworkFs::Refused).unwrap());
    let record = ServiceRecord {
        v: palace_protocol::service::SERVICE_FORMAT,
        managed_by: ManagedBy::Systemd,
        unit: "x.service".into(),
        address: None,
        token: "ab".repeat(32),
        palace: palace.display().to_string(),
        machine: String::new(),
    };
    fs::write(folder.join(SERVICE_FILE), record.to_bytes()).unwrap();
    fs::write(folder.join(SERVICE_SOCKET), "").unwrap();
    let place = Place::take(&palace, ManagedBy::Systemd, NetworkFs::Refused).unwrap();
    assert_eq!(place.token(), record.token);
    place.withdraw();
    drop(place);
    let by_hand = Place::take(&palace, ManagedBy::Auto, NetworkFs::Refused).unwrap();
    assert_ne!(by_hand.token(), record.token);
    assert!(folder.join(SERVICE_FILE).exists() && folder.join(SERVICE_SOCKET).exists());
}

#[test]
fn an_end_without_a_word_is_remembered_over_orderly_ones() {
    let home = tempfile::tempdir().unwrap();
    let take = || Place::take(home.path(), ManagedBy::Auto, NetworkFs::Refused).unwrap();
    let publish = |place: &Place| {
        let socket = place.folder().join(place.socket_name());
        fs::write(&socket, "").unwrap();
        place.publish(&Address::Unix(socket.display().to_string()), EndpointState::Ready).unwrap();
    };
    for in_a_row in 0..3 {
        let killed = take();
        publish(&killed);
        assert_eq!(killed.last_crash().map_or(0, |crash| crash.in_a_row), in_a_row);
        drop(killed);
    }
    for _ in 0..2 {
        let place = take();
        publish(&place);
        let crash = place.last_crash().unwrap();
        assert_eq!((crash.pid, crash.rebooted, crash.in_a_row), (std::process::id(), false, 3));
        place.withdraw();
    }
}

#[test]
fn withdrawing_leaves_a_successors_record_alone() {
    let home = tempfile::tempdir().unwrap();
    let place = Place::take(home.path(), ManagedBy::Auto, NetworkFs::Refused).unwrap();
    let socket = place.folder().join(place.socket_name());
    fs::write(&socket, "").unwrap();
    let address = Address::Unix(socket.display().to_string());
    place.publish(&address, EndpointState::Ready).unwrap();
    let path = place.folder().join(RECORD_FILE);
    let mut other = EndpointRecord::from_bytes(&fs::read(&path).unwrap()).unwrap();
    other.generation = "ffffffff".into();
    fs::write(&path, other.to_bytes()).unwrap();
    assert!(place.lost().unwrap().contains("ffffffff"));
    place.withdraw();
    assert!(path.exists());
    assert!(place.lost().unwrap().contains("socket"));
}

#[cfg(unix)]
#[test]
fn a_start_that_failed_early_leaves_its_reason_and_follows_no_link() {
    let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = home.path().join(DAEMON_DIR);
    let refused = failure(StartFailureCode::Palace, "on a network file system".into());
    leave_failure(home.path(), &refused);
    assert!(!folder.exists(), "no folder is made for it");
    std::os::unix::fs::symlink(elsewhere.path(), &folder).unwrap();
    leave_failure(home.path(), &refused);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    leave_failure(home.path(), &failure(StartFailureCode::Locked, "served".into()));
    assert!(!folder.join(START_ERROR_FILE).exists());
    leave_failure(home.path(), &refused);
    assert!(fs::read_to_string(folder.join(START_ERROR_FILE)).unwrap().contains("network"));
}

#[test]
fn a_file_is_not_a_palace() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "x").unwrap();
    let refused = Place::take(&file, ManagedBy::Auto, NetworkFs::Refused).err().unwrap();
    assert_eq!(refused.code, StartFailureCode::Palace);
    assert!(refused.message.contains("is a file"), "{refused}");
}
