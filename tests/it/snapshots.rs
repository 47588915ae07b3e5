//! Saved indexes damaged while nobody looks: the next start finds out and searches right all the same.

use std::path::Path;

use palace_tests::daemon;

use crate::sandbox;

const TEXTS: [&str; 4] = [
    "passkeys replace passwords",
    "the ramen shop is behind the station",
    "rust borrows",
    "the quarterly budget",
];

fn check(damage: impl Fn(&Path)) {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    for text in TEXTS {
        host.add("wing", "room", text);
    }
    daemon::stop(&sandbox.palace());
    let folder = sandbox.palace().join(".derived");
    let mut damaged = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        damage(&entry.unwrap().path());
        damaged += 1;
    }
    assert!(damaged >= 2, "both indexes are saved at an orderly end");
    for text in TEXTS {
        assert_eq!(host.found(text).first().map(String::as_str), Some(text));
    }
}

fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_bit() {
    check(|path| {
        rewrite(path, |bytes| {
            let at = bytes.len() / 2;
            bytes[at] ^= 0x10;
        });
    });
}

#[test]
fn a_truncated_file() {
    check(|path| rewrite(path, |bytes| bytes.truncate(bytes.len() * 2 / 3)));
}

#[test]
fn a_missing_file() {
    check(|path| std::fs::remove_file(path).unwrap());
}

#[test]
fn a_zeroed_block() {
    check(|path| rewrite(path, |bytes| bytes.iter_mut().skip(64).take(256).for_each(|byte| *byte = 0)));
}

#[test]
fn a_foreign_file() {
    check(|path| std::fs::write(path, b"something else entirely").unwrap());
}
