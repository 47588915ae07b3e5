//! The parts that need no network. The real downloads run only when asked for by variable.

use std::path::Path;

use sha2::Sha256;

use super::*;

/// Set to `1` to let a test download with pip and npm.
const NETWORK: &str = "PALACE_TEST_NETWORK";

fn put(root: &Path, version: &str) -> PathBuf {
    let folder = root.join(version);
    std::fs::create_dir_all(&folder).unwrap();
    let library = folder.join(library_name());
    std::fs::write(&library, version).unwrap();
    record::write(&folder, format!("onnxruntime {version}")).unwrap();
    library
}

#[test]
fn an_intact_installation_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let library = put(dir.path(), package::WHEEL_VERSION);
    let options = InstallOptions { from: None, root: dir.path().to_owned() };
    let there = install(&options, &mut |progress| panic!("nothing to do: {progress:?}")).unwrap();
    assert_eq!((there.library, there.intact), (library, true));
}

#[test]
fn installations_are_listed_newest_first_and_damage_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "1.9.0");
    let damaged = put(dir.path(), "1.24.4");
    put(dir.path(), ".tmp-1");
    std::fs::create_dir(dir.path().join("1.99.0")).unwrap();
    std::fs::write(damaged, "half of it").unwrap();
    let found: Vec<(String, bool)> =
        installed(dir.path()).into_iter().map(|there| (there.version, there.intact)).collect();
    assert_eq!(found, [("1.24.4".to_owned(), false), ("1.9.0".to_owned(), true)]);
    assert!(record::intact(dir.path(), "1.24.4").is_none());
}

#[test]
fn removing_touches_only_what_was_installed() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "1.24.4");
    std::fs::create_dir(dir.path().join("1.99.0")).unwrap();
    std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    assert!(remove(dir.path()).unwrap());
    assert!(!remove(dir.path()).unwrap());
    assert!(!dir.path().join("1.24.4").exists());
    assert!(dir.path().join("1.99.0").exists() && dir.path().join("notes.txt").exists());
    assert!(!remove(&dir.path().join("absent")).unwrap());
}

#[test]
fn a_tool_is_absent_fails_or_answers() {
    let run = |name: &str, args: &[&str]| {
        let mut command = tool::command(name, Path::new(env!("CARGO_MANIFEST_DIR")));
        command.args(args);
        tool::run(command, tool::UNPACK_WAIT_MAX)
    };
    assert!(matches!(run("no-such-command-here", &[]), Err(tool::ToolFailure::Absent)));
    let cargo = env!("CARGO");
    assert!(run(cargo, &["--version"]).unwrap().starts_with("cargo "));
    assert!(
        matches!(run(cargo, &["no-such-verb"]), Err(tool::ToolFailure::Failed(words)) if !words.is_empty())
    );
}

#[test]
fn hashes_are_written_as_everyone_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("abc");
    std::fs::write(&path, "abc").unwrap();
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(record::hash::<Sha256>(&path).unwrap(), expected);
}

#[test]
fn network_both_package_managers_install() {
    if std::env::var_os(NETWORK).is_none_or(|value| value != "1") {
        return;
    }
    for manager in [PackageManager::Pip, PackageManager::Npm] {
        let dir = tempfile::tempdir().unwrap();
        let options = InstallOptions { from: Some(manager), root: dir.path().to_owned() };
        let mut seen = Vec::new();
        let there = install(&options, &mut |progress| seen.push(progress)).unwrap();
        assert!(there.intact && there.version == manager.version(), "{there:?}");
        assert_eq!(seen.len(), 3);
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, [manager.version()], "no scratch is left");
    }
}
