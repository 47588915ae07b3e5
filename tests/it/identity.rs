//! One palace has one daemon, whatever it is called.

use std::process::Stdio;

use palace_tests::daemon;

use crate::sandbox;

#[test]
fn a_second_daemon_refuses_and_names_the_first() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "text");
    let serving = daemon::ready(&sandbox.palace());
    let refused = sandbox.palaced().stdin(Stdio::null()).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains(&format!("pid {}", serving.pid)), "{text}");
    assert!(text.contains(&serving.palace), "{text}");
    assert_eq!(daemon::record(&sandbox.palace()), Some(serving));
    host.add("wing", "room", "the first one serves on");
}

#[cfg(unix)]
#[test]
fn every_spelling_of_a_palace_is_the_same_palace() {
    let sandbox = sandbox();
    let mut host = sandbox.host("host");
    host.initialize();
    host.add("wing", "room", "one text");
    let link = sandbox.home().join("link");
    std::os::unix::fs::symlink(sandbox.palace(), &link).unwrap();
    let spellings = [link.clone(), link.join(""), sandbox.home().join("palace/../palace"), "palace".into()];
    for spelling in spellings {
        let mut other = sandbox.host_at("other", &spelling);
        other.initialize();
        assert_eq!(other.found("one text"), ["one text"], "{}", spelling.display());
        assert_eq!(sandbox.daemons().len(), 1, "{}", spelling.display());
    }
}

#[test]
fn a_palace_at_the_end_of_a_long_path_is_served_too() {
    let sandbox = sandbox();
    let palace = sandbox.home().join("long".repeat(20)).join("name".repeat(20)).join("palace");
    let mut host = sandbox.host_at("host", &palace);
    host.initialize();
    host.add("wing", "room", "deep down");
    assert_eq!(host.found("deep down"), ["deep down"]);
    drop(host);
    daemon::stop(&palace);
}
